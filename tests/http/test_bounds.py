"""Whatever a server sends, memory and disk are bounded: bombs, lists without end, odd entries."""

from __future__ import annotations

import gzip
import json
import random
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.errors import ApiError, UnexpectedResponse, UsageError
from hume_runner.http.answer import RATIO_FROM_BYTES, decoded
from hume_runner.http.long_lists import ENTRY_BYTES
from hume_runner.http.retry import NO_RETRY
from hume_runner.http.transport import RequestsTransport, TransportLimits
from hume_runner.http.upload import Upload
from hume_runner.services.batch_v0.client import BatchV0Api
from hume_runner.services.batch_v0.reading import read_job
from hume_runner.services.expression_v1.client import ExpressionV1Api
from hume_runner.settings import Settings
from tests.http.test_large_answers import linux_only
from tests.tiers import sampled
from tests.wire import answering

MIB = 1 << 20


def bomb(start: bytes, filler: bytes, end: bytes, megabytes: int, wbits: int = 31) -> bytes:
    """Compressed: `start`, so many MiB of `filler`, `end`. One MiB is packed, and repeated: its checksum is of no use.

    Who unpacks it to its end tells of the checksum, and not of a bomb.
    """
    packer = zlib.compressobj(9, wbits=wbits)
    first = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(filler * (MIB // len(filler))) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"".join([first, *[piece] * megabytes, packer.compress(end), packer.flush()])


@pytest.mark.parametrize(("encoding", "wbits"), [("gzip", 31), ("deflate", 15), ("x-gzip", 31)])
def test_a_bomb_stops_at_a_bound_of_size_and_ratio(encoding: str, wbits: int) -> None:
    wire = bomb(b"[", b"0,", b"0]", 200, wbits)
    chunks = (wire[at : at + 1000] for at in range(0, len(wire), 1000))
    size = 0
    pieces = decoded(chunks, encoding, "GET /x at host")
    with pytest.raises(UnexpectedResponse, match="times their size") as caught:  # noqa: PT012 - the size is what counts
        for piece in pieces:
            size += len(piece)
    assert size <= RATIO_FROM_BYTES
    assert "GET /x at host" in str(caught.value)
    assert "send it as it is" in caught.value.hint


def test_many_small_members_are_one_bomb() -> None:
    member = gzip.compress(bytes(10 * MIB))
    with pytest.raises(UnexpectedResponse, match="times their size"):
        for _ in decoded([member] * 20, "gzip", "x"):
            pass


@pytest.mark.sweep
def test_an_answer_that_packs_well_is_no_bomb() -> None:
    # Scores with many digits: 6 to 1.
    rows = b",".join(b'{"name":"Admiration","score":0.%016d}' % (n * 7919**4 % 10**16) for n in range(30_000))
    packer = zlib.compressobj(1, wbits=31)
    wire = [packer.compress(rows) for _ in range(55)]
    assert sum(map(len, decoded([*wire, packer.flush()], "gzip", "x"))) > RATIO_FROM_BYTES


def test_the_size_of_an_answer_is_bounded_without_compression_and_the_message_names_the_setting(serve) -> None:
    def script(talk: Any) -> None:
        talk.read_request()
        talk.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while True:
            talk.send(b"[0,1]" * 2000)

    with RequestsTransport(
        serve(script).url, "key", "X-Key", limits=TransportLimits(max_body_bytes=500_000)
    ) as transport:
        answer = BatchV0Api(transport, NO_RETRY).open_predictions("a")
        with answer, pytest.raises(UnexpectedResponse, match="more than 500,000 bytes") as caught:
            for _ in answer.iter_bytes():
                pass
    assert "HUME_RUNNER_MAX_ANSWER" in caught.value.hint
    assert Settings.from_env({"HUME_RUNNER_MAX_ANSWER": "7"}).max_answer_bytes == 7


def test_a_variable_that_is_empty_counts_as_not_set_and_no_number_is_refused() -> None:
    names = "SETTLE SETTLE_SLOW LATE CLUSTER_WAIT MAX_ANSWER LEASE HEARTBEAT HALF_OPEN STORE_PATIENCE".split()
    assert Settings.from_env({f"HUME_RUNNER_{name}": "" for name in names}) == Settings()
    with pytest.raises(UsageError, match="HUME_RUNNER_SETTLE is not a number of seconds"):
        Settings.from_env({"HUME_RUNNER_SETTLE": "nan"})


def random_text(length: int) -> str:
    return random.Random(3).randbytes(length // 2).hex()


def jobs(count: int, text: str) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield {"job_id": f"job-{number}", "state": {"status": "COMPLETED"}, "request": {"text": [text] * 2}}


@pytest.mark.sweep
@pytest.mark.parametrize("envelope", ["{}", '{{"jobs": {}}}', '{{"next": null, "entries": {}, "total": 7}}'])
def test_a_long_list_is_read_entry_by_entry_as_often_as_it_is_asked_for(serve, connect, envelope: str) -> None:
    wanted = [*jobs(60, "é" * 40_000)]
    wanted[7]["request"]["text"] = ["x" * (ENTRY_BYTES + 1)]
    body = envelope.format(json.dumps([*wanted, "no object", None], ensure_ascii=False)).encode()

    script = answering(body, "Content-Type: application/json")
    listed = BatchV0Api(connect(serve(script).url), NO_RETRY).list_jobs()
    for _ in range(2):
        found = list(listed.jobs)
        # What is too large to hold says its id and state, and its details the rest.
        assert found[7] == {"job_id": "job-7", "state": {"status": "COMPLETED"}, "request": {}}
        assert [*found[:7], *found[8:]] == [*wanted[:7], *wanted[8:]]


@sampled(3)
@pytest.mark.parametrize("end", ["", "]]", "] x", ",]", "}"])
def test_a_long_list_that_is_not_whole_is_none(serve, connect, end: str) -> None:
    body = json.dumps([*jobs(60, "x" * 40_000)])[:-1].encode() + end.encode()

    script = answering(body)
    with pytest.raises(UnexpectedResponse):
        BatchV0Api(connect(serve(script).url), NO_RETRY).list_jobs()


PROGRAM = """
import sys
from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api
from hume_runner.services.batch_v0.reading import read_job
from hume_runner.http.retry import NO_RETRY
from hume_runner.http.transport import RequestsTransport
from hume_runner.errors import ApiError

def peak_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

with RequestsTransport(sys.argv[1], "key", AUTH_HEADER) as transport:
    api = BatchV0Api(transport, NO_RETRY)
    before = peak_kb()
    try:
        count = sum(len(read_job(raw).job_id) > 0 for raw in api.list_jobs(limit=500).jobs)
    except ApiError as error:
        count = str(error)
    print(peak_kb() - before, count)
"""


@pytest.mark.sweep
@linux_only
@pytest.mark.parametrize(
    ("made", "outcome", "most_mb"),
    [
        # A legitimate page: 80 jobs of 0.8 MB each.
        pytest.param(
            lambda: gzip.compress(json.dumps([*jobs(80, random_text(400_000))]).encode()), "80", 25, id="page"
        ),
        pytest.param(lambda: bomb(b"[", b"{},", b"{}]", 150), "times their size", 25, id="bomb"),
        pytest.param(lambda: bomb(b'{"jobs":[{"a":"', b"x", b'"}]}', 150), "times their size", 25, id="text"),
        pytest.param(lambda: b"[" + b"[],{}," * 700_000 + b"[]]", "0", 25, id="many"),
    ],
)
def test_a_list_takes_little_memory_whatever_it_holds(
    serve, made: Callable[[], bytes], outcome: str, most_mb: int
) -> None:
    body = made()
    packed = body.startswith(b"\x1f")
    coding = ["Content-Encoding: gzip"] if packed else []

    script = answering(body, "Content-Type: application/json", *coding)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, serve(script).url], check=True, capture_output=True, text=True
    )
    peak_kb, words = done.stdout.split(" ", 1)
    if outcome == "0":
        assert words.strip().isdigit() or "job_id" in words
    else:
        assert outcome in words
    assert int(peak_kb) < most_mb * 1024


ODD = [None, True, 7, -1, 1.5, 1e308, 10**400, "", "x", "\ud800", [], {}, [None], {"a": 1}]


REQUEST = ("urls", "text", "files", "models", "transcription", "callback_url", "notify")
STATE = ("status", "message", "created_timestamp_ms", "num_errors")
MEMBERS = ["job_id", "request", "state", *(f"request.{name}" for name in REQUEST), *(f"state.{name}" for name in STATE)]


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_job_with_an_odd_member_is_read_as_far_as_it_can_be(member: str, value: Any) -> None:
    raw: dict[str, Any] = {
        "job_id": "a",
        "request": {"urls": ["u"], "text": ["t"], "files": [{"filename": "f", "md5sum": "0"}], "models": {"face": {}}},
        "state": {"status": "COMPLETED", "created_timestamp_ms": 5},
    }
    part, _, name = member.partition(".")
    if name:
        raw[part][name] = value
    else:
        raw[part] = value
    if member == "job_id" and (value is True or not isinstance(value, int | str) or value in ("", 10**400, "\ud800")):
        with pytest.raises(UnexpectedResponse, match=r"job_id|the job's id"):
            read_job(raw)
        return
    view = read_job(raw)
    assert view.job_id == ("?" if value == "\ud800" else str(value)) if member == "job_id" else view.job_id == "a"
    if not member.startswith("state"):
        assert (view.status, view.created_ms) == ("COMPLETED", 5)
    repr(view).encode()  # no half of a character is left that no state takes
    for text in (*view.urls, *view.text, *(file.filename or "" for file in view.files), view.message or ""):
        text.encode()


def test_a_submission_that_is_answered_with_a_number_is_accepted_under_it(serve, connect) -> None:
    script = answering(b'{"job_id": 4711}')
    assert BatchV0Api(connect(serve(script).url), NO_RETRY).start_job({}, deadline_s=20).job_id == "4711"


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "405 Method Not Allowed", "501 Not Implemented", "404 Not Found"]
)
def test_a_host_without_a_list_says_so_by_its_status_whatever_the_body(serve, connect, status: str) -> None:
    script = answering(b"<html>no" + b" " * 200_000, status=status)
    with pytest.raises(ApiError) as caught:
        BatchV0Api(connect(serve(script).url), NO_RETRY).list_jobs()
    assert caught.value.status == int(status[:3])
    assert len(caught.value.body or "") <= 2000


@pytest.mark.sweep
def test_a_large_measurement_is_filed_without_being_held_twice_as_objects(serve, connect, tmp_path: Path) -> None:
    faces = json.dumps([{"name": "Joy", "score": n / 7} for n in range(200_000)])
    body = f'{{"images": {faces}, "face_state": "é", "run_id": "run-1", "request_id": "r"}}'.encode()
    assert len(body) > 6 * MIB
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"\xff\xd8\xff")

    script = answering(body, "Content-Type: application/json")
    api = ExpressionV1Api(connect(serve(script).url), NO_RETRY)
    measured = api.measure_images([Upload.of(picture)], None, deadline_s=20)
    assert (measured.run_id, measured.request_id, measured.face_state) == ("run-1", "r", "é")
    assert measured.body == body
