"""Memory does not grow with a recording or a video: measured in a process of its own, as the system counts it."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.media_files import picture_bytes

LIMIT_MB = 250

PROGRAM = """
import json, sys
from pathlib import Path
from hume_runner.media.audio import prepare_audio
from hume_runner.media.cuts import split, wav_levels
from hume_runner.media.frames import write_frames
from hume_runner.media.problems import MediaProblem
from hume_runner.media.wav import WavSlice

path, out = Path(sys.argv[1]), Path(sys.argv[2])
facts = {"sent": 0, "frames": 0}
audio = prepare_audio(path, out)
facts["samples"] = audio.samples
parts = split(wav_levels(audio.path), audio.samples)
facts["parts"] = len(parts)
for part in parts:
    with WavSlice(audio.path, part.first_sample, part.samples) as piece:
        while chunk := piece.read(1 << 20):
            facts["sent"] += len(chunk)
try:
    for frame in write_frames(path, out):
        facts["frames"] += 1
        frame.path.unlink()
except MediaProblem as problem:
    facts["no_frames"] = problem.reason
# Not ru_maxrss: that is inherited from the process that started this one.
with open("/proc/self/status") as status:
    facts["peak_mb"] = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
print(json.dumps(facts))
"""

linux_only = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")


def measured(path: Path) -> dict[str, float]:
    out = path.parent / "out"
    out.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(out)], check=True, capture_output=True, text=True
    )
    facts: dict[str, float] = json.loads(done.stdout)
    return facts


def long_recording(path: Path, seconds: int) -> Path:
    """Stereo at 44,100 Hz, mostly a hole in the file: it takes no space on disk, and reads like any other."""
    size = seconds * 44_100 * 4
    header = struct.pack("<HHIIHH", 1, 2, 44_100, 44_100 * 4, 4, 16)
    path.write_bytes(b"RIFF" + struct.pack("<I", size + 36) + b"WAVEfmt " + struct.pack("<I", 16) + header)
    with path.open("r+b") as file:
        file.seek(0, 2)
        file.write(b"data" + struct.pack("<I", size))
        noise = np.random.default_rng(1).integers(-9000, 9000, 44_100 * 2).astype("<i2").tobytes()
        for second in range(0, seconds, 10):
            file.seek(44 + second * len(noise))
            file.write(noise)
        file.truncate(44 + size)
    return path


def large_video(path: Path, at_least_bytes: int, size: tuple[int, int]) -> Path:
    """Motion JPEG, the same few pictures again and again, with a track of sound."""
    rng = np.random.default_rng(2)
    pictures = [
        picture_bytes(Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)), quality=quality)
        for quality in (95, 60)
    ]
    with av.open(str(path), "w") as container:
        video, sound = container.add_stream("mjpeg", rate=10), container.add_stream("pcm_s16le", rate=16_000)
        video.width, video.height, video.pix_fmt, sound.layout = *size, "yuvj420p", "mono"
        written = number = 0
        while written < at_least_bytes:
            packet = av.Packet(pictures[number % len(pictures)])
            packet.stream, packet.time_base, packet.is_keyframe = video, Fraction(1, 10), True
            packet.pts = packet.dts = number
            container.mux(packet)
            written += packet.size
            frame = av.AudioFrame.from_ndarray(np.full((1, 1600), number, np.int16), format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 16_000, number * 1600, Fraction(1, 16_000)
            container.mux(sound.encode(frame))
            number += 1
        container.mux(sound.encode(None))
    return path


@pytest.mark.sweep
@linux_only
@pytest.mark.parametrize("minutes", [20, pytest.param(180, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_a_long_recording_is_prepared_cut_and_read_in_little_memory(minutes: int, tmp_path: Path) -> None:
    facts = measured(long_recording(tmp_path / "long.wav", minutes * 60))
    assert abs(facts["samples"] - minutes * 60 * 16_000) < 1_600
    assert facts["parts"] == -(-minutes * 60 // 717)
    assert facts["sent"] == 2 * facts["samples"] + 44 * facts["parts"]
    assert facts["no_frames"] in {"no_video", "unsupported"}
    assert facts["peak_mb"] < LIMIT_MB


@pytest.mark.sweep
@linux_only
@pytest.mark.parametrize(
    ("size_bytes", "size"),
    [
        (60_000_000, (1280, 720)),
        pytest.param(2_000_000_000, (3840, 2160), marks=[pytest.mark.soak, pytest.mark.timeout(1200)]),
    ],
)
def test_a_large_video_is_prepared_in_little_memory(size_bytes: int, size: tuple[int, int], tmp_path: Path) -> None:
    facts = measured(large_video(tmp_path / "large.mov", size_bytes, size))
    seconds = facts["samples"] / 16_000
    # At 10 pictures a second the ticks of a third fall on 0, 400 and 700 ms of each second.
    assert abs(facts["frames"] - 3 * seconds) <= 3
    assert facts["peak_mb"] < LIMIT_MB
