"""Recordings, pictures and archives in an object store are prepared, billed and measured as those on a disk."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from hume_runner.cli.main import main
from tests.expression.runs import Folder, measured_runs, times_measured
from tests.expression.test_archives import make_zip, wav_bytes
from tests.media_files import picture, picture_bytes, speech, write_video, write_wav
from tests.object_stores import S3Server, only
from tests.small_shelf import small_shelf
from tests.stores.proxy import proxied


def media(folder: Path) -> dict[str, Path]:
    """Names and files: a recording that is sent from where it lies, one that has to be made, stills, a video, an
    archive."""
    folder.mkdir(parents=True)
    sound = [speech([("speech", 1.5), ("pause", 0.5)], seed=seed) for seed in range(3)]
    write_wav(folder / "plain.wav", sound[0])
    write_wav(folder / "stereo.wav", sound[1], channels=2)
    (folder / "face.png").write_bytes(picture_bytes(picture(seed=1), "PNG"))
    write_video(folder / "film.mp4", seconds=2, fps=3, sound=sound[2])
    make_zip(folder / "day.zip", {"talk.wav": wav_bytes(folder.parent, 7), "face.jpg": picture_bytes(picture(seed=2))})
    return {path.name: path for path in sorted(folder.iterdir())}


def put(s3: S3Server, files: dict[str, Path]) -> str:
    bucket = s3.bucket()
    for name, path in files.items():
        s3.put(bucket, f"m/{name}", path.read_bytes())
    return bucket


@pytest.mark.sweep
def test_what_is_planned_and_measured_is_that_of_the_same_files_here(
    tmp_path: Path, folder: Folder, s3: S3Server
) -> None:
    files = media(tmp_path / "m")
    bucket = put(s3, files)
    there = folder.write({"files": [f"s3://{bucket}/m/*"]})
    bill = json.loads(there.command("plan", "--format", "json").out)["summary"]
    assert there.run().code == 0
    here = Folder(path=tmp_path, url=folder.url, key=folder.key).write({"files": ["m/*"]})
    summary = json.loads(here.command("plan", "--format", "json").out)["summary"]
    assert bill["new"] == 6
    assert bill == summary
    first = times_measured(measured_runs(folder.url))
    assert here.run("--pay-again").code == 0
    assert times_measured(measured_runs(folder.url)) == dict.fromkeys(first, 2)
    start = f"s3://{bucket}/"
    assert [name.removeprefix(start) for name in there.results()] == list(here.results())


@pytest.mark.sweep
def test_a_second_plan_and_run_read_no_recording_again(
    tmp_path: Path, folder: Folder, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: path for name, path in media(tmp_path / "m").items() if name != "day.zip"}
    bucket = put(s3, files)
    folder.write({"files": [f"s3://{bucket}/m/*"]})
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        assert folder.run().code == 0
        read = [path for method, path in proxy.seen if method == "GET" and "list-type" not in path]
        assert sorted(read) == sorted(f"/{bucket}/m/{name}" for name in files)  # each once, to look and to prepare
        proxy.seen.clear()
        assert folder.command("plan").code == 0
        assert folder.run().code == 0
        assert all("list-type" in path for _, path in proxy.seen)
    assert set(times_measured(measured_runs(folder.url)).values()) == {1}


@pytest.mark.sweep
def test_a_recording_that_was_deleted_since_the_plan_fails_alone(
    tmp_path: Path, folder: Folder, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = media(tmp_path / "m")
    bucket = put(s3, {name: files[name] for name in ("plain.wav", "stereo.wav")})

    def before(method: str, path: str) -> None:
        if method == "HEAD":
            s3.client.delete_object(Bucket=bucket, Key="m/stereo.wav")

    folder.write({"files": [f"s3://{bucket}/m/*"]})
    with small_shelf("expression-v1"), proxied(s3.url) as proxy:
        proxy.before = before
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        ran = folder.run()
    assert ran.code == 3, ran.err
    results = folder.results()
    assert results[f"s3://{bucket}/m/plain.wav"]["status"] == "done"
    assert "not in its bucket any more" in results[f"s3://{bucket}/m/stereo.wav"]["error"]


@pytest.mark.sweep
def test_local_measures_what_it_measures_of_the_same_files_here(tmp_path: Path, s3: S3Server) -> None:
    pytest.importorskip("av")
    files = media(tmp_path / "m")
    bucket = put(s3, {name: files[name] for name in ("day.zip", "plain.wav", "stereo.wav")})
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "m").symlink_to(tmp_path / "m")
    tables = []
    for place, start in (("here", ""), ("there", f"s3://{bucket}/")):
        work = tmp_path / place
        work.mkdir(exist_ok=True)
        (work / "manifest.yaml").write_text(
            f"version: 1\nname: here\nservice: {{api: local}}\nsources: {{files: ['{start}m/*.[wz]*']}}\n"
            "models: {acoustics: {}}\noutputs: {directory: out, tables: [csv]}\n"
        )
        main(["run", str(work / "manifest.yaml"), "-q"])
        with (work / "out" / "tables" / "acoustics.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        # A piece's name in this state is nothing that was measured.
        ids = {value for row in rows for name, value in row.items() if name in ("job", "remote_id", "run_id")}
        lines = [",".join(value for value in row.values() if value not in ids) for row in rows]
        text = "\n".join(sorted(lines))  # they come in the order in which pieces were done
        tables.append(text.replace(start or "\0", ""))
    assert tables[0].count("\n") > 3
    assert tables[0] == tables[1]
