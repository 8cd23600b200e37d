"""The key in everything that a service may answer, and everything that a run leaves searched for it."""

from __future__ import annotations

import io
import json
import re
import signal
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import Project
from tests.cli.quoting import quoting, with_members
from tests.commands import Ran
from tests.media_files import zipped
from tests.spellings import SPELLINGS, quotes
from tests.tiers import sampled

KEY = "Zx9-canary/KEY+47&q_secret"
# As they stand inside the quotes of JSON text: a backslash of these is the service's escape, not a letter.
INSIDE_JSON = {
    name: spell(KEY) if name.startswith(("json", "slashes", "line breaks in json")) else json.dumps(spell(KEY))[1:-1]
    for name, spell in SPELLINGS.items()
}


@pytest.fixture
def guarded_project(tmp_path: Path) -> Iterator[Project]:
    with Emulator(processing_time_s=0.01, api_keys=[KEY]) as emulator:
        project = Project(tmp_path / "project", emulator)
        project.manifest["execution"]["retry"]["attempts"] = 2
        yield project


def assert_secret(project: Project, *said: Ran) -> None:
    """The key is nowhere in what a run left or said. URL, state and log are searched as bytes."""
    left = [path for path in project.folder.rglob("*") if path.is_file() and path != project.path]
    assert left
    for path in left:
        assert not quotes(path.read_bytes(), KEY), path
    for ran in said:
        assert not quotes((ran.out + ran.err).encode(), KEY)


