"""Outputs in an object store: copied under conditions, whole after whatever went wrong, compared there as here."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from hume_runner.api.doctor import findings
from hume_runner.stores.base import ObjectStore, Patience
from hume_runner.stores.opening import open_store
from tests.cli.project import JOBS, Project, tone
from tests.object_stores import ACCESS_KEY, SECRET_KEY, S3Server, only
from tests.small_shelf import QUICK
from tests.stores.proxy import proxied


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket()


@pytest.fixture
def mirrored(project: Project, bucket: str) -> Project:
    project.manifest["outputs"] = {"directory": f"s3://{bucket}/study/wave 1", "tables": ["csv"]}
    project.out = project.folder / "results" / "trial"
    return project


def here(project: Project) -> dict[str, bytes]:
    """What `verify` speaks of, by its path: all but what the runner keeps for itself."""
    return {
        path.relative_to(project.out).as_posix(): path.read_bytes()
        for path in project.out.rglob("*")
        if path.is_file() and not path.name.startswith("state.sqlite3")
    }


def there(s3: S3Server, bucket: str) -> dict[str, bytes]:
    found = {key.removeprefix("study/wave 1/"): s3.body(bucket, key) for key in s3.keys(bucket)}
    found.pop("hume-runner.json", None)
    return found


@pytest.mark.sweep
def test_a_run_leaves_the_same_bytes_in_the_store_as_here(mirrored: Project, s3: S3Server, bucket: str) -> None:
    ran = mirrored.run()
    assert ran.code == 0, ran.err
    assert there(s3, bucket) == here(mirrored)
    assert {"results.jsonl", "run.json", "tables/items.csv"} <= set(there(s3, bucket))
    assert mirrored.run_json()["outputs"]["remote"] == f"s3://{bucket}/study/wave 1"
    assert json.loads(s3.body(bucket, "study/wave 1/hume-runner.json"))["manifest"] == "trial"


@pytest.mark.sweep
def test_what_changes_is_copied_anew_and_what_does_not_is_not(
    mirrored: Project, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mirrored.run().code == 0
    mirrored.add_file("two.wav", tone(2))
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        assert mirrored.run().code == 0
        written = [path.rpartition("/")[2] for method, path in proxy.seen if method == "PUT"]
    assert there(s3, bucket) == here(mirrored)
    assert written.count("predictions.json") == 1
    assert {"results.jsonl", "run.json", "items.csv"} <= set(written)


@pytest.mark.sweep
def test_a_table_that_is_not_asked_for_any_more_goes_there_as_here(
    mirrored: Project, s3: S3Server, bucket: str
) -> None:
    assert mirrored.run().code == 0
    assert "tables/items.csv" in there(s3, bucket)
    mirrored.manifest["outputs"].pop("tables")
    for path in (mirrored.out / "tables").iterdir():
        path.unlink()
    assert mirrored.run().code == 0
    assert not [name for name in there(s3, bucket) if name.startswith("tables/") and name.endswith(".csv")]


@pytest.mark.sweep
def test_a_store_that_fails_at_the_end_costs_no_result_and_the_next_run_copies_the_rest(
    mirrored: Project, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored.open_store = quick_store
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 503 if method == "PUT" and not path.endswith(".json") else None
        ran = mirrored.run()
        assert ran.code == 5, ran.err
        assert "the next run copies the rest" in ran.err
        assert mirrored.run_json()["exit_code"] == 5
        assert {line["status"] for line in mirrored.results()} == {"done"}
        proxy.before = lambda method, path: None
        assert mirrored.run().code == 0
    assert there(s3, bucket) == here(mirrored)
    assert mirrored.requests()[JOBS] == 1


def quick_store(uri: str, patience: Patience | None = None) -> tuple[ObjectStore, str]:
    return open_store(uri, patience or QUICK)


@pytest.mark.sweep
def test_a_write_that_landed_although_the_store_said_no_is_taken_for_what_it_is(
    mirrored: Project, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[str] = []

    def after(method: str, path: str) -> int | None:
        if method == "PUT" and path not in failed:
            failed.append(path)
            return 500
        return None

    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.after = after
        assert mirrored.run().code == 0
        mirrored.add_file("two.wav", tone(2))
        failed.clear()
        assert mirrored.run().code == 0
    assert failed
    assert there(s3, bucket) == here(mirrored)


@pytest.mark.sweep
def test_a_run_that_is_killed_while_it_copies_is_made_whole_by_the_next(
    mirrored: Project, s3: S3Server, bucket: str
) -> None:
    with proxied(s3.url) as proxy:
        mirrored.environ |= {**s3.environ, "AWS_ENDPOINT_URL": proxy.url}
        proxy.before = lambda method, path: time.sleep(0.2) if method == "PUT" else None
        process = mirrored.start("run", str(mirrored.path), "-q")
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and sum(method == "PUT" for method, _ in proxy.seen) < 2:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert there(s3, bucket) != here(mirrored)
    mirrored.add_file("two.wav", tone(2))  # so that what was on its way is not what is wanted now
    ran = mirrored.run()
    assert ran.code == 0, ran.err
    assert there(s3, bucket) == here(mirrored)
    assert mirrored.requests()[JOBS] == 2


@pytest.mark.sweep
def test_what_somebody_else_put_there_is_not_written_over(mirrored: Project, s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "study/wave 1/results.jsonl", b"theirs")
    ran = mirrored.run()
    assert ran.code == 64, ran.err
    assert "something else is there" in ran.err
    assert s3.body(bucket, "study/wave 1/results.jsonl") == b"theirs"
    assert {line["status"] for line in mirrored.results()} == {"done"}
    assert mirrored.call("verify", "--repair").code == 0
    assert there(s3, bucket) == here(mirrored)


@pytest.mark.sweep
def test_a_place_of_another_manifest_is_refused_before_anything_is_sent(
    mirrored: Project, tmp_path: Path, bucket: str
) -> None:
    assert mirrored.run().code == 0
    other = Project(tmp_path / "other", mirrored.emulator)
    other.manifest["name"] = "other"
    other.manifest["outputs"] = mirrored.manifest["outputs"]
    ran = other.run()
    assert (ran.code, "belongs to the manifest 'trial'" in ran.err) == (64, True), ran.err
    assert mirrored.requests()[JOBS] == 1


@pytest.mark.sweep
def test_a_state_that_is_not_the_one_of_that_place_is_refused(mirrored: Project) -> None:
    assert mirrored.run().code == 0
    for path in mirrored.out.glob("state.sqlite3*"):
        path.unlink()
    ran = mirrored.run()
    assert (ran.code, "belongs to another state" in ran.err) == (64, True), ran.err
    assert mirrored.requests()[JOBS] == 1


@pytest.mark.sweep
def test_verify_compares_there_as_well(mirrored: Project, s3: S3Server, bucket: str) -> None:
    assert mirrored.run().code == 0
    assert mirrored.call("verify").code == 0
    [raw] = [key for key in s3.keys(bucket) if key.endswith("predictions.json")]
    s3.put(bucket, raw, b"x" * len(s3.body(bucket, raw)))
    s3.client.delete_object(Bucket=bucket, Key="study/wave 1/results.jsonl")
    s3.put(bucket, "study/wave 1/notes.txt", b"mine")
    ran = mirrored.call("verify")
    assert ran.code == 3
    start = f"s3://{bucket}/study/wave 1"
    assert f"* s3://{bucket}/{raw}  (same size, other content)" in ran.out
    assert f"- {start}/results.jsonl" in ran.out
    assert f"+ {start}/notes.txt" in ran.out
    assert mirrored.call("verify", "--repair").code == 0
    assert there(s3, bucket) == {**here(mirrored), "notes.txt": b"mine"}


def test_an_answer_that_is_lost_here_comes_back_from_there(mirrored: Project, s3: S3Server, bucket: str) -> None:
    assert mirrored.run().code == 0
    before = mirrored.requests()
    [raw] = mirrored.out.glob("raw/*/predictions.json")
    kept = raw.read_bytes()
    raw.write_bytes(b"[]")
    assert mirrored.call("verify", "--repair").code == 0
    assert raw.read_bytes() == kept
    raw.unlink()
    assert mirrored.run().code == 0
    assert raw.read_bytes() == kept
    assert mirrored.requests() == before


@pytest.mark.sweep
def test_hashes_and_versions_of_copies_are_recorded(mirrored: Project, s3: S3Server) -> None:
    bucket = s3.bucket(versioned=True)
    mirrored.manifest["outputs"]["directory"] = f"s3://{bucket}/study/wave 1/"
    assert mirrored.run().code == 0
    with closing(sqlite3.connect(mirrored.out / "state.sqlite3")) as db:
        rows = db.execute("SELECT path, sha256, etag, version, intended FROM uploads").fetchall()
    copies = there(s3, bucket)
    assert {path: sha256 for path, sha256, *_ in rows} == {
        path: hashlib.sha256(body).hexdigest() for path, body in copies.items()
    }
    assert all(etag and version and intended is None for _, _, etag, version, intended in rows)


@pytest.mark.sweep
@pytest.mark.parametrize("large", [0, 10])
def test_large_files_go_in_parts(
    mirrored: Project, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr("hume_runner.results.mirror._WHOLE_BYTES", large)
    assert mirrored.run().code == 0
    mirrored.add_file("two.wav", tone(2))
    assert mirrored.run().code == 0
    assert there(s3, bucket) == here(mirrored)
    s3.put(bucket, "study/wave 1/results.jsonl", b"theirs, and long enough")
    mirrored.add_file("three.wav", tone(3))
    assert mirrored.run().code == 64
    assert s3.body(bucket, "study/wave 1/results.jsonl") == b"theirs, and long enough"


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(403, 7, "access is denied"), (503, 5, "is not available"), (None, 66, "no such bucket")],
)
def test_a_place_that_cannot_be_reached_is_told_before_anything_is_sent(
    mirrored: Project, s3: S3Server, monkeypatch: pytest.MonkeyPatch, status: int | None, code: int, said: str
) -> None:
    mirrored.open_store = quick_store
    if status is None:
        mirrored.manifest["outputs"]["directory"] = "s3://no-such-bucket/study"
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: status
        ran = mirrored.run()
        (looked,) = (one for one in findings(mirrored.write(), machine=mirrored.machine()) if one.name == "copy")
    assert ran.code == code, ran.err
    assert said in ran.err
    assert (looked.mark, looked.exit_code) == ("problem", code)
    assert looked.message.startswith("s3://")
    assert said in looked.message
    assert "next: " in ran.err
    assert mirrored.requests().get(JOBS, 0) == 0


def test_a_store_is_no_output_directory_of_the_command_line(mirrored: Project, bucket: str) -> None:
    ran = mirrored.run("--output-dir", f"s3://{bucket}/x")
    assert (ran.code, "outputs.directory" in ran.err) == (64, True), ran.err
    assert not (mirrored.folder / "s3:").exists()


@pytest.mark.sweep
def test_another_output_directory_is_not_copied(mirrored: Project, s3: S3Server, bucket: str) -> None:
    assert mirrored.run("--output-dir", str(mirrored.folder / "rehearsal")).code == 0
    assert s3.keys(bucket) == []


@pytest.mark.parametrize(
    ("directory", "said"),
    [
        ("s3://me:hidden@bucket/a", "a user or a password"),
        ("s3://bucket/a?X-Amz-Signature=hidden", "a signature or a secret"),
        ("s3://bucket/a//b", "an empty part"),
        ("s3://", "names no bucket"),
    ],
)
def test_a_bad_place_is_refused(mirrored: Project, directory: str, said: str) -> None:
    mirrored.manifest["outputs"]["directory"] = directory
    ran = mirrored.call("validate")
    assert (ran.code, said in ran.out + ran.err, "hidden" in ran.out + ran.err) == (65, True, False)


@pytest.mark.sweep
def test_tables_report_and_status_work_on_what_is_here(mirrored: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    assert mirrored.run().code == 0
    only(monkeypatch, {})  # no store can be reached
    for command in (["tables", "--format", "jsonl"], ["report"], ["status", "--json"]):
        ran = mirrored.call(*command)
        assert ran.code == 0, ran.err


@pytest.mark.sweep
def test_credentials_are_in_no_output_of_a_run_that_copies(mirrored: Project, s3: S3Server, bucket: str) -> None:
    ran = mirrored.run("--json", "-v")
    assert ran.code == 0
    said = ran.out + ran.err + "".join(body.decode("utf-8", "replace") for body in there(s3, bucket).values())
    said += (mirrored.out / "state.sqlite3").read_bytes().decode("utf-8", "replace")
    assert mirrored.requests()[JOBS] == 1
    for secret in (ACCESS_KEY, SECRET_KEY, s3.url.partition("//")[2]):
        assert secret not in said


@pytest.mark.sweep
def test_with_its_state_in_a_store_too_another_machine_goes_on_from_nothing(
    mirrored: Project, s3: S3Server, bucket: str
) -> None:
    mirrored.manifest["state"] = f"s3://{bucket}/state"
    assert mirrored.run().code == 0
    before = mirrored.requests()
    shutil.rmtree(mirrored.out)
    ran = mirrored.run()
    assert ran.code == 0, ran.err
    assert mirrored.requests()[JOBS] == 1
    assert {line["status"] for line in mirrored.results()} == {"done"}
    routes = {route for route, number in mirrored.requests().items() if number > before.get(route, 0)}
    assert not any("predictions" in route for route in routes)  # the answers came from their copies
    mirrored.add_file("two.wav", tone(2))
    assert mirrored.run().code == 0
    copies = {name: body for name, body in there(s3, bucket).items() if not name.startswith("state")}
    assert copies == here(mirrored)


@pytest.mark.sweep
def test_another_machine_that_knows_of_no_copy_takes_those_of_its_own_history_for_its_own(
    mirrored: Project, s3: S3Server, bucket: str
) -> None:
    assert mirrored.run().code == 0
    mirrored.add_file("two.wav", tone(2))
    state = mirrored.out / "state.sqlite3"
    kept = state.read_bytes()
    with closing(sqlite3.connect(state)) as db:
        db.execute("DELETE FROM uploads")
        db.commit()
    for path in mirrored.out.glob("state.sqlite3.seal"):
        path.unlink()
    assert kept != state.read_bytes()
    ran = mirrored.run()
    assert ran.code == 0, ran.err
    assert there(s3, bucket) == here(mirrored)


@pytest.mark.sweep
def test_what_a_run_keeps_in_a_bucket_is_no_source_of_the_next(mirrored: Project, s3: S3Server, bucket: str) -> None:
    for name in ("a", "b"):
        s3.put(bucket, f"study/{name}.txt", f"I am {name}.".encode())
    mirrored.manifest["sources"] = {"files": [f"s3://{bucket}/**"]}
    mirrored.manifest["models"] = {"language": {}}
    mirrored.manifest["state"] = f"s3://{bucket}/memory"
    assert mirrored.run().code == 0
    assert len(s3.keys(bucket)) > 10
    planned = mirrored.call("plan")
    assert planned.code == 0, planned.err
    assert "items  2 done\n" in planned.out
