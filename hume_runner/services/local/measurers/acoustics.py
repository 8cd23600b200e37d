"""`acoustics`: loudness, pitch and pauses in windows of sound, by published methods and without any model.

Loudness by ITU-R BS.1770-4, pitch by Boersma 1993, pauses after de Jong & Wempe 2009: see `loudness`, `pitch` and
`pauses`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.services.local.measurers.base import SOUND_RATE_HZ, Card, Fault, Reads, Row, Sound
from hume_runner.services.local.measurers.loudness import (
    HOP,
    MOMENTARY_HOPS,
    SHORT_TERM_HOPS,
    Weighting,
    decibels,
    integrated,
    lufs,
    running,
    windows,
)
from hume_runner.services.local.measurers.own_weights import no_weights
from hume_runner.services.local.measurers.pauses import SHORTEST_S, pauses
from hume_runner.services.local.measurers.pitch import CEILING_HZ, FLOOR_HZ, Tracker, semitones
from hume_runner.services.local.measurers.voice import Span, overlap
from hume_runner.services.signals import Curve, Signals
from hume_runner.services.table_shapes import Column, Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW_S = 1.0
_CLIPPED = 0.999
_PIECE = "the recording, or some minutes of a long one"

LAYOUT = Layout(
    name="acoustics",
    row="one window of sound",
    windows=True,
    time=("begin_s", "end_s"),
    signals=Signals(
        title="sound",
        place=4,
        curves=(
            Curve(column="momentary_lufs", name="loudness", unit="LUFS"),
            Curve(column="pitch_median_hz", name="pitch", unit="Hz", low="pitch_min_hz", high="pitch_max_hz"),
        ),
    ),
    columns=(
        Column(name="begin_s", type="number", meaning="start of the window, in seconds from the start of the source"),
        Column(name="end_s", type="number", meaning="end of the window; the last may be shorter"),
        Column(
            name="loudness_dbfs",
            type="number",
            meaning="root mean square around the mean, in dB of full scale (a full sine has -3.01); null for silence",
        ),
        Column(
            name="peak_dbfs",
            type="number",
            meaning="highest sample, in dB of full scale, of the sound at 16 kHz; null for silence",
            joined="highest",
        ),
        Column(name="clipped_share", type="number", meaning="share of samples at full scale (0.999 and above), 0 to 1"),
        Column(
            name="momentary_lufs",
            type="number",
            meaning="highest momentary loudness (BS.1770 weighting, 400 ms) that ends in the window, in LUFS, of one "
            "channel at 16 kHz; null for silence, and where no 400 ms end",
            joined="highest",
        ),
        Column(
            name="short_term_lufs",
            type="number",
            meaning="short-term loudness (BS.1770 weighting) of the 3 s before the window's end, in LUFS; null for "
            "silence, and until there are 3 s",
            joined="last",
        ),
        Column(
            name="integrated_lufs",
            type="number",
            meaning=f"loudness by BS.1770-4 with its gates of {_PIECE}, in LUFS: the same in all its rows; null for "
            "silence, and below 400 ms",
        ),
        Column(
            name="voiced_share",
            type="number",
            meaning="share of the moments, each 10 ms, that have a pitch, 0 to 1; null where there is no moment",
        ),
        Column(name="pitch_median_hz", type="number", meaning="median pitch, in Hz; null where nothing has one"),
        Column(name="pitch_min_hz", type="number", meaning="lowest pitch, in Hz", joined="lowest"),
        Column(name="pitch_max_hz", type="number", meaning="highest pitch, in Hz", joined="highest"),
        Column(
            name="pitch_sd_hz",
            type="number",
            meaning="standard deviation of the pitch, in Hz; null with less than two moments that have one",
        ),
        Column(name="pitch_median_st", type="number", meaning="median pitch, in semitones above 100 Hz"),
        Column(name="pitch_min_st", type="number", meaning="lowest pitch, in semitones above 100 Hz", joined="lowest"),
        Column(
            name="pitch_max_st", type="number", meaning="highest pitch, in semitones above 100 Hz", joined="highest"
        ),
        Column(name="pitch_sd_st", type="number", meaning="standard deviation of the pitch, in semitones"),
        Column(
            name="pause_share",
            type="number",
            meaning=f"share of the window that is pause, 0 to 1: quieter by 25 dB than the loud parts of {_PIECE}, for "
            f"at least {SHORTEST_S} s; speech or not; null where the sound is shorter than that",
        ),
        Column(name="pauses", type="integer", meaning="how many pauses begin in the window"),
        Column(
            name="longest_pause_s",
            type="number",
            meaning="whole length of the longest pause that reaches into the window, in seconds; null without one",
            joined="highest",
        ),
    ),
)


class _Acoustics:
    model = "acoustics"
    reads: Reads = "sound"
    layouts = (LAYOUT,)
    modules = ("numpy",)

    @property
    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "description": "Loudness, pitch and pauses in windows of sound.",
            "additionalProperties": False,
            "properties": {
                "window": {
                    "type": "number",
                    "minimum": 0.1,
                    "maximum": 300,
                    "default": WINDOW_S,
                    "description": "Seconds that one row tells of.",
                },
                "step": {
                    "type": "number",
                    "minimum": 0.05,
                    "maximum": 300,
                    "description": "Seconds from the start of one window to that of the next. Default: window.",
                },
                "pitch_floor": {
                    "type": "number",
                    "minimum": 30,
                    "maximum": 500,
                    "default": FLOOR_HZ,
                    "description": "Lowest pitch that is looked for, in Hz.",
                },
                "pitch_ceiling": {
                    "type": "number",
                    "minimum": 60,
                    "maximum": 2000,
                    "default": CEILING_HZ,
                    "description": "Highest pitch that is looked for, in Hz.",
                },
                "weights": no_weights("acoustics is made of formulas, which have no weights"),
            },
        }

    def card(self, options: Mapping[str, Any]) -> Card:
        return Card(
            name="acoustics",
            version="1",
            licence="MIT",
            trained_on="nothing: formulas. Loudness: ITU-R BS.1770-4. Pitch: Boersma 1993. Pauses: after de Jong & "
            "Wempe 2009.",
            scale="dB of full scale; LUFS; Hz, and semitones above 100 Hz; shares from 0 to 1; seconds",
            limits="Loudness is that of the file, mixed to one channel at 16 kHz: it depends on the microphone and its "
            "distance, and lies up to 3 dB beside that of the stereo sound. Pitch is of the strongest voice or tone; "
            "creaky voice, music and two who speak at once give pitches that nobody spoke, and what is 30 dB quieter "
            "than the loudest moment seldom has one. In noise that is less than 25 dB quieter there are no pauses. "
            "None of it is an emotion.",
            source="https://www.itu.int/rec/R-REC-BS.1770-4-201510-S; "
            "https://www.fon.hum.uva.nl/paul/papers/Proceedings_1993.pdf",
        )

    def fault(self, options: Mapping[str, Any]) -> Fault | None:
        """A range of pitch that has nothing in it."""
        floor_hz, ceiling_hz = _pitches(options)
        if floor_hz < ceiling_hz:
            return None
        return Fault(
            option="pitch_floor" if "pitch_floor" in options else "pitch_ceiling",
            message=f"no pitch lies between pitch_floor {floor_hz:g} and pitch_ceiling {ceiling_hz:g}",
            hint="write a pitch_floor that is below pitch_ceiling",
        )

    def open(self, options: Mapping[str, Any], files: Mapping[str, Path]) -> _Session:
        """Raises: ValueError for a range of pitch that has nothing in it."""
        return _Session(options)


ACOUSTICS = _Acoustics()


def _pitches(options: Mapping[str, Any]) -> tuple[float, float]:
    """The lowest and the highest pitch that is looked for, in Hz."""
    return float(options.get("pitch_floor", FLOOR_HZ)), float(options.get("pitch_ceiling", CEILING_HZ))


class _Session:
    def __init__(self, options: Mapping[str, Any]) -> None:
        self._window_s = float(options.get("window", WINDOW_S))
        self._step_s = float(options.get("step", self._window_s))
        floor_hz, ceiling_hz = _pitches(options)
        if floor_hz >= ceiling_hz:
            raise ValueError(f"pitch_floor {floor_hz:g} is not below pitch_ceiling {ceiling_hz:g}")
        self._weighting = Weighting()
        self._tracker = Tracker(floor_hz, ceiling_hz)

    def measure(self, sound: Sound) -> Iterator[Row]:
        """A row a window. A number that is none counts as silence."""
        import numpy as np

        samples = np.nan_to_num(sound.samples, nan=0.0, posinf=1.0, neginf=-1.0)
        powers = self._weighting.powers(samples)
        loudness = _Loudness(powers)
        at, hz = self._tracker.track(samples)
        silent = pauses(powers)
        for first, last in windows(len(samples), self._window_s, self._step_s):
            begin_s, end_s = first / SOUND_RATE_HZ, last / SOUND_RATE_HZ
            low, high = np.searchsorted(at, (begin_s, end_s))
            yield Row(
                layout=LAYOUT.name,
                values={
                    "begin_s": round(begin_s, 3),
                    "end_s": round(end_s, 3),
                    **_levels(samples[first:last]),
                    **loudness.between(first, last),
                    **_pitch(hz[low:high]),
                    **_pauses(silent, begin_s, end_s, len(samples)),
                },
            )


class _Loudness:
    """Weighted powers of a whole sound, asked window by window."""

    def __init__(self, powers: NDArray[np.float64]) -> None:
        self._momentary = running(powers, MOMENTARY_HOPS)
        self._short_term = running(powers, SHORT_TERM_HOPS)
        self._integrated = _rounded(integrated(powers))

    def between(self, first: int, last: int) -> dict[str, float | None]:
        """Blocks that end after sample `first` and by `last`."""
        begin, end = first // HOP, last // HOP
        momentary = self._momentary[max(0, begin + 1 - MOMENTARY_HOPS) : max(0, end + 1 - MOMENTARY_HOPS)]
        short_term = self._short_term[max(0, end - SHORT_TERM_HOPS) : max(0, end + 1 - SHORT_TERM_HOPS)]
        return {
            "momentary_lufs": _rounded(lufs(float(momentary.max()))) if len(momentary) else None,
            "short_term_lufs": _rounded(lufs(float(short_term[-1]))) if len(short_term) else None,
            "integrated_lufs": self._integrated,
        }


def _levels(samples: NDArray[np.float32]) -> dict[str, float | None]:
    import numpy as np

    exact = samples.astype(np.float64)
    peaks = np.abs(exact)
    return {
        "loudness_dbfs": _rounded(decibels(float(np.var(exact)))),
        "peak_dbfs": _rounded(decibels(float(peaks.max()) ** 2)),
        "clipped_share": round(float(np.mean(peaks >= _CLIPPED)), 6),
    }


def _pitch(hz: NDArray[np.float64]) -> dict[str, float | None]:
    """Of the moments of a window, shape (moments,), NaN where there is no pitch."""
    import numpy as np

    voiced = hz[~np.isnan(hz)]
    found: dict[str, float | None] = {"voiced_share": round(len(voiced) / len(hz), 4) if len(hz) else None}
    if not len(voiced):
        return found | dict.fromkeys(f"pitch_{what}_{unit}" for unit in ("hz", "st") for what in _STATISTICS)
    tones = 12 * np.log2(voiced / 100)
    median, lowest, highest = float(np.median(voiced)), float(voiced.min()), float(voiced.max())
    several = len(voiced) > 1
    return found | {
        "pitch_median_hz": round(median, 2),
        "pitch_min_hz": round(lowest, 2),
        "pitch_max_hz": round(highest, 2),
        "pitch_sd_hz": round(float(voiced.std()), 2) if several else None,
        "pitch_median_st": round(semitones(median), 3),
        "pitch_min_st": round(semitones(lowest), 3),
        "pitch_max_st": round(semitones(highest), 3),
        "pitch_sd_st": round(float(tones.std()), 3) if several else None,
    }


_STATISTICS = ("median", "min", "max", "sd")


def _pauses(silent: Sequence[Span], begin_s: float, end_s: float, samples: int) -> dict[str, float | int | None]:
    if samples < SHORTEST_S * SOUND_RATE_HZ:
        return {"pause_share": None, "pauses": None, "longest_pause_s": None}
    touching = [span for span in silent if span.begin_s < end_s and span.end_s > begin_s]
    longest = max((span.length / SOUND_RATE_HZ for span in touching), default=None)
    return {
        "pause_share": round(min(1.0, overlap(touching, begin_s, end_s) / (end_s - begin_s)), 4),
        "pauses": sum(begin_s <= span.begin_s < end_s for span in touching),
        "longest_pause_s": _rounded(longest),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, 3)
