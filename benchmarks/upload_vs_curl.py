"""Uploads beside `curl`, and hashing beside `sha256sum`, in turns: how many bytes a second, as a share of theirs.

    python benchmarks/upload_vs_curl.py [MEGABYTES] [FILES] [ROUNDS]

Both send the same forms to a server of its own process that reads and forgets: one with a large file, and a thousand
small files a hundred a form, as a run packs them. Ours are hashed on their way, so that a file that changes is never
taken for the one that was planned; those of curl are not. What is held is the speed over a line of one gigabit a
second: the server reads no faster. Without that bound two gigabytes a second go over loopback, more than most networks
carry, and the hash and the server want the same core; that is told beside it. Each figure is of the quickest of the
rounds.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from figures import Figure, report

from hume_runner.http.retry import RetryPolicy
from hume_runner.http.transport import RequestsTransport
from hume_runner.http.upload import Upload
from hume_runner.planning.scan import digest_of
from hume_runner.services.batch_v0.client import BatchV0Api

MEGABYTES, FILES, ROUNDS = 250, 1000, 5
LINE = 125_000_000  # bytes a second of a line of 1 Gbit/s
A_FORM, SMALL_BYTES = 100, 20_000
BODY = {"models": {"burst": {}}}


def serve(bytes_a_second: float) -> None:
    """Read bodies, forget them, and answer each as a job that was taken; the port is told on standard output."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_answer, args=(connection, bytes_a_second), daemon=True).start()


def _answer(connection: socket.socket, bytes_a_second: float) -> None:
    buffer = bytearray(1 << 18)
    with connection:
        while True:
            head = b""
            while b"\r\n\r\n" not in head:
                got = connection.recv(65536)
                if not got:
                    return
                head += got
            names, _, body = head.partition(b"\r\n\r\n")
            (length,) = (int(line[15:]) for line in names.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            left = length - len(body)
            began = time.perf_counter()
            while left > 0:
                got_bytes = connection.recv_into(buffer, min(left, len(buffer)))
                if not got_bytes:
                    return
                left -= got_bytes
                early_s = began + (length - left) / bytes_a_second - time.perf_counter()
                if early_s > 0:
                    time.sleep(early_s)
            answer = json.dumps({"job_id": "0" * 32}).encode()
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(answer), answer)
            )


@contextmanager
def sink(bytes_a_second: float) -> Iterator[str]:
    command = [sys.executable, __file__, "--serve", str(bytes_a_second)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def ours(url: str, forms: Sequence[Sequence[Upload]]) -> None:
    with RequestsTransport(url, "key", "X-Hume-Api-Key") as transport:
        api = BatchV0Api(transport, RetryPolicy(attempts=1))
        for form in forms:
            api.start_job(BODY, form, deadline_s=600.0)


def curls(folder: Path, url: str, forms: Sequence[Sequence[Upload]]) -> None:
    """All forms in one process, over one connection, as `curl` does it best."""
    lines = []
    for form in forms:
        lines += ["next"] if lines else []
        lines += [f'url = "{url}/v0/batch/jobs"', 'header = "Expect:"', 'output = "/dev/null"', "silent"]
        lines += [f'form-string = "json={json.dumps(BODY).replace(chr(34), chr(92) + chr(34))}"']
        lines += [f'form = "file=@{upload.path};type={upload.content_type}"' for upload in form]
    config = folder / "curl.txt"
    config.write_text("\n".join(lines))
    subprocess.run(["curl", "--fail", "--config", str(config)], check=True)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def in_turns(rounds: int, one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """The least seconds of each."""
    both = [(seconds(one), seconds(other)) for _ in range(rounds)]
    return min(first for first, _ in both), min(second for _, second in both)


def beside_curl(
    what: str, forms: Sequence[Sequence[Upload]], folder: Path, line: str, loopback: str, rounds: int
) -> Iterator[Figure]:
    we, they = in_turns(rounds, lambda: ours(line, forms), lambda: curls(folder, line, forms))
    yield Figure(what=f"upload of {what} at 1 Gbit/s, speed ÷ curl's", value=they / we, least=0.9)
    yield Figure(what="  its time", value=we, unit="s")
    we, they = in_turns(rounds, lambda: ours(loopback, forms), lambda: curls(folder, loopback, forms))
    yield Figure(what="  over loopback as fast as it goes, speed ÷ curl's", value=they / we)
    yield Figure(what="    its time", value=we, unit="s")


def planned(path: Path) -> bytes:
    """The hash of a file, as a plan takes it."""
    with path.open("rb") as file:
        return digest_of(file, md5=False).sha256


def main() -> int:
    if sys.argv[1:2] == ["--serve"]:
        serve(float(sys.argv[2]))
        return 0
    given = [int(text) for text in sys.argv[1:]]
    megabytes, files, rounds = (*given, *(MEGABYTES, FILES, ROUNDS)[len(given) :])
    figures = []
    with tempfile.TemporaryDirectory() as name, sink(LINE) as line, sink(float("inf")) as loopback:
        folder = Path(name)
        large = folder / "large.wav"
        with large.open("wb") as file:
            block = os.urandom(1_000_000)
            for _ in range(megabytes):
                file.write(block)
        if shutil.which("curl"):
            small = [folder / f"{number:04}.wav" for number in range(files)]
            for path in small:
                path.write_bytes(os.urandom(SMALL_BYTES))
            sets = {
                f"one file of {megabytes} MB": [[_upload(large)]],
                f"{files:,} files of {SMALL_BYTES // 1000} kB": [
                    [_upload(path) for path in small[first : first + A_FORM]] for first in range(0, files, A_FORM)
                ],
            }
            for what, forms in sets.items():
                figures += beside_curl(what, forms, folder, line, loopback, rounds)
        else:
            print("curl is not installed: nothing to compare uploads with", file=sys.stderr)
        if shutil.which("sha256sum"):
            we, they = in_turns(
                rounds,
                lambda: planned(large),
                lambda: subprocess.run(["sha256sum", str(large)], check=True, stdout=subprocess.DEVNULL),
            )
            figures.append(Figure(what="hash of that file, speed ÷ sha256sum's", value=they / we, least=0.9))
    return report("Uploads and hashes", figures)


def _upload(path: Path) -> Upload:
    return Upload.of(path, sha256=planned(path).hex())


if __name__ == "__main__":
    sys.exit(main())
