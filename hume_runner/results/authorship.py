"""Whose a file is that a command is about to write over: ours if it is as we write it, for that place.

What a person has under a name that we would give is kept, and so is what we wrote and a person went on with. So the
question is never whether a file speaks of us. A file is ours if the whole of it is as a version of ours writes the
kind that belongs there: by its mark, which fits nothing else (`marks.py`), or by its shape, where no mark can stand or
an earlier version wrote none (`shapes.py`). A file that the state knows is ours while it can still be told for that
kind, as what was edited there is made again, and where it is the wreck of one. What is empty is anybody's, since
nothing in it can be lost.

A link is judged by what it leads to, unless the state knows its place, and is never followed to write.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final
from zipfile import BadZipFile, ZipFile, is_zipfile

from hume_runner import small_json
from hume_runner.errors import NotRegular, UsageError, of_place, refuse_scarce
from hume_runner.regular_files import open_regular, refuse_no_file
from hume_runner.results import earlier_shapes, marks, shapes
from hume_runner.results.derived import REPORT, TABLES
from hume_runner.results.marks import Kind
from hume_runner.results.outputs import RESULTS, RUN
from hume_runner.sources.outputs import RECORD
from hume_runner.state.outputs_owner import is_record

_HEAD_BYTES: Final = 1 << 18
_SHEET_BYTES: Final = 1 << 12
_TOLD: Final = 3  # files
_BLOCK_BYTES: Final = 1 << 12  # of a disk: it fails, or is never written, as a whole


PACKAGE, CODEBOOK, CRATE = PACKAGE_FILES = ("datapackage.json", "codebook.md", "ro-crate-metadata.json")
# What an output directory has under these names.
_PLACES: Final[Mapping[str, Kind]] = {
    RECORD: Kind.OWNER,
    RESULTS: Kind.RESULTS,
    RUN: Kind.RUN,
    REPORT: Kind.REPORT,
    PACKAGE: Kind.PACKAGE,
    CODEBOOK: Kind.CODEBOOK,
    CRATE: Kind.CRATE,
}


def kind_at(name: str) -> Kind:
    """What is written at this path below an output directory. Raises: KeyError."""
    return Kind.TABLE if name.startswith(f"{TABLES}/") else _PLACES[name]


def made_by_us(path: Path, kind: Kind) -> bool:
    """Whether a file as a whole is as we write this kind, or is empty. Raises: OSError."""
    with open_regular(path) as file:
        head = file.read(8)
        if not head:
            return True
        return _AS_WRITTEN[kind](file) and _is_witnessed(path, file, kind)


def told_for(path: Path, kind: Kind) -> bool:
    """Whether a file can still be told for one of ours of this kind, whatever was done to it. Raises: OSError."""
    with open_regular(path) as file:
        head = file.read(_HEAD_BYTES)
        return not head or _LIKE[kind](head.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b""), file)


def is_wreck(path: Path, kind: Kind) -> bool:
    """Whether what stands at a path that the state knows is what a disk, or a copy that broke off, left of a file of
    ours: zeros, or the beginning of a table without the end that says what is in it. What is merely no file of this
    kind may be anybody's, such as a workbook with a password, or a text in another encoding. Raises: OSError."""
    with open_regular(path) as file:
        head = file.read(_BLOCK_BYTES)
        if not head.strip(b"\0"):
            return True
        if kind is not Kind.TABLE:
            return False
        if head.startswith(b"PAR1"):
            return not marks.parquet_footer(file)[0]
        return head.startswith(b"PK\x03\x04") and not is_zipfile(file)


