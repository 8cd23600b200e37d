from __future__ import annotations

import email.parser
import email.policy
import hashlib
import io
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_multipart.multipart import parse_form

from hume_runner.http.traffic import Traffic
from hume_runner.http.upload import Form, MultipartBody, SourceChanged, Upload, content_type_of
from tests.wire import Swallows


def _parsed(body: MultipartBody) -> list[tuple[str, str | None, str | None, bytes]]:
    """(part, filename, content type, bytes) as the standard library's MIME parser reads them."""
    raw = f"Content-Type: {body.content_type}\r\n\r\n".encode() + b"".join(body)
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(raw)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get("Content-Type"),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()  # type: ignore[attr-defined]
    ]


def test_a_form_has_its_fields_first_and_then_its_files(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF\r\n--x\r\n")
    (tmp_path / "b.mp4").write_bytes(b"")
    form = Form(
        fields=(("json", '{"models": {}}'),),
        uploads=tuple(("file", Upload.of(tmp_path / name)) for name in ("a.wav", "b.mp4")),
    )
    body = MultipartBody(form)
    assert _parsed(body) == [
        ("json", None, None, b'{"models": {}}'),
        ("file", "a.wav", "audio/wav", b"RIFF\r\n--x\r\n"),
        ("file", "b.mp4", "video/mp4", b""),
    ]
    assert sum(map(len, body)) == body.size_bytes


@given(
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), st.binary(max_size=99)), max_size=3
    )
)
def test_the_announced_length_is_exact_and_servers_read_the_same_files(files: list[tuple[str, bytes]]) -> None:
    with _Folder() as folder:
        uploads = []
        for number, (name, content) in enumerate(files):
            path = folder / f"{number}"
            path.write_bytes(content)
            uploads.append(("file", Upload.of(path, filename=name, sha256=hashlib.sha256(content).hexdigest())))
        body = MultipartBody(Form(fields=(("json", "{}"),), uploads=tuple(uploads)))
        raw = b"".join(body)
    assert len(raw) == body.size_bytes
    read: list[bytes] = []
    parse_form(
        {"Content-Type": body.content_type.encode(), "Content-Length": str(len(raw)).encode()},
        io.BytesIO(raw),
        lambda field: None,
        lambda file: read.append(file.file_object.seek(0) or file.file_object.read()),
    )
    assert read == [content for _, content in files]


class _Folder:
    """A temporary folder for hypothesis, which wants a new one for each example."""

    def __enter__(self) -> Path:
        self._folder = tempfile.TemporaryDirectory()
        return Path(self._folder.name)

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()


@pytest.mark.parametrize("name", ['a"b.wav', "a\r\nX-Evil: 1.wav", "日本語.wav", "a;b=c.wav", "a\\b.wav"])
def test_no_file_name_can_break_out_of_its_header(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"data")
    raw = b"".join(MultipartBody(Form(uploads=(("file", Upload.of(path, filename=name)),))))
    head = raw.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert len(head) == 3
    assert head[1].startswith(b'Content-Disposition: form-data; name="file"; filename="')
    assert head[1].count(b'"') == 4


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.wav", "audio/wav"),
        ("a.MP3", "audio/mpeg"),
        ("a.mp4", "video/mp4"),
        ("a.jpg", "image/jpeg"),
        ("a.txt", "text/plain"),
        ("noext", "application/octet-stream"),
        ("a.unheardof", "application/octet-stream"),
    ],
)
def test_the_content_type_follows_the_name(name: str, expected: str) -> None:
    assert content_type_of(name) == expected


# -- files that change -------------------------------------------------------------------------------------------------

SIZE = 300_000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    path.write_bytes(os.urandom(SIZE))
    return path


def _sent_until_noticed(upload: Upload, meddle) -> tuple[int, int, SourceChanged]:
    """(bytes sent, bytes announced, error) when `meddle` runs after the first piece of the file went out."""
    body = MultipartBody(Form(fields=(("json", "{}"),), uploads=(("file", upload),)))
    sent = 0

    def send() -> None:
        nonlocal sent
        for number, piece in enumerate(body):
            sent += len(piece)
            if number == 0:
                meddle()

    with pytest.raises(SourceChanged) as caught:
        send()
    assert not caught.value.sent
    assert caught.value.path == upload.path
    return sent, body.size_bytes, caught.value


