"""Answers that somebody kept as files: they become results without asking anybody, and without paying again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

from hume_runner.engine.adopt import Adopted, listed, matched, refuse_one_name
from hume_runner.engine.adopt import named as differences
from hume_runner.engine.download import Answering, fetch
from hume_runner.errors import NotFound, UnexpectedResponse, UsageError, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.regular_files import is_zip, open_regular
from hume_runner.services.base import ByteStream, HasApi, Host, Reader
from hume_runner.services.foreign import Foreign
from hume_runner.services.jobs import ALL_THERE_IS, Draft, Member
from hume_runner.services.unreadable import ARTIFACTS_ARE_NOT_READ
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.pinned import resolved
from hume_runner.state.rows import KEPT
from hume_runner.state.store import Store

if TYPE_CHECKING:
    from hume_runner.state.disk import Disk

_CHUNK = 1 << 18


def is_file(word: str) -> bool:
    """Whether a word of the command line names a file rather than a job. Ids of jobs have neither."""
    return word.lower().endswith((".json", ".zip", ".gz", ".csv")) or "/" in word or "\\" in word


class HasAnswers(Host, Reader, HasApi, Protocol):
    """Gives answers again, and reads them."""


class KeptAnswers:
    """A service whose answers are taken from `place`, a file that somebody kept, whatever job is asked for."""

    def __init__(self, service: Answering, place: Path) -> None:
        self._service, self._place = service, place
        self.api = service.api
        self.outcomes = service.outcomes

    @property
    def keeper(self) -> KeptAnswers:
        return self

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """A file is one answer: the one that tells what was measured."""
        del artifacts
        return self._service.answer_names(artifacts=False)

    @contextmanager
    def open_answer(self, remote_id: str, name: str) -> Iterator[ByteStream]:
        """The file. Raises: NotFound if it is not there any more."""
        del remote_id, name
        try:
            file = open_regular(self._place)
        except OSError as error:
            raise NotFound(f"{self._place}, from which it was adopted: {error.strerror or error}") from error
        with file:
            yield _Streamed(file)


@frozen(kw_only=False)
class _Streamed:
    file: IO[bytes]

    def iter_bytes(self) -> Iterator[bytes]:
        while block := self.file.read(_CHUNK):
            yield block

    def without_secrets(self, path: Path) -> None:
        del path


def place_of(endpoint: str | None) -> Path | None:
    """The file that such a job came from; None for any other job."""
    if endpoint is None or not endpoint.startswith(KEPT):
        return None
    return Path(url2pathname(urlsplit(endpoint).path))


@frozen
class FileAdopter:
    """`simulated`: the scores are made up, as the manifest rehearses, or as somebody says; False: a service measured
    them, as somebody says; None: nothing in a file tells."""

    store: Store
    service: HasAnswers
    disk: Disk
    outputs: Path
    simulated: bool | None
    now: Callable[[], float]

    def adopt_all(self, paths: Sequence[str]) -> Iterator[Adopted]:
        """One after another: what is wrong with one is told, and does not keep the others away."""
        for path in paths:
            try:
                yield self.adopt(path)
            except UsageError as error:
                yield Adopted(remote_id=path, job=None, items=0, unmatched=0, why=str(error), error=error)

    def adopt(self, named: str) -> Adopted:
        """Copy a kept answer into the outputs, and record what it says of the items that wait to be measured.

        The plan of the manifest must have been applied to the state. Raises: UsageError for a file that is not there,
        is no answer of this API, measured with other models, or carries nothing that the manifest lists.
        """
        place = resolved(Path(named))
        foreign = self._read(named, place)
        ours = self.store.kept_answer(foreign.remote_id)
        if ours is not None and self.store.job(ours).status is JobStatus.SUBMITTED:
            return self._finish(named, place, ours, 0)  # a crash came between
        if ours is not None:
            self._say(ours)
        refuse_one_name(foreign)
        members, matches, unmatched = matched(self.store, foreign, ours)
        fitting = [at for at, one in enumerate(members) if foreign.alike(one.item.kind, one.item.facts)]
        lacking = Counter(model for one in members for model in foreign.lacks(one.item.kind, one.item.facts))
        if not foreign.same_settings or (members and not fitting):
            raise self._otherwise(named, foreign, lacking)
        lacks = len(members) - len(fitting)
        members, matches = [members[at] for at in fitting], [matches[at] for at in fitting]
        if not members:
            return self._nothing(named, foreign, unmatched, known=ours is not None)
        number = self._record(foreign, place, members, matches, ours)
        return self._finish(named, place, number, unmatched, lacks=lacks, lacking=tuple(sorted(lacking)))

    def _say(self, ours: int) -> None:
        """What somebody says of a file that is here already."""
        if self.simulated is not None and self.store.job(ours).request.get("simulated") is not self.simulated:
            self.store.record_simulated(ours, self.simulated, self.now())

    def _otherwise(self, named: str, foreign: Foreign, lacking: Counter[str]) -> UsageError:
        told = tuple(f"models.{model}: asked for, and not measured" for model in sorted(lacking))
        told += foreign.differences
        what = "models" if any(one.endswith("measured") or "and not asked for" in one for one in told) else "settings"
        how = differences(replace(foreign, differences=told))
        return UsageError(
            f"{named}: was measured with other {what} than the manifest's{how}",
            hint=f"name the same {what} in the manifest, or leave the file out",
        )

    def _read(self, named: str, place: Path) -> Foreign:
        keeper = self.service.keeper
        if keeper is None:
            raise UsageError(
                f"{named}: {self.service.api} takes no answers from files",
                hint="leave the file out: such files are of a service that measures in jobs and keeps their answers",
            )
        try:
            open_regular(place).close()
            return keeper.recognise_file(place, self.store.texts())
        except OSError as error:
            refuse_scarce(error)
            raise UsageError(
                f"{named}: cannot be read: {error.strerror or error}",
                hint="name predictions.json files, or ids of jobs",
            ) from error
        except UnexpectedResponse as error:
            zipped = is_zip(place)
            why = "it is a zip archive" if zipped else str(error)
            raise UsageError(
                f"{named}: is no predictions file of {self.service.api}: {why}",
                hint=ARTIFACTS_ARE_NOT_READ if zipped else "name the file as the service sent it, whole",
            ) from error

    def _nothing(self, named: str, foreign: Foreign, unmatched: int, *, known: bool) -> Adopted:
        if not known and not any(listed(self.store, foreign)):
            raise UsageError(
                f"{named}: carries nothing that the manifest lists",
                hint="list its sources first: uploads are known by their bytes, URLs by their address, texts by their "
                "characters, capitals and marks included, as they stand in the words that `language` measured",
            )
        kinds = {True: ", as simulated", False: ", as measured", None: ""}
        why = (
            f"this state has it already{kinds[self.simulated]}" if known else "none of its sources waits to be measured"
        )
        return Adopted(remote_id=named, job=None, items=0, unmatched=unmatched, why=why)

    def _record(
        self, foreign: Foreign, place: Path, members: list[Member], matches: list[str], ours: int | None
    ) -> int:
        draft = Draft(members=tuple(members), size_bytes=sum(member.item.size_bytes for member in members))
        if ours is not None:
            self.store.extend(ours, draft, matches=matches, now=self.now())
            return ours
        return self.store.adopt(
            draft,
            remote_id=foreign.remote_id,
            endpoint=place.as_uri(),
            nonce="",
            matches=matches,
            request={"adopted": True, "simulated": self.simulated},
            created_at=None,
            simulated=bool(self.simulated),
            now=self.now(),
        )

    def _finish(
        self, named: str, place: Path, number: int, unmatched: int, *, lacks: int = 0, lacking: tuple[str, ...] = ()
    ) -> Adopted:
        row, job = self.store.job(number), self.store.load_job(number)
        got = fetch(
            KeptAnswers(self.service, place),
            self.disk,
            job,
            row.remote_id or "",
            announced={},
            leniency=ALL_THERE_IS,
            members=self.store.members(number),
            request=row.request,
            outputs=self.outputs,
            artifacts=False,
        )
        self.store.record_finished(
            number,
            answers=got.answers,
            outcomes=got.outcomes,
            times={},
            simulated=self.store.job(number).simulated,
            now=self.now(),
        )
        return Adopted(
            remote_id=named, job=number, items=len(job.members), unmatched=unmatched, lacks=lacks, lacking=lacking
        )
