"""One clock: whatever holes, offsets and breaks a file's times have, sound and pictures are where players show them.

Each file is made by ffmpeg as other programs write it. When a burst is heard is known from its making and checked
against what ffmpeg itself plays; pictures tell by their grey when they were made.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hume_runner.media.audio import PreparedAudio, prepare_audio
from hume_runner.media.frames import iter_frames
from hume_runner.media.lengths import measure
from hume_runner.media.problems import MediaProblem
from hume_runner.media.transport import one_program
from tests.media.ffmpeg_files import BURSTS, FPS, RATE_HZ, SECONDS, bursts, ffmpeg, heard, ramp, second_of, tone
from tests.media_files import read_wav
from tests.tiers import sampled

WITHIN_S = 0.030
PICTURE_S = 2.5 / FPS  # a picture's grey tells its time to a level


@dataclass(frozen=True, slots=True)
class Made:
    """`starts`: when each copy of the six seconds begins as players show it; `silence`: the most that holes may add."""

    path: Path
    starts: Sequence[float] = (0.0,)
    pictures: bool = True
    like_ffmpeg: bool = True


Build = Callable[[Path], Made]
_FORMS = {  # container: (codec of pictures, codec of sound, further options)
    "ts": ("mpeg2video", "aac", ()),
    "mkv": ("libx264", "aac", ("-preset", "ultrafast")),
    "webm": ("libvpx", "libopus", ("-deadline", "realtime", "-cpu-used", "8")),
    "mp4": ("libx264", "aac", ("-preset", "ultrafast")),
    "mov": ("libx264", "aac", ("-preset", "ultrafast")),
    "flv": ("flv", "libmp3lame", ()),
    "wmv": ("wmv2", "wmav2", ()),
    "avi": ("mpeg4", "libmp3lame", ()),
    "mpg": ("mpeg2video", "mp2", ()),
}


class Sources:
    """Every form whole, `whole.ts` and so on, and its sound alone, `sound.ts`: each is encoded when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __truediv__(self, name: str) -> Path:
        path = self._folder / name
        if not path.exists():
            self._make(path)
        return path

    def _make(self, path: Path) -> None:
        form = path.suffix.removeprefix(".")
        if path.name == "sound.ogg":
            ffmpeg(*tone(), "-c:a", "libvorbis", path)
        elif path.stem == "sound":
            ffmpeg("-i", self / f"whole.{form}", "-vn", "-c", "copy", path)
        else:
            video, audio, options = _FORMS[form]
            ffmpeg(*ramp(), *tone(), "-g", 10, "-c:v", video, "-q:v", 2, *options, "-c:a", audio, path)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return Sources(tmp_path_factory.mktemp("whole"))


def check(made: Made, out: Path) -> PreparedAudio:
    """Bursts and pictures of a made file lie where they were made, in every copy of the six seconds."""
    expected = [start + at for start in made.starts for at in BURSTS]
    prepared = prepare_audio(made.path, out)
    found = source_times(prepared)
    near(found, expected, WITHIN_S)
    if made.like_ffmpeg:
        # Where parts were joined it lets the end of one run over the other, by less than it cares for.
        near(found, bursts(heard(made.path)), WITHIN_S if len(made.starts) == 1 else 0.05)
    if made.pictures:
        shown = [(f.source_ms / 1000, second_of(opened(f.jpeg.data))) for f in iter_frames(made.path)]
        assert len(shown) == pytest.approx(3 * SECONDS * len(made.starts), abs=len(made.starts))
        for at, second in shown:
            assert min(abs(at - second - start) for start in made.starts) < PICTURE_S, (at, second)
    return prepared


def source_times(prepared: PreparedAudio) -> list[float]:
    """When each burst of a prepared recording is heard in its source."""
    return [prepared.clock.at(round(at * RATE_HZ) + 40) / RATE_HZ for at in bursts(read_wav(prepared.path))]


