"""Formats as cameras, portals and cut-off downloads leave them, compared with what ffmpeg makes of the same file."""

from __future__ import annotations

import random
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hume_runner.media.audio import prepare_audio
from hume_runner.media.frames import iter_frames
from hume_runner.media.lengths import measure
from hume_runner.media.ogg import ogg_links
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind, sniff, sniff_path
from tests.media_files import read_wav
from tests.tiers import sampled

BURSTS_S = (0.5, 1.6, 2.4)
BEEPS = "sin(2*PI*500*t)*(" + "+".join(f"between(t,{at},{at}+0.2)" for at in BURSTS_S) + ")"


def ffmpeg(*arguments: str) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *arguments], check=True, stdin=subprocess.DEVNULL)


def beeps(path: Path, *options: str, rate: int = 44_100, channels: int = 1) -> Path:
    source = f"aevalsrc='{'|'.join([BEEPS] * channels)}':s={rate}:d=3"
    ffmpeg("-f", "lavfi", "-i", source, *options, str(path))
    return path


def decoded(path: Path) -> np.ndarray:
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-i",
        str(path),
        "-map",
        "0:a:0",
        "-ac",
        "1",
        "-ar",
        "16000",
        "-f",
        "s16le",
        "-",
    ]
    return np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i2")


def onsets_ms(samples: np.ndarray) -> list[int]:
    """When something is heard after a pause."""
    loud = np.abs(samples.astype(int)).reshape(-1)[: len(samples) // 80 * 80].reshape(-1, 80).max(axis=1) > 3000
    starts = [n for n in range(len(loud)) if loud[n] and not loud[max(0, n - 10) : n].any()]
    return [5 * n for n in starts]


def same_sound(path: Path, folder: Path) -> None:
    prepared = prepare_audio(path, folder, name="prepared.wav")
    ours, theirs = read_wav(prepared.path), decoded(path)
    assert len(onsets_ms(ours)) == len(onsets_ms(theirs)) >= len(BURSTS_S)
    assert onsets_ms(ours) == pytest.approx(onsets_ms(theirs), abs=30)
    assert len(ours) == pytest.approx(len(theirs), abs=16 * 60)
    found = measure(path, fps=None).sound_ms
    assert found is not None
    assert prepared.duration_ms <= found <= prepared.duration_ms * 1.05 + 60


# ------------------------------------------------------------------------------------------- transport streams


def film(path: Path, *options: str) -> Path:
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc=s=96x64:r=10:d=3", "-f", "lavfi", "-i", f"aevalsrc='{BEEPS}':s=48000:d=3"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "ac3", "-f", "mpegts", *options, str(path)),
    )
    return path


def packets_of_204(path: Path) -> Path:
    data = film(path).read_bytes()
    path.write_bytes(b"".join(data[at : at + 188] + bytes(16) for at in range(0, len(data), 188)))
    return path


def begun_within_a_packet(path: Path) -> Path:
    data = film(path).read_bytes()
    path.write_bytes(data[100:])
    return path


TRANSPORT: dict[str, Callable[[Path], Path]] = {
    "188": film,
    "192": lambda path: film(path, "-mpegts_m2ts_mode", "1"),
    "204": packets_of_204,
    "188-begun-within-a-packet": begun_within_a_packet,
}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("name", TRANSPORT)
def test_transport_streams_of_any_packet_size_give_sound_and_pictures(name: str, tmp_path: Path) -> None:
    path = TRANSPORT[name](tmp_path / "camera.bin")
    assert sniff_path(path) is Kind.MPEG_TS
    same_sound(path, tmp_path)
    assert len(list(iter_frames(path))) in (8, 9)


