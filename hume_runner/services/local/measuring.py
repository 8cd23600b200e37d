"""A piece of work is measured: by module-level functions of plain values, run in a worker process, whose result is the
answer as it is kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hume_runner.errors import UsageError
from hume_runner.media.frames import iter_pixels
from hume_runner.media.stills import still_pixels
from hume_runner.media.wav import BYTES_PER_SAMPLE, HEADER_BYTES
from hume_runner.services.local.answer_form import SourceFound, Told, answer_of
from hume_runner.services.local.attempt import Attempt, Lacking, no_source_s_fault, read_by_us
from hume_runner.services.local.measurers.base import (
    SOUND_RATE_HZ,
    Card,
    Measurer,
    Passage,
    Picture,
    PictureSession,
    Row,
    Sound,
    SoundSession,
    TextSession,
)
from hume_runner.services.local.measurers.found import find
from hume_runner.services.local.measurers.kept_values import Nonsense
from hume_runner.services.local.measurers.row_times import Extent, time_fault
from hume_runner.services.local.measurers.table_check import Rows
from hume_runner.services.local.measurers.transcript import passages
from hume_runner.services.local.ready import require_ready
from hume_runner.services.local.settings import TRANSCRIBES, chosen, picture_rate
from hume_runner.services.local.task import Pictures, SoundPart, Stills, Task, Texts, Wanted
from hume_runner.services.local.weights import require
from hume_runner.services.making import media_reader, require_seen
from hume_runner.services.placing import Placed, placed

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray


def measure(task: Task) -> bytes:
    """The answer: JSON as `schemas/local-answer-v1.schema.json` describes it, the same bytes every time.

    What is wrong with one source is in the answer. Raises: HumeRunnerError, OSError, MemoryError, ValueError for what
    is wrong here.
    """
    try:
        sources = _sources(task)
    except Lacking as lacking:
        raise lacking.error from lacking.error.__cause__
    cards = {one.model: _card(one) for one in task.wanted}
    return answer_of(cards, sources)


def _sources(task: Task) -> list[SourceFound]:
    match task.material:
        case Texts() as texts:
            return _texts(task.wanted, texts)
        case SoundPart() as part:
            return [_sound(task.wanted, part)]
        case Pictures() as pictures:
            return [_pictures(task.wanted, pictures)]
        case Stills() as stills:
            return [_still(task.wanted, Path(path), name) for path, name in stills.files]


def measure_elsewhere(task: Task, files: tuple[tuple[str, int], ...]) -> bytes:
    """`measure` where the files of the material, (path, bytes), may not be what they are for who asks.

    Raises: Unseen; what `measure` raises.
    """
    require_seen(files)
    return measure(task)


def measured_by(models: str) -> tuple[str, ...]:
    """Who measures here the models of a manifest (JSON), and with what media are read. Raises: HumeRunnerError where
    something is lacking."""
    asked = chosen(json.loads(models))
    require_ready(asked)
    return (*media_reader(), *(one.card.measured_by for one in asked))


@lru_cache(maxsize=16)
def _session(one: Wanted) -> Any:
    """A measurer with its weights loaded, once in a process."""
    files = dict(one.files) if one.files is not None else require(_card(one).files)
    with no_source_s_fault(one.model):
        return _measurer(one.model).open(json.loads(one.options), {name: Path(path) for name, path in files.items()})


def _measurer(model: str) -> Measurer:
    """Raises: UsageError where it is not installed for the process that measures."""
    found = find(model)
    if found is None:
        raise UsageError(
            f"nothing that measures {model!r} is installed where it is to be measured",
            hint="install there the package that offers it",
        )
    return found


def _card(one: Wanted) -> Card:
    return _measurer(one.model).card(json.loads(one.options))


@lru_cache(maxsize=16)
def _rows(model: str) -> Rows:
    return Rows(_measurer(model).layouts)


def _checked(one: Wanted, rows: Iterable[Row]) -> list[Told]:
    """What one measurer gave, all of which is kept for good. Raises: Nonsense, naming what cannot be; what it raises.

    The only way for rows into an answer, with `_timely`."""
    judge = _rows(one.model)
    return [judge.checked(row) for row in rows]


def _timely(rows: list[Told], extent: Extent) -> list[Told]:
    """These rows. Raises: Nonsense where one's times cannot be."""
    if (fault := time_fault(rows, extent)) is not None:
        raise Nonsense(fault)
    return rows


def _fill(source: SourceFound, one: Wanted, rows: Sequence[Told], placed: Placed | None = None) -> None:
    """All of them or none: a source of which a measurer failed has no rows of it."""
    by = _card(one).measured_by
    for row in rows if placed is None else [_in_the_source(row, placed) for row in rows]:
        source.add(by, row)


def _in_the_source(told: Told, placed: Placed) -> Told:
    """A row with times of the source for those of the material."""
    table, values = told
    begin, end, moment = (values.get(name) for name in ("begin_s", "end_s", "time_s"))
    times: dict[str, object] = {}
    if begin is not None and end is not None:
        begin_ms, end_ms = placed(round(begin * 1000), round(end * 1000))
        times = {"begin_s": begin_ms / 1000, "end_s": end_ms / 1000}
    elif begin is not None:
        times = {"begin_s": _moment(begin, placed)}
    elif end is not None:
        times = {"end_s": placed(0, round(end * 1000))[1] / 1000}
    if moment is not None:
        times["time_s"] = _moment(moment, placed)
    return table, {**values, **times}


def _moment(at_s: float, placed: Placed) -> float:
    return placed(round(at_s * 1000), round(at_s * 1000))[0] / 1000


