"""The batch API as plain HTTP, and small media to send: written from the API's definition, not with our client."""

from __future__ import annotations

import io
import json
import math
import struct
import time
import wave
import zlib
from typing import Any

import requests

JOBS = "/v0/batch/jobs"


class Api(requests.Session):
    def __init__(self, url: str, key: str) -> None:
        super().__init__()
        self.url = url
        self.trust_env = False
        self.headers["X-Hume-Api-Key"] = key

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.request(method, self.url + path, timeout=30, **options)

    def submit(self, body: Any = None, files: list[Any] | None = None) -> str:
        """Start a job and give its id."""
        if files is None:
            answer = self.call("POST", JOBS, json=body if body is not None else {})
        else:
            answer = self.call("POST", JOBS, data={} if body is None else {"json": json.dumps(body)}, files=files)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"job_id"}
        return str(answer.json()["job_id"])

    def details(self, job_id: str) -> Any:
        return self.call("GET", f"{JOBS}/{job_id}").json()

    def ended(self, job_id: str) -> Any:
        """The job's details once it has ended."""
        deadline = time.monotonic() + 30
        while (job := self.details(job_id))["state"]["status"] in ("QUEUED", "IN_PROGRESS"):
            assert time.monotonic() < deadline, job
            time.sleep(0.01)
        return job

    def predictions(self, job_id: str) -> Any:
        answer = self.call("GET", f"{JOBS}/{job_id}/predictions")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def measured(self, body: Any = None, files: list[Any] | None = None) -> Any:
        """The predictions of a new job."""
        job_id = self.submit(body, files)
        assert self.ended(job_id)["state"]["status"] == "COMPLETED"
        return self.predictions(job_id)


def wav(seconds: float = 3.0, *, rate: int = 8000, pitch: float = 220.0, loudness: int = 9000) -> bytes:
    """A tone; loudness 0 is silence."""
    samples = [int(loudness * math.sin(math.tau * pitch * at / rate)) for at in range(int(seconds * rate))]
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return buffer.getvalue()


def png(width: int = 320, height: int = 240) -> bytes:
    """A colour gradient."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    lines = b"".join(b"\0" + bytes((x * 7 + y * 3) % 256 for x in range(width * 3)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n"
    return start + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def video(seconds: int = 2, *, fps: int = 10, sound: bool = True) -> bytes:
    """A small MP4 with moving noise and, if wanted, a tone."""
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        pictures = container.add_stream("mpeg4", rate=fps)
        pictures.width, pictures.height, pictures.pix_fmt = 320, 240, "yuv420p"
        tone = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
        noise = np.random.default_rng(1)
        for _ in range(seconds * fps):
            frame = av.VideoFrame.from_ndarray(noise.integers(0, 255, (240, 320, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if tone is not None:
            time_s = np.arange(seconds * 16_000) / 16_000
            samples = (np.sin(math.tau * 300 * time_s) * 8000).astype(np.int16).reshape(1, -1)
            sound_frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            sound_frame.sample_rate = 16_000
            container.mux(tone.encode(sound_frame))
            container.mux(tone.encode(None))
    return buffer.getvalue()
