"""The published definitions, as schemathesis reads them. It is loaded where a test uses it and its plugin for pytest
is off: both take seconds, and each worker collects every test."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# The definition of the batch API says `format: uri`; it fetches and posts, so only web addresses make sense to it.
_ADDRESS = r"\Ahttps?://[a-z]{1,9}\.(org|invalid)/[a-z0-9./]{0,12}\Z"
# The parser in C, where PyYAML has it: every worker reads them when it collects.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_METHODS = {"get", "post", "put", "patch", "delete"}


def operations(definition: Path) -> list[tuple[str, str]]:
    """(path, method in capitals) of all that a definition names."""
    paths = yaml.load(definition.read_text(encoding="utf-8"), Loader=_Loader)["paths"]
    return [(path, method.upper()) for path, members in paths.items() for method in members if method in _METHODS]


@cache
def loaded(definition: Path) -> Any:
    import schemathesis

    schemathesis.openapi.format("uri", st.from_regex(_ADDRESS))
    schema = schemathesis.openapi.from_path(definition)
    schema.config.generation.update(modes=[schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE])
    return schema


def check_generated(definition: Path, operation: tuple[str, str], most: int, check: Callable[[Any], None]) -> None:
    """Call `check` with so many generated requests of an operation, good ones and bad ones."""
    path, method = operation
    tried: list[Any] = []

    @given(case=loaded(definition)[path][method].as_strategy())
    @settings(
        max_examples=most, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None
    )
    def checked(case: Any) -> None:
        tried.append(case)
        check(case)

    checked()
    assert tried
