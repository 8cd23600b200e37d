"""What is broken in one part of a medium, or of an archive, costs its neighbours nothing, and is said."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import AUDIO, VIDEO, Folder
from tests.media.ffmpeg_files import ffmpeg, ramp, tone
from tests.media_files import speech, write_wav
from tests.tiers import sampled


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    ffmpeg(*ramp(), *tone(), "-c:v", "mpeg4", "-q:v", 2, "-c:a", "aac", path)
    return path


def unknown_codec(film: Path, path: Path) -> None:
    path.write_bytes(film.read_bytes().replace(b"A_AAC", b"A_ZZZ"))


def garbage(film: Path, path: Path) -> None:
    ffmpeg("-i", film, "-c", "copy", "-bsf:a", "noise=amount=1", path)


def no_packet(film: Path, path: Path) -> None:
    ffmpeg("-i", film, "-c", "copy", "-bsf:a", "noise=drop=1", path)


def headers_gone(film: Path, path: Path) -> None:
    """A codec whose private data do not open its decoder."""
    ffmpeg("-i", film, "-c:v", "copy", "-c:a", "libvorbis", "-f", "matroska", f"{path}.vorbis")
    path.write_bytes(Path(f"{path}.vorbis").read_bytes().replace(b"\x01vorbis", b"\x09varbis"))


SOUNDS: dict[str, Callable[[Path, Path], None]] = {
    one.__name__: one for one in (unknown_codec, garbage, no_packet, headers_gone)
}


def errors(folder: Folder) -> list[dict[str, Any]]:
    assert folder.command("tables").code == 0
    return pq.read_table(folder.outputs / "tables" / "errors.parquet").to_pylist()


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("broken", SOUNDS)
def test_broken_sound_leaves_the_faces_and_the_neighbours(
    broken: str, film: Path, folder: Folder, emulator: Emulator
) -> None:
    folder.path.mkdir(parents=True)
    SOUNDS[broken](film, folder.path / "broken.mkv")
    write_wav(folder.path / "talk.wav", speech([("speech", 1.5), ("pause", 1)]))
    ran = folder.write({"files": ["broken.mkv", "talk.wav"]}).run()
    assert ran.code == 0, ran.err
    asked = emulator.requests()["by_route"]
    assert (asked[AUDIO], asked[VIDEO]) == (1, 1)
    assert {line["status"] for line in folder.results().values()} == {"done"}
    [line] = errors(folder)
    assert line["item_id"] == "broken.mkv"
    assert "its sound is not measured" in line["message"]
    assert "Operation not permitted" not in line["message"]
    assert "note: broken.mkv: its sound is not measured" in ran.err


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("broken", SOUNDS)
def test_broken_sound_alone_fails_its_own_item(broken: str, film: Path, folder: Folder) -> None:
    folder.path.mkdir(parents=True)
    SOUNDS[broken](film, folder.path / "broken.mkv")
    write_wav(folder.path / "talk.wav", speech([("speech", 1.5), ("pause", 1)]))
    ran = folder.write({"files": ["broken.mkv", "talk.wav"]}, models={"audio": {}}).run()
    assert ran.code == 3, ran.err
    assert [line["status"] for line in folder.results().values()] == ["failed", "done"]
    assert "broken.mkv" in folder.results()["broken.mkv"]["error"]


@pytest.mark.sweep
def test_broken_pictures_leave_the_sound(film: Path, folder: Folder, emulator: Emulator) -> None:
    folder.path.mkdir(parents=True)
    (folder.path / "broken.mkv").write_bytes(film.read_bytes().replace(b"V_MPEG4/ISO/ASP", b"V_MPEZ4/ISO/ASP"))
    ran = folder.write({"files": ["broken.mkv"]}).run()
    assert ran.code == 0, ran.err
    assert emulator.requests()["by_route"][AUDIO] == 1
    assert "its picture is not measured" in errors(folder)[0]["message"]


@sampled(2)
@pytest.mark.parametrize("damage", ["a wrong checksum", "an unknown method", "a header that is gone", "packed data"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_damaged_member_leaves_the_others(damage: str, place: int, folder: Folder, tmp_path: Path) -> None:
    folder.path.mkdir(parents=True)
    names = ["one.wav", "two.wav", "three.wav"]
    if damage == "a header that is gone":
        place = max(1, place)  # by the first one it is known for an archive
    packed = zipfile.ZIP_DEFLATED if damage in ("packed data", "an unknown method") else zipfile.ZIP_STORED
    with zipfile.ZipFile(folder.path / "a.zip", "w", packed) as archive:
        for number, name in enumerate(names):
            archive.write(write_wav(tmp_path / name, speech([("speech", 1 + number / 5), ("pause", 0.5)])), name)
    data = bytearray((folder.path / "a.zip").read_bytes())
    with zipfile.ZipFile(folder.path / "a.zip") as archive:
        info = archive.infolist()[place]
        begin = info.header_offset + 30 + len(info.filename)
    match damage:
        case "a header that is gone":
            data[info.header_offset : info.header_offset + 4] = b"gone"
        case "an unknown method":
            central = data.index(b"PK\x01\x02", begin)
            central = [at for at in range(central, len(data) - 4) if data[at : at + 4] == b"PK\x01\x02"][place]
            data[info.header_offset + 8] = data[central + 10] = 9  # deflate64
        case _:
            data[begin + info.compress_size // 2 : begin + info.compress_size // 2 + 40] = bytes(40)
    (folder.path / "a.zip").write_bytes(data)
    ran = folder.write({"files": ["a.zip"]}, models={"audio": {}}).run()
    assert ran.code == 3, ran.err
    found = {name.rpartition("/")[2]: line for name, line in folder.results().items()}
    assert {name for name, line in found.items() if line["status"] == "done"} == set(names) - {names[place]}
    assert names[place] in found[names[place]]["error"]