# -- text --------------------------------------------------------------------------------------------------------------


def _texts(wanted: Sequence[Wanted], material: Texts) -> list[SourceFound]:
    sources = [SourceFound() for _ in material.texts]
    passages = [Passage(text=text) for text in material.texts]
    for one in wanted:
        try:
            told = _of_texts(one, passages)
        except Lacking:
            raise
        except BaseException:
            # One of them is at fault: each alone tells which.
            for source, passage in zip(sources, passages, strict=True):
                with Attempt(source, one, "the text"):
                    _fill(source, one, [row for _, row in _of_texts(one, [passage])])
            continue
        by = _card(one).measured_by
        for number, row in told:
            sources[number].add(by, row)
        for source in sources:
            source.measured += 1
    return sources


def _of_texts(one: Wanted, passages: Sequence[Passage]) -> list[tuple[int, Told]]:
    """What a measurer reads in written texts, each of which has times of its own, if any. Raises: as `_read`."""
    told = _read(one, passages)
    for _, rows in groupby(told, key=itemgetter(0)):
        _timely([row for _, row in rows], Extent())
    return told


def _read(one: Wanted, passages: Sequence[Passage]) -> list[tuple[int, Told]]:
    """(number of the passage, row), in order. Raises: Nonsense, also for a number that none of them has or that is
    lower than the one before; what the measurer raises."""
    session: TextSession = _session(one)
    numbers: list[int] = []

    def rows() -> Iterator[Row]:
        given: object
        for given in session.measure(passages):
            if not isinstance(given, tuple) or len(given) != 2:
                raise Nonsense("gave no pair of the number of a passage and a Row")
            number, row = given
            if type(number) is not int or not 0 <= number < len(passages):
                raise Nonsense(f"gave a row of a passage that there is not, of {len(passages)} from 0")
            if numbers and number < numbers[-1]:
                raise Nonsense(f"gave a row of passage {number} after one of passage {numbers[-1]}")
            numbers.append(number)
            yield row

    told = _checked(one, rows())
    return list(zip(numbers, told, strict=True))


# -- sound -------------------------------------------------------------------------------------------------------------


def _sound(wanted: Sequence[Wanted], part: SoundPart) -> SourceFound:
    source = SourceFound()
    for message in part.detail.get("errors", ()):
        source.lacks("", "partly_measured", message)
    first, samples = int(part.detail["first"]), int(part.detail["samples"])
    sound = Sound(samples=_samples(Path(part.path), first, samples))
    where = placed(part.detail, first)
    extent = Extent(last_ms=-(-samples * 1000 // SOUND_RATE_HZ))
    heard: list[Told] | None = None
    for one in wanted:
        reads_transcript = _measurer(one.model).reads == "text"
        if reads_transcript and heard is None:
            continue  # it failed, as is told: there is nothing that these could be said to have measured
        with Attempt(source, one, part.name):
            if reads_transcript:
                said = passages([Row(layout=table, values=values) for table, values in heard or ()])
                rows = [row for _, row in _read(one, said)]
            else:
                session: SoundSession = _session(one)
                rows = _checked(one, session.measure(sound))
            _fill(source, one, _timely(rows, extent), where)
            if one.model == TRANSCRIBES:
                heard = rows
    return source


def _samples(path: Path, first: int, samples: int) -> Any:
    import numpy as np

    with path.open("rb") as file:
        file.seek(HEADER_BYTES + first * BYTES_PER_SAMPLE)
        body = file.read(samples * BYTES_PER_SAMPLE)
    return np.frombuffer(body, dtype="<i2").astype(np.float32) / np.float32(32768)


# -- pictures ----------------------------------------------------------------------------------------------------------


def _pictures(wanted: Sequence[Wanted], material: Pictures) -> SourceFound:
    source = SourceFound()
    for message in material.detail.get("errors", ()):
        source.lacks("", "partly_measured", message)
    for one in wanted:
        latest_s = float(material.begin_s)

        def shown(fps: float) -> Iterator[Picture]:
            nonlocal latest_s
            with read_by_us(material.name):
                pixels = iter_pixels(Path(material.path), fps=fps, begin_s=material.begin_s, end_s=material.end_s)
                for at_s, frame in pixels:
                    latest_s = float(at_s)
                    yield Picture(time_s=float(at_s), rgb=_rgb(frame))

        with Attempt(source, one, material.name):
            session: PictureSession = _session(one)
            rate = picture_rate(json.loads(one.options))
            rows = _checked(one, session.measure(shown(rate)))
            _fill(source, one, _timely(rows, _extent(material, latest_s, rate)))
    return source


def _extent(material: Pictures, latest_s: float, fps: float) -> Extent:
    """What a measurer may speak of that was shown pictures up to `latest_s`: each of them stands until the next, which
    the first of a passage does from before it on."""
    first_ms, last_ms = (round(at_s * 1000) for at_s in (material.begin_s - 1 / fps, latest_s + 1 / fps))
    return Extent(first_ms=max(0, first_ms), last_ms=max(last_ms, (material.end_s or 0) * 1000))


def _still(wanted: Sequence[Wanted], path: Path, name: str) -> SourceFound:
    source = SourceFound()
    for one in wanted:
        with Attempt(source, one, name):
            with read_by_us(name):
                rgb = _rgb(still_pixels(path))
            session: PictureSession = _session(one)
            rows = _checked(one, session.measure([Picture(time_s=None, rgb=rgb)]))
            _fill(source, one, _timely(rows, Extent(last_ms=0)))
    return source


def _rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", frame.to_ndarray(format="rgb24"))
