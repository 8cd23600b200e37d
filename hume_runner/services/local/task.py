"""One piece of work: what is measured of one material, by whom. Plain values, which a worker process is handed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from hume_runner.frozen import frozen


@frozen
class Wanted:
    """One measurer with its options (JSON text, so that it can be told apart) and where its weights lie: None where
    that is for the process to know that measures."""

    model: str
    options: str
    files: tuple[tuple[str, str], ...] | None = ()


@frozen
class Texts:
    """Written texts, each a source."""

    texts: tuple[str, ...]


@frozen
class SoundPart:
    """Some samples of a plain WAV; `detail` says where they lie in the source, `errors` what of it is not measured."""

    path: str
    name: str
    detail: Mapping[str, Any]


@frozen
class Pictures:
    """A passage of a video, in whole seconds of the source; without `end_s` to its end."""

    path: str
    name: str
    begin_s: int
    end_s: int | None
    detail: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Stills:
    """Pictures, each a source: (file, its name for people)."""

    files: tuple[tuple[str, str], ...]


@frozen
class Task:
    wanted: tuple[Wanted, ...]
    material: Texts | SoundPart | Pictures | Stills
