"""The passages of a video, taken one by one, are the pictures of the whole."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from hume_runner.media.frames import iter_frames, iter_pixels
from hume_runner.media.problems import MediaProblem
from tests.media.ffmpeg_files import ffmpeg, ramp, tone
from tests.tiers import sampled

# 9 s with pictures that refer to later ones, and few that stand by themselves.
FORMS = {
    "b-frames.mp4": ("-c:v", "libx264", "-bf", 3, "-g", 100),
    "open.mkv": ("-c:v", "libx264", "-bf", 2, "-g", 50, "-x264-params", "open-gop=1"),
    "one-key.webm": ("-c:v", "libvpx", "-g", 1000),
    "stream.ts": ("-c:v", "libx264", "-bf", 2, "-g", 30),
    "no-times.avi": ("-c:v", "mpeg4", "-g", 30),
    "late.mkv": ("-c:v", "libx264", "-output_ts_offset", 7),
    "fast.mov": ("-c:v", "libx264", "-r", 60),
}


def video(path: Path, options: tuple[object, ...]) -> Path:
    ffmpeg(*ramp(seconds=9, size="32x32"), *options, path)
    return path


def taken(path: Path, fps: Fraction, begin_s: int, end_s: int | None) -> list[tuple[int, bytes]]:
    pixels = iter_pixels(path, fps=fps, begin_s=begin_s, end_s=end_s)
    return [(round(at_s * 1000), frame.to_ndarray(format="rgb24").tobytes()) for at_s, frame in pixels]


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("fps", [Fraction(3), Fraction(1, 2), Fraction(7, 3), Fraction(25)])
def test_passages_together_are_the_whole(name: str, fps: Fraction, tmp_path: Path) -> None:
    path = video(tmp_path / name, FORMS[name])
    whole = taken(path, fps, 0, None)
    assert [ms for ms, _ in whole] == [frame.source_ms for frame in iter_frames(path, fps=fps)]
    for edges in ((0, 4, None), (0, 1, 2, 3, 8, None), (0, 9, None), (0, 100, None)):
        parts = [picture for begin, end in pairwise(edges) for picture in taken(path, fps, begin or 0, end)]
        assert parts == whole


@pytest.mark.sweep
def test_a_passage_behind_the_end_is_empty_and_a_video_without_pictures_is_a_problem(tmp_path: Path) -> None:
    path = video(tmp_path / "b-frames.mp4", FORMS["b-frames.mp4"])
    assert taken(path, Fraction(3), 60, None) == []
    ffmpeg(*tone(), tmp_path / "sound.m4a")
    with pytest.raises(MediaProblem, match="without moving pictures"):
        taken(tmp_path / "sound.m4a", Fraction(3), 0, None)
