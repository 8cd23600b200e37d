"""Files that are as we write them, in every form; files of others, and ours that somebody went on with, are not."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hume_runner.errors import UsageError
from hume_runner.results import shapes
from hume_runner.results.authorship import is_wreck, made_by_us, refuse_others, told_for
from hume_runner.results.columns import ERRORS, ITEMS, LONG_SCORES, OPEN_SCORES, own_columns
from hume_runner.results.figures.style import figure_of, save
from hume_runner.results.marks import Kind, MarkedText, marked_json
from hume_runner.results.options import TableOptions
from hume_runner.results.report.page import write_report
from hume_runner.results.sinks import FORMATS, Format
from hume_runner.results.source_table import events_schema, sources_long_schema, sources_schema
from hume_runner.results.tables import write_tables
from hume_runner.services.table_shapes import Layout
from tests.results.sample_answers import interviews
from tests.tiers import sampled

OTHERS = {
    "words": b"mine\n",
    "binary": bytes(range(256)),
    "a table": b"name,begin,end\nx,0,1\n",
    "a table with an id": b"item_id,text\n1,hello\n",
    "a table of simulations": b"run,simulated,mean\n1,true,0.3\n",
    "a table that begins as a comparison": b"table_a,column_a,table_b,column_b,my_verdict\nx,y,z,w,good\n",
    "an object": b'{"name": "my dataset", "schema": 1}\n',
    "an object with a number for its form": b'{"schema": 1, "name": "mine"}\n',
    "an object with an id": b'{"schema": 1, "id": "study-7", "consent": ["ana"]}\n',
    "a manifest of the web": b'{"schema": 1, "manifest": "webapp", "icons": []}\n',
    "a run of another program": b'{"schema": 1, "run_id": "mlflow-7", "params": {"lr": 0.1}}\n',
    "lines with ids": b'{"schema": 1, "id": "p01", "answer": "yes", "diagnosis": "hand coded"}\n',
    "a Psych-DS dataset": b'{"@type": "Dataset", "name": "mine", "schemaVersion": "Psych-DS 0.4.0"}\n',
    "a dataset that cites us": b'{"@type": "Dataset", "name": "mine", "description": "scored, with hume_runner 0.1"}\n',
    "a data package": b'{"profile": "data-package", "name": "mine", "software": {"name": "other"}}\n',
    "a data package that cites us": b'{"name": "thesis", "description": "scored, with hume_runner 0.1"}',
    "a crate that names us": b'{"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [{"@id": "./"}, '
    b'{"@id": "#sw", "@type": "SoftwareApplication", "name": "hume_runner"}]}',
    "lines": b'{"text": "hi", "id": "z"}\n{"text": "ho", "id": "y"}\n',
    "half an object": b'{"text": "hi',
    "a page": b"<!doctype html>\n<html><head><title>mine</title></head></html>\n",
    "a page with a policy": b'<html><meta http-equiv="Content-Security-Policy" content="default-src *"></html>',
    "a codebook": b"# my codebook\n\n| column | type | meaning |\n| --- | --- | --- |\n",
    "a codebook of a wave": b"# Wave 2: codebook\n\nVariables that I coded by hand over 3 weeks\n",
    "a chapter": b"# Boys beside girls\n\n**Draft of chapter 4**\n",
    "a plan for a trip": b"### Plan for `Rome`\n\nTwo days, then on.\n",
    "a manifest": b"version: 1\nname: hume_runner\n",
    "a mark by hand": b"mine\n<!-- hume_runner codebook 0123456789abcdef0123456789abcdef -->\n",
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "a drawing": b'<?xml version="1.0"?><svg><title>matplotlib, my figure</title></svg>\n',
    "a document": b"%PDF-1.4 (Matplotlib v3.11)\n%%EOF\n",
    "half a Parquet file": b"PAR1" + bytes(64),
    "half an archive": b"PK\x03\x04" + bytes(64),
    "metrics of others": b"# HELP node_cpu_seconds_total Seconds.\n",
    "metrics of others about us": b"# HELP hume_runner_custom my own collector, others follow\nmy_metric 1\n",
    "a database": b"SQLite format 3\0" + bytes(64),
    "a very long line": b"x" * 1_000_000,
}


@sampled(8)
@pytest.mark.parametrize("content", OTHERS.values(), ids=list(OTHERS))
def test_what_another_program_or_a_person_wrote_is_not_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not [kind for kind in Kind if made_by_us(path, kind)]
    with pytest.raises(UsageError, match="hume_runner did not write it"):
        refuse_others([path], Kind.TABLE, hint="choose another")
    assert path.read_bytes() == content


# -- what we write ---------------------------------------------------------------------------------------------------


def table(tmp_path: Path, form: Format, options: TableOptions = TableOptions(labels=True)) -> Path:  # noqa: B008
    return write_tables(interviews(tmp_path / "out", 3), tmp_path / "t", format=form, options=options)[-1]


def report(tmp_path: Path) -> Path:
    return write_report(interviews(tmp_path / "out", 3), tmp_path / "r.html")


def figure(tmp_path: Path, form: str) -> Path:
    with figure_of(width_mm=40, height_mm=30) as (drawn, _):
        return save(drawn, tmp_path / f"f.{form}", form)  # type: ignore[arg-type]


def page(tmp_path: Path, kind: Kind, text: str) -> Path:
    path = tmp_path / "page"
    with path.open("wb") as file:
        marked = MarkedText(file, kind)
        marked.writelines(text.splitlines(keepends=True))
        marked.end()
    return path


def document(tmp_path: Path) -> Path:
    path = tmp_path / "d.json"
    path.write_bytes(marked_json(Kind.PACKAGE, {"name": "Köln", "numbers": [1, 0.1, 1e300], "half": "\udc80"}))
    return path


MADE: dict[str, tuple[Kind, Callable[[Path], Path]]] = {
    "csv": (Kind.TABLE, lambda folder: table(folder, "csv")),
    "jsonl": (Kind.TABLE, lambda folder: table(folder, "jsonl")),
    "parquet": (Kind.TABLE, lambda folder: table(folder, "parquet")),
    "xlsx": (Kind.TABLE, lambda folder: table(folder, "xlsx")),
    "report": (Kind.REPORT, report),
    "svg": (Kind.FIGURE, lambda folder: figure(folder, "svg")),
    "png": (Kind.FIGURE, lambda folder: figure(folder, "png")),
    "pdf": (Kind.FIGURE, lambda folder: figure(folder, "pdf")),
    "plan": (Kind.PLAN, lambda folder: page(folder, Kind.PLAN, '{"schema": 1, "jobs": []}\n')),
    "page": (Kind.PLAN_PAGE, lambda folder: page(folder, Kind.PLAN_PAGE, "### Plan for `a`\n\nall of it\n")),
    "document": (Kind.PACKAGE, document),
}
TEXT = ("csv", "jsonl", "report", "svg", "plan", "page", "document")


@sampled(5)
@pytest.mark.parametrize("name", MADE)
def test_what_we_wrote_is_ours_for_its_own_place_and_no_longer_when_somebody_went_on_with_it(
    tmp_path: Path, name: str
) -> None:
    kind, make = MADE[name]
    path = make(tmp_path)
    content = path.read_bytes()
    assert [one for one in Kind if made_by_us(path, one)] == [kind]
    middle = len(content) // 2
    # A word within a cell is told by the mark that stands beside the table, where a run keeps it.
    within = () if name in ("csv", "jsonl") else (content[:middle] + b"x" + content[middle:],)
    for edited in (*within, content + b"mine\n", content[:middle]):
        path.write_bytes(edited)
        assert not made_by_us(path, kind)


@sampled(4)
@pytest.mark.parametrize("name", TEXT)
def test_the_ends_of_lines_are_what_git_makes_them(tmp_path: Path, name: str) -> None:
    kind, make = MADE[name]
    path = make(tmp_path)
    content = path.read_bytes()
    for ends in (b"\n", b"\r\n"):
        path.write_bytes(content.replace(b"\r\n", b"\n").replace(b"\n", ends))
        assert made_by_us(path, kind)


@sampled(1)
@pytest.mark.parametrize("form", FORMATS)
def test_every_table_is_known_whatever_its_options(tmp_path: Path, form: Format) -> None:
    results = interviews(tmp_path / "out", 3)
    for options in (TableOptions(), TableOptions(long=True, labels=True), TableOptions(bom=True)):
        written = write_tables(results, tmp_path / "t", format=form, options=options)
        assert written
        for path in written:
            # A table of no rows in lines is empty.
            assert made_by_us(path, Kind.TABLE), path


def test_the_columns_that_tables_are_known_by_are_those_that_they_have() -> None:
    def names(columns: object) -> tuple[str, ...]:
        return tuple(one.name for one in columns)  # type: ignore[attr-defined]

    plain = names(own_columns(Layout(name="x", row="a row", columns=(), families=())))
    for columns in (
        names(ITEMS),
        names(ERRORS),
        tuple(sources_schema({}, ()).names),
        tuple(sources_long_schema({}, ()).names),
        tuple(events_schema({}, ()).names),
        names(OPEN_SCORES),
        (*plain, "joy", "extra"),
        (*plain, *names(LONG_SCORES)),
    ):
        assert shapes.label_places(columns) is not None, columns
        assert shapes.label_places((*columns, "my_code")) is None
        assert shapes.label_places(("my_code", *columns)) is None


# -- what people do with tables --------------------------------------------------------------------------------------


def rewritten(path: Path, change: Callable[[list[dict[str, str]]], None], **dialect: object) -> None:
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    change(rows)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), **dialect)  # type: ignore[arg-type]
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def with_a_code(rows: list[dict[str, str]]) -> None:
    for row in rows:
        row["my_code"] = "x"


def with_a_label(rows: list[dict[str, str]]) -> None:
    for row in rows:
        row["label_my_code"] = "x"


def with_another_label(rows: list[dict[str, str]]) -> None:
    (label,) = [name for name in rows[0] if name.startswith("label_")][:1]
    rows[0][label] = "mine"


def as_others_say_it(rows: list[dict[str, str]]) -> None:
    for row in rows:
        row["simulated"] = row["simulated"].upper()


@pytest.mark.parametrize("change", [with_a_code, with_a_label, with_another_label, as_others_say_it])
def test_a_table_of_items_that_somebody_went_on_with_is_theirs(
    tmp_path: Path, change: Callable[[list[dict[str, str]]], None]
) -> None:
    write_tables(interviews(tmp_path / "out", 3), tmp_path / "t", format="csv")
    path = tmp_path / "t" / "items.csv"
    rewritten(path, lambda rows: None)
    assert made_by_us(path, Kind.TABLE)
    rewritten(path, change)
    assert not made_by_us(path, Kind.TABLE)
    assert told_for(path, Kind.TABLE)
    with pytest.raises(UsageError, match="is not as hume_runner writes it") as caught:
        refuse_others([path], Kind.TABLE, hint="choose another")
    assert caught.value.hint == "move it away, remove it if nobody needs it, or choose another; nothing is lost"


def test_a_table_that_another_program_wrote_again_is_theirs(tmp_path: Path) -> None:
    write_tables(interviews(tmp_path / "out", 3), tmp_path / "t", format="csv")
    path = tmp_path / "t" / "items.csv"
    rewritten(path, lambda rows: None, quoting=csv.QUOTE_ALL)
    assert not made_by_us(path, Kind.TABLE)


@pytest.mark.parametrize("codec", ["snappy", "zstd"])
def test_a_parquet_file_that_another_program_wrote_again_is_theirs(tmp_path: Path, codec: str) -> None:
    path = table(tmp_path, "parquet")
    found = pq.read_table(path)
    pq.write_table(found.append_column("my_code", pa.nulls(found.num_rows)), path, compression=codec)
    assert not made_by_us(path, Kind.TABLE)
    pq.write_table(found, path, compression=codec)
    assert not made_by_us(path, Kind.TABLE)


def test_a_workbook_that_another_program_wrote_again_is_theirs(tmp_path: Path) -> None:
    path = table(tmp_path, "xlsx")
    with zipfile.ZipFile(path) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    parts["docProps/core.xml"] = parts["docProps/core.xml"].replace(b"2000-01-01", b"2024-05-05", 1)
    with zipfile.ZipFile(path, "w") as book:
        for name, content in parts.items():
            book.writestr(name, content)
    assert not made_by_us(path, Kind.TABLE)


def test_a_workbook_of_others_is_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "book.xlsx"
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", "<worksheet><t>name</t></worksheet>")
    assert not made_by_us(path, Kind.TABLE)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_a_row_of_many_labels_is_read_whole(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"items.{form}"
    labels = {f"label {number:05d} {'x' * 80}": "v" for number in range(3500)}
    items = {"item_id": "a", "kind": "text", "source": "s", "labels": labels, "status": "done", "error": None}
    items |= {"reason": None, "job": "j", "remote_id": "r", "raw": [], "simulated": False}
    row = items | {f"label_{number}": "v" for number in range(3500)}
    if form == "jsonl":
        path.write_text(json.dumps(row, separators=(",", ":")) + "\n")
    else:
        with path.open("w", newline="") as file:
            cells = row | {"labels": json.dumps(labels), "raw": "[]", "simulated": "false"}
            csv.writer(file).writerows([list(row), list(cells.values())])
    assert path.stat().st_size > 1 << 18
    assert made_by_us(path, Kind.TABLE)


# -- earlier versions ------------------------------------------------------------------------------------------------

FORMER: dict[str, tuple[Kind, str]] = {
    "a codebook": (
        Kind.CODEBOOK,
        "# t: codebook\n\nAbout it.\n\nCite as: t [Data set]. Measured by x, with hume_runner 0.1.0.\n\n## items\n\n"
        "A row is one item. `tables/items.csv`\n\n| column | type | meaning |\n| --- | --- | --- |\n"
        "| `a` | text | b |\n",
    ),
    "a plan": (
        Kind.PLAN_PAGE,
        "### Plan for `t`\n\nlocal at `here`\n\n| items | number |\n| --- | ---: |\n| new | 1 |\n",
    ),
    "metrics": (
        Kind.METRICS,
        "# HELP hume_runner_info Version of hume_runner.\n# TYPE hume_runner_info gauge\n"
        'hume_runner_info{version="0.1.0"} 1\n',
    ),
    "whose a directory is": (Kind.OWNER, '{"schema": 1, "manifest": "t", "state": "state.sqlite3", "lineage": "a"}\n'),
    "a result": (
        Kind.RESULTS,
        '{"schema": 1, "id": "a", "kind": "text", "source": "s", "labels": {}, "status": "done", "error": null, '
        '"job": "j", "remote_id": "r", "raw": [], "simulated": false}\n',
    ),
}


@pytest.mark.parametrize(("kind", "text"), FORMER.values(), ids=list(FORMER))
def test_what_has_no_mark_is_known_by_its_whole_shape(tmp_path: Path, kind: Kind, text: str) -> None:
    path = tmp_path / "file"
    for ends in ("\n", "\r\n"):
        path.write_text(text, newline=ends)
        assert [one for one in Kind if made_by_us(path, one)] == [kind]
        with path.open("a") as file:
            file.write("what I think of it\n")
        assert not made_by_us(path, kind)


# -- what is no file, or several -------------------------------------------------------------------------------------


def test_what_is_empty_or_no_file_or_not_there_is_left_to_who_writes(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    refuse_others(
        [tmp_path / "empty", tmp_path, Path("/dev/null"), tmp_path / "none"], Kind.TABLE, hint="choose another"
    )
    assert [*tmp_path.iterdir()] == [tmp_path / "empty"]


def test_a_link_is_what_it_leads_to_and_one_that_leads_nowhere_is_anothers(tmp_path: Path) -> None:
    page(tmp_path, Kind.PLAN_PAGE, "### Plan for `a`\n")
    (tmp_path / "ours").symlink_to("page")
    refuse_others([tmp_path / "ours"], Kind.PLAN_PAGE, hint="choose another")
    (tmp_path / "nowhere").symlink_to("gone")
    with pytest.raises(UsageError):
        refuse_others([tmp_path / "nowhere"], Kind.PLAN_PAGE, hint="choose another")


def test_of_many_files_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}").write_text("mine")
    with pytest.raises(UsageError) as caught:
        refuse_others(sorted(tmp_path.iterdir()), Kind.TABLE, hint="choose another")
    assert str(caught.value).startswith(f"{tmp_path / '0'}, {tmp_path / '1'}, {tmp_path / '2'} and 2 more: ")
    assert caught.value.hint == "move them away, or choose another; nothing is lost"


WRECKS: dict[str, tuple[Kind, bytes, bool]] = {
    "items.csv": (Kind.TABLE, bytes(400), True),
    "items.parquet": (Kind.TABLE, b"PAR1" + bytes(400), True),
    "tables.xlsx": (Kind.TABLE, b"PK\x03\x04" + bytes(400), True),
    "report.html": (Kind.REPORT, bytes(5000), True),
    "results.jsonl": (Kind.RESULTS, bytes(400), True),
    "run.json": (Kind.RUN, bytes(400), True),
    "other.csv": (Kind.TABLE, b"person,score\nx,1\n", False),
    "unicode.csv": (Kind.TABLE, "person,score\nx,1\n".encode("utf-16"), False),
    "unmarked.csv": (Kind.TABLE, "person,score\nx,1\n".encode("utf-16-le"), False),
    "password.xlsx": (Kind.TABLE, bytes.fromhex("d0cf11e0a1b11ae1") + bytes(400), False),
    "encrypted.parquet": (Kind.TABLE, b"PARE" + bytes(400) + b"PARE", False),
    "notes.parquet": (Kind.TABLE, b"my notes\n", False),
    "notes.jsonl": (Kind.RESULTS, b'{"id": "a", "my": "rating"}\n', False),
    "notes.json": (Kind.RUN, b"my notes\n", False),
    "other.html": (Kind.REPORT, b"<html>mine</html>", False),
    "zero.html": (Kind.REPORT, b"<html>mine \0 </html>", False),
}


@pytest.mark.parametrize(
    ("name", "kind", "content", "is_nobodys"), [(n, *one) for n, one in WRECKS.items()], ids=[*WRECKS]
)
def test_a_wreck_where_the_state_knows_a_file_is_made_again(
    tmp_path: Path, name: str, kind: Kind, content: bytes, is_nobodys: bool
) -> None:
    """What a disk or a broken copy left is nobody's; another file is somebody's, whatever lay there before."""
    path = tmp_path / name
    path.write_bytes(content)
    assert is_wreck(path, kind) is is_nobodys
    if is_nobodys:
        refuse_others([path], kind, hint="name another place", known=lambda path: True)
    for state_knows in (False, True)[: 1 + (not is_nobodys)]:
        with pytest.raises(UsageError, match=name):
            refuse_others([path], kind, hint="name another place", known=lambda path, told=state_knows: told)
    assert path.read_bytes() == content