def near(found: Sequence[float], expected: Sequence[float], within: float) -> None:
    assert len(found) == len(expected), (found, expected)
    for one, other in zip(found, expected, strict=True):
        assert abs(one - other) <= within, (found, expected)


# -- whole files, so that what follows proves something ---------------------------------------------------------------


@pytest.mark.sweep
@pytest.mark.parametrize("form", _FORMS)
def test_a_whole_file_has_no_hole_and_all_its_pictures(form: str, sources: Sources, tmp_path: Path) -> None:
    late = 0.041 if form == "wmv" else 0.0  # the muxer's own delay
    prepared = check(Made(sources / f"whole.{form}", (late,)), tmp_path)
    assert prepared.clock.is_even


# -- holes ------------------------------------------------------------------------------------------------------------

_HOLES = {
    "at the start": "lt(t,0.8+{t0})",
    "in the middle": "between(t,1.5+{t0},2.7+{t0})",
    "too short to hear": "between(t,1.7+{t0},1.76+{t0})",
    "long": "between(t,3.5+{t0},4.8+{t0})",
    "at the end": "gt(t,5.4+{t0})",
    "several": "between(t,1.5+{t0},1.9+{t0})+between(t,2.2+{t0},2.7+{t0})+between(t,3.5+{t0},4.8+{t0})",
    "at both ends and between": "lt(t,0.8+{t0})+between(t,1.5+{t0},2.7+{t0})+gt(t,5.4+{t0})",
}
_WITH_TIMES = ("ts", "mkv", "webm", "mp4", "mov", "flv")


def with_holes(source: Path, target: Path, holes: str) -> Path:
    """The same packets of pictures and sound, less the sound in the holes."""
    start = 1.44 if source.suffix == ".ts" else 0.0
    drop = holes.format(t0=start).replace("(t,", "(pts*tb,").replace(",", "\\,")
    ffmpeg("-copyts", "-i", source, "-map", 0, "-c", "copy", "-bsf:a", f"noise=drop={drop}", "-muxdelay", 0.7, target)
    return target


@pytest.mark.sweep
@pytest.mark.parametrize("holes", _HOLES)
@pytest.mark.parametrize("form", _WITH_TIMES)
def test_holes_in_sound_shift_nothing(form: str, holes: str, sources: Sources, tmp_path: Path) -> None:
    path = with_holes(sources / f"whole.{form}", tmp_path / f"holes.{form}", _HOLES[holes])
    prepared = check(Made(path, like_ffmpeg="short" not in holes), tmp_path)  # which it leaves where they are
    whole = SECONDS * RATE_HZ
    assert prepared.samples < whole + 0.1 * RATE_HZ, "no more is sent than the recording is long"


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("form", ["ts", "mkv", "webm", "mp4", "mov", "flv", "ogg"])
def test_holes_in_sound_alone_shift_nothing(form: str, sources: Sources, tmp_path: Path) -> None:
    path = with_holes(sources / f"sound.{form}", tmp_path / f"holes.{form}", _HOLES["several"])
    if form == "ogg":  # its decoder chirps where packets are missing, and so does ffmpeg's
        near(source_times(prepare_audio(path, tmp_path)), bursts(heard(path)), WITHIN_S + 0.02)
    else:
        check(Made(path, pictures=False), tmp_path)


@pytest.mark.sweep
def test_silence_for_holes_is_bounded_however_long_they_are(sources: Sources, tmp_path: Path) -> None:
    """Two parts an hour apart in one Matroska file: a hole, not an hour of silence to pay for."""
    late = tmp_path / "late.mkv"
    ffmpeg("-i", sources / "sound.mkv", "-c", "copy", "-output_ts_offset", 3600, late)
    join(tmp_path / "both.mkv", sources / "sound.mkv", late, keep_clock=True)
    prepared = check(Made(tmp_path / "both.mkv", (0.0, 3600.0), pictures=False, like_ffmpeg=False), tmp_path)
    assert prepared.samples <= (2 * SECONDS + 1.1) * RATE_HZ


