"""What one job measures: every file behind its URLs, uploads and strings, with the facts that shape the answer.

Uploads are read for real. URLs are never fetched: their facts follow from the address and its ending.
The result is plain JSON, so that it survives a restart and is not read again.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Literal
from urllib.parse import unquote, urlsplit

from hume_runner.emulator.scores import fingerprint, integer, number
from hume_runner.errors import MissingExtra
from hume_runner.frozen import frozen
from hume_runner.media.probe import is_silent, probe
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind, sniff_path

FileType = Literal["image", "video", "video_no_audio", "audio", "text", "mediapipe_facemesh"]

_TEXT_ENDINGS = {"", ".txt", ".text", ".md", ".srt", ".vtt", ".csv", ".tsv", ".json", ".jsonl", ".log"}
_ENDINGS: dict[str, FileType] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".heic"), "image"),
    **dict.fromkeys((".wav", ".mp3", ".m4a", ".aac", ".flac", ".ogg", ".opus", ".wma", ".aiff"), "audio"),
    **dict.fromkeys((".txt", ".text", ".md"), "text"),
}
_ARCHIVE_ENDINGS = (".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar")
_MEMBER_LIMIT = 10_000
_MEMBER_BYTES = 1_000_000_000
_RATIO_LIMIT = 1_000  # of a member's size to the archive's: more is a bomb
_LANDMARKS = 478


@frozen
class FileFacts:
    """One file. `digest` (hex) stands for its content: scores follow from it. `error`: it could not be read."""

    name: str
    digest: str
    file_type: FileType | None = None
    duration_s: float = 0.0
    width: int = 0
    height: int = 0
    frames: int = 0
    fps: float = 0.0
    silent: bool = False
    faces: int = 0  # landmark sets of a facemesh file
    text: str | None = None
    error: str | None = None

    @property
    def has_audio(self) -> bool:
        return self.file_type in ("audio", "video")


@frozen
class SourceFacts:
    """One source of the request. `index` counts within its kind; `error`: the source as a whole could not be had."""

    kind: Literal["url", "file", "text"]
    index: int
    files: tuple[FileFacts, ...] = ()
    error: str | None = None


def dump(sources: list[SourceFacts]) -> str:
    return json.dumps([asdict(source) for source in sources], separators=(",", ":"))


def load(text: str) -> list[SourceFacts]:
    return [
        SourceFacts(**{**source, "files": tuple(FileFacts(**file) for file in source["files"])})
        for source in json.loads(text)
    ]


def read_sources(request: dict[str, Any], folder: Path) -> Iterator[SourceFacts]:
    """Every source of a request, one at a time: URLs, uploads (numbered files in `folder`), then all strings as one."""
    for index, url in enumerate(request["urls"]):
        yield _url_source(url, index, landmarks=request["models"].get("facemesh") is not None)
    for index, file in enumerate(request["files"]):
        path = folder / str(index)
        yield SourceFacts(
            kind="file", index=index, files=tuple(_upload_files(path, file["filename"] or "file", file["md5sum"]))
        )
    if request["text"]:
        files = tuple(_text_file(str(at), text) for at, text in enumerate(request["text"], start=1))
        yield SourceFacts(kind="text", index=0, files=files)


def _digest(*parts: object) -> str:
    return fingerprint(*parts).hex()


def _text_file(name: str, text: str) -> FileFacts:
    return FileFacts(name=name, digest=_digest("text", text), file_type="text", text=text)


def base_name(name: str) -> str:
    """The last part of a path as any client may have written it; never empty, never `.` or `..`."""
    last = posixpath.basename(name.replace("\\", "/").rstrip("/"))
    return last if last not in ("", ".", "..") else "file"


# --- URLs ----------------------------------------------------------------------------------------------------------


def _url_source(url: str, index: int, *, landmarks: bool) -> SourceFacts:
    """`landmarks`: facemesh is asked for, so a file of JSON that nobody reads is one of landmarks, else text."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    if host == "invalid" or host.endswith(".invalid"):
        return SourceFacts(kind="url", index=index, error=f"unable to fetch source: could not resolve host '{host}'")
    name = base_name(unquote(parts.path)) if parts.path.strip("/") else host
    key = fingerprint("url", url)
    if name.lower().endswith(_ARCHIVE_ENDINGS):
        stem = name.split(".")[0] or "archive"
        count = integer(key, "members", 2, 4)
        files = tuple(_imagined(f"{stem}/{at}.jpg", fingerprint(key, at), "image") for at in range(1, count + 1))
        return SourceFacts(kind="url", index=index, files=files)
    ending = posixpath.splitext(name)[1].lower()
    file_type = _ENDINGS.get(ending, "video")
    if ending == ".json":
        file_type = "mediapipe_facemesh" if landmarks else "text"
    return SourceFacts(kind="url", index=index, files=(_imagined(name, key, file_type),))


