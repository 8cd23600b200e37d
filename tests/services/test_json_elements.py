from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import ResultsError
from hume_runner.http.json_stream import MAX_PIECE_BYTES
from hume_runner.services import json_elements
from hume_runner.services.json_elements import elements

# Lone halves of surrogate pairs are replaced on purpose and have a test of their own.
_TEXT = st.text(st.characters(exclude_categories=("Cs",)))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def _raw_elements(path: Path, member: str | None = None) -> list[bytes]:
    return [reader.raw(MAX_PIECE_BYTES) for reader in elements(path, member)]


@given(st.lists(_VALUES, max_size=6), st.sampled_from([None, 2]), st.booleans())
def test_the_elements_are_those_of_the_array(
    tmp_path_factory: pytest.TempPathFactory, values: list[object], indent: int | None, ascii_only: bool
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_text(json.dumps(values, indent=indent, ensure_ascii=ascii_only), encoding="utf-8")

    assert [json.loads(element) for element in _raw_elements(path)] == values


@pytest.mark.sweep
def test_elements_far_larger_than_a_chunk_are_whole(tmp_path: Path) -> None:
    values = [{"n": [i / 7 for i in range(90_000)], "text": "]}, {" * 1000}, {"n": 1.5}, [True] * 400_000]
    path = tmp_path / "a.json"
    for indent in (None, 1):
        path.write_text(json.dumps(values, indent=indent))
        assert path.stat().st_size > 3 * json_elements._CHUNK_BYTES
        assert [json.loads(element) for element in _raw_elements(path)] == values


def test_a_number_cut_at_the_end_of_a_chunk_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for cut in range(8):
        filler = "x" * (json_elements._CHUNK_BYTES - 12 - cut)
        path.write_text(f'["{filler}", 0.123456, 1]')
        assert [json.loads(element) for element in _raw_elements(path)] == [filler, 0.123456, 1]


def test_half_a_character_becomes_the_replacement_character(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(rb'[{"a":"\ud800x \ud83d\ude00 \\ud800 \udc00"}, 2]')

    assert [json.loads(element) for element in _raw_elements(path)] == [{"a": "\ufffdx 😀 \\ud800 \ufffd"}, 2]


@pytest.mark.parametrize(
    "document", [b"", b"   ", b"<html>", b"[", b"[1", b"[1,", b'[{"a":1}', b'[{"a":', b'[tru', b"[1 2]"]
)  # fmt: skip
def test_what_is_no_complete_array_is_an_error_that_names_the_file(document: bytes, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_bytes(document)

    with pytest.raises(ResultsError, match=r"predictions\.json"):
        _raw_elements(path)


def test_an_object_gives_its_member_or_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('\ufeff{"predictions": [{"a": 1}, 2], "status": "x"}', encoding="utf-8")
    assert _raw_elements(path, "predictions") == [b'{"a": 1}', b"2"]

    path.write_text('{"source": 1}')
    assert _raw_elements(path, "predictions") == [b'{"source": 1}']


@pytest.mark.parametrize("first", ['[{"a": 1}]', "[]", '{"source": 1}', '{"predictions": [{"a": 1}]}', "{}"])
@pytest.mark.parametrize("rest", ["[]", '{"a": 2}', "my notes", ",", "]", "}", "1", "\0", '"', "\ufeff"])
@pytest.mark.parametrize("between", ["", "\n", " \r\n\t"])
def test_what_follows_the_document_is_an_error_that_says_where_it_begins(
    first: str, rest: str, between: str, tmp_path: Path
) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(first + between + rest, encoding="utf-8", newline="")

    with pytest.raises(
        ResultsError, match=rf"predictions\.json: .*something follows the .* \(byte {len(first + between)}\)"
    ):
        _raw_elements(path, "predictions")


@pytest.mark.parametrize("short", range(3))
def test_what_follows_is_seen_where_the_document_ends_with_a_chunk(short: int, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    for begin, end in (('["', '"]'), ('{"predictions": ["', '"]}')):
        document = begin + "x" * (json_elements._CHUNK_BYTES - short - len(begin + end)) + end
        path.write_text(document + " [2]")

        with pytest.raises(ResultsError, match=rf"follows the .* \(byte {len(document) + 1:,}\)"):
            _raw_elements(path, "predictions")


@pytest.mark.parametrize("document", ['[{"a": 1}]', '{"predictions": [{"a": 1}]}'])
@pytest.mark.parametrize("blanks", ["\n", "\r\n", " \t\n\n", " " * 3_000_000])
def test_blanks_may_follow_the_document(document: str, blanks: str, tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(document + blanks, encoding="utf-8", newline="")

    assert _raw_elements(path, "predictions") == [b'{"a": 1}']