def join(target: Path, *parts: Path, keep_clock: bool = False) -> Path:
    """Parts in one file: one after another, or as one track with the parts' own clocks."""
    if not keep_clock:
        target.write_bytes(b"".join(part.read_bytes() for part in parts))
        return target
    listed = target.with_suffix(".txt")
    listed.write_text("ffconcat version 1.0\n" + "".join(f"file '{part}'\nduration 3600\n" for part in parts))
    ffmpeg("-f", "concat", "-safe", 0, "-copyts", "-i", listed, "-c", "copy", target)
    return target


# -- sound and pictures that do not begin or end together -------------------------------------------------------------


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("form", ["ts", "mkv", "webm", "mp4", "mov", "flv", "mpg"])
@pytest.mark.parametrize("late", [0.6, 0.04, -0.6])
def test_sound_later_or_earlier_than_the_picture(form: str, late: float, sources: Sources, tmp_path: Path) -> None:
    """`late`: how much later than its picture the sound begins; -0.6: it begins earlier."""
    whole, path = sources / f"whole.{form}", tmp_path / f"late.{form}"
    ffmpeg("-i", whole, "-itsoffset", late, "-i", whole, "-map", "0:v", "-map", "1:a", "-c", "copy", path)
    prepared = prepare_audio(path, tmp_path)
    shown = [(f.source_ms / 1000, second_of(opened(f.jpeg.data))) for f in iter_frames(path)]
    picture = float(np.median([at - second for at, second in shown]))
    near(source_times(prepared), bursts(heard(path)), WITHIN_S)
    near([at - picture for at in source_times(prepared)], [late + at for at in BURSTS], WITHIN_S + 0.02)
    assert min(picture, prepared.clock.start / RATE_HZ) == pytest.approx(0, abs=0.08)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("form", ["mkv", "webm", "mp4", "ts", "flv"])