def refuse_others(
    paths: Iterable[Path],
    kind: Kind | Callable[[Path], Kind],
    *,
    hint: str,
    known: Callable[[Path], bool] | None = None,
    only_files: bool = True,
) -> None:
    """Nothing of these paths is to be written over unless it is ours and of the kind that belongs there. `known`: what
    the state says, of the study whose place it is; without it nothing of any study may be there. `hint`: where else to
    write. `only_files`: what is no file is left to who writes. Raises: UsageError, naming them."""
    others: list[Path] = []
    edited: list[Path] = []
    for path in paths:
        if not os.path.lexists(path):
            continue
        if not only_files:
            _refuse_no_file(path)
        of = kind if isinstance(kind, Kind) else kind(path)
        if known is None and (study := _study_of(path)) is not None:
            raise UsageError(
                f"{path}: this is an output of the study in {study}, and nothing else is written over it",
                hint=f"{hint}; nothing is lost",
            )
        whose = _whose(path, of, known=known is not None and known(path))
        if whose is not None:
            (edited if whose else others).append(path)
    if not others and not edited:
        return
    found = others or edited
    told = ", ".join(map(str, found[:_TOLD])) + (f" and {len(found) - _TOLD} more" if len(found) > _TOLD else "")
    it = "it" if len(found) == 1 else "them"
    if others:
        raise UsageError(
            f"{told}: hume_runner did not write {it}, and writes nothing over {it}",
            hint=f"move {it} away, or {hint}; nothing is lost",
        )
    is_not = "is not as hume_runner writes it" if len(found) == 1 else "are not as hume_runner writes them"
    raise UsageError(
        f"{told}: {is_not}: edited since, or from an earlier version; nothing is written over {it}",
        hint=f"move {it} away, remove {it} if nobody needs {it}, or {hint}; nothing is lost",
    )


def _refuse_no_file(path: Path) -> None:
    try:
        refuse_no_file(path)
    except NotRegular as error:
        raise of_place(path, error) from error
    except OSError as error:  # what nobody may see is told as what is not ours
        refuse_scarce(error)


def _whose(path: Path, kind: Kind, *, known: bool) -> bool | None:
    """None where it is ours to write over; else whether it looks as if it had been."""
    if known and path.is_symlink():
        return None  # programs that keep files by their content leave links: a new file takes the link's place alone
    try:
        like = told_for(path, kind)
        return None if (known and (like or is_wreck(path, kind))) or made_by_us(path, kind) else like
    except (NotRegular, IsADirectoryError):
        return False if path.is_symlink() and path.is_dir() else None
    except OSError as error:  # a link that leads nowhere, or what nobody may read
        refuse_scarce(error)
        return False


def _study_of(path: Path) -> Path | None:
    """The output directory in which this is what a run writes, by the record that lies there."""
    for folder, name in ((path.parent, path.name), (path.parent.parent, f"{path.parent.name}/{path.name}")):
        if (name in _PLACES or name.startswith(f"{TABLES}/")) and (folder / RECORD).is_file():
            return folder
    return None


# -- as a whole


def _text(file: BinaryIO) -> str:
    file.seek(0)
    content = file.read(small_json.MOST_BYTES + 1)
    if len(content) > small_json.MOST_BYTES:
        return ""
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except ValueError:
        return ""


def _page(kind: Kind, former: Callable[[str], bool] = lambda text: False) -> Callable[[BinaryIO], bool]:
    """With a mark behind it; `former`: as it was without one."""
    return lambda file: marks.fits_behind(file, kind) or former(_text(file))


def _document(kind: Kind, former: Callable[[Any], bool]) -> Callable[[BinaryIO], bool]:
    def is_ours(file: BinaryIO) -> bool:
        file.seek(0)
        content = file.read(small_json.MOST_BYTES + 1)
        fits = marks.fits_json(kind, content)
        try:
            return former(small_json.parsed(content)) if fits is None else fits
        except ValueError:
            return False

    return is_ours


def _is_plan(file: BinaryIO) -> bool:
    fits = marks.fits_streamed_json(file, Kind.PLAN)
    if fits is not None:
        return fits
    file.seek(0)
    try:
        return earlier_shapes.is_plan(small_json.parsed(file.read(small_json.MOST_BYTES + 1)))
    except ValueError:
        return False


def _is_table(file: BinaryIO) -> bool:
    match _start(file):
        case b"PAR1":
            return _is_parquet(file, Kind.TABLE)
        case b"PK\x03\x04":
            fits = marks.fits_zip(file, Kind.TABLE)
            return _is_former_workbook(file) if fits is None else fits
        case start if start.startswith(b"{"):
            return shapes.is_json_table(file)
    return shapes.is_csv_table(file)