def all_commands(project: Project) -> list[Ran]:
    words = (["status", "--jobs"], ["plan", "--items", "--format", "json"], ["verify"], ["verify", "--remote"])
    asked = [project.call(*one) for one in words]
    return [
        *asked,
        project.call("tables", "--format", "jsonl"),
        project.plain_call("state", "export", str(project.path)),
    ]


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("spelling", INSIDE_JSON)
def test_a_key_in_every_member_of_every_answer_reaches_nothing(guarded_project: Project, spelling: str) -> None:
    project = guarded_project

    def rewrite(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        return status, "", with_members(body, INSIDE_JSON[spelling]) if body[:1] in (b"[", b"{") else body

    with quoting(project.emulator.url, rewrite) as url:
        project.manifest["service"]["endpoint"] = url
        ran = project.run("-v", "-v", "--json")
        assert ran.code == 0, ran.err
        said = all_commands(project)
    (raw,) = project.out.glob("raw/*/predictions.json")
    assert b"quoted_member" in raw.read_bytes()
    json.loads(raw.read_bytes())
    assert_secret(project, ran, *said)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("spelling", INSIDE_JSON)
def test_a_key_in_what_went_wrong_reaches_nothing(guarded_project: Project, spelling: str) -> None:
    """Refused jobs, failed jobs and sources that could not be measured, each with the key in its words."""
    project, words = guarded_project, INSIDE_JSON[spelling]
    project.manifest["batching"] = {"max_sources": 1}
    posts: list[str] = []

    def rewrite(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        if method == "POST":
            posts.append(path)
            if len(posts) == 1:
                return 422, "application/json", f'{{"message": "bad key {words}", "code": "{words}"}}'.encode()
        if path.endswith("/predictions") and len(posts) >= 2:
            (element,) = json.loads(body)
            failed = json.dumps([{**element, "results": None, "error": "cannot @@"}])
            return status, "", failed.replace("@@", words).encode()
        if method == "GET" and body[:1] == b"[":
            jobs = [{**job, "state": {**job["state"], "message": "@@"}} for job in json.loads(body)]
            for job in jobs[:1]:
                job["state"]["status"] = "FAILED"
            return status, "", json.dumps(jobs).replace("@@", words).encode()
        return status, "", body

    with quoting(project.emulator.url, rewrite) as url:
        project.manifest["service"]["endpoint"] = url
        ran = project.run("-v", "-v")
        assert ran.code == 3, ran.err
        assert "***" in ran.err
        said = all_commands(project)
    assert any("***" in (line["error"] or "") for line in project.results())
    assert_secret(project, ran, *said)


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_on_a_web_page_reaches_nothing(guarded_project: Project, spelling: str) -> None:
    project = guarded_project
    page = f"<html><head><title>{SPELLINGS[spelling](KEY)}</title></head><body>{SPELLINGS[spelling](KEY)}</body></html>"

    def rewrite(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        return 200, "text/html", page.encode()

    with quoting(project.emulator.url, rewrite) as url:
        project.manifest["service"]["endpoint"] = url
        ran = project.run("-v", "-v")
    assert ran.code in (5, 9), ran.err
    assert_secret(project, ran)


@pytest.mark.sweep
def test_the_names_of_things_do_not_carry_it_either(guarded_project: Project) -> None:
    """A job id that is the key: nothing could be fetched by it, so the job is looked for, and nothing shows the key."""
    project = guarded_project

    def rewrite(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        return (status, "", json.dumps({"job_id": key}).encode()) if method == "POST" else (status, "", body)

    with quoting(project.emulator.url, rewrite) as url:
        project.manifest["service"]["endpoint"] = url
        ran = project.run("-v", "-v", "--json")
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert_secret(project, ran)


@pytest.mark.sweep
def test_a_host_whose_job_ids_hold_the_key_is_told_so_and_nothing_is_sent_to_it_twice(guarded_project: Project) -> None:
    project = guarded_project

    def rewrite(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        del method, path
        return status, "", re.sub(rb'"job_id": ?"', lambda found: found[0] + key.encode() + b"-", body)

    with quoting(project.emulator.url, rewrite) as url:
        project.manifest["service"]["endpoint"] = url
        first, second = project.run(), project.run()
        project.manifest["outputs"]["directory"] = "another"
        fresh = project.run()
    assert [ran.code for ran in (first, second, fresh)] == [9, 9, 9]
    for ran in (first, second, fresh):
        assert "puts the API key into the job's id" in ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert_secret(project, first, second, fresh)


@pytest.mark.sweep
def test_a_killed_run_leaves_no_key_in_its_log_and_shows_none_while_it_lives(guarded_project: Project) -> None:
    project = guarded_project
    project.manifest["batching"] = {"max_sources": 1}
    posts: list[str] = []

    def rewrite(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        if method == "POST":
            posts.append(path)
            if len(posts) <= 2:
                return 422, "application/json", json.dumps({"message": f"bad {key}", "code": key}).encode()
        if method == "GET" and body[:1] == b"[":
            jobs = [
                {**job, "state": {"status": "IN_PROGRESS", "message": key}, "name": key} for job in json.loads(body)
            ]
            return status, "", json.dumps(jobs).encode()
        return status, "", body

    with quoting(project.emulator.url, rewrite) as url:
        project.manifest["service"]["endpoint"] = url
        process = project.start("run", str(project.path), "-v", "--no-progress")
        deadline = time.monotonic() + 30
        while len(posts) < 4:
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        command_line = Path(f"/proc/{process.pid}/cmdline")
        if command_line.exists():
            assert not quotes(command_line.read_bytes(), KEY)
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate(timeout=20)
    assert (project.out / "state.sqlite3-wal").stat().st_size > 0
    assert_secret(project, Ran(code=process.returncode, out=out, err=err))


ROWS = b"Id,Text\r\n" + b"1,plain words\r\n" * 20_000
QUOTING = {
    "a row": (lambda key: zipped(a=ROWS + b"2," + key.encode() + b"\r\n" + ROWS, b=b"as it was")),
    "a name": (lambda key: zipped(**{f"x{key.replace('/', '%2F')}y": b"1", "b": b"as it was"})),
    "a comment": (lambda key: with_comment(zipped(a=ROWS, b=b"as it was"), f"for {key}")),
}


def with_comment(content: bytes, comment: str) -> bytes:
    buffer = io.BytesIO(content)
    with zipfile.ZipFile(buffer, "a") as made:
        made.comment = comment.encode()
    return buffer.getvalue()


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("place", [*QUOTING, "nowhere"])
def test_a_key_inside_packed_artifacts_reaches_no_disk(guarded_project: Project, place: str) -> None:
    project = guarded_project
    project.manifest["outputs"]["artifacts"] = True
    plain = zipped(a=ROWS, b=b"as it was")

    def rewrite(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        if path.endswith("/artifacts"):
            return status, "application/zip", QUOTING[place](key) if place in QUOTING else plain
        return status, "", body

    with quoting(project.emulator.url, rewrite) as url:
        project.manifest["service"]["endpoint"] = url
        assert project.run().code == 0
    [path] = project.out.glob("raw/*/artifacts.zip")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for info in archive.infolist():
            assert not quotes(archive.read(info) + info.filename.encode(), KEY)
        assert not quotes(archive.comment, KEY)
        assert archive.read("b") == b"as it was"
        if place == "a row":
            assert archive.read("a") == ROWS + b"2,***\r\n" + ROWS
    assert (path.read_bytes() == plain) == (place == "nowhere")
    assert project.call("verify").code == 0