@pytest.mark.parametrize("clock", [5.0, 86_000.0, -0.5])
def test_a_clock_that_begins_anywhere(form: str, clock: float, sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / f"offset.{form}"
    ffmpeg(
        *("-i", sources / f"whole.{form}", "-c", "copy", "-output_ts_offset", clock),
        *("-avoid_negative_ts", "disabled", path),
    )
    # What an MP4 file holds before its own start is not shown: it was cut away. FLV has no negative times: they wrap.
    starts = (-0.5,) if (form, clock) == ("mp4", -0.5) else (0.0,)
    check(Made(path, starts, like_ffmpeg=(form, clock) != ("flv", -0.5)), tmp_path)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_picture_whose_packet_has_no_time_is_the_first_all_the_same(frames: int, tmp_path: Path) -> None:
    """Matroska keeps the times of packets that begin below zero in a way that leaves the first without any."""
    path = tmp_path / "below.mkv"
    encoded = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", frames, "-c:a", "libopus")
    ffmpeg(*ramp(), *tone(), *encoded, "-avoid_negative_ts", "disabled", "-output_ts_offset", -0.5, path)
    check(Made(path), tmp_path)
    shown = [f.source_ms for f in iter_frames(path)]
    assert shown[0] == 0
    bound = measure(path, fps=Fraction(3)).pictures
    assert bound is not None
    assert len(shown) <= bound


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("said", [0.5, 60.0, 36_000.0])
def test_a_duration_that_an_flv_kept_from_another_file_is_not_believed(
    said: float, sources: Sources, tmp_path: Path
) -> None:
    data = bytearray((sources / "whole.flv").read_bytes())
    at = data.index(b"duration") + len("duration") + 1
    data[at : at + 8] = struct.pack(">d", said)
    path = tmp_path / "stale.flv"
    path.write_bytes(data)
    check(Made(path), tmp_path)
    path.write_bytes(data[: len(data) * 7 // 10])
    if said > SECONDS:
        with pytest.raises(MediaProblem, match="announces"):
            prepare_audio(path, tmp_path)


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("flags", ["frag_keyframe", "frag_keyframe+empty_moov+default_base_moof", "faststart"])
@pytest.mark.parametrize("within", [b"moof", b"mdat"])
def test_a_file_that_breaks_off_within_its_last_box_is_told(
    within: bytes, flags: str, sources: Sources, tmp_path: Path
) -> None:
    path = tmp_path / "whole.mp4"
    ffmpeg("-i", sources / "whole.mp4", "-c", "copy", "-movflags", flags, path)
    check(Made(path), tmp_path)
    data = path.read_bytes()
    if within not in data:
        return
    begin = data.rindex(within) - 4
    length = int.from_bytes(data[begin : begin + 4])
    for lost in (length // 5, length // 2):
        path.write_bytes(data[: begin + length - lost])
        with pytest.raises(MediaProblem) as caught:
            prepare_audio(path, tmp_path)
        assert caught.value.reason == "truncated"


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("form", ["mkv", "webm", "mp4", "mov", "ts"])
def test_a_microphone_that_joins_late_and_leaves_early(form: str, sources: Sources, tmp_path: Path) -> None:
    path = with_holes(sources / f"whole.{form}", tmp_path / f"short.{form}", "lt(t,2.5+{t0})+gt(t,3.7+{t0})")
    prepared = prepare_audio(path, tmp_path)
    near(source_times(prepared), [3.0], WITHIN_S)
    assert prepared.samples < 1.5 * RATE_HZ


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("form", ["mkv", "webm", "mp4", "mov"])
def test_a_file_that_was_cut_off_is_still_told(form: str, sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{form}"
    options = ("-movflags", "faststart") if form in ("mp4", "mov") else ()
    ffmpeg("-i", sources / f"whole.{form}", "-c", "copy", *options, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(MediaProblem) as caught:
        prepare_audio(path, tmp_path)
    assert caught.value.reason == "truncated"


@pytest.mark.sweep
@pytest.mark.parametrize("form", ["mp4", "mov"])
def test_an_edit_list_is_obeyed(form: str, sources: Sources, tmp_path: Path) -> None:
    """Cut without encoding anew: the packets before the cut stay in the file, and the edit list hides them."""
    path = tmp_path / f"edited.{form}"
    ffmpeg("-ss", 1.98, "-i", sources / f"whole.{form}", "-c", "copy", path)
    near(source_times(prepare_audio(path, tmp_path)), bursts(heard(path)), WITHIN_S)
    assert source_times(prepare_audio(path, tmp_path))[0] == pytest.approx(1.02, abs=0.05)
    shown = [(f.source_ms / 1000, second_of(opened(f.jpeg.data))) for f in iter_frames(path)]
    assert all(abs(at + 1.98 - second) < 0.1 for at, second in shown), shown


def opened(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(data)))


# -- clocks that break ------------------------------------------------------------------------------------------------

_JUMPS = {"the same clock": 0.0, "forward": 100.0, "backward": -40.0, "wrap": 95_443.0, "far back": -4_000.0}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("jump", _JUMPS)
@pytest.mark.parametrize("form", ["ts", "mpg"])
def test_parts_that_were_joined_follow_each_other(form: str, jump: str, sources: Sources, tmp_path: Path) -> None:
    """`jump`: where the second part's clock begins, after the first one's."""
    first, second = tmp_path / f"first.{form}", tmp_path / f"second.{form}"
    begin = max(0.0, -_JUMPS[jump])
    for path, clock in ((first, begin), (second, begin + _JUMPS[jump])):
        ffmpeg("-i", sources / f"whole.{form}", "-c", "copy", "-output_ts_offset", clock, path)
    check(Made(join(tmp_path / f"both.{form}", first, second), (0.0, SECONDS)), tmp_path)


# What numbers the packets of the second part bear, and those of the third. ffmpeg's own are 0x100, 0x1000 and 1.
_NUMBERS: dict[str, list[tuple[int, int, int]]] = {
    "other streams": [(0x300, 0x1000, 1)],
    "another program": [(0x300, 0x1200, 7)],
    "another program of the same streams": [(0x100, 0x1200, 7)],
    "crossed": [(0x101, 0x1000, 1)],
    "its table is a stream's number": [(0x300, 0x100, 1)],
    "there and back": [(0x300, 0x1200, 7), (0x100, 0x1000, 1)],
    "one after the other": [(0x300, 0x1200, 7), (0x200, 0x1100, 5)],
}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("numbers", _NUMBERS)
@pytest.mark.parametrize("form", ["ts", "m2ts"])
def test_parts_that_bear_other_numbers_are_heard_and_seen(
    form: str, numbers: str, sources: Sources, tmp_path: Path
) -> None:
    parts = [renumbered(tmp_path / f"0.{form}", sources)]
    for streams, table, program in _NUMBERS[numbers]:
        ids = ("-mpegts_start_pid", streams, "-mpegts_pmt_start_pid", table, "-mpegts_service_id", program)
        if form == "m2ts":
            ids = ("-mpegts_m2ts_mode", 0, *ids)
        parts.append(renumbered(tmp_path / f"{len(parts)}.{form}", sources, *ids))
    starts = [SECONDS * number for number in range(len(parts))]
    check(Made(join(tmp_path / f"all.{form}", *parts), starts, like_ffmpeg=False), tmp_path)


def renumbered(path: Path, sources: Sources, *ids: object) -> Path:
    """`whole.ts` anew; m2ts: in packets of 192 bytes, with a time before each."""
    plain = path.with_suffix(".plain.ts")
    ffmpeg("-i", sources / "whole.ts", "-c", "copy", *ids, "-f", "mpegts", plain)
    data = plain.read_bytes()
    if path.suffix == ".m2ts":
        data = b"".join(b"\1\2\3\4" + data[at : at + 188] for at in range(0, len(data), 188))
    path.write_bytes(data)
    return path


@pytest.mark.sweep
def test_parts_that_bear_other_numbers_may_be_joined_within_a_packet(sources: Sources, tmp_path: Path) -> None:
    first = renumbered(tmp_path / "0.ts", sources)
    first.write_bytes(first.read_bytes()[:-1_000])
    second = renumbered(tmp_path / "1.ts", sources, "-mpegts_start_pid", 0x300, "-mpegts_service_id", 3)
    path = join(tmp_path / "both.ts", first, second)
    found = source_times(prepare_audio(path, tmp_path))
    near(found, [*BURSTS, *(SECONDS + at for at in BURSTS)], 0.1)
    assert len(list(iter_frames(path))) == pytest.approx(2 * 3 * SECONDS, abs=2)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (("-an", "-c:v", "copy"), ("-c", "copy"), "with its sound while there is no sound before"),
        (("-c", "copy"), ("-c:v", "copy", "-c:a", "ac3"), "with its sound in another format than the sound before"),
        (("-c", "copy"), ("-c:a", "copy", "-c:v", "libx264"), "with its picture in another format"),
    ],
)
def test_a_part_that_the_first_cannot_stand_for_is_refused_and_not_lost(
    first: Sequence[str], second: Sequence[str], told: str, sources: Sources, tmp_path: Path
) -> None:
    for name, how in (("0", first), ("1", second)):
        ffmpeg("-i", sources / "whole.ts", *how, tmp_path / f"{name}.ts")
    path = join(tmp_path / "both.ts", tmp_path / "0.ts", tmp_path / "1.ts")
    with pytest.raises(MediaProblem, match=told) as caught:
        list(iter_frames(path))
    assert caught.value.reason == "unsupported"
    assert f"from byte {(tmp_path / '0.ts').stat().st_size + 188:,} on" in str(caught.value)


@pytest.mark.sweep
def test_two_programs_at_a_time_are_left_as_they_are(sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / "two.ts"
    programs = ("-map", 0, "-map", 0, "-program", "st=0:st=1", "-program", "st=2:st=3")
    ffmpeg("-i", sources / "whole.ts", *programs, "-c", "copy", path)
    assert one_program(path) is None
    check(Made(path), tmp_path)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("form", ["mpg", "flv"])
def test_a_track_that_begins_late_costs_no_other(form: str, sources: Sources, tmp_path: Path) -> None:
    """libav meets such a track on its way."""
    alone = tmp_path / f"alone.{form}"
    ffmpeg("-i", sources / f"whole.{form}", "-an", "-c", "copy", alone)
    data = (sources / f"whole.{form}").read_bytes()
    path = tmp_path / f"late.{form}"
    path.write_bytes(alone.read_bytes() * (12 if form == "mpg" else 1) + (data if form == "mpg" else data[13:]))
    shown = list(iter_frames(path))
    assert len(shown) == pytest.approx(3 * SECONDS * (13 if form == "mpg" else 2), abs=15)


@pytest.mark.sweep
@pytest.mark.parametrize("form", ["ts", "mpg"])
def test_many_parts_do_not_drift(form: str, sources: Sources, tmp_path: Path) -> None:
    path = join(tmp_path / f"many.{form}", *[sources / f"whole.{form}"] * 5)
    starts = [SECONDS * number for number in range(5)]
    check(Made(path, starts, like_ffmpeg=False), tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("form", ["ts", "ogg"])
def test_joined_parts_of_sound_alone_follow_each_other(form: str, sources: Sources, tmp_path: Path) -> None:
    path = join(tmp_path / f"both.{form}", *[sources / f"sound.{form}"] * 2)
    prepared = prepare_audio(path, tmp_path)
    near(source_times(prepared), bursts(heard(path)), WITHIN_S)
    assert len(source_times(prepared)) == 6


@pytest.mark.sweep
def test_a_clock_of_33_bits_that_wraps(sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / "wraps.ts"
    ffmpeg("-i", sources / "whole.ts", "-c", "copy", "-output_ts_offset", 2**33 / 90_000 - 4.5, path)
    check(Made(path), tmp_path)


@pytest.mark.sweep
def test_a_long_silence_in_one_track_is_no_new_clock(tmp_path: Path) -> None:
    """Sound that is gone for 14 s while the picture goes on: a player waits for it, and does not jump."""
    path, whole = tmp_path / "gone.ts", tmp_path / "whole.ts"
    ffmpeg(*ramp(seconds=20, fps=5), *tone((1, 18), seconds=20), "-c:v", "mpeg2video", "-r", 25, "-c:a", "aac", whole)
    with_holes(whole, path, "between(t,2+{t0},16.5+{t0})")
    near(source_times(prepare_audio(path, tmp_path)), [1.0, 18.0], WITHIN_S)


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("form", ["mkv", "webm", "mp4", "mov", "flv", "avi", "wmv"])
def test_pictures_without_sound_that_were_cut_off_are_told(form: str, sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{form}"
    coder = {"webm": "libvpx", "wmv": "wmv2"}.get(form, "libx264")
    options = ("-movflags", "faststart") if form in ("mp4", "mov") else ()
    ffmpeg("-i", sources / "whole.mkv", "-an", "-c:v", coder, *options, path)
    assert list(iter_frames(path))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(MediaProblem) as caught:
        list(iter_frames(path))
    assert caught.value.reason == "truncated"


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize(
    ("form", "coder"),
    [
        *(("avi", "mp3"), ("wmv", "wmav2"), ("flv", "mp3"), ("au", "pcm_s16be"), ("caf", "pcm_s16be")),
        *(("caf", "alac"), ("m4a", "aac"), ("mov", "aac")),
    ],
)
def test_sound_whose_container_tells_its_size_and_was_cut_off(
    form: str, coder: str, sources: Sources, tmp_path: Path
) -> None:
    path = tmp_path / f"cut.{form}"
    ffmpeg("-i", sources / "whole.mkv", "-vn", "-c:a", coder, "-ar", 44_100, path)
    assert prepare_audio(path, tmp_path).samples
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    with pytest.raises(MediaProblem) as caught:
        prepare_audio(path, tmp_path, name="cut.wav")
    assert caught.value.reason == "truncated"
    assert not (tmp_path / "cut.wav").exists()


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("between", [0, 2])
def test_an_avi_has_every_picture_at_its_time(between: int, sources: Sources, tmp_path: Path) -> None:
    """The format tells when a picture is decoded, and not when it is shown."""
    path = tmp_path / "whole.avi"
    ffmpeg("-i", sources / "whole.mkv", "-c:v", "libx264", "-bf", between, "-c:a", "mp3", path)
    told = ffmpeg("-i", path, "-an", "-fps_mode", "passthrough", "-c:v", "rawvideo", "-f", "framecrc", "-").decode()
    shown = [int(line.split(",")[2]) / FPS for line in told.splitlines() if not line.startswith("#")]
    frames = list(iter_frames(path, fps=FPS))
    assert len(frames) == len(shown) == SECONDS * FPS
    near([frame.source_ms / 1000 for frame in frames], shown, WITHIN_S)


@pytest.mark.sweep
def test_a_damaged_passage_of_a_flac_moves_nothing(sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / "damaged.flac"
    ffmpeg(*tone(), "-c:a", "flac", path)
    data = bytearray(path.read_bytes())
    places = [at for at in range(9000, len(data) - 1) if data[at] == 0xFF and data[at + 1] == 0xF8]
    data[places[8] : places[8] + 6] = bytes(6)
    path.write_bytes(data)
    near(source_times(prepare_audio(path, tmp_path)), BURSTS, WITHIN_S)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("off_s", [3.0, -3.0, 1.2, 40.0])
@pytest.mark.parametrize("pid", [0x100, 0x101])
def test_one_damaged_time_moves_nothing(pid: int, off_s: float, sources: Sources, tmp_path: Path) -> None:
    path = tmp_path / "damaged.ts"
    data = bytearray((sources / "whole.ts").read_bytes())
    begun = 0
    for at in range(0, len(data), 188):
        if (int.from_bytes(data[at + 1 : at + 3]) & 0x5FFF) != 0x4000 | pid:
            continue
        begun += 1
        head = at + 4 + (1 + data[at + 4] if data[at + 3] & 0x20 else 0)
        for time in range(head + 9, head + 19 if data[head + 7] & 0x40 else head + 14, 5) if begun == 6 else ():
            a, b, c = data[time], int.from_bytes(data[time + 1 : time + 3]), int.from_bytes(data[time + 3 : time + 5])
            value = ((a >> 1 & 7) << 30 | b >> 1 << 15 | c >> 1) + int(off_s * 90_000)
            data[time] = a & 0xF1 | (value >> 30 & 7) << 1
            data[time + 1 : time + 3] = ((value >> 15 & 0x7FFF) << 1 | 1).to_bytes(2)
            data[time + 3 : time + 5] = ((value & 0x7FFF) << 1 | 1).to_bytes(2)
    assert begun >= 6
    path.write_bytes(data)
    near(source_times(prepare_audio(path, tmp_path)), source_times(prepare_audio(sources / "whole.ts", tmp_path)), 0.03)
    times = [[frame.source_ms / 1000 for frame in iter_frames(one, fps=FPS)] for one in (path, sources / "whole.ts")]
    near(*times, WITHIN_S)
