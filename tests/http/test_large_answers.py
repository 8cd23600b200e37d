"""A source's answer may be larger than memory: it is read, and checked, in a window."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.errors import UnexpectedResponse
from hume_runner.http.json_stream import (
    MAX_PIECE_BYTES,
    TOO_LARGE,
    WINDOW_BYTES,
    JsonReader,
    Shape,
    kind,
    project,
    whole,
)
from hume_runner.services.batch_v0.names import EXPRESSIONS_48
from hume_runner.services.batch_v0.reading import SourceResultView, read_source_result
from tests.http.test_json_stream import STYLES, VALUES, _chunks
from tests.tiers import examples, sampled

linux_only = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of memory")

# Of an element that is large: all but what its models say.
SOURCE_RESULT: Shape = {
    "source": whole,
    "error": whole,
    "results": {
        "errors": whole,
        "predictions": ({"file": whole, "file_type": whole, "models": {"*": kind}},),
    },
}


def _source_results(stream: BinaryIO | Iterable[bytes]) -> Iterator[SourceResultView]:
    """What predictions say about each source, in their order, without what the models of large ones say."""
    reader = JsonReader(stream)
    for _ in reader.whole_array():
        small = reader.value_within(WINDOW_BYTES)
        yield read_source_result(project(reader, SOURCE_RESULT) if small is TOO_LARGE else small)


def face_rows(count: int) -> list[dict[str, Any]]:
    scores = [{"name": name, "score": number / 7} for number, name in enumerate(EXPRESSIONS_48)]
    return [{"frame": n, "time": n / 3, "prob": 0.99, "box": {"x": 1.5}, "emotions": scores} for n in range(count)]


def source(name: str, rows: int, **more: Any) -> dict[str, Any]:
    model = {"metadata": None, "grouped_predictions": [{"id": "face_0", "predictions": face_rows(rows)}]}
    files = [{"file": name, "file_type": "video", "models": {"face": model, "prosody": None}}]
    return {
        "results": {"predictions": files, "errors": [{"file": "é.wav", "message": "no speech"}]},
        "source": {"type": "url", "url": f"https://example.org/{name}"},
        "error": None,
        **more,
    }


@settings(max_examples=examples(150), deadline=None)
@given(VALUES, STYLES, st.lists(st.integers(0, 10_000), max_size=12))
def test_a_shape_keeps_what_it_names_however_the_bytes_come(value: Any, style: dict, cuts: list[int]) -> None:
    document = [{"keep": value, "drop": value, "many": [{"a": 1, "b": value}, value]}, value]
    body = json.dumps(document, **{**style, "ensure_ascii": True}).encode()
    reader = JsonReader(_chunks(body, cuts))
    shape = {"keep": whole, "many": ({"b": kind},)}

    def kind_of(one: Any) -> Any:
        return type(one)() if isinstance(one, dict | list) else one

    def kept(one: Any) -> Any:
        if not isinstance(one, dict):
            return kind_of(one)
        many = one.get("many")
        rows = [({"b": kind_of(row["b"])} if "b" in row else {}) if isinstance(row, dict) else kind_of(row)
                for row in many] if isinstance(many, list) else kind_of(many)  # fmt: skip
        return {name: rows if name == "many" else one[name] for name in one if name in shape}

    assert [project(reader, shape) for _ in reader.whole_array()] == [kept(one) for one in document]


@pytest.mark.sweep
def test_what_is_large_reads_like_what_is_small(tmp_path: Path) -> None:
    elements = [source("a.mp4", 3), source("é b.mp4", 1500), source("c.mp4", 2), source("d.mp4", 900, extra=[1] * 9)]
    elements[1]["error"] = "partly"
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(elements, ensure_ascii=False), encoding="utf-8")
    with path.open("rb") as file:
        found = list(_source_results(file))

    def without_content(view: Any) -> Any:
        files = [(one.file, one.file_type, sorted(one.models)) for one in view.predictions]
        return view.kind, view.url, files, view.errors, view.error

    assert [*map(without_content, found)] == [without_content(read_source_result(one)) for one in elements]
    assert found[1].error == "partly"


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    "damage",
    [
        b'"score": NaN',
        b'"score": 01',
        b'"score" 1',
        b'"score": "\xff"',
        b'"score": tru',
        b'"score": [1}',
        b'"score": 1,}',
    ],
)
def test_damage_deep_in_a_large_answer_is_noticed_although_nothing_of_it_is_kept(damage: bytes) -> None:
    body = json.dumps([source("a.mp4", 3000)]).encode()
    middle = body.index(b'"score"', len(body) // 2)
    end = body.index(b"}", middle)
    with pytest.raises(UnexpectedResponse):
        list(_source_results([body[:middle], damage, body[end:]]))


@pytest.mark.sweep
def test_a_large_answer_that_is_cut_anywhere_is_noticed() -> None:
    body = json.dumps([source("a.mp4", 700)]).encode()

    def is_taken(cut: int) -> bool:
        try:
            list(_source_results([body[:cut]]))
        except UnexpectedResponse:
            return False
        return True

    cuts = [*range(1_200_001, len(body), 333_333), *range(len(body) - 12, len(body) + 1)]
    assert [cut for cut in cuts if is_taken(cut)] == [len(body)]


@pytest.mark.sweep
def test_a_text_without_end_is_refused_before_it_is_in_memory() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        yield b'[{"source": {"type": "url", "url": "'
        while True:
            read += 1 << 20
            yield b"x" * (1 << 20)

    with pytest.raises(UnexpectedResponse, match="more than"):
        list(_source_results(endless()))
    assert read <= 3 * MAX_PIECE_BYTES


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(UnexpectedResponse, match="nested too deeply"):
        list(_source_results([b'[{"x":' * 1_500_000]))


PROGRAM = """
import sys
from pathlib import Path
from hume_runner.services.batch_v0.answers import read_outcomes
from hume_runner.services.jobs import Job

def peak_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

small, large = map(Path, sys.argv[1:])
job = Job(number=1, key="k", nonce="n", members=(), size_bytes=0, matches=())
read_outcomes(job, small, {})
before = peak_kb()
read_outcomes(job, large, {})
print((peak_kb() - before) * 1024)
"""


@pytest.mark.sweep
@linux_only
def test_checking_one_large_source_takes_a_fraction_of_its_size(tmp_path: Path) -> None:
    small, large = tmp_path / "small.json", tmp_path / "large.json"
    small.write_text(json.dumps([source("a.mp4", 900)]))
    large.write_text(json.dumps([source("a.mp4", 15_000)]))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(small), str(large)], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) < large.stat().st_size / 4