def _is_comparison(file: BinaryIO) -> bool:
    match _start(file):
        case b"PAR1":
            return _is_parquet(file, Kind.COMPARISON)
        case start if start.startswith(b"{"):
            return _document(Kind.COMPARISON, earlier_shapes.is_comparison)(file)
        case start if start.startswith((b"<", b"# ")):
            return marks.fits_behind(file, Kind.COMPARISON)
    from hume_runner.results.compare.records import FIELDS

    return shapes.is_csv_of(file, [tuple(FIELDS)])


def _is_figure(file: BinaryIO) -> bool:
    match _start(file):
        case b"\x89PNG":
            file.seek(0)
            return marks.fits_png(Kind.FIGURE, file.read(small_json.MOST_BYTES))
        case b"%PDF" | b"<?xm" | b"<svg":
            return marks.fits_behind(file, Kind.FIGURE)
    return shapes.is_csv_of(file, shapes.OF_FIGURES)


def _is_parquet(file: BinaryIO, kind: Kind) -> bool:
    fits = marks.fits_parquet(file, kind)
    if fits is not None:
        return fits
    footer, _ = marks.parquet_footer(file)
    if b"hume_runner.schema" not in footer or marks.PARQUET_HAS_MARK.encode() in footer:
        return False
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError:
        return False
    file.seek(0)
    try:
        found = pq.ParquetFile(file)
    except Exception:  # whatever it is
        return False
    groups = (found.metadata.row_group(number) for number in range(found.metadata.num_row_groups))
    return all(one.metadata for one in found.schema_arrow) and all(
        group.column(number).compression == "ZSTD" for group in groups for number in range(group.num_columns)
    )


def _is_former_workbook(file: BinaryIO) -> bool:
    """As it was before it had a mark: no other program leaves these two times as they are."""
    try:
        with ZipFile(file) as book:
            about = book.read("docProps/core.xml")
            return about.count(b">2000-01-01T00:00:00Z<") == 2 and b"<t>item_id</t>" in _sheet(book)
    except (BadZipFile, KeyError, OSError, ValueError):
        return False


def _sheet(book: ZipFile) -> bytes:
    with book.open("xl/worksheets/sheet1.xml") as sheet:
        return sheet.read(_SHEET_BYTES)