# ------------------------------------------------------------------------------------------- bare MPEG sound


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("zeros", [1, 500, 4_096, 5_000, 100_000, 1_500_000])
def test_zeros_before_an_mp3_are_passed_over(zeros: int, tmp_path: Path) -> None:
    path = beeps(tmp_path / "a.mp3")
    path.write_bytes(bytes(zeros) + path.read_bytes())
    assert sniff_path(path) is Kind.MP3
    same_sound(path, tmp_path)


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize(("rate", "bits"), [(44_100, "32k"), (44_100, "128k"), (48_000, "320k"), (22_050, "64k")])
@pytest.mark.parametrize("cut", [100, 333, 1_100])
def test_an_mp3_that_begins_within_a_frame_is_one(rate: int, bits: str, cut: int, tmp_path: Path) -> None:
    path = beeps(tmp_path / "a.mp3", "-b:a", bits, "-id3v2_version", "0", "-write_xing", "0", rate=rate)
    path.write_bytes(path.read_bytes()[cut:])
    assert sniff_path(path) is Kind.MP3
    assert sniff(path.read_bytes()[:4096]) is Kind.MP3
    same_sound(path, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("cut", [50, 137])
def test_an_aac_stream_that_begins_within_a_frame_is_one(cut: int, tmp_path: Path) -> None:
    path = beeps(tmp_path / "a.aac")
    path.write_bytes(path.read_bytes()[cut:])
    assert sniff_path(path) is Kind.AAC
    same_sound(path, tmp_path)


@pytest.mark.parametrize("seed", range(40))
def test_noise_is_not_taken_for_sound_that_lost_its_beginning(seed: int) -> None:
    assert sniff(b"\x07" + random.Random(seed).randbytes(4_095)) is Kind.UNKNOWN


# ------------------------------------------------------------------------------------------- chained Ogg

CHAINS: dict[str, list[tuple[str, int, int]]] = {
    "same": [("libvorbis", 44_100, 1), ("libvorbis", 44_100, 1)],
    "vorbis-rates": [("libvorbis", 44_100, 1), ("libvorbis", 22_050, 1), ("libvorbis", 48_000, 1)],
    "vorbis-channels": [("libvorbis", 44_100, 1), ("libvorbis", 44_100, 2)],
    "opus-channels": [("libopus", 48_000, 1), ("libopus", 48_000, 2), ("libopus", 48_000, 1)],
    "other-codec": [("libvorbis", 44_100, 1), ("libopus", 48_000, 2)],
}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("name", CHAINS)
def test_every_link_of_a_chain_is_heard(name: str, tmp_path: Path) -> None:
    whole = b""
    for codec, rate, channels in CHAINS[name]:
        link = beeps(tmp_path / "link.ogg", "-c:a", codec, rate=rate, channels=channels)
        whole += link.read_bytes()
    path = tmp_path / "chain.ogg"
    path.write_bytes(whole)
    assert len(ogg_links(path)) == len(CHAINS[name])
    prepared = prepare_audio(path, tmp_path, name="prepared.wav")
    expected = [1000 * (3 * link + at) for link in range(len(CHAINS[name])) for at in BURSTS_S]
    assert onsets_ms(read_wav(prepared.path)) == pytest.approx(expected, abs=60)
    found = measure(path, fps=None).sound_ms
    assert found is not None
    assert prepared.duration_ms <= found <= prepared.duration_ms * 1.05


# ------------------------------------------------------------------------------------------- office documents


def zipped(path: Path, *names: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, f"<{name}/>")
    return path


DOCUMENTS: dict[str, Callable[[Path], object]] = {
    "a.xlsx": lambda path: zipped(path, "[Content_Types].xml", "_rels/.rels", "xl/workbook.xml"),
    "a.docx": lambda path: zipped(path, "word/document.xml", "docProps/core.xml", "[Content_Types].xml"),
    "named.zip": lambda path: zipped(path, "ppt/media/film.mp4", "[Content_Types].xml"),
    "a.odt": lambda path: zipped(path, "mimetype", "content.xml"),
    "a.epub": lambda path: zipped(path, "mimetype", "META-INF/container.xml"),
    "a.doc": lambda path: path.write_bytes(bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504)),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_an_office_document_is_no_archive_of_media(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    DOCUMENTS[name](path)
    assert sniff_path(path) is Kind.OFFICE
    with pytest.raises(MediaProblem, match=f"{name} is an office document, no medium"):
        measure(path, fps=None)


def test_an_archive_of_media_is_still_one(tmp_path: Path) -> None:
    assert sniff_path(zipped(tmp_path / "a.zip", "day 1/[Content_Types].xml", "a.wav")) is Kind.ZIP
    assert sniff_path(zipped(tmp_path / "empty.zip")) is Kind.ZIP


# ------------------------------------------------------------------------------------------- holes


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("seconds", [6, 40])
@pytest.mark.parametrize(
    ("ending", "codec"), [(".mp4", "aac"), (".mkv", "aac"), (".ts", "aac"), (".ts", "mp2"), (".webm", "libopus")]
)
def test_sound_with_holes_is_bounded_by_what_is_sent(seconds: int, ending: str, codec: str, tmp_path: Path) -> None:
    """Each hole is some silence in what is sent, and formats tell of it in different ways."""
    path = tmp_path / f"a{ending}"
    gone = "aselect='lt(mod(t,4),2)+gt(mod(t,4),2.5)*lt(mod(t,16),8)'"
    ffmpeg("-f", "lavfi", "-i", f"sine=d={seconds}:r=48000", "-af", gone, "-c:a", codec, str(path))
    prepared, found = prepare_audio(path, tmp_path, name="prepared.wav"), measure(path, fps=None).sound_ms
    assert found is not None
    assert prepared.duration_ms <= found <= prepared.duration_ms * 1.05 + 60
