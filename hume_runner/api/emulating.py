"""The stand-in service as a server of its own, with what goes wrong there read from files."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import yaml

from hume_runner.emulator.faults import parse_duration_s
from hume_runner.emulator.server import Emulator
from hume_runner.errors import UsageError, refuse_scarce
from hume_runner.regular_files import open_regular

_LAST_PORT = 65535


def stand_in(
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    data: Path | None = None,
    api_keys: Sequence[str] = (),
    processing_time: str = "200ms",
    max_concurrent_jobs: int = 50,
    seed: int = 0,
    faults: str | PathLike[str] | None = None,
    difficulties: str | PathLike[str] | None = None,
) -> Emulator:
    """An Emulator that serves for as long as a `with` lasts. `processing_time` as `200ms`, `2s` or `1m`; `faults` and
    `difficulties` name files, JSON or YAML. Raises: UsageError, MissingExtra."""
    if not 0 <= port <= _LAST_PORT:
        raise UsageError(f"--port {port}: ports go to {_LAST_PORT}", hint="leave it out, and a free one is taken")
    return Emulator(
        host=host,
        port=port,
        data=data,
        api_keys=api_keys,
        processing_time_s=parse_duration_s(processing_time),
        max_concurrent_jobs=max_concurrent_jobs,
        seed=seed,
        faults=_read("--faults", faults, list, "a list of faults") or [],
        difficulties=_read("--difficulties", difficulties, dict, "an object of difficulties"),
    )


def _read(flag: str, name: str | PathLike[str] | None, kind: type, wanted: str) -> Any:
    """The content of the file that the flag names. None without one."""
    if name is None:
        return None
    try:
        with open_regular(Path(name)) as file:
            value = yaml.safe_load(file.read().decode("utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # a date may be none, and nesting endless
        refuse_scarce(error)
        raise UsageError(f"{flag} {name}: {error}") from error
    if not isinstance(value, kind):
        raise UsageError(f"{flag} {name}: must hold {wanted}")
    return value
