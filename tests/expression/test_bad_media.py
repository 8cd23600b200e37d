"""A medium that cannot be measured fails alone, with the reason, and says so before anything is paid."""

from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import Folder, measured_runs, times_measured
from tests.media_files import picture, picture_bytes, speech, write_video, write_wav


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("good")
    write_wav(folder / "talk.wav", speech([("speech", 1.5), ("pause", 1)]))
    write_video(folder / "film.mp4", seconds=2, fps=3, sound=speech([("speech", 1.5), ("pause", 0.5)]))
    (folder / "face.jpg").write_bytes(picture_bytes(picture(seed=1)))
    (folder / "face.png").write_bytes(picture_bytes(picture(seed=2), "PNG"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def bad_media(good: dict[str, bytes]) -> dict[str, bytes]:
    return {
        "text.wav": b"This was never a recording.\n" * 100,
        "page.jpg": b"<!doctype html><html><body>not found</body></html>",
        "empty.wav": b"",
        "three_bytes.jpg": b"\xff\xd8\xff",
        "header_only.wav": good["talk.wav"][:20],
        "half.jpg": good["face.jpg"][: len(good["face.jpg"]) // 2],
        "half.png": good["face.png"][: len(good["face.png"]) // 2],
        "half.mp4": good["film.mp4"][: len(good["film.mp4"]) // 2],
        "document.pdf": b"%PDF-1.7\n" + bytes(500),
    }


def write_all(folder: Folder, media: dict[str, bytes]) -> None:
    folder.path.mkdir(parents=True)
    for name, content in media.items():
        (folder.path / name).write_bytes(content)


def test_bad_media_fail_alone_each_with_its_reason(folder: Folder, emulator: Emulator, good: dict[str, bytes]) -> None:
    bad = bad_media(good)
    write_all(folder, {**good, **bad})
    folder.write({"files": sorted({**good, **bad})})
    ran = folder.run()
    assert ran.code == 3
    results = folder.results()
    assert {name for name, line in results.items() if line["status"] == "done"} == set(good)
    assert {name for name, line in results.items() if line["status"] == "failed"} == set(bad)
    for name in bad:
        assert name in results[name]["error"]
        assert results[name]["remote_id"] is None
    assert sum(folder.summary()["failures"].values()) == len(bad)
    # Three recordings or parts of them and two pictures with the video's frames; nothing of what is bad.
    runs = measured_runs(emulator.url)
    assert len(runs) == 4
    assert set(times_measured(runs).values()) == {1}


def test_a_plan_says_what_will_fail_as_far_as_a_look_tells(folder: Folder, good: dict[str, bytes]) -> None:
    bad = bad_media(good)
    write_all(folder, {**good, **bad})
    folder.write({"files": sorted({**good, **bad})})
    lines = folder.command("plan", "--items").out.splitlines()
    said = {name: line for line in lines for name in {**good, **bad} if f" {name} " in f" {line} "}
    assert not any("will fail" in said.get(name, "") for name in good)
    # That the rest of a picture is missing shows only when all of it is read.
    for name in bad.keys() - {"half.jpg", "half.png", "three_bytes.jpg"}:
        assert "will fail: " in said[name], name
    assert not (folder.outputs / "state.sqlite3").exists()


def test_a_medium_without_a_model_for_it_fails_with_that_reason(
    folder: Folder, emulator: Emulator, good: dict[str, bytes]
) -> None:
    write_all(folder, good)
    folder.write({"files": ["talk.wav", "face.jpg"]}, models={"audio": {}})
    assert folder.run().code == 3
    assert folder.summary()["failures"] == {"no_model": 1}
    assert "models.video" in folder.results()["face.jpg"]["error"]
    assert len(measured_runs(emulator.url)) == 1


@pytest.mark.sweep
def test_a_file_is_what_its_bytes_are_and_not_what_its_name_says(
    folder: Folder, emulator: Emulator, good: dict[str, bytes]
) -> None:
    write_all(folder, {"talk.jpg": good["talk.wav"], "face.wav": good["face.png"], "film.txt": good["film.mp4"]})
    folder.write({"files": ["talk.jpg", "face.wav", "film.txt"]})
    assert folder.run().code == 0
    assert {run["endpoint"] for run in measured_runs(emulator.url)} == {"audio", "video"}


def test_failures_beyond_the_budget_stop_the_run(folder: Folder, good: dict[str, bytes]) -> None:
    bad = bad_media(good)
    write_all(folder, bad)
    folder.write({"files": sorted(bad)}, execution={"max_failures": 2})
    assert folder.run().code == 4


@pytest.mark.sweep
def test_a_mended_file_is_measured_by_the_next_run_and_nothing_else_is(
    folder: Folder, emulator: Emulator, good: dict[str, bytes]
) -> None:
    write_all(folder, {**good, "bad.wav": b""})
    folder.write({"files": [*good, "bad.wav"]})
    assert folder.run().code == 3
    before = len(measured_runs(emulator.url))
    write_wav(Path(folder.path) / "bad.wav", speech([("speech", 2), ("pause", 1)], seed=77))
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == before + 1
    assert folder.results()["bad.wav"]["status"] == "done"


@pytest.mark.sweep
def test_nothing_prepared_stays_on_the_disk(folder: Folder, good: dict[str, bytes]) -> None:
    write_all(folder, {**good, **bad_media(good)})
    folder.write({"files": sorted({**good, **bad_media(good)})})
    folder.run()
    assert not (folder.outputs / "prepared").exists()
