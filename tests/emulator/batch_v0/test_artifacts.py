"""The artifacts zip: layout, columns, numbers, crops."""

from __future__ import annotations

import csv
import io
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.emulator.batch_v0.artifacts import safe_path
from tests.emulator.api import JOBS, Api, png, video, wav


def archive_of(api: Api, job_id: str) -> zipfile.ZipFile:
    api.ended(job_id)
    answer = api.call("GET", f"{JOBS}/{job_id}/artifacts")
    assert answer.headers["Content-Type"] == "application/zip"
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    return archive


def table(archive: zipfile.ZipFile, name: str) -> list[list[str]]:
    text = archive.read(name).decode()
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_one_folder_a_source_and_one_csv_a_model(api: Api) -> None:
    body = {
        "urls": ["https://example.org/x/IMG_1.mp4", "https://gone.invalid/x.mp4"],
        "text": ["hi", "there"],
        "models": {"language": {}, "face": {}},
    }
    archive = archive_of(api, api.submit(body, [("file", ("a.wav", wav(2))), ("file", ("bad.wav", b"bad"))]))
    assert sorted(archive.namelist()) == [
        "file-0-a.wav/csv/a.wav/language.csv",
        "text-0-text/csv/1/language.csv",
        "text-0-text/csv/2/language.csv",
        "url-0-IMG_1.mp4/csv/IMG_1.mp4/face.csv",
        "url-0-IMG_1.mp4/csv/IMG_1.mp4/language.csv",
    ]
    assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


@pytest.mark.sweep
def test_columns_stand_in_the_documented_order(api: Api) -> None:
    body = {"models": {"face": {}, "prosody": {}, "language": {}, "burst": {}}}
    archive = archive_of(api, api.submit(body, [("file", ("v.mp4", video(4)))]))
    heads = {model: table(archive, f"file-0-v.mp4/csv/v.mp4/{model}.csv")[0] for model in body["models"]}
    widths = {model: len(head) for model, head in heads.items()}
    assert widths == {"face": 119, "prosody": 54, "language": 76, "burst": 118}
    face = heads["face"]
    assert face[:8] == ["Id", "Frame", "Time", "Probability", "FaceX0", "FaceY0", "FaceWidth", "FaceHeight"]
    assert (face[8], face[56], face[86]) == ("Admiration", "AU1 Inner Brow Raise", "AU54 Head Down")
    assert (face[91], face[92], face[-1]) == ("Hand touching Face / Head", "Beaming", "Wrinkled nose")
    for model in ("face", "prosody"):
        assert heads[model].index("Contemplation") == heads[model].index("Confusion") - 1
    assert heads["language"].index("Confusion") == heads["language"].index("Contemplation") - 1
    for head in heads.values():
        assert head.index("Desire") == head.index("Satisfaction") + 1
    assert heads["language"][-15:] == [
        "1", "2", "3", "4", "5", "6", "7", "8", "9", "toxic", "severe_toxic", "obscene", "threat", "insult",
        "identity_hate",
    ]  # fmt: skip


def test_cells_have_the_digits_of_the_json_answer_and_are_empty_for_null(api: Api) -> None:
    job_id = api.submit({"text": ['say "hi, you"'], "models": {"language": {"sentiment": {}}}})
    rows = table(archive_of(api, job_id), "text-0-text/csv/1/language.csv")
    answer = api.predictions(job_id)[0]["results"]["predictions"][0]["models"]["language"]
    listed = answer["grouped_predictions"][0]["predictions"]
    assert [row[1] for row in rows[1:]] == [row["text"] for row in listed]
    for cells, row in zip(rows[1:], listed, strict=True):
        named = dict(zip(rows[0], cells, strict=True))
        assert {score["name"]: repr(score["score"]) for score in row["emotions"] + row["sentiment"]} == {
            name: named[name] for name in (s["name"] for s in row["emotions"] + row["sentiment"])
        }
        assert (named["BeginTime"], named["Confidence"], named["toxic"]) == ("", "", "")
        assert named["BeginPosition"] == str(row["position"]["begin"])


def test_rows_are_in_the_order_of_time_across_people(api: Api) -> None:
    body = {"urls": [f"https://example.org/{at}.mp4" for at in range(12)], "models": {"face": {"identify_faces": True}}}
    archive = archive_of(api, api.submit(body))
    people = set()
    for name in archive.namelist():
        rows = table(archive, name)[1:]
        frames = [int(row[1]) for row in rows]
        assert frames == sorted(frames)
        people |= {row[0] for row in rows}
    assert people == {"face_0", "face_1"}


def size_of(crop: bytes) -> tuple[int, int]:
    assert crop.startswith(b"\x89PNG")
    wide, high = struct.unpack(">II", crop[16:24])
    return wide, high


@pytest.mark.parametrize("zipped", [False, True])
def test_saved_faces_are_cut_out_of_the_real_picture(api: Api, zipped: bool) -> None:
    content, name = png(320, 240), "me.png"
    if zipped:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as packed:
            packed.writestr("me.png", content)
        content, name = buffer.getvalue(), "all.zip"
    body = {"models": {"face": {"save_faces": True, "identify_faces": True}}}
    job_id = api.submit(body, [("file", (name, content))])
    archive = archive_of(api, job_id)
    crop = archive.read(f"file-0-{name}/faces/me.png/face_0/frame=0.png")
    groups = api.predictions(job_id)[0]["results"]["predictions"][0]["models"]["face"]["grouped_predictions"]
    box = next(group for group in groups if group["id"] == "face_0")["predictions"][0]["box"]
    assert size_of(crop) == (int(box["w"]), int(box["h"]))


def test_saved_faces_of_a_url_are_simulated_pictures(api: Api) -> None:
    body: dict[str, Any] = {"urls": ["https://example.org/v.mp4"], "models": {"face": {"save_faces": True}}}
    names = [name for name in archive_of(api, api.submit(body)).namelist() if "/faces/" in name]
    assert names[0] == "url-0-v.mp4/faces/v.mp4/unknown/frame=0.png"
    assert len(names) > 5


def test_a_job_without_results_has_an_empty_archive(api: Api) -> None:
    assert archive_of(api, api.submit({})).namelist() == []


def test_hostile_names_stay_inside_the_archive_and_apart(api: Api) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in ("../../up.txt", "up.txt", "C:\\x.txt", "/abs.txt"):
            packed.writestr(name, b"words here")
    files = [("file", ("../evil.zip", buffer.getvalue()))]
    names = archive_of(api, api.submit({"models": {"language": {}}}, files)).namelist()
    assert len(set(names)) == 4
    assert all(".." not in name.split("/") and not name.startswith("/") and ":" not in name for name in names)


@given(st.text(max_size=60))
def test_a_safe_path_is_relative_and_never_climbs(name: str) -> None:
    parts = safe_path(name).split("/")
    assert all(part not in ("", ".", "..") for part in parts)
