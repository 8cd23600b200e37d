"""A measurer, as a piece of work sees it: the protocol, and the material that it is given.

A measurer is a module-level value, named in the entry point group `hume_runner.measurers` under the word that the
`models` of a manifest use for it. Asking it for its card, its options or its tables imports nothing heavy; `open` does,
in the process that measures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from hume_runner.frozen import frozen
from hume_runner.services.table_shapes import Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Reads = Literal["text", "sound", "pictures"]
SOUND_RATE_HZ = 16_000
# Whole numbers that count within a piece, and go on from piece to piece of a source.
NUMBERED = frozenset({"utterance", "turn", "track", "picture"})
# Seconds from the start of the material, of which the source's own are made.
TIMES = ("begin_s", "end_s", "time_s")


@frozen
class WeightFile:
    """A file that a measurer needs: its name in the catalogue (`whisper-tiny.en/model.bin`) and what it must hold.

    `sha256` is hex. `lies`: where it is if it comes with the package of the measurer, so that nobody has to pull it.
    """

    name: str
    sha256: str
    lies: Path | None = None


@frozen
class Card:
    """What a reader has to know of the scores of a measurer with these options.

    `labels` as the model spells them, `scale` what its numbers are, `limits` what it gets wrong and what it must not be
    used for, in a sentence or two. `files` are its weights; one that has none is told by its version alone.
    """

    name: str
    version: str
    licence: str
    trained_on: str
    labels: tuple[str, ...] = ()
    scale: str
    limits: str
    source: str = ""  # a paper or a page
    files: tuple[WeightFile, ...] = ()

    @property
    def sha256(self) -> str:
        """Hex SHA-256 of the weights: the file's own where there is one, else that of their hashes in order."""
        if len(self.files) == 1:
            return self.files[0].sha256
        return hashlib.sha256("".join(f"{one.sha256}\n" for one in self.files).encode()).hexdigest()

    @property
    def measured_by(self) -> str:
        """What a row says of who measured it: `name@version#sha8`."""
        return f"{self.name}@{self.version}#{self.sha256[:8]}"


@frozen
class Word:
    """One word as it was heard. Times are seconds from the start of the material; `begin` and `end` are places in the
    text of the passage (characters, half open)."""

    begin_s: float
    end_s: float
    begin: int
    end: int
    probability: float | None = None


@frozen
class Passage:
    """A text that was written (without times or words), or one utterance as it was heard."""

    text: str
    begin_s: float | None = None
    end_s: float | None = None
    words: tuple[Word, ...] = ()
    language: str | None = None  # ISO 639-1, where that is known


@frozen
class Sound:
    """One channel of sound, 16 kHz, float32 from -1 to 1, shape (samples,): a recording, or some minutes of one that
    was cut in pauses."""

    samples: NDArray[np.float32]


@frozen
class Picture:
    """One picture, upright, RGB, shape (height, width, 3), uint8. `time_s` counts from the start of the video; None for
    a still."""

    time_s: float | None
    rgb: NDArray[np.uint8]


@frozen
class Row:
    """One row of the table `layout`: values by column name.

    The scores of a family stand under its prefix as a mapping from the model's own label to the score (None: nothing
    was measured); those of an open family under its name. Times (`begin_s`, `end_s`, `time_s`) are seconds from the
    start of the material: where that lies in the source is added afterwards, and so is `measured_by`. Rows of a table
    come in the order of their times, none of which lies outside the material (`row_times`).
    """

    layout: str
    values: Mapping[str, object] = field(default_factory=dict)


class TextSession(Protocol):
    """A measurer of text with its weights loaded. Not shared between threads."""

    def measure(self, passages: Sequence[Passage]) -> Iterator[tuple[int, Row]]:
        """(number of the passage, row), in order."""
        ...


class SoundSession(Protocol):
    """A measurer of sound with its weights loaded. Not shared between threads."""

    def measure(self, sound: Sound) -> Iterator[Row]:
        """Rows in the order of time."""
        ...


class PictureSession(Protocol):
    """A measurer of pictures with its weights loaded. Not shared between threads."""

    def measure(self, pictures: Iterable[Picture]) -> Iterator[Row]:
        """Rows in the order of the pictures, which are read one by one: a video is never held."""
        ...


Session = TextSession | SoundSession | PictureSession


@frozen
class Fault:
    """Why options that fit the schema can never measure: the option to change, what is wrong, what to do."""

    option: str
    message: str
    hint: str


class Measurer(Protocol):
    """One kind of measurement. Everything but `open` is cheap and imports nothing that a plan does not need.

    It may have more: `fault(options) -> Fault | None` tells what of options that fit the schema can never measure, so
    that a manifest is refused before anything is tried; `caution(options) -> str | None` what people have to know of
    their material before it is measured, which a plan says.

    What others offer is looked at when it is taken in (`offered`), and what any gives where it becomes an answer
    (`table_check`).
    """

    @property
    def model(self) -> str:
        """The word in a manifest's `models`."""
        ...

    @property
    def reads(self) -> Reads: ...

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """Its tables, without `measured_by`, which every row has."""
        ...

    @property
    def schema(self) -> Mapping[str, Any]:
        """JSON Schema of its options in a manifest: an object, nothing additional, every member described."""
        ...

    @property
    def modules(self) -> tuple[str, ...]:
        """Modules that have to be importable, of the extra `local`."""
        ...

    def card(self, options: Mapping[str, Any]) -> Card:
        """Who measures with these options. Pure."""
        ...

    def open(self, options: Mapping[str, Any], files: Mapping[str, Path]) -> Session:
        """Ready to measure. `files`: where each file of the card lies, checked already. Raises: OSError, ValueError for
        weights that cannot be used."""
        ...
