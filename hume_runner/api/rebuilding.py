"""Raw answers that tables, pages and pictures are made of by hand: whose they are, and the record of what was made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.api.inputs import refuse_found
from hume_runner.api.project import Project
from hume_runner.api.values import ManifestLike
from hume_runner.errors import StateError
from hume_runner.frozen import frozen
from hume_runner.results import derived
from hume_runner.results.found_files import files_under
from hume_runner.results.from_state import StateResults
from hume_runner.results.intervals import ManifestSays
from hume_runner.results.options import PLAIN, TableOptions
from hume_runner.results.read import LooseResults
from hume_runner.state.answers import harmed_answers
from hume_runner.state.lock import StateLock
from hume_runner.state.store import Store

if TYPE_CHECKING:
    from hume_runner.results.base import ResultSet


@frozen
class Answers:
    """Those of a manifest, or where there is none (`project`) those of files that no manifest knows."""

    results: ResultSet
    project: Project | None = None

    @classmethod
    def of(cls, project: Project) -> Answers:
        """Raises: UsageError if it never ran."""
        return cls(results=project.results(), project=project)

    @classmethod
    def given(cls, what: Answers | ManifestLike) -> Answers:
        """These, or those of the manifest that is named instead. Raises: ManifestError, UsageError as `of`."""
        return what if isinstance(what, Answers) else cls.of(Project.open(what))

    @classmethod
    def in_files(cls, places: Iterable[Path], directory: Path, *, note: Callable[[str], None]) -> Answers:
        """Those of these files, and of all below these folders that hold some, whatever their names. They know no place
        of their own: `directory` is where what is made of them goes. `note` is told what was found and left out.
        Raises: ResultsError."""
        there = files_under(places)
        for told in there.notes:
            note(told)
        return cls(results=LooseResults(there.files, directory))

    @property
    def directory(self) -> Path:
        return self.results.directory

    @property
    def of_state(self) -> StateResults | None:
        """The same, where a state knows them."""
        return self.results if isinstance(self.results, StateResults) else None

    @property
    def unread(self) -> Sequence[str]:
        """Files that could not be read, and why, as far as that is not told by whoever reads them."""
        return self.results.unread if isinstance(self.results, LooseResults) else ()

    def says(self) -> ManifestSays:
        """What outputs need of the manifest. Raises: ManifestError, SourceError for its lists of events."""
        return ManifestSays() if self.project is None else self.project.says()

    def refuse_found(self, path: Path, *, hint: str) -> None:
        """Nothing is written where the manifest finds it. Raises: UsageError."""
        if self.project is not None:
            refuse_found(self.project.manifest, path, hint=hint)


def record_made(
    project: Project, group: str, paths: Iterable[Path], *, serial: int, options: TableOptions = PLAIN
) -> None:
    """Record outputs that were made by hand as a run does, so that runs keep them and `verify` knows them. `serial`: of
    the state that they were made from.

    Without a word where the state cannot be written now: the files are good, and nobody waits for a lock for them.
    """
    manifest, where, machine = project.manifest, project.paths, project.machine
    with contextlib.suppress(StateError, OSError), StateLock(where.state):
        if not where.state.exists():
            return
        with Store.create_or_open(where.state, disk=machine.disk, name=manifest.name, lineage="") as store:
            harmed = [one.answer.path for one in harmed_answers(store, where.outputs)]
            says = project.says()
            by = derived.maker(manifest.settings, (*says.makers, *harmed))
            now = machine.now()
            derived.record(store, where.outputs, group, tuple(paths), serial=serial, by=by, now=now, options=options)
            _describe(project, store, says, harmed)


def _describe(project: Project, store: Store, says: ManifestSays, harmed: Sequence[str]) -> None:
    """Say what the columns of the tables mean, beside them."""
    from hume_runner.results.package.write import renew

    manifest, outputs, machine = project.manifest, project.paths.outputs, project.machine
    results = StateResults(store, outputs, api=manifest.service.api, name=manifest.name, settings=manifest.settings)
    renew(store, results, outputs, machine.disk, says=says, harmed=harmed, now=machine.now())
