"""A service that means harm: names that are paths, bodies without end, archives that are traps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest

from hume_runner.engine.download import raw_directory
from tests.durability.case import Case
from tests.durability.children import Nursery
from tests.media_files import zipped
from tests.servers import Quiet, Server
from tests.tiers import sampled

MANIFEST = """\
version: 1
name: hostile
service: {{api: batch-v0, endpoint: "{endpoint}"}}
sources: {{text: ["one", "two"]}}
models: {{language: {{}}}}
execution: {{requests_per_second: 1000, retry: {{attempts: 2, max_wait: 50ms}}}}
outputs: {{directory: deep/below/out, artifacts: {artifacts}}}
"""
ENDLESS_BYTES = 2_000_000_000
ANSWER = [
    {
        "source": {"type": "text"},
        "results": {
            "predictions": [
                {
                    "file": str(number),
                    "file_type": "text",
                    "models": {"language": {"grouped_predictions": [{"id": "a", "predictions": [{"text": word}]}]}},
                }
                for number, word in ((1, "one"), (2, "two"))
            ],
            "errors": [],
        },
    }
]


class Hostile(Quiet):
    """The batch API as far as a run needs it, with one thing wrong."""

    remote_id: ClassVar[str] = "job"
    predictions: ClassVar[bytes] = b""
    artifacts_body: ClassVar[bytes] = b""
    listing: ClassVar[bytes | None] = None
    endless: ClassVar[bool] = False
    sent_bytes: ClassVar[int] = 0
    asked: ClassVar[list[str]] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.endless:
            self._endless()
        else:
            self._answer({"job_id": self.remote_id})

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path == "/v0/batch/jobs":
            self._raw(self.listing if self.listing is not None else json.dumps([self._job()]).encode())
        elif path.endswith("/predictions"):
            self._raw(self.predictions)
        elif path.endswith("/artifacts"):
            self._raw(self.artifacts_body, "application/zip")
        else:
            self._answer(self._job())

    def _job(self) -> dict[str, Any]:
        state = {"status": "COMPLETED", "created_timestamp_ms": 2_000_000_000_000, "num_predictions": 2}
        request = {"models": {"language": {}}, "urls": [], "files": [], "text": ["one", "two"]}
        return {"type": "INFERENCE", "job_id": self.remote_id, "request": request, "state": state}

    def _answer(self, value: Any) -> None:
        self._raw(json.dumps(value).encode())

    def _raw(self, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _endless(self) -> None:
        self.send_response(400)
        self.send_header("Content-Length", str(ENDLESS_BYTES))
        self.end_headers()
        block = b"x" * 65_536
        try:
            while type(self).sent_bytes < ENDLESS_BYTES:
                self.wfile.write(block)
                type(self).sent_bytes += len(block)
        except OSError:
            self.close_connection = True


@contextmanager
def serving(**traits: Any) -> Iterator[tuple[str, type[Hostile]]]:
    handler = type("Handler", (Hostile,), {"asked": [], "predictions": json.dumps(ANSWER).encode(), **traits})
    with Server(handler) as server:
        yield server.url, handler


Attack = Callable[..., tuple[int, str, type[Hostile]]]


@pytest.fixture
def attacked(tmp_path: Path, nursery: Nursery) -> Attack:
    """Run the manifest against a service with these traits: exit code, what was said, the service."""

    def run(*, artifacts: bool = False, **traits: Any) -> tuple[int, str, type[Hostile]]:
        folder = tmp_path / traits.pop("below", "")
        folder.mkdir(exist_ok=True)
        case = Case(folder=folder, key="key")
        with serving(**traits) as (url, handler):
            case.manifest.write_text(MANIFEST.format(endpoint=url, artifacts=json.dumps(artifacts)))
            [code] = nursery.run([case.child(late_s=0.1)])
        said = case.said()
        assert "Traceback" not in said, said
        return code, said, handler

    return run


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


EXPECTED_PLACES = ("manifest.yaml", "run.std", "run.trace", "deep/below/out/")


@sampled(1)
@pytest.mark.parametrize(
    "remote_id",
    ["../../x", "/tmp/x", "..", ".", "a/b", "a\\..\\b", "a\0b", "a\nb", "name" * 5_000, "ünïcödé", "..%2f..%2fx", "-x"],
    ids=lambda remote_id: ascii(remote_id)[:16],
)
def test_a_remote_id_never_chooses_a_path(remote_id: str, attacked: Attack, tmp_path: Path) -> None:
    code, said, handler = attacked(remote_id=remote_id)
    # Nobody can ask about a job whose name is dots: that is said, and not tried for ever.
    assert code == (9 if remote_id in (".", "..") else 0), said
    if code == 9:
        assert f"no request can name a job whose id is {remote_id!r}" in said
    for name in files_below(tmp_path):
        assert name.startswith(EXPECTED_PLACES), name
    raw = tmp_path / "deep" / "below" / "out" / "raw"
    assert all(path.is_dir() and path.parent == raw for path in raw.glob("*"))
    # Nor does it choose what is asked of the service: it is one member of the path, whatever is in it.
    fetches = [path for path in handler.asked if path.endswith("/predictions")]
    assert {unquote(path.split("/")[4]) for path in fetches} <= {remote_id}
    if code == 0:
        assert fetches
        [folder] = raw.iterdir()
        assert files_below(folder) == {"predictions.json", "request.json"}


@pytest.mark.sweep
@pytest.mark.parametrize("told", ['"a\\ud800b"', '".."', '" . "'])
def test_a_job_whose_id_nobody_can_ask_about_is_lost_and_never_sent_again(told: str, attacked: Attack) -> None:
    def post(handler: Hostile) -> None:
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.asked.append("POST")
        handler._raw(b'{"job_id": ' + told.encode() + b"}")

    def get(handler: Hostile) -> None:
        listed = json.dumps([handler._job()] if "POST" in handler.asked else []).replace('"job"', told)
        handler._raw(listed.encode())

    code, said, handler = attacked(do_POST=post, do_GET=get)
    assert (code, handler.asked.count("POST")) == (9, 1), said
    assert "no request can name" in said


def test_an_error_body_without_end_is_not_read(attacked: Attack) -> None:
    code, _, handler = attacked(endless=True, listing=b"[]")
    assert code == 3
    assert 0 < handler.sent_bytes < 50_000_000  # what fits into buffers, for each of a few requests


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"source":'])
def test_json_that_is_too_deep_is_a_damaged_answer(opening: bytes, attacked: Attack) -> None:
    code, said, _ = attacked(predictions=opening * 100_000)
    assert code == 5
    assert "damaged" in said
    code, said, _ = attacked(listing=opening * 100_000, below="another")
    assert code == 5


@sampled(1)
@pytest.mark.parametrize(
    "names",
    [["../../../evil"], ["/tmp/evil"], ["..\\..\\evil"], ["evil", "EVIL"], ["evil/", "evil"], ["C:evil"]],
    ids=str,
)
def test_names_in_artifacts_are_never_extracted(names: list[str], attacked: Attack, tmp_path: Path) -> None:
    before = set(Path("/tmp").glob("evil*"))
    content = zipped(**dict.fromkeys(names, b"evil"))
    code, said, _ = attacked(artifacts=True, artifacts_body=content)
    assert code == 0, said
    assert [name for name in files_below(tmp_path.parent) if "evil" in name.rpartition("/")[2].lower()] == []
    assert set(Path("/tmp").glob("evil*")) == before
    [stored] = tmp_path.glob("deep/below/out/raw/*/artifacts.zip")
    assert stored.read_bytes() == content


@pytest.mark.sweep
def test_a_bomb_in_artifacts_takes_no_space(attacked: Attack, tmp_path: Path) -> None:
    content = zipped(zeros=b"\0" * 100_000_000)
    code, said, _ = attacked(artifacts=True, artifacts_body=content)
    assert code in (0, 5), said
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 3_000_000


def test_artifacts_with_a_wrong_checksum_are_damaged(attacked: Attack, tmp_path: Path) -> None:
    content = bytearray(zipped(table=b"Id,Text\n1,words\n"))
    content[14] ^= 0xFF  # the checksum in the local header …
    content[content.rindex(b"PK\x01\x02") + 16] ^= 0xFF  # … and in the directory
    code, said, _ = attacked(artifacts=True, artifacts_body=bytes(content))
    assert code == 5
    assert "damaged" in said
    assert list(tmp_path.glob("deep/below/out/raw/*/artifacts.zip")) == []


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("remote_id", ["../../x", "UPPER", "name" * 5_000, "con", "id-" + "0" * 32, "ends."])
def test_what_is_paid_under_an_odd_name_is_fetched_once_and_is_no_stray_answer_later(
    remote_id: str, tmp_path: Path, nursery: Nursery
) -> None:
    case = Case(folder=tmp_path, key="key")
    with serving(remote_id=remote_id) as (url, handler):
        case.manifest.write_text(MANIFEST.format(endpoint=url, artifacts="false"))
        assert nursery.run([case.child(late_s=0.1)]) == [0], case.said()
        # Another thing to send: what lies in raw/ is ours, whatever it is called there.
        handler.remote_id = "another"
        handler.listing = b"[]"
        case.manifest.write_text(case.manifest.read_text().replace('"two"', '"two", "three"'))
        nursery.run([case.child(name="again", late_s=0.1)])
    assert "knows nothing of" not in case.said("again")


IDS = [
    "abc",
    "ABC",
    "aBc",
    "abc.",
    "con",
    "CON",
    "nul.txt",
    "id-" + "0" * 32,
    "x" * 128,
    "x" * 129,
    "X" * 128,
    "a/b",
    "",
]


def test_no_two_remote_ids_share_a_folder_not_even_where_capitals_do_not_count() -> None:
    # Also where a service calls a job by the name of another one's folder.
    ids = {*IDS, *map(raw_directory, IDS)}
    folders = [raw_directory(one) for one in sorted(ids)]
    assert len({name.casefold() for name in folders}) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9._~-]{0,199}", name) for name in folders)
    assert not any(name.endswith(".") or name.split(".")[0] in ("con", "nul") for name in folders)
    assert raw_directory("4c5f0a3e-0b1c-4f0e-9b6a-1f2e3d4c5b6a") == "4c5f0a3e-0b1c-4f0e-9b6a-1f2e3d4c5b6a"