def _imagined(name: str, key: bytes, file_type: FileType) -> FileFacts:
    """Facts of a file that nobody reads: a URL's, or a format that needs a library which is not installed."""
    if file_type == "text":
        text = "Nobody fetched this page. It stands for the words that a real service would have read here."
        return FileFacts(name=name, digest=key.hex(), file_type="text", text=text)
    if file_type == "mediapipe_facemesh":
        return FileFacts(name=name, digest=key.hex(), file_type=file_type, faces=integer(key, "faces", 1, 3))
    if file_type == "image":
        return FileFacts(name=name, digest=key.hex(), file_type="image", width=1280, height=720, frames=1)
    duration_s = round(number(key, "duration", 3.0, 12.0), 2)
    if file_type == "audio":
        return FileFacts(name=name, digest=key.hex(), file_type="audio", duration_s=duration_s)
    fps = (24.0, 25.0, 30.0)[integer(key, "fps", 0, 2)]
    return FileFacts(
        name=name,
        digest=key.hex(),
        file_type="video",
        duration_s=duration_s,
        width=1280,
        height=720,
        frames=int(duration_s * fps),
        fps=fps,
    )


# --- uploads -------------------------------------------------------------------------------------------------------


def _upload_files(path: Path, filename: str, md5sum: str) -> Iterator[FileFacts]:
    name = base_name(filename)
    if sniff_path(path).family == "archive":
        yield from _members(path, name)
    else:
        yield _real_file(path, name, md5sum)


def _real_file(path: Path, name: str, md5sum: str) -> FileFacts:
    """The facts of one file on disk; what cannot be read becomes an error of that file alone."""
    digest = _digest("content", md5sum)
    kind = sniff_path(path)
    ending = posixpath.splitext(name)[1].lower()
    if kind in (Kind.TEXT, Kind.JSON) and ending in _TEXT_ENDINGS:
        return _text_upload(path, name, digest)
    try:
        facts = probe(path)
        silent = facts.has_audio and is_silent(path, facts)
    except MediaProblem as problem:
        return FileFacts(name=name, digest=digest, error=f"unable to decode file: {problem.reason.replace('_', ' ')}")
    except MissingExtra:
        # Without PyAV the length of a compressed file is unknown; it is imagined, as a URL's is.
        guessed: FileType = "audio" if kind.family == "audio" else _ENDINGS.get(ending, "video")
        return _imagined(name, bytes.fromhex(digest), guessed)
    file_type: FileType = facts.medium
    if facts.medium == "video" and not facts.has_audio:
        file_type = "video_no_audio"
    return FileFacts(
        name=name,
        digest=digest,
        file_type=file_type,
        duration_s=facts.duration_s or 0.0,
        width=facts.width or 0,
        height=facts.height or 0,
        frames=facts.frames or (1 if facts.medium == "image" else 0),
        fps=facts.fps or 0.0,
        silent=silent,
    )


def _text_upload(path: Path, name: str, digest: str) -> FileFacts:
    raw = path.read_bytes()
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        return FileFacts(name=name, digest=digest, error="unable to decode file: text that is not UTF-8")
    faces = _landmark_sets(text)
    if faces:
        return FileFacts(name=name, digest=digest, file_type="mediapipe_facemesh", faces=faces)
    return FileFacts(name=name, digest=digest, file_type="text", text=text)


def _landmark_sets(text: str) -> int:
    """How many faces a landmark file holds (each 478 points of three numbers); 0 where it is no such file."""
    if not text.lstrip().startswith("["):
        return 0
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return 0
    fits = isinstance(value, list) and all(
        isinstance(face, list) and len(face) == _LANDMARKS and all(isinstance(p, list) and len(p) == 3 for p in face)
        for face in value
    )
    return len(value) if fits else 0


# --- archives ------------------------------------------------------------------------------------------------------


def _members(path: Path, name: str) -> Iterator[FileFacts]:
    """One entry a regular member, read through a temporary file; nothing is extracted under a name of its own."""
    try:
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            for at, (member, stream) in enumerate(open_members(path)):
                if at >= _MEMBER_LIMIT:
                    raise MediaProblem("archive_unreadable", f"more than {_MEMBER_LIMIT} members")
                copy = Path(scratch) / "member"
                md5sum = _copied(stream, copy, path)
                yield _too_large(member) if md5sum is None else _real_file(copy, member, md5sum)
    except (zipfile.BadZipFile, tarfile.TarError, MediaProblem, EOFError, OSError, RuntimeError, ValueError) as error:
        yield FileFacts(name=name, digest=_digest(name), error=f"unable to read archive: {error}")


def open_members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Names and contents of an archive's regular files, in its own order. Raises what zipfile and tarfile raise."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    with archive.open(info) as stream:
                        yield info.filename, stream
        return
    with tarfile.open(path, "r:*") as tar:
        for entry in tar:
            if entry.isreg() and (content := tar.extractfile(entry)) is not None:
                with content:
                    yield entry.name, content


def _copied(stream: IO[bytes], copy: Path, archive: Path) -> str | None:
    """Write a member to `copy` and return its MD5; None where it unpacks to more than any honest file would."""
    ceiling = min(_MEMBER_BYTES, max(1_000_000, archive.stat().st_size * _RATIO_LIMIT))
    size, md5 = 0, hashlib.md5(usedforsecurity=False)
    with copy.open("wb") as file:
        while block := stream.read(1 << 16):
            size += len(block)
            if size > ceiling:
                return None
            md5.update(block)
            file.write(block)
    return md5.hexdigest()


def _too_large(member: str) -> FileFacts:
    return FileFacts(name=member, digest=_digest(member), error="unable to decode file: too_large")
