"""The Expression Measurement API as plain HTTP, and media to send: written from the API's definition."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import requests
from PIL import Image

from tests.emulator.api import Api

AUDIO = "/v1/expression/audio/file"
VIDEO = "/v1/expression/video/file"
RUNS = "/v1/expression/run"
RATE = 16_000


def send(api: Api, path: str, media: Sequence[bytes], config: Any = None, **options: Any) -> requests.Response:
    """An upload as the official package sends it: `config` first, no file names."""
    parts: list[Any] = [] if config is None else [("config", (None, json.dumps(config), "application/json"))]
    parts += [("file", (None, medium, "application/octet-stream")) for medium in media]
    return api.call("POST", path, files=parts, **options)


def measured(api: Api, path: str, media: Sequence[bytes], config: Any = None) -> Any:
    answer = send(api, path, media, config)
    assert answer.status_code == 200, answer.text
    return answer.json()


def code(answer: requests.Response) -> tuple[int, str]:
    """Status and code of a coded error, whose shape is checked."""
    body = answer.json()
    assert set(body) == {"type", "code", "message", "request_id"}
    assert body["type"] == "error"
    assert len(body["request_id"]) == 32
    int(body["request_id"], 16)
    return answer.status_code, body["code"]


def speech(*passages_ms: int, seed: int = 0, hiss: int = 0) -> bytes:
    """Samples that alternate between noise as loud as speech and pauses, beginning with speech."""
    random = np.random.default_rng(seed)
    parts = [
        random.integers(-9000, 9000, length * RATE // 1000)
        if number % 2 == 0
        else random.integers(-hiss, hiss + 1, length * RATE // 1000)
        for number, length in enumerate(passages_ms)
    ]
    return np.concatenate(parts).astype("<i2").tobytes()


def wav(samples: bytes, **changes: int) -> bytes:
    """A plain header before the samples; `changes` to its fields make it one that the service refuses."""
    fields = {"tag": 1, "channels": 1, "rate": RATE, "bytes_s": 2 * RATE, "block": 2, "bits": 16} | changes
    form = b"".join(
        fields[name].to_bytes(size, "little")
        for name, size in [("tag", 2), ("channels", 2), ("rate", 4), ("bytes_s", 4), ("block", 2), ("bits", 2)]
    )
    body = b"WAVE" + chunk(b"fmt ", form) + chunk(b"data", samples)
    return chunk(b"RIFF", body)


def chunk(name: bytes, body: bytes) -> bytes:
    return name + len(body).to_bytes(4, "little") + body


@lru_cache(maxsize=256)
def jpeg(seed: int = 0, width: int = 320, height: int = 240, *, mode: str = "RGB", progressive: bool = False) -> bytes:
    """A picture of coloured noise."""
    shape = {"RGB": (12, 16, 3), "L": (12, 16), "CMYK": (12, 16, 4)}[mode]
    noise = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise, mode).resize((width, height)).save(buffer, "JPEG", progressive=progressive)
    return buffer.getvalue()


SHORT = wav(speech(1500))

# Spelled out: pytest names tests after it, and two workers must agree on the names.
NOBODYS_RUN = "0192a4b1-7c3d-4e5f-8a6b-1c2d3e4f5a6b"


def configure(api: Api, **options: Any) -> None:
    assert api.call("POST", "/_emulator/expression", json=options).status_code == 200


def inject(api: Api, *faults: dict[str, Any]) -> None:
    assert api.call("POST", "/_emulator/faults", json=list(faults)).status_code == 200


def oracle(api: Api) -> Any:
    return api.call("GET", "/_emulator/runs").json()


def uploads_measured(api: Api) -> int:
    return int(api.call("GET", "/_emulator/requests").json()["uploads_measured"])