def test_a_file_that_shrinks_is_noticed(source: Path) -> None:
    sent, announced, error = _sent_until_noticed(Upload.of(source), lambda: os.truncate(source, 140_000))
    assert sent < announced
    assert "became shorter" in str(error)


def test_a_file_that_grows_is_noticed(source: Path) -> None:
    def grow() -> None:
        with source.open("ab") as file:
            file.write(b"more")

    sent, announced, error = _sent_until_noticed(Upload.of(source), grow)
    assert sent < announced
    assert "became longer" in str(error)


def test_a_file_whose_bytes_change_is_noticed_by_its_digest_even_if_its_time_stays(source: Path) -> None:
    upload = Upload.of(source, sha256=hashlib.sha256(source.read_bytes()).hexdigest())
    stamp = source.stat()

    def change() -> None:
        with source.open("r+b") as file:
            file.seek(SIZE - 10)
            file.write(b"changed!!!")
        os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))

    sent, announced, error = _sent_until_noticed(upload, change)
    assert sent < announced
    assert "changed while it was being uploaded" in str(error)


def test_a_file_without_digest_that_is_written_to_is_noticed_by_its_time(source: Path) -> None:
    def touch() -> None:
        os.utime(source, ns=(1, 1))

    sent, announced, _ = _sent_until_noticed(Upload.of(source), touch)
    assert sent < announced


def test_a_file_that_is_gone_is_noticed_before_any_of_it_is_sent(source: Path) -> None:
    upload = Upload.of(source)
    source.unlink()
    with pytest.raises(SourceChanged, match="became unreadable"):
        list(MultipartBody(Form(uploads=(("file", upload),))))


def test_a_file_that_did_not_change_passes_with_its_digest(source: Path) -> None:
    upload = Upload.of(source, sha256=hashlib.sha256(source.read_bytes()).hexdigest())
    body = MultipartBody(Form(uploads=(("file", upload),)))
    assert sum(map(len, body)) == body.size_bytes
    assert sum(map(len, body)) == body.size_bytes  # and once more, from the start


# -- memory ------------------------------------------------------------------------------------------------------------

UPLOADER = """
    import json, sys
    from pathlib import Path
    from hume_runner.services.batch_v0.client import BatchV0Api
    from hume_runner.http.retry import RetryPolicy
    from hume_runner.http.transport import RequestsTransport
    from hume_runner.http.upload import Upload

    url, path = sys.argv[1:]
    with RequestsTransport(url, "k", "X-Hume-Api-Key") as transport:
        api = BatchV0Api(transport, RetryPolicy(attempts=1))
        upload = Upload.of(Path(path))
        job = api.start_job({"models": {}}, [upload], deadline_s=100)
    # Not ru_maxrss, which a new process inherits from the one that started it.
    peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps([job.job_id, int(peak.split()[1])]))
"""


@pytest.mark.sweep
def test_a_large_upload_stays_flat_in_memory(serve, tmp_path: Path) -> None:
    size = 300 * 1024 * 1024
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.truncate(size)
    script = Swallows(b'{"job_id": "j"}')
    command = [sys.executable, "-c", textwrap.dedent(UPLOADER), serve(script).url, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    job_id, peak_kib = json.loads(done.stdout)
    assert job_id == "j"
    assert script.received_bytes > size
    assert peak_kib < 120 * 1024


def test_what_went_out_is_told_piece_by_piece(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"x" * 1_000_000)
    traffic = Traffic()
    body = MultipartBody(Form(uploads=(("file", Upload.of(tmp_path / "a.bin")),)), traffic.sent)
    pieces = iter(body)
    taken = len(next(pieces))
    assert traffic() == (0, 0)  # it is on its way when the next one is asked for
    taken += len(next(pieces))
    assert 0 < traffic()[0] < taken < body.size_bytes
    for _ in pieces:
        pass
    assert traffic() == (body.size_bytes, 0)
