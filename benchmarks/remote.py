"""One large object on its way from a store to a file here, with its hashes, beside `curl` and `sha256sum`.

The store is a process of its own that answers S3's HEAD and GET with ranges from a sparse file: what is measured is the
reader. Ours reads ranges side by side, writes them in order and hashes on the way; `curl` reads one stream to a file,
which `sha256sum` then reads. Peak memory is that of the whole process.

    python benchmarks/remote.py [MEGABYTES]
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from figures import Figure, report
from processes import timed

MEGABYTES = 1_000
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def serve(file: Path) -> None:
    """A bucket with one object, at any key; prints its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            size = file.stat().st_size
            asked = _RANGE.match(self.headers.get("Range", ""))
            begin = int(asked[1]) if asked else 0
            end = min(int(asked[2]) + 1 if asked and asked[2] else size, size)
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
            self.send_header("Content-Length", str(end - begin))
            self.send_header("ETag", '"0123456789abcdef"')
            self.send_header("Last-Modified", "Thu, 26 Nov 2026 00:00:00 GMT")
            self.end_headers()
            if self.command == "HEAD":
                return
            self.wfile.flush()
            with file.open("rb") as source:
                while begin < end:
                    begin += os.sendfile(self.connection.fileno(), source.fileno(), begin, end - begin)

        do_HEAD = do_GET  # noqa: N815 - names of http.server

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def ours(uri: str) -> None:
    """Read it as a run does."""
    from hume_runner.services.remote_files import RemoteFiles

    files = RemoteFiles()
    with files.fetched(uri) as found:
        assert found.path.stat().st_size == found.info.size_bytes
        print(found.sha256)
    files.close()


def main(megabytes: int) -> int:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source"
        with source.open("wb") as file:
            file.write(os.urandom(1_000_000))
            file.truncate(megabytes * 1_000_000)
        server = subprocess.Popen([sys.executable, __file__, "serve", str(source)], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            url = f"http://127.0.0.1:{port}"
            environ = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
            target = folder / "copy"
            started = time.perf_counter()
            subprocess.run(["curl", "-s", "-o", str(target), f"{url}/bucket/object.mp4"], check=True)
            copied_s = time.perf_counter() - started
            said = subprocess.run(["sha256sum", str(target)], check=True, capture_output=True, text=True).stdout
            beside_s = time.perf_counter() - started
            target.unlink()
            read = timed([sys.executable, __file__, "ours", "s3://bucket/object.mp4"], limit_s=600, environ=environ)
            small = timed([sys.executable, "-c", "import hume_runner.services.remote_files, obstore"], limit_s=60)
        finally:
            server.kill()
            server.wait()
    assert read.out.strip() == said.split()[0]
    return report(
        f"an object of {megabytes:,} MB from a store to a file, hashed",
        [
            Figure(what="peak memory", value=read.peak_mb, hold=80, unit="MB"),
            Figure(what="of these, the interpreter and what it loads", value=small.peak_mb, unit="MB"),
            Figure(what="time (SHA-256 and MD5 on the way)", value=read.seconds, unit="s"),
            Figure(what="curl to a file", value=copied_s, unit="s"),
            Figure(what="curl to a file, then sha256sum", value=beside_s, unit="s"),
            Figure(what="ours ÷ curl, then sha256sum", value=read.seconds / beside_s, hold=2.0),
        ],
    )


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", file]:
            serve(Path(file))
        case ["ours", uri]:
            ours(uri)
        case words:
            sys.exit(main(int(words[0]) if words else MEGABYTES))
