"""Runs whose sources lie in an object store: a real S3 protocol, a real emulator, the same outputs as from a disk."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import JOBS, Project, tone
from tests.object_stores import ACCESS_KEY, SECRET_KEY, S3Server, only
from tests.small_shelf import QUICK, small_shelf
from tests.stores.proxy import Proxy, proxied
from tests.tiers import sampled

NAMES = ["media/a b.wav", "media/b.wav", "media/wave-2/c.wav", "media/wave-2/ü+%2F.wav"]


def media() -> dict[str, bytes]:
    return {name: tone(number) for number, name in enumerate(NAMES, start=1)}


@pytest.fixture
def bucket(s3: S3Server) -> str:
    name = s3.bucket()
    for key, body in media().items():
        s3.put(name, key, body)
    return name


@pytest.fixture
def remote(project: Project, bucket: str) -> Project:
    project.manifest["sources"] = {"files": [f"s3://{bucket}/media/**/*.wav"]}
    return project


def gets(proxy: Proxy) -> list[str]:
    """Keys that were read, without listings."""
    return [path.partition("?")[0] for method, path in proxy.seen if method == "GET" and "list-type" not in path]


def predictions(outputs: Path) -> list[str]:
    """What the service said of each file, without the names that each run gives them."""
    found = []
    for path in (outputs / "raw").glob("*/predictions.json"):
        for source in json.loads(path.read_bytes()):
            text = json.dumps(source["results"], sort_keys=True)
            found.append(re.sub(r"[0-9a-f]{10}-\d{3}-", "", text))
    return sorted(found)


def tables(project: Project, start: str) -> dict[str, bytes]:
    ran = project.call("tables", "--format", "csv")
    assert ran.code == 0, ran.err
    return {
        path.name: re.sub(rb"job-\d+|[0-9a-f-]{36}", b"", path.read_bytes().replace(start.encode(), b""))
        for path in (project.out / "tables").glob("*.csv")
    }


@pytest.mark.sweep
def test_what_is_measured_from_a_store_is_what_is_measured_from_a_disk(
    tmp_path: Path, emulator: Emulator, bucket: str
) -> None:
    here = Project(tmp_path / "here", emulator)
    for name, body in media().items():
        path = here.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(body)
    (here.folder / "media" / "one.wav").unlink()
    here.manifest["sources"] = {"files": ["media/**/*.wav"]}
    there = Project(tmp_path / "there", emulator)
    there.manifest["sources"] = {"files": [f"s3://{bucket}/media/**/*.wav"]}
    for project in (here, there):
        project.manifest["execution"]["look_back"] = 0
        ran = project.run()
        assert ran.code == 0, ran.err
    start = f"s3://{bucket}/"
    assert [one["id"].removeprefix(start) for one in there.results()] == [one["id"] for one in here.results()]
    assert predictions(there.out) == predictions(here.out)
    assert len(predictions(there.out)) == 4
    assert tables(there, start) == tables(here, start)
    names = [[re.sub(r"^\w+-\d+-", "", one["filename"]) for one in job["files"]] for job in there.job_requests()]
    assert names[0] == names[1]


@pytest.mark.sweep
def test_bytes_that_are_measured_already_are_not_paid_again_from_a_store(project: Project, s3: S3Server) -> None:
    bucket = s3.bucket()
    project.manifest["sources"] = {"files": ["media/one.wav"]}
    assert project.run().code == 0
    s3.put(bucket, "copy.wav", (project.folder / "media" / "one.wav").read_bytes())
    project.manifest["sources"] = {"files": [f"s3://{bucket}/copy.wav"]}
    ran = project.run()
    assert (ran.code, project.requests()[JOBS]) == (0, 1), ran.err
    assert [one["status"] for one in project.results()] == ["done"]


@pytest.mark.sweep
@pytest.mark.parametrize("versioned", [False, True])
def test_a_second_run_reads_nothing_and_sends_nothing(
    project: Project, s3: S3Server, monkeypatch: pytest.MonkeyPatch, versioned: bool
) -> None:
    bucket = s3.bucket(versioned=versioned)
    for key, body in media().items():
        s3.put(bucket, key, body)
    project.manifest["sources"] = {"files": [f"s3://{bucket}/media/**/*.wav"]}
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        assert project.run().code == 0
        assert len(gets(proxy)) == 4  # each is read once, for its hash and for its upload
        proxy.seen.clear()
        ran = project.run()
        assert (ran.code, gets(proxy)) == (0, [])
        assert [path for _, path in proxy.seen if "list-type" not in path] == []
    assert project.requests()[JOBS] == 1


@pytest.mark.sweep
def test_an_object_that_was_replaced_between_runs_is_measured_again_alone(
    remote: Project, s3: S3Server, bucket: str
) -> None:
    assert remote.run().code == 0
    s3.put(bucket, NAMES[1], tone(9))
    assert remote.plan()["summary"]["changed"] == 1
    assert remote.run().code == 0
    assert [len(job["files"]) for job in remote.job_requests()] == [4, 1]


# Keeps nothing that nobody holds, as a run with a terabyte of sources.
@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(("change", "reason"), [("replaced", "source_changed"), ("deleted", "source_unreadable")])
def test_what_changed_between_the_plan_and_its_turn_fails_alone_with_the_reason(
    remote: Project, s3: S3Server, bucket: str, monkeypatch: pytest.MonkeyPatch, change: str, reason: str
) -> None:
    def before(method: str, path: str) -> int | None:
        if method == "HEAD":  # what a listing told was enough for the plan
            if change == "replaced":
                s3.put(bucket, NAMES[1], tone(99))
            else:
                s3.client.delete_object(Bucket=bucket, Key=NAMES[1])
        return None

    with small_shelf("batch-v0"), proxied(s3.url) as proxy:
        proxy.before = before
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        ran = remote.run()
    assert ran.code == 3, ran.err
    by_id = {one["id"].removeprefix(f"s3://{bucket}/"): one for one in remote.results()}
    assert [by_id[name]["status"] for name in NAMES] == ["done", "failed", "done", "done"]
    assert remote.run_json()["failures"] == {reason: 1}
    assert "b.wav" in by_id[NAMES[1]]["error"]


@pytest.mark.sweep
def test_a_store_that_goes_away_before_the_upload_ends_with_5_and_the_next_run_goes_on(
    remote: Project, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def before(method: str, path: str) -> int | None:
        return 503 if any(method == "HEAD" for method, _ in proxy.seen) else None

    with small_shelf("batch-v0"), proxied(s3.url) as proxy:
        proxy.before = before
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        ran = remote.run()
        assert ran.code == 5, ran.err
        assert "is not available (503)" in ran.err
        assert remote.requests().get(JOBS, 0) == 0
        proxy.before = lambda method, path: None
        assert remote.run().code == 0
    assert {one["status"] for one in remote.results()} == {"done"}


@pytest.mark.sweep
def test_a_read_that_is_cut_is_tried_again(remote: Project, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    failed: list[str] = []

    def before(method: str, path: str) -> int | None:
        if method == "GET" and "list-type" not in path and len(failed) < 3:
            failed.append(path)
            return 500
        return None

    with proxied(s3.url) as proxy:
        proxy.before = before
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        assert remote.run().code == 0
    assert len(failed) == 3


@pytest.mark.sweep
def test_credentials_are_in_no_output_state_or_message(remote: Project, s3: S3Server) -> None:
    ran = remote.run("--json")
    assert ran.code == 0
    said = ran.out + ran.err
    for path in remote.out.rglob("*"):
        if path.is_file():
            said += path.read_bytes().decode("utf-8", "replace")
    assert remote.requests()[JOBS] == 1
    for secret in (ACCESS_KEY, SECRET_KEY, s3.url.partition("//")[2]):
        assert secret not in said


@pytest.mark.parametrize("command", ["run", "plan", "validate"])
def test_what_a_store_refuses_is_one_line_and_a_next_step(
    remote: Project, s3: S3Server, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 403
        ran = remote.call(command)
        assert ran.code == 7, ran.err
        assert "access is denied (403)" in ran.err
        assert "next: " in ran.err
    monkeypatch.setattr("hume_runner.stores.opening.Patience", lambda: QUICK)
    ran = remote.call(command)
    assert ran.code == 5, ran.err
    assert "is not available: no answer" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.sweep
def test_a_missing_bucket_is_a_missing_source(remote: Project) -> None:
    remote.manifest["sources"] = {"files": ["s3://no-such-bucket/**/*.wav"]}
    for command in ("run", "plan", "validate"):
        ran = remote.call(command)
        assert ran.code == 66, ran.err
        assert "s3://no-such-bucket: there is no such bucket" in ran.err + ran.out
    assert not remote.out.exists()


@pytest.mark.parametrize("uri", ["s3://me:hidden@bucket/a.wav", "s3://bucket/a.wav?X-Amz-Signature=hidden"])
def test_a_manifest_with_a_secret_is_refused_and_the_secret_not_repeated(remote: Project, uri: str) -> None:
    remote.manifest["sources"] = {"files": [uri]}
    ran = remote.call("validate")
    assert ran.code == 65
    assert "credentials come from the environment" in ran.err + ran.out
    assert "hidden" not in ran.err + ran.out


def test_without_files_no_store_is_asked(remote: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, {})
    remote.manifest["sources"] = {"files": ["s3://bucket/**/*.wav", "s3://bucket/a.wav", {"from": "list.csv"}]}
    (remote.folder / "list.csv").write_text("path\ns3://bucket/b.wav\n")
    ran = remote.call("validate", "--no-files")
    assert (ran.code, "2 files" in ran.out) == (0, True), ran.err + ran.out


def test_the_state_of_an_unread_store_is_not_made(remote: Project, bucket: str) -> None:
    remote.manifest["sources"] = {"files": [f"s3://{bucket}/nothing/*.wav"]}
    assert remote.run().code == 66
    assert not remote.out.exists()


@pytest.mark.sweep
def test_an_empty_object_fails_by_itself(remote: Project, s3: S3Server, bucket: str) -> None:
    s3.put(bucket, "media/empty.wav", b"")
    ran = remote.run()
    assert ran.code == 3
    failed = [one for one in remote.results() if one["status"] == "failed"]
    assert [one["id"] for one in failed] == [f"s3://{bucket}/media/empty.wav"]


@pytest.mark.sweep
def test_an_etag_is_no_hash(remote: Project, bucket: str) -> None:
    assert remote.run().code == 0
    with closing(sqlite3.connect(remote.out / "state.sqlite3")) as db:
        rows = dict(db.execute("SELECT path, hex(sha256) FROM digests"))
    assert {path.removeprefix(f"s3://{bucket}/"): digest.lower() for path, digest in rows.items()} == {
        name: hashlib.sha256(body).hexdigest() for name, body in media().items()
    }


@pytest.mark.sweep
def test_an_object_that_is_stored_packed_is_refused_before_anything_is_sent(
    remote: Project, bucket: str, s3: S3Server, emulator: Emulator
) -> None:
    """Its bytes are not the recording's, and whoever opens it with a browser or the store's own tool cannot tell."""
    packed = gzip.compress(media()[NAMES[1]])
    s3.client.put_object(Bucket=bucket, Key=NAMES[1], Body=packed, ContentEncoding="gzip")
    ran = remote.run()
    assert ran.code == 66
    assert f"s3://{bucket}/{NAMES[1]} is stored packed (Content-Encoding: gzip)" in ran.err
    assert "store it unpacked" in ran.err
    assert emulator.requests()["jobs_accepted"] == 0
    s3.put(bucket, NAMES[1], media()[NAMES[1]])
    assert remote.run().code == 0


@pytest.mark.parametrize("command", ["plan", "run", "validate"])
def test_an_address_that_is_none_is_one_line_and_a_done(
    project: Project, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    project.manifest["sources"] = {"files": ["s3://bucket/media/*.wav"]}
    only(monkeypatch, {"AWS_ENDPOINT_URL": "127.0.0.1:8902"})
    ran = project.call(command, "--json")
    assert ran.code == 64
    assert "AWS_ENDPOINT_URL is no URL" in ran.err
    assert len(ran.err.splitlines()) == 2
    done = ran.lines[-1]
    assert (done["event"], done["exit_code"], len(done["errors"])) == ("done", 64, 1)


@pytest.mark.sweep
def test_doctor_looks_at_a_state_in_a_store_and_names_the_variable_that_keeps_it_away(
    project: Project, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = s3.bucket()
    project.manifest["state"] = f"s3://{name}/study"

    def told() -> dict[str, str]:
        checks = [line for line in project.call("doctor", "--json").lines if line["event"] == "check"]
        return {one["name"]: f"{one['status']} {one['message']}" for one in checks}

    assert told()["state"] == f"ok s3://{name}/study can be read: none yet, the first run makes it"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:8902")
    assert told()["state"].startswith("problem the environment variable AWS_ENDPOINT_URL is no URL")


@pytest.mark.sweep
def test_init_proposes_what_lies_in_a_store(project: Project, bucket: str, s3: S3Server, tmp_path: Path) -> None:
    s3.put(bucket, "media/faces/one.png", b"a picture")
    s3.put(bucket, "media/notes.docx", b"something else")
    out = tmp_path / "found.yaml"
    ran = project.plain_call("init", f"s3://{bucket}/media", "--out", str(out))
    assert (ran.code, ran.out.splitlines()[0]) == (0, f"wrote {out}: 5 items"), ran.err
    text = out.read_text()
    assert f'  files:\n    - "s3://{bucket}/media/**/*.png"\n    - "s3://{bucket}/media/**/*.wav"\n' in text
    assert 'name: "media"' in text

    one = project.plain_call("init", f"s3://{bucket}/media/b.wav", f"s3://{bucket}/media/wave-2/*.wav")
    assert f'    - "s3://{bucket}/media/b.wav"\n    - "s3://{bucket}/media/wave-2/*.wav"\n' in one.out
    whole = project.plain_call("init", f"s3://{bucket}")
    assert f'- "s3://{bucket}/**/*.wav"' in whole.out


@sampled(3)
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("/nowhere", 66, "holds no audio, video or pictures"),
        ("/media/missing.wav", 66, "missing.wav"),
        ("/lists/clips.csv", 66, "is a list, and lists are read from this disk"),
        ("/media/*", 66, "write s3://"),
        ("?X-Amz-Signature=1", 64, "names no bucket"),
    ],
)
def test_init_says_what_is_wrong_with_a_place_in_a_store(
    project: Project, bucket: str, name: str, code: int, words: str
) -> None:
    ran = project.plain_call("init", f"s3://{bucket}{name}")
    assert (ran.code, words in ran.err, ran.out) == (code, True, ""), ran.err
    assert f"s3:/{bucket}" not in ran.err
