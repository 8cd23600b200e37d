"""csv and tsv lists as spreadsheets and statistics programs write them, read by the standard library beside us."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hume_runner import plan
from hume_runner.errors import ManifestError, Problem
from hume_runner.manifest.load import load_manifest
from hume_runner.sources import expand
from hume_runner.sources.base import SourceItem
from hume_runner.sources.separators import written
from tests.manifest.writing import write
from tests.tiers import examples

PROSE = 'I said: "well, yes; no|perhaps",\r\nand\tleft.'


def listed(folder: Path, name: str, content: str | bytes, *, kind: str = "text", **more: Any) -> list[SourceItem]:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    entry = json.dumps({"from": name, **more}, ensure_ascii=False)
    return list(expand(load_manifest(write(folder, f"{{{kind}: [{entry}]}}"))))


def refused(folder: Path, name: str, content: str | bytes, *, kind: str = "text", **more: Any) -> tuple[Problem, ...]:
    """What is said of a list of which nothing may be measured."""
    with pytest.raises(ManifestError) as caught:
        listed(folder, name, content, kind=kind, **more)
    assert all(problem.line and problem.column and problem.hint for problem in caught.value.problems)
    return tuple(caught.value.problems)


def table(separator: str, *rows: tuple[str, ...], quoting: Any = csv.QUOTE_MINIMAL, end: str = "\r\n") -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=separator, quoting=quoting, lineterminator=end).writerows(rows)
    return buffer.getvalue()


# -- the wrong separator -----------------------------------------------------------------------------------------------

WRONG = [
    *(("l.csv", one) for one in (";", "\t", "|")),
    *(("l.tsv", one) for one in (";", ",", "|")),
]
BODIES = {
    "plain": (("text", "mood"), ("I am happy", "good"), ("Leave me alone", "bad")),
    "prose": (("text", "mood"), (PROSE, "good"), ("x, y", "bad")),
    "header only": (("text", "mood"),),
    "one row": (("mood", "text"), ("good", PROSE)),
    "many": (("id", "wave", "text", "note"), ("a", "1", "Hello; there", ""), ("b", "2", "One, two", "x|y")),
    "names with blanks": (("what was felt, then", "text"), ("good", "Hello")),
    "other name": (("answer", "mood"), ("I am happy", "good")),
}


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL], ids=["where needed", "all quoted"])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(("name", "separator"), WRONG)
def test_a_wrong_separator_is_refused_naming_the_right_one(
    name: str, separator: str, body: str, quoting: Any, tmp_path: Path
) -> None:
    content = table(separator, *BODIES[body], quoting=quoting)
    (problem,) = refused(tmp_path, name, content)
    shown = {"\t": "tabs", ",": ", (commas)", ";": "; (semicolons)", "|": "| (pipes)"}[separator]
    assert f"columns are separated by {shown}, not by " in problem.message
    assert problem.file.endswith(name)
    assert problem.column is not None
    assert content[problem.column - 1] == separator
    assert next(csv.reader([content[: problem.column - 1]], delimiter=separator)) == [BODIES[body][0][0]]
    # What it says to write is what reads the list.
    told = json.loads(problem.hint.removeprefix("write delimiter: ").removesuffix(" beside from"))
    if len(BODIES[body]) > 1:
        more = {"column": "answer"} if body == "other name" else {}
        found = listed(tmp_path, name, content, delimiter=told, **more)
        at = BODIES[body][0].index(more.get("column", "text"))
        assert [item.value for item in found] == [row[at] for row in BODIES[body][1:]]


@pytest.mark.parametrize("kind", ["urls", "files"])
def test_links_and_paths_in_a_list_of_another_separator_are_refused_as_well(kind: str, tmp_path: Path) -> None:
    column = {"urls": "url", "files": "path"}[kind]
    (problem,) = refused(tmp_path, "l.csv", f"{column};group\r\nhttps://example.org/a.mp4;g1\r\n", kind=kind)
    assert "separated by ; (semicolons)" in problem.message


@pytest.mark.parametrize("given", [",", "|"])
def test_a_delimiter_that_is_wrong_is_refused_like_a_default_that_is(given: str, tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", "text;mood\nI am happy;good\n", delimiter=given)
    assert 'write delimiter: ";"' in problem.hint


@pytest.mark.parametrize("sign", ["^", "~", ":", "#", "§", "\x1f", "!"])
def test_signs_that_hardly_anybody_uses_are_found_too(sign: str, tmp_path: Path) -> None:
    for names in (f"text{sign}mood", f"answer{sign}mood", f"mood{sign}text{sign}n"):
        row = sign.join(["x"] * len(names.split(sign)))
        content = f"{names}\n{row}\n{row}\n"
        if names.startswith("answer") and sign == ":":
            continue
        (problem,) = refused(tmp_path, "l.csv", content)
        assert f"write {written(sign)}" in problem.hint
        assert listed(tmp_path, "l.csv", content, delimiter=sign, column=names.split(sign)[0])[0].value == "x"
    (problem,) = refused(tmp_path, "l.csv", "text mood\nA b\n")
    assert "separated by blanks" in problem.message


@pytest.mark.parametrize("name", ["answer(1)", "e-mail", "Q1?", "was.noch", "größe_2", "#1", "a&b"])
def test_a_single_column_may_have_signs_in_its_name(name: str, tmp_path: Path) -> None:
    found = listed(tmp_path, "l.csv", f"{name}\nWell, then: no?\n".replace("Well, ", "Well; ") + "(1) a-b #1 a\n")
    assert [item.value for item in found] == ["Well; then: no?", "(1) a-b #1 a"]


def test_lines_that_are_quoted_as_a_whole_are_no_single_column(tmp_path: Path) -> None:
    for name, sign in (("l.csv", ";"), ("l.csv", ","), ("l.tsv", "\t")):
        content = f'"text{sign}mood"\r\n"I am happy{sign}good"\r\n'
        (problem,) = refused(tmp_path, name, content)
        assert "in quotes as a whole" in problem.message


def test_a_single_column_may_hold_every_sign(tmp_path: Path) -> None:
    for name, text in (("l.csv", "Well; no | yes\tand"), ("l.tsv", "Well, no; yes | and")):
        (item,) = listed(tmp_path, name, f"text\n{text}\n")
        assert (item.value, item.labels) == (text, {})
    (item,) = listed(tmp_path, "l.csv", '"What now; tell us"\nHello\n', column="What now; tell us")
    assert item.value == "Hello"
    (item,) = listed(tmp_path, "l.csv", 'text,"sad;angry|both"\nHello,1\n')
    assert item.labels == {"sad;angry|both": 1}


def test_a_row_of_another_separator_than_the_line_of_names_is_told(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", "text,mood\nI am happy;good\nMe,ok\n")
    assert (problem.line, "separated by ; (semicolons)" in problem.message) == (2, True)


def test_a_table_that_is_called_txt_is_not_measured_line_by_line(tmp_path: Path) -> None:
    for content in ("text\tmood\nI am happy\tgood\n", "mood;text\ngood;I am happy\n"):
        (problem,) = refused(tmp_path, "l.txt", content)
        assert "is a table" in problem.message
    assert [item.value for item in listed(tmp_path, "l.txt", "text, and more; of it\n")] == ["text, and more; of it"]


# -- sep= --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "\ufeffsep=;"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_a_first_line_that_declares_the_separator_is_believed(line: str, end: str, tmp_path: Path) -> None:
    found = listed(tmp_path, "l.csv", line + end + table(";", ("text", "mood"), ("A, b", "1"), (PROSE, "2"), end=end))
    assert [(item.value, item.labels) for item in found] == [("A, b", {"mood": 1}), (PROSE, {"mood": 2})]
    assert [item.place.line for item in found] == [3, 4]


def test_a_declaration_that_is_wrong_or_contradicted_is_refused(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", "sep=;\ntext,mood\nA,b\n")
    assert (problem.line, "separated by , (commas)" in problem.message) == (2, True)
    (problem,) = refused(tmp_path, "l.csv", "sep=;\ntext;mood\nA;b\n", delimiter="|")
    assert (problem.line, "sep=;" in problem.message) == (1, True)


# -- encodings ---------------------------------------------------------------------------------------------------------

UMLAUTS = (("text", "größe"), ("Schöne Grüße – „Müller“", "groß"), ("plain", "klein"))


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_marked_list_is_read_as_its_mark_says(codec: str, end: str, separator: str, tmp_path: Path) -> None:
    content = table(separator, *UMLAUTS, end=end, quoting=csv.QUOTE_ALL).encode(codec)
    found = listed(tmp_path, "l.csv", content, delimiter=separator)
    assert [(item.value, item.labels["größe"]) for item in found] == list(UMLAUTS[1:])
    assert [item.place.line for item in found] == [2, 3]


def test_big_endian_utf_16_with_its_mark_is_read(tmp_path: Path) -> None:
    found = listed(tmp_path, "l.tsv", ("\ufeff" + table("\t", *UMLAUTS)).encode("utf-16-be"))
    assert found[0].value == UMLAUTS[1][0]


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_refused_with_its_name_and_then_read(codec: str, tmp_path: Path) -> None:
    content = table(",", *UMLAUTS).encode(codec)
    (problem,) = refused(tmp_path, "l.csv", content)
    assert f"write encoding: {codec}" in problem.hint
    assert listed(tmp_path, "l.csv", content, encoding=codec)[0].value == UMLAUTS[1][0]
    assert listed(tmp_path, "l.csv", content, encoding="utf-16")[0].value == UMLAUTS[1][0]


@pytest.mark.sweep
def test_bytes_of_windows_deep_in_a_list_are_found_and_read_with_their_encoding(tmp_path: Path) -> None:
    rows = [("text", "n"), *((f"Zeile {number}", str(number)) for number in range(20_000)), ("Grüße – bis bald", "7")]
    content = table(",", *rows, ("Ende", "8")).encode("cp1252")
    (problem,) = refused(tmp_path, "l.csv", content)
    assert (problem.line, problem.column) == (20_002, 3)
    assert "is not UTF-8 text" in problem.message
    assert "encoding: cp1252" in problem.hint
    found = listed(tmp_path, "l.csv", content, encoding="cp1252")
    assert (len(found), found[-2].value) == (20_002, "Grüße – bis bald")


def test_the_column_of_bad_bytes_counts_characters(tmp_path: Path) -> None:
    for end in (b"\n", b"\r", b"\r\n"):
        (problem,) = refused(tmp_path, "l.csv", b"text" + end + "äöü".encode() + b"x\xe4" + end)
        assert (problem.line, problem.column) == (2, 5)


def test_an_encoding_that_contradicts_the_list_is_refused(tmp_path: Path) -> None:
    for content, told in ((b"\xef\xbb\xbftext\nA\n", "cp1252"), ("text\nA\n".encode("utf-16"), "utf-8")):
        (problem,) = refused(tmp_path, "l.csv", content, encoding=told)
        assert "mark of UTF" in problem.message
    (problem,) = refused(tmp_path, "l.csv", b"text\nna\xefve \x81\n", encoding="cp1252")
    assert (problem.line, problem.column, problem.message) == (2, 7, "is not cp1252 text")


@pytest.mark.parametrize("told", ["cp1252", "latin-1", "mac-roman", "shift_jis"])
def test_utf_8_under_another_name_is_refused_before_it_is_garbled(told: str, tmp_path: Path) -> None:
    content = ("text,n\n" + "plain,1\n" * 2_000 + "Grüße – bis bald,2\n").encode()
    (problem,) = refused(tmp_path, "l.csv", content, encoding=told)
    assert "is UTF-8 text" in problem.message
    assert len(listed(tmp_path, "l.csv", content.replace("Grüße – ".encode(), b""), encoding=told)) == 2_001


def test_an_office_file_is_no_list(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", b"PK\x03\x04\x14\0\6\0rest")
    assert "office document" in problem.message


def test_a_nul_is_told_where_it_stands(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", "text,mood\nA,b\nC,d\0e\n")
    assert (problem.line, "NUL" in problem.message) == (3, True)


@pytest.mark.parametrize("name", ["hex", "rot13", "unicode_escape", "idna", "utf-9", "cp125"])
def test_an_encoding_that_is_none_is_a_problem_of_the_manifest(name: str, tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", "text\nA\n", encoding=name)
    assert problem.path == "sources.text[0].encoding"


@pytest.mark.parametrize("given", ["", ";;", "a", '"', "\n", "comma"])
def test_a_delimiter_that_is_none_is_a_problem_of_the_manifest(given: str, tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", "text\nA\n", delimiter=given)
    assert problem.path == "sources.text[0].delimiter"


def test_what_a_kind_of_list_does_not_have_is_refused(tmp_path: Path) -> None:
    for name, content, more in (
        ("l.jsonl", '{"text": "A"}\n', {"delimiter": ";"}),
        ("l.txt", "A\n", {"delimiter": ";"}),
        ("l.txt", "A\n", {"id_column": "id"}),
        ("l.txt", "A\n", {"labels": ["wave"]}),
    ):
        (problem,) = refused(tmp_path, name, content, **more)
        assert problem.path.startswith("sources.text[0].")


# -- blank rows, widths, names -----------------------------------------------------------------------------------------


def test_lines_without_anything_are_passed_over_wherever_they_are(tmp_path: Path) -> None:
    found = listed(tmp_path, "l.csv", "\n\n\ntext,mood\n\nA,b\n\n\nC,d\n\n\n")
    assert [(item.value, item.place.line) for item in found] == [("A", 6), ("C", 9)]


def test_blank_rows_are_errors_or_passed_over_as_the_manifest_says(tmp_path: Path) -> None:
    content = ",,\ntext,mood,\n,,\nA,b,\n ,only a mood,\nC,d,\n,,\n"
    problems = refused(tmp_path, "l.csv", content)
    assert [problem.line for problem in problems] == [3, 5, 7]
    assert all("blank: skip" in problem.hint for problem in problems)
    found = listed(tmp_path, "l.csv", content, blank="skip")
    assert [(item.value, item.labels) for item in found] == [("A", {"mood": "b"}), ("C", {"mood": "d"})]
    assert [
        item.value for item in listed(tmp_path, "l.jsonl", '{"text": null}\n{"text": ""}\n"A"\n', blank="skip")
    ] == ["A"]
    assert [problem.line for problem in refused(tmp_path, "l.jsonl", '{"text": null}\n{"text": ""}\n"A"\n')] == [1, 2]


def test_a_list_of_blank_rows_lists_nothing(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", "text,mood\n,\n,\n", blank="skip")
    assert problem.message == "lists nothing"


def test_columns_without_a_name_say_nothing(tmp_path: Path) -> None:
    (item,) = listed(tmp_path, "l.csv", ",text,mood,,\n0,A,b,,\n")
    assert (item.value, item.labels) == ("A", {"mood": "b"})


def test_rows_of_other_widths_and_names_that_come_twice_are_told_with_their_lines(tmp_path: Path) -> None:
    problems = refused(tmp_path, "l.csv", 'text,a,b\n"two\nlines",1,2\nA,1\nB,1,2,3\nC\n')
    assert [(problem.line, problem.message) for problem in problems] == [
        (4, "has 2 columns instead of 3"),
        (5, "has 4 columns instead of 3"),
        (6, "has 1 column instead of 3"),
    ]
    (problem,) = refused(tmp_path, "l.csv", "\n\ntext,wave, wave\nA,1,2\n")
    assert (problem.line, problem.message) == (3, "has two columns 'wave'")


def test_marks_inside_quotes_and_twice_are_no_part_of_a_name(tmp_path: Path) -> None:
    for content in ('\ufeff"text","mood"\nA,b\n', "\ufeff\ufefftext,mood\nA,b\n"):
        assert listed(tmp_path, "l.csv", content)[0].labels == {"mood": "b"}


# -- ids and labels ----------------------------------------------------------------------------------------------------


def test_a_column_of_ids_gives_every_row_its_id(tmp_path: Path) -> None:
    found = listed(tmp_path, "l.csv", "Code;text;id\n007;A;x\nP2;B;\n", delimiter=";", id_column="Code")
    assert [(item.id, item.explicit_id, item.labels) for item in found] == [
        ("007", True, {"id": "x"}),
        ("P2", True, {"id": ""}),
    ]
    (item,) = listed(tmp_path, "l.jsonl", '{"Code": "P1", "text": "A", "id": "x"}\n', id_column="Code")
    assert (item.id, item.labels) == ("P1", {"id": "x"})


def test_a_row_without_the_id_that_the_manifest_promises_is_refused(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "l.csv", "Code,text\nP1,A\n,B\n", id_column="Code")
    assert (problem.line, problem.message) == (3, "has no id in 'Code'")
    (problem,) = refused(tmp_path, "l.jsonl", '{"Code": "P1", "text": "A"}\n{"text": "B"}\n', id_column="Code")
    assert problem.line == 2


def test_columns_that_the_manifest_names_must_be_there(tmp_path: Path) -> None:
    for more in ({"id_column": "Cod"}, {"labels": ["mod"]}, {"column": "txt"}):
        (problem,) = refused(tmp_path, "l.csv", "Code,text,mood\nP1,A,b\n", **more)
        assert "has no column" in problem.message


def test_labels_may_be_chosen_among_the_columns(tmp_path: Path) -> None:
    content = "text,wave,age,secret\nA,1,30,x\n"
    assert listed(tmp_path, "l.csv", content, labels=["wave", "age"])[0].labels == {"wave": 1, "age": 30}
    assert listed(tmp_path, "l.csv", content, labels=[])[0].labels == {}
    assert listed(tmp_path, "l.csv", content, labels={"site": "B"})[0].labels["site"] == "B"
    record = '{"text": "A", "wave": 1, "deep": {"not": "chosen"}}\n'
    assert listed(tmp_path, "l.jsonl", record, labels=["wave"])[0].labels == {"wave": 1}


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        (("3", "-4", "0"), (3, -4, 0)),
        (("3", "", " 5 "), (3, None, 5)),
        (("1.5", "3", ""), (1.5, 3, None)),
        (("007", "7"), ("007", "7")),
        (("3", "x", ""), ("3", "x", "")),
        (("true", "False", "", "TRUE"), (True, False, None, True)),
        (("true", "1"), ("true", "1")),
        (("yes", "no"), ("yes", "no")),
        (("2024-01-31", "12:30"), ("2024-01-31", "12:30")),
        (("1E5", "2e3"), ("1E5", "2e3")),
        (("1,5", "2,5"), ("1,5", "2,5")),
        (("+3", "-0", ".5", "5."), ("+3", "-0", ".5", "5.")),
        (("NA", "nan", "inf"), ("NA", "nan", "inf")),
        (("9223372036854775807",), (9223372036854775807,)),
        (("9223372036854775808",), ("9223372036854775808",)),
        (("9007199254740993", "0.5"), ("9007199254740993", "0.5")),
        (("0.30000000000000004",), (0.30000000000000004,)),
        (("0.3000000000000000000004",), ("0.3000000000000000000004",)),
        (("", ""), ("", "")),
        (("\u0663", "\u00b2"), ("\u0663", "\u00b2")),
    ],
)
def test_a_label_column_is_numbers_or_truths_only_where_all_of_it_is(
    cells: tuple[str, ...], labels: tuple[Any, ...], tmp_path: Path
) -> None:
    rows = [(f"text {number}", cell) for number, cell in enumerate(cells)]
    found = listed(tmp_path, "l.csv", table(",", ("text", "label"), *rows))
    told = tuple(item.labels["label"] for item in found)
    assert told == labels
    assert [type(one) for one in told] == [type(one) for one in labels]


def test_an_id_that_comes_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text("Code,text\nP1,A\nP2,B\nP1,C\n")
    with pytest.raises(ManifestError, match="P1") as caught:
        plan(write(tmp_path, "{text: [{from: l.csv, id_column: Code}]}"))
    (problem,) = caught.value.problems
    assert (problem.line, Path(problem.file).name) == (4, "l.csv")


# -- against the standard library --------------------------------------------------------------------------------------

_CELLS = st.text(
    st.sampled_from("ab ;,|\t\"'\r\n=.äß日") | st.characters(codec="utf-8", exclude_categories=("Cc",)),
    max_size=12,
)


@pytest.mark.sweep
@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(_CELLS.filter(str.strip), _CELLS), min_size=1, max_size=5),
    separator=st.sampled_from(",;\t|"),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    end=st.sampled_from(["\r\n", "\n", "\r"]),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    suffix=st.sampled_from(["csv", "tsv"]),
)
def test_any_list_is_read_as_it_was_written_or_refused_with_what_to_write(
    tmp_path: Path, rows: list[tuple[str, str]], separator: str, quoting: Any, end: str, codec: str, suffix: str
) -> None:
    rows = [(text, f"~{label}") for text, label in rows]
    if any("\r" in cell or "\n" in cell for row in rows for cell in row):
        quoting = csv.QUOTE_ALL  # the library's writer leaves a line end of another system without quotes
    name, content = f"l.{suffix}", table(separator, ("text", "label"), *rows, quoting=quoting, end=end).encode(codec)
    found = listed(tmp_path, name, content, delimiter=separator)
    assert [(item.value, item.labels["label"]) for item in found] == rows
    if {"csv": ",", "tsv": "\t"}[suffix] != separator:
        (problem,) = refused(tmp_path, name, content)
        assert json.dumps(separator) in problem.hint
    else:
        assert [item.value for item in listed(tmp_path, name, content)] == [text for text, _ in rows]


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.binary(max_size=60)
    | st.text(st.sampled_from('a,;|"\n\r\t\0= 1é\ufeff'), max_size=50).map(str.encode)
    | st.lists(st.sampled_from(["text", "url", "sep=;", ";", ",", "\t", "|", '"', "\r\n", "\n", "id", "1", "x y"])).map(
        lambda parts: "".join(parts).encode()
    ),
    name=st.sampled_from(["l.csv", "l.tsv", "l.jsonl", "l.txt"]),
    more=st.fixed_dictionaries(
        {},
        optional={
            "delimiter": st.sampled_from([";", "\t", r"\t", "|", " ", "é"]),
            "encoding": st.sampled_from(
                ["utf-8", "U8", "cp1252", "utf-16", "utf-16-le", "utf-7", "shift_jis", "cp037"]
            ),
            "id_column": st.sampled_from(["id", "text", "a"]),
            "blank": st.sampled_from(["skip", "error"]),
            "labels": st.sampled_from([[], ["id"], ["a", "1"], {"wave": 1}]),
            "column": st.sampled_from(["text", "a"]),
        },
    ),
)
def test_any_list_however_it_is_described_gives_items_or_problems(
    tmp_path: Path, data: bytes, name: str, more: dict[str, Any]
) -> None:
    found: list[SourceItem] = []
    problems: tuple[Problem, ...] = ()
    try:
        found = listed(tmp_path, name, data, **more)
    except ManifestError as error:
        problems = tuple(error.problems)
    assert bool(found) != bool(problems)
    assert all(problem.hint and problem.line for problem in problems)
    assert all(item.value.strip() for item in found)
