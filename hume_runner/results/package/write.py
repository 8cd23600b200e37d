"""Describe the tables that are there, and write the descriptions beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from hume_runner._version import __version__
from hume_runner.regular_files import open_regular
from hume_runner.results import derived
from hume_runner.results.authorship import PACKAGE_FILES
from hume_runner.results.base import ResultSet
from hume_runner.results.credits import credits_of
from hume_runner.results.derived import Mark
from hume_runner.results.due import refuse_others_here
from hume_runner.results.intervals import ManifestSays
from hume_runner.results.labels import LabelColumns
from hume_runner.results.marks import Kind, behind, mark_of_file, marked_json
from hume_runner.results.package.base import Described, Span, TableFile
from hume_runner.results.package.codebook import codebook
from hume_runner.results.package.crate import ro_crate
from hume_runner.results.package.frictionless import data_package
from hume_runner.results.rows import layouts_of
from hume_runner.results.sinks import FORMATS
from hume_runner.results.table_schemas import ROWS, schema_of
from hume_runner.results.tables import metadata
from hume_runner.state.disk import Disk
from hume_runner.state.store import Store

PACKAGE, CODEBOOK, CRATE = NAMES = PACKAGE_FILES


def renew(
    store: Store,
    results: ResultSet,
    directory: Path,
    disk: Disk,
    *,
    says: ManifestSays,
    harmed: Iterable[str],
    now: float,
) -> None:
    """Write the descriptions anew where they are not those of the tables that are there, and mark them."""
    known = derived.marks(store)
    tables = [known[group] for group in map(derived.tables_group, FORMATS) if group in known]
    if not tables:
        return
    hashes = [sha256 for mark in tables for _, sha256, _ in mark.files.values()]
    serial, by = store.serial, derived.maker(results.settings, (says.description or "", *says.makers, *harmed, *hashes))
    if derived.is_current(known.get(PACKAGE), directory, serial=serial, by=by):
        return
    refuse_others_here(store.is_recorded, directory, NAMES)
    paths = write_package(results, directory, disk, tables, says)
    derived.record(store, directory, PACKAGE, paths, serial=serial, by=by, now=now)


def write_package(
    results: ResultSet, directory: Path, disk: Disk, marks: Iterable[Mark], says: ManifestSays
) -> tuple[Path, ...]:
    """Write data package, codebook and crate of the tables that these marks tell of. Returns the paths."""
    described = describe(results, marks, says, directory)
    written: Mapping[str, bytes] = {
        PACKAGE: marked_json(Kind.PACKAGE, data_package(described)),
        CODEBOOK: behind(Kind.CODEBOOK, codebook(described).encode("utf-8", "replace")),
        CRATE: marked_json(Kind.CRATE, ro_crate(described), "@graph", 0, "identifier"),
    }
    for name, content in written.items():
        disk.write_new(directory / name, content)
    return tuple(directory / name for name in written)


def describe(results: ResultSet, marks: Iterable[Mark], says: ManifestSays, directory: Path | None = None) -> Described:
    """What is there, and who measured it. `directory`: where the paths of the marks begin."""
    told = credits_of(results.api, results.settings)
    layouts = layouts_of(results)
    labels = LabelColumns.of(results.items())
    tables = []
    for mark in marks:
        for path, (size, sha256, _) in sorted(mark.files.items()):
            name = PurePosixPath(path)
            schema = schema_of(name.stem, layouts, metadata(results), labels, mark.options, events=bool(says.intervals))
            if schema is not None:
                row = ROWS.get(name.stem) or (schema.metadata or {}).get(b"row", b"").decode()
                tables.append(
                    TableFile(
                        stem=name.stem,
                        format=name.suffix[1:],
                        path=path,
                        size_bytes=size,
                        sha256=sha256,
                        schema=schema,
                        row=row,
                        bom=mark.options.bom,
                        mark=None if directory is None else _mark_beside(directory / path),
                    )
                )
    return Described(
        name=results.name,
        description=says.description,
        api=results.api,
        version=__version__,
        simulated=results.simulated,
        told=told.told if told is not None else "",
        measurers=told.document() if told is not None else (),
        tables=tables,
        run=results.run,
        measured=Span.of(results.jobs()),
    )


def _mark_beside(path: Path) -> str | None:
    """The mark of a table whose format has no place for it."""
    if path.suffix not in (".csv", ".jsonl"):
        return None
    try:
        with open_regular(path) as file:
            return mark_of_file(file, Kind.TABLE)
    except OSError:  # removed meanwhile
        return None
