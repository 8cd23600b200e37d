from __future__ import annotations

from typing import Any

import pytest
from msgspec import Struct

from hume_runner.services.batch_v0.shapes import (
    Box,
    Burst,
    Face,
    Interval,
    Ner,
    Score,
    Source,
    Span,
    entry_errors,
    name_of,
    tolerant,
)


@pytest.mark.parametrize(
    ("value", "shape", "fits", "left"),
    [
        ({"frame": 3, "brow": 1}, Face, Face(frame=3), {"brow": 1}),
        ({"frame": 3.0}, Face, Face(frame=3), {}),
        ({"frame": 2**63}, Face, Face(), {"frame": 2**63}),
        ({"frame": "3"}, Face, Face(), {"frame": "3"}),
        ({"box": {"x": 1.5, "z": 2}}, Face, Face(box=Box(x=1.5)), {"box": {"z": 2}}),
        ({"time": {"begin": 1, "end": "2"}}, Burst, Burst(time=Interval(begin=1.0)), {"time": {"end": "2"}}),
        (
            {"position": {"begin": 1.5, "end": 4}},
            Ner,
            Ner(position=Span(end=4)),
            {"position": {"begin": 1.5}},
        ),
        (
            {"emotions": [{"name": "Joy", "score": 1}, {"name": "Awe"}]},
            Burst,
            Burst(emotions=[Score(name="Joy", score=1.0)]),
            {"emotions": [{"name": "Awe"}]},
        ),
        ({"emotions": "none"}, Burst, Burst(), {"emotions": "none"}),
        ({"box": []}, Face, Face(), {}),
    ],
)
def test_what_fits_is_typed_and_what_does_not_is_left(
    value: dict[str, Any], shape: type[Struct], fits: Struct, left: dict[str, Any]
) -> None:
    assert tolerant(shape, value) == (fits, left)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (Source(type="url", url="https://a.test/1"), ("url", ("https://a.test/1",))),
        (Source(type="file", filename="a.wav"), ("file", ("a.wav",))),
        (Source(url="https://a.test/1"), ("url", ("https://a.test/1",))),
        (Source(url="https://a.test/1", filename="a.wav"), ("file", ("a.wav",))),
        (Source(type="url"), ("url", ("",))),
    ],
)
def test_a_source_is_a_url_where_it_says_so_or_has_nothing_else(source: Source, name: Any) -> None:
    assert name_of(source) == name


def test_an_error_is_told_whatever_it_is() -> None:
    told = entry_errors([{"message": "no face", "file": "a"}, {"file": 3}, "broken", 7])
    assert [(error.file, error.message) for error in told] == [
        ("a", "no face"),
        (None, '{"file":3}'),
        (None, "broken"),
        (None, "7"),
    ]
