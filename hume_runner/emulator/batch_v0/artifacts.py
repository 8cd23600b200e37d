"""The artifacts zip: one CSV a file and model, in the documented layout, and face crops when they were asked for.

`{kind}-{index}-{name}/csv/{file}/{model}.csv` and `…/faces/{file}/{face id}/frame={frame}.png`. Entries are stored, not
compressed; there are no entries for folders; lines end with CRLF; rows are in the order of time.
"""

from __future__ import annotations

import csv
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

from hume_runner.emulator.batch_v0.predictions import Measurement
from hume_runner.emulator.batch_v0.rows import BurstRow, FacemeshRow, FaceRow, LanguageRow, NerRow, ProsodyRow, Row
from hume_runner.emulator.batch_v0.sources import SourceFacts, base_name, open_members
from hume_runner.emulator.context import Stopped
from hume_runner.emulator.scores import integer
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import sniff_path

_ROWS: dict[str, type[Row]] = {
    row.model: row for row in (BurstRow, FaceRow, FacemeshRow, LanguageRow, NerRow, ProsodyRow)
}
_CROP_SIDE = 64  # pixels of a simulated crop, at most


def safe_path(name: str) -> str:
    """A member path that stays where it is put: no leading slash, no `..`, no drive, no control characters."""
    cleaned = re.sub(r'[\x00-\x1f<>:"|?*\\]', "_", name)
    parts = [part for part in cleaned.split("/") if part not in ("", ".", "..")]
    return "/".join(parts) or "file"


def folder_of(source: SourceFacts, request: dict[str, Any]) -> str:
    """`file-0-clip.mp4`, `url-1-IMG_4648.mp4`. UNVERIFIED: the name for text."""
    match source.kind:
        case "file":
            name = base_name(request["files"][source.index]["filename"] or "file")
        case "url":
            name = source.files[0].name if len(source.files) == 1 else base_name(request["urls"][source.index])
        case _:
            name = "text"
    return f"{source.kind}-{source.index}-{safe_path(name)}"


def write_artifacts(
    target: IO[bytes],
    sources: list[SourceFacts],
    request: dict[str, Any],
    seed: int,
    uploads: Path,
    stopping: Callable[[], bool],
) -> None:
    """Write the archive. The same job gives the same bytes each time. Raises Stopped when `stopping` says so."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for source in sources:
            top = folder_of(source, request)
            for file in source.files:
                measurement = Measurement(file=file, request=request, seed=seed)
                if measurement.error is not None:
                    continue
                for model in measurement.models():
                    if stopping():
                        raise Stopped
                    name = f"{top}/csv/{safe_path(file.name)}/{model}.csv"
                    with archive.open(_entry(archive, name), "w") as entry:
                        _write_csv(entry, _ROWS[model].columns, measurement.rows(model))
                if "face" in measurement.models() and request["models"]["face"]["save_faces"]:
                    picture = _upload_bytes(source, file.name, uploads)
                    for path, png in _crops(measurement, picture):
                        archive.writestr(_entry(archive, f"{top}/faces/{safe_path(file.name)}/{path}"), png)


def _entry(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """A new entry under a name that is not taken yet, with a fixed date: the archive is a function of the job."""
    free, again = name, 2
    while free in archive.NameToInfo:
        stem, dot, ending = name.rpartition(".")
        free, again = f"{stem}~{again}{dot}{ending}", again + 1
    return zipfile.ZipInfo(free, date_time=(2024, 1, 1, 0, 0, 0))


def _write_csv(entry: IO[bytes], columns: tuple[str, ...], rows: Iterator[Row]) -> None:
    text = io.TextIOWrapper(entry, encoding="utf-8", errors="replace", newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(
            ["" if cell is None else repr(cell) if isinstance(cell, float) else cell for cell in row.cells()]
        )
    text.flush()
    text.detach()  # the entry is closed by who opened it


def _upload_bytes(source: SourceFacts, member: str, uploads: Path) -> bytes | None:
    """The picture itself, where it was uploaded; None for URLs."""
    path = uploads / str(source.index)
    if source.kind != "file" or not path.exists():
        return None
    if len(source.files) == 1 and source.files[0].name == member and not _is_archive(path):
        return path.read_bytes()
    try:
        for name, stream in open_members(path):
            if name == member:
                return stream.read()
    except (MediaProblem, OSError, zipfile.BadZipFile, EOFError, RuntimeError):
        return None
    return None


def _is_archive(path: Path) -> bool:
    return sniff_path(path).family == "archive"


def _crops(measurement: Measurement, picture: bytes | None) -> Iterator[tuple[str, bytes]]:
    taken: set[str] = set()
    for row in measurement.rows("face"):
        assert isinstance(row, FaceRow)
        path = f"{row.group}/frame={row.frame}.png"
        if path not in taken:
            taken.add(path)
            real = _cut_out(picture, row.box) if picture is not None else None
            yield path, real or simulated_crop(row)


def _cut_out(picture: bytes, box: tuple[float, float, float, float]) -> bytes | None:
    """The box of a real picture as PNG, where PyAV can decode it."""
    try:
        import av
    except ImportError:
        return None
    x, y, w, h = (int(value) for value in box)
    try:
        with av.open(io.BytesIO(picture), "r") as container:
            frame = next(container.decode(video=0))
            graph = av.filter.Graph()
            chain = [
                graph.add_buffer(
                    width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25)
                ),
                graph.add("crop", f"{max(1, w)}:{max(1, h)}:{x}:{y}:exact=1"),
                graph.add("format", "rgb24"),
                graph.add("buffersink"),
            ]
            for before, after in pairwise(chain):
                before.link_to(after)
            graph.configure()
            graph.push(frame)
            cut = graph.pull()
            assert isinstance(cut, av.VideoFrame)
            plane = cut.planes[0]
            raw = bytes(plane)
            lines = [raw[at * plane.line_size :][: cut.width * 3] for at in range(cut.height)]
            return _png(cut.width, cut.height, lines)
    except (av.error.FFmpegError, StopIteration, ValueError, OSError):
        return None


def simulated_crop(row: FaceRow) -> bytes:
    """A plain picture in the box's proportions, in a colour of its own: nobody's face."""
    scale = max(row.box[2], row.box[3], 1.0) / _CROP_SIDE
    width, height = max(1, int(row.box[2] / scale)), max(1, int(row.box[3] / scale))
    colour = bytes(integer(row.key, f"{row.group}/{channel}", 60, 200) for channel in "rgb")
    return _png(width, height, [colour * width] * height)


def _png(width: int, height: int, lines: list[bytes]) -> bytes:
    """An RGB PNG of the given lines."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line for line in lines))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
