"""A mirror of models on this machine that serves ranges and does what a test tells it; tiny models, their packages."""

from __future__ import annotations

import hashlib
import os
import sys
import textwrap
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from hume_runner import registry
from hume_runner.services.local.measurers import found
from hume_runner.services.local.model_files import File, Member
from tests.servers import QuietKeptAlive, Server

ROOT = Path(__file__).parents[3]
WEIGHTS = bytes(range(256)) * 1200
CONFIG = b'{"layers": 2}'
CONTENT = {"tiny/model.bin": WEIGHTS, "tiny/config.json": CONFIG}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tiny(
    name: str = "tiny/model.bin",
    content: bytes | None = None,
    *,
    urls: tuple[str, ...] = (),
    members: tuple[Member, ...] = (),
) -> File:
    content = CONTENT[name] if content is None else content
    return File(name=name, size_bytes=len(content), sha256=sha256(content), urls=urls, members=members)


@dataclass
class Mirror:
    """`content` by path. How it answers: see the members."""

    port: int = 0
    content: dict[str, bytes] = field(default_factory=lambda: dict(CONTENT))
    requests: list[tuple[str, str]] = field(default_factory=list)  # path, Range
    break_after: list[int] = field(default_factory=list)  # of each answer to come: bytes, then the connection breaks
    stall_after: int | None = None  # bytes, then silence until the end of the test
    statuses: list[int] = field(default_factory=list)  # of each answer to come; then 200 or 206
    knows_ranges: bool = True
    length: int | None = None  # what Content-Length says, whatever is true
    stalled: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.lstrip("/")
        asked = handler.headers.get("Range", "")
        self.requests.append((path, asked))
        status = self.statuses.pop(0) if self.statuses else 200
        body = self.content.get(path)
        if body is None or status != 200:
            handler.send_response(404 if body is None else status)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        begin = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and self.knows_ranges else 0
        if begin >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if begin else 200)
        if begin:
            handler.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        rest = body[begin:]
        handler.send_header("Content-Length", str(self.length or len(rest)))
        handler.end_headers()
        if self.break_after:
            handler.wfile.write(rest[: self.break_after.pop(0)])
            handler.close_connection = True
        elif self.stall_after is not None:
            handler.wfile.write(rest[: self.stall_after])
            handler.wfile.flush()
            self.stalled.set()
            self.over.wait(60)
        else:
            handler.wfile.write(rest)


@contextmanager
def serving() -> Iterator[Mirror]:
    mirror = Mirror()

    class Handler(QuietKeptAlive):
        def do_GET(self) -> None:
            mirror.answer(self)

    with Server(Handler) as server:
        mirror.port = server.server_port
        try:
            yield mirror
        finally:
            mirror.over.set()


def look_again() -> None:
    """Packages have come or gone."""
    found.forget()
    registry._changed()


def package_of_models(folder: Path, *, name: str = "tiny", licence: str = "MIT") -> Path:
    """A package, to be put on the path, that adds the tiny model by the entry point that others use."""
    folder.mkdir(parents=True)
    files = [(path.replace("tiny/", f"{name}/"), len(content), sha256(content)) for path, content in CONTENT.items()]
    (folder / "tiny_models.py").write_text(
        textwrap.dedent(f"""
            from hume_runner.services.local.model_files import File, Model

            MODEL = Model(
                name={name!r},
                about="two layers of nothing",
                licence={licence!r},
                licence_url="https://example.org/licence",
                files=tuple(File(name=name, size_bytes=size, sha256=sha256) for name, size, sha256 in {files!r}),
            )
        """),
        encoding="utf-8",
    )
    facts = folder / "tiny_models-1.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-models\nVersion: 1\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(f"[hume_runner.models]\n{name} = tiny_models:MODEL\n", encoding="utf-8")
    return folder


def wheel(folder: Path, members: Mapping[str, bytes], *, name: str = "tiny_weights", version: str = "1.0") -> Path:
    """A wheel with these files, as pip takes one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    facts = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{facts}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{facts}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{facts}/RECORD", "")
    return path


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "hume_runner", "models", *words]


def environ(root: Path, mirror: Mirror, models: Path) -> dict[str, str]:
    """For a process of its own."""
    path = os.pathsep.join([str(ROOT), str(models)])
    names = {"HUME_RUNNER_MODELS": str(root), "HUME_RUNNER_MODELS_MIRROR": mirror.url, "PYTHONPATH": path}
    return {**os.environ, **names}
