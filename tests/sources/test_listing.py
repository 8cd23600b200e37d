from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hume_runner.errors import HumeRunnerError, ManifestError, SourceError
from hume_runner.manifest.load import load_manifest
from hume_runner.sources import expand
from hume_runner.sources.base import SourceItem
from tests.manifest.writing import write
from tests.tiers import examples


def listed(folder: Path, name: str, content: str | bytes, *, kind: str = "text", more: str = "") -> list[SourceItem]:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return list(expand(load_manifest(write(folder, f"{{{kind}: [{{from: {name}{more}}}]}}"))))


def test_csv_columns_become_value_id_and_labels(tmp_path: Path) -> None:
    content = '\ufeffid,text,group\r\na,"One, two",A\r\n,"Three\r\nlines ""here""",\r\n\r\nc,Four,C\r\n'
    found = listed(tmp_path, "l.csv", content)
    assert [item.value for item in found] == ["One, two", 'Three\r\nlines "here"', "Four"]
    assert [item.explicit_id for item in found] == [True, False, True]
    assert found[1].id.startswith("text-")
    assert [dict(item.labels) for item in found] == [{"group": "A"}, {"group": ""}, {"group": "C"}]
    assert [item.place.line for item in found] == [2, 3, 6]


def test_tsv_is_split_at_tabs(tmp_path: Path) -> None:
    (item,) = listed(tmp_path, "l.tsv", "text\tgroup\nOne, two\tA\n")
    assert (item.value, item.labels) == ("One, two", {"group": "A"})


def test_jsonl_keeps_the_types_of_labels(tmp_path: Path) -> None:
    content = '{"text": "One", "id": "a", "wave": 2, "ok": true, "note": null}\n\n"Two"\n'
    one, two = listed(tmp_path, "l.jsonl", content)
    assert (one.id, one.labels) == ("a", {"wave": 2, "ok": True, "note": None})
    assert (two.value, two.place.line) == ("Two", 3)


def test_txt_is_one_source_a_line_and_knows_no_comments(tmp_path: Path) -> None:
    found = listed(tmp_path, "l.txt", "# one\n\n  two  \nthree")
    assert [item.value for item in found] == ["# one", "  two  ", "three"]
    (url,) = listed(tmp_path, "u.txt", "  https://example.org/a \n", kind="urls")
    assert url.value == "https://example.org/a"


def test_the_only_column_needs_no_name(tmp_path: Path) -> None:
    (item,) = listed(tmp_path, "l.csv", "answer,id\nOne,a\n")
    assert item.value == "One"


def test_a_list_without_header_loses_no_source_silently(tmp_path: Path) -> None:
    for kind, content in (("text", "I am glad.\nMe too.\n"), ("urls", "https://h/a\nhttps://h/b\n")):
        with pytest.raises(ManifestError, match="has no column"):
            listed(tmp_path, "l.csv", content, kind=kind)
    (tmp_path / "take1").write_bytes(b"x")
    with pytest.raises(ManifestError, match="has no column"):
        listed(tmp_path, "l.csv", "take1\ntake1\n", kind="files")


def test_a_chosen_column_wins_and_the_default_one_becomes_a_label(tmp_path: Path) -> None:
    (item,) = listed(tmp_path, "l.csv", "text,other\nOne,Two\n", more=", column: other")
    assert (item.value, item.labels) == ("Two", {"text": "One"})


def test_a_text_longer_than_csv_usually_allows_is_read(tmp_path: Path) -> None:
    (item,) = listed(tmp_path, "l.csv", f"text\n{'x' * 500_000}\n")
    assert len(item.value) == 500_000


def test_a_missing_list_is_a_missing_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="there is no list") as caught:
        list(expand(load_manifest(write(tmp_path, "{text: [{from: no.csv}, {from: nor.txt}]}"))))
    assert len(caught.value.problems) == 2


def test_hundreds_of_bad_rows_are_counted_not_listed(tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        listed(tmp_path, "l.txt", "ftp://h/a\n" * 1_234, kind="urls")
    assert len(caught.value.problems) == 101
    assert caught.value.problems[-1].message == "and 1,134 more problems"


def test_hostile_json_lines_are_problems_of_their_lines(tmp_path: Path) -> None:
    lines = ["[" * 100_000, '{"text": ' + "9" * 10_000 + "}", '{"text": "\\ud800"}', '{"text": "a\\u0000b"}', "{"]
    with pytest.raises(ManifestError) as caught:
        listed(tmp_path, "l.jsonl", "\n".join(lines))
    assert [problem.line for problem in caught.value.problems] == [1, 2, 3, 4, 5]


def test_expansion_is_lazy(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("text\n" + "Hello there.\n" * 50_000 + '"open')
    expansion = expand(load_manifest(write(tmp_path, "{text: [{from: l.csv}]}")))
    assert next(expansion).value == "Hello there."


_CELLS = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=20).filter(str.strip)


@pytest.mark.sweep
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(_CELLS, _CELLS), min_size=1, max_size=6))
def test_what_is_written_as_csv_and_jsonl_comes_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    rows = [(text, f"~{label}") for text, label in rows]  # a csv label that reads like a number becomes one
    buffer = io.StringIO()
    csv.writer(buffer).writerows([("text", "label"), *rows])
    jsonl = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    for name, content in (("l.csv", buffer.getvalue()), ("l.jsonl", jsonl)):
        found = listed(tmp_path, name, content)
        assert [(item.value, item.labels["label"]) for item in found] == rows


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=60) | st.text(alphabet='a,"\n\r\t{}[]:url 1é', max_size=60).map(str.encode),
    extension=st.sampled_from(["csv", "tsv", "jsonl", "txt"]),
    kind=st.sampled_from(["urls", "files", "text"]),
)
def test_any_list_gives_items_or_problems(tmp_path: Path, data: bytes, extension: str, kind: str) -> None:
    try:
        found = listed(tmp_path, f"l.{extension}", data, kind=kind)
    except HumeRunnerError as error:
        found = []
        problems = getattr(error, "problems", ())
        outcome = bool(problems) and all(problem.hint for problem in problems)
    else:
        outcome = bool(found)
    assert outcome


@pytest.mark.parametrize("doubled", ['{"text": "a", "text": "b"}', '{"text": "a", "mood": 1, "mood": 1}'])
def test_a_record_that_has_a_member_twice_is_refused_with_its_line(doubled: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        listed(tmp_path, "l.jsonl", '{"text": "one"}\n' + doubled + '\n\n{"text": "two"}\n' + doubled + "\n")
    assert [(problem.line, problem.message) for problem in caught.value.problems] == [
        (line, f"has the member '{'mood' if 'mood' in doubled else 'text'}' twice") for line in (2, 5)
    ]


def test_a_column_that_is_missing_names_the_line_of_names(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"in its line of names, .*l\.csv:3"):
        listed(tmp_path, "l.csv", "\n\nspeech,mood\nI am glad.,good\n")