def _start(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(4)


_AS_WRITTEN: Final[Mapping[Kind, Callable[[BinaryIO], bool]]] = {
    Kind.RUN: _document(Kind.RUN, earlier_shapes.is_run),
    Kind.RESULTS: shapes.is_results,
    Kind.OWNER: _document(Kind.OWNER, is_record),
    Kind.REPORT: _page(Kind.REPORT),
    Kind.TABLE: _is_table,
    Kind.PACKAGE: _document(Kind.PACKAGE, earlier_shapes.is_package),
    Kind.CODEBOOK: _page(Kind.CODEBOOK, earlier_shapes.is_codebook),
    Kind.CRATE: _document(Kind.CRATE, earlier_shapes.is_crate),
    Kind.DATASET: _document(Kind.DATASET, earlier_shapes.is_dataset),
    Kind.PLAN: _is_plan,
    Kind.PLAN_PAGE: _page(Kind.PLAN_PAGE, earlier_shapes.is_plan_page),
    Kind.COMPARISON: _is_comparison,
    Kind.FIGURE: _is_figure,
    Kind.METRICS: lambda file: shapes.is_metrics(_text(file)),
}


def _is_witnessed(path: Path, file: BinaryIO, kind: Kind) -> bool:
    """Where the data package beside a table has the mark that the table itself has no place for, it fits."""
    if kind is not Kind.TABLE or path.parent.name != TABLES:
        return True
    package = path.parent.parent / PACKAGE
    try:
        if not made_by_us(package, Kind.PACKAGE):
            return True
        told = small_json.read(package)
        found = [one["mark"] for one in told["resources"] if one["path"] == f"{TABLES}/{path.name}" and "mark" in one]
    except (OSError, ValueError, KeyError, TypeError):
        return True
    return not found or marks.mark_of_file(file, kind) in found


# -- as far as it can be told

_MARK: Final = re.compile(rb"hume_runner ([a-z-]+) [0-9a-f]{32}")
_PAGE: Final = (b'<meta http-equiv="Content-Security-Policy" content="', b'<link rel="icon" href="data:,">')

Like = Callable[[bytes, BinaryIO], bool]


def _begins(pattern: bytes) -> Like:
    found = re.compile(pattern)
    return lambda head, file: found.match(head) is not None


def _like_document(kind: Kind, *words: bytes) -> Like:
    return lambda head, file: (
        head.startswith(b"{")
        and (any(one[1] == kind.encode() for one in _MARK.finditer(head)) or any(word in head for word in words))
    )


def _like_page(head: bytes, file: BinaryIO) -> bool:
    return all(mark in head for mark in _PAGE)


def _like_results(head: bytes, file: BinaryIO) -> bool:
    line = _first_line(file)
    if _RESULT(head, file):  # the line may be cut
        return True
    return {"schema", "id", "kind", "status", "remote_id", "simulated"} <= line.keys()


def _like_table(head: bytes, file: BinaryIO) -> bool:
    if head.startswith(b"PAR1"):
        return b"hume_runner.schema" in marks.parquet_footer(file)[0]
    if head.startswith(b"PK"):
        try:
            with ZipFile(file) as book:
                return b"<t>item_id</t>" in _sheet(book)
        except (BadZipFile, KeyError, OSError, ValueError):
            return False
    columns = list(_first_line(file)) if head.startswith(b"{") else shapes.csv_columns(file)
    return columns[:1] == ["item_id"] and ("simulated" in columns or columns[1:4] == ["row", "family", "name"])


def _like_figure(head: bytes, file: BinaryIO) -> bool:
    if head.startswith((b"\x89PNG", b"%PDF", b"<?xml", b"<svg")):
        return b"hume_runner" in head
    return tuple(shapes.csv_columns(file)) in shapes.OF_FIGURES


def _like_comparison(head: bytes, file: BinaryIO) -> bool:
    if head.startswith(b"PAR1"):
        return b"hume_runner.schema" in marks.parquet_footer(file)[0]
    return _like_page(head, file) or _COMPARED(head, file)


def _first_line(file: BinaryIO) -> Mapping[str, Any]:
    file.seek(0)
    try:
        value = small_json.parsed(file.readline(small_json.MOST_BYTES))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


_RESULT: Final = _begins(rb'\{"schema": \d+, "id": "')
_COMPARED: Final = _begins(
    rb'# [^\n]* beside [^\n]*\n\n(?:\*\*SIMULATED|- A: `)|\{\s*"schema": 1,\s*"a": \{'
    rb"|table_a,column_a,table_b,column_b,n,"
)
_LIKE: Final[Mapping[Kind, Like]] = {
    Kind.RUN: _like_document(Kind.RUN, b'"hume_runner": "'),
    Kind.RESULTS: _like_results,
    Kind.OWNER: _begins(rb'\{"schema": 1, "manifest": "[^\n]*, "lineage": "'),
    Kind.REPORT: _like_page,
    Kind.TABLE: _like_table,
    Kind.PACKAGE: _like_document(Kind.PACKAGE, b'"name": "hume_runner"'),
    Kind.CODEBOOK: _begins(rb"# [^\n]*: codebook\n(?:[^\n]*\n)*?Cite as: [^\n]*, with hume_runner "),
    Kind.CRATE: _like_document(Kind.CRATE, b'"@id": "#hume_runner"'),
    Kind.DATASET: _like_document(Kind.DATASET, b", with hume_runner "),
    Kind.PLAN: _begins(rb'\{\s*"schema": 1,\s*"manifest": \{'),
    Kind.PLAN_PAGE: _begins(rb"### (?:No )?[Pp]lan for `|## Plans of \d"),
    Kind.COMPARISON: _like_comparison,
    Kind.FIGURE: _like_figure,
    Kind.METRICS: _begins(rb"# HELP hume_runner_info "),
}
