"""How many threads a run has at once while it downloads what 300 links lead to, and sends it on.

    python benchmarks/threads_of_downloads.py [LINKS]

Recordings of a second from a server on this machine, each in a tenth of a second, to an emulator of expression-v1. Each
thread that the process has is seen, whoever made it: they are counted as the system tells them, every few milliseconds.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import wave
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random

from figures import Figure, report
from processes import KEY, emulator

LINKS, WORKERS, MORE = 300, 8, 10
LIMIT_S = 180.0


def recording(seed: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", "not compressed"))
        file.writeframes(Random(seed).randbytes(32_000))
    return buffer.getvalue()


class Links(BaseHTTPRequestHandler):
    """Answers `/NUMBER.wav`, and takes its time."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = recording(int(Path(self.path).stem))
        self.send_response(200)
        self.send_header("Content-Type", "audio/wav")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        time.sleep(0.1)
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def most_threads(command: list[str]) -> int:
    """The most that the process had at any moment. Raises: RuntimeError if it does not end well."""
    process = subprocess.Popen(
        command, env={**os.environ, "HUME_API_KEY": KEY}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    most, ends_at = 0, time.monotonic() + LIMIT_S
    while process.poll() is None:
        if time.monotonic() > ends_at:
            process.kill()
        try:
            most = max(most, sum(1 for _ in Path(f"/proc/{process.pid}/task").iterdir()))
        except FileNotFoundError:
            continue
        time.sleep(0.003)
    assert process.stderr is not None
    said = process.stderr.read()
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{said}")
    return most


def main() -> int:
    links = int(sys.argv[1]) if len(sys.argv) > 1 else LINKS
    if not Path("/proc/self/task").exists():
        print("this system does not tell the threads of a process")
        return 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), Links)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "links.txt").write_text(
            "".join(f"http://127.0.0.1:{server.server_port}/{number}.wav\n" for number in range(links))
        )
        with emulator(folder / "data", "--processing-time", "50ms") as served:
            path = folder / "links.yaml"
            path.write_text(
                "version: 1\nname: links\n"
                f"service: {{api: expression-v1, endpoint: '{served.url}', allow_hosts: [127.0.0.1]}}\n"
                "sources: {urls: [{from: links.txt}]}\nmodels: {audio: {}}\n"
                f"execution: {{transfer_workers: {WORKERS}, requests_per_second: 1000}}\n"
                "outputs: {directory: out}\n"
            )
            most = most_threads([sys.executable, "-m", "hume_runner", str(path), "--no-progress"])
        done = json.loads((folder / "out" / "run.json").read_text())["counts"]["items"]["done"]
    server.shutdown()
    if done != links:
        raise RuntimeError(f"{done} of {links} links are measured")
    what = f"{links} links downloaded and sent by {WORKERS} workers: most threads at once"
    return report("Threads", [Figure(what=what, value=most, hold=WORKERS + MORE)])


if __name__ == "__main__":
    sys.exit(main())
