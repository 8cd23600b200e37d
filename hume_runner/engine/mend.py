"""Answers of finished jobs that are missing, cut or changed on disk: had again where that costs nothing.

What is fetched again is compared with what the state knows before it gets its name. What cannot be had any more is
told, and its items keep their status: nothing is paid for again unless somebody agrees to it.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import count, groupby, islice
from pathlib import Path

from hume_runner import events
from hume_runner.engine.adopt_files import HasAnswers, KeptAnswers, place_of
from hume_runner.engine.download import REQUEST, AnswerDiffers, Fetched, fetch_again
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    HumeRunnerError,
    LostAnswerNeedsDecision,
    NotFound,
    ServiceRefused,
    ServiceUnavailable,
)
from hume_runner.frozen import frozen
from hume_runner.services.base import Host
from hume_runner.services.jobs import job_name
from hume_runner.settings import mask_secrets
from hume_runner.state.answers import Harmed, harmed_answers, look_at
from hume_runner.state.disk import Disk
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.store import Store

_AT_ONCE = 8
_BLOCK_BYTES = 1 << 20
_PAYS = "`hume-runner run MANIFEST --pay-again` measures what is lost once more, and pays for it"
_AGAIN = "measures it again, for nothing"


@frozen
class Mended:
    """What came of it: `lost` are jobs whose answer cannot be had any more and is needed, `harmed` the paths that are
    still not what they were, `error` what a person has to know."""

    lost: tuple[int, ...] = ()
    harmed: tuple[str, ...] = ()
    error: HumeRunnerError | None = None


@frozen
class Lacking:
    """What mending would meet: so many answers come `again` for nothing, and the jobs whose needed ones are `lost`."""

    again: int = 0
    lost: tuple[int, ...] = ()


def lacking(store: StateReader, service: Host, outputs: Path) -> Lacking:
    """What of the answers on disk is harmed, without having any of it again, nor asking anybody. Raises: StateError."""
    again = 0
    lost: dict[int, None] = {}
    for one in harmed_answers(store, outputs):
        row = store.job(one.job)
        if row.status is not JobStatus.DONE or row.remote_id is None:
            continue
        elsewhere = row.endpoint not in (None, service.endpoint) and place_of(row.endpoint) is None
        if one.answer.name == REQUEST or not (service.keeper is None or elsewhere):
            again += 1
        elif store.needed(one.job):
            lost[one.job] = None
    return Lacking(again=again, lost=tuple(lost))


class Mender:
    """Looks through the recorded answers of one state and has again what can be had."""

    def __init__(
        self,
        store: Store,
        service: HasAnswers,
        disk: Disk,
        outputs: Path,
        *,
        report: events.Report,
        clock: Callable[[], float],
        here: bool = False,  # whether what is lost is measured again on this machine, for nothing
    ) -> None:
        self._store = store
        self._service = service
        self._disk = disk
        self._outputs = outputs
        self._report = report
        self._clock = clock
        self._here = here
        self._lost: dict[int, str] = {}  # job -> why
        self._lost_hint = ""
        self._left: list[str] = []
        self._kept: dict[str, Path] = {}  # path of an answer -> under which name there is what somebody made of it
        self._error: HumeRunnerError | None = None

    def mend(self, *, thorough: bool = False) -> Mended:
        """`thorough`: read every answer, however it looks.

        Raises: OSError where the disk does not take what is fetched; StateError.
        """
        harmed = list(harmed_answers(self._store, self._outputs, thorough=thorough))
        if not harmed:
            return Mended()
        jobs = ((job, list(several)) for job, several in groupby(harmed, key=lambda one: one.job))
        pool = ThreadPoolExecutor(_AT_ONCE)
        try:
            while some := list(islice(jobs, 8 * _AT_ONCE)):
                started = [
                    (job, several, pool.submit(ask)) for job, several in some if (ask := self._ask(job, several))
                ]
                for job, several, future in started:
                    self._take(job, several, future)
        finally:
            pool.shutdown(cancel_futures=True)  # whoever interrupts waits for what is on its way alone
        return Mended(lost=tuple(self._lost), harmed=tuple(self._left), error=self._told())

    def _ask(self, number: int, harmed: Sequence[Harmed]) -> Callable[[], Fetched] | None:
        """What has the harmed answers of one job again; None where nothing can, or nobody needs it."""
        row = self._store.job(number)
        if row.status is not JobStatus.DONE or row.remote_id is None:
            return None
        what = [one.answer for one in harmed]
        place = place_of(row.endpoint)  # of an answer that somebody kept as a file
        remote = [one for one in harmed if one.answer.name != REQUEST]
        if remote and self._service.keeper is None:
            self._lose(number, remote, "this service gives an answer once")
            what = [one for one in what if one.name == REQUEST]
        elif remote and place is None and row.endpoint not in (None, self._service.endpoint):
            where = mask_secrets(str(row.endpoint))
            self._lose(number, remote, f"it came from {where}", hint=f"--endpoint {where} fetches it again; {_PAYS}")
            what = [one for one in what if one.name == REQUEST]
        elif remote and self._error is not None:  # the key is refused: it would be for the others
            self._left += [one.answer.path for one in remote]
            return None
        if not what:
            return None
        for answer in what:
            path = self._outputs / answer.path
            if path.is_file() and not path.is_symlink() and _is_somebodys(self._outputs, answer):
                self._kept[answer.path] = _keep_beside(path)
        job = replace(self._store.load_job(number), nonce=row.nonce or "")
        return partial(
            fetch_again,
            self._service if place is None else KeptAnswers(self._service, place),
            self._disk,
            job,
            row.remote_id,
            recorded=what,
            outcomes=self._store.outcomes(number),
            members=self._store.members(number),
            request=row.request,
            outputs=self._outputs,
        )

    def _take(self, number: int, harmed: Sequence[Harmed], future: Future[Fetched]) -> None:
        try:
            fetched = future.result()
        except (NotFound, AnswerDiffers) as error:
            self._forget_kept(harmed)
            self._lose(number, harmed, str(error))
        except (AuthError, Discontinued) as error:
            self._forget_kept(harmed)
            self._left += [one.answer.path for one in harmed]
            self._error = self._error or ServiceRefused(
                f"{_which(number, harmed)}, and cannot be fetched again: {error}", hint=error.hint
            )
        except ApiError as error:
            self._forget_kept(harmed)
            self._left += [one.answer.path for one in harmed]
            self._error = self._error or ServiceUnavailable(
                f"{_which(number, harmed)}, and cannot be fetched again now: {error}",
                hint="nothing is lost; run the same command again later",
            )
        else:
            self._store.record_mended(number, fetched.answers, fetched.outcomes, self._clock())
            for one in harmed:
                if any(answer.name == one.answer.name for answer in fetched.answers):
                    kept = self._kept.get(one.answer.path)
                    harm = one.harm if kept is None else f"{one.harm}, which is kept as {kept.name}"
                    self._report(events.Mended(job=job_name(number), path=one.answer.path, harm=harm))

    def _forget_kept(self, harmed: Sequence[Harmed]) -> None:
        """Nothing took the place of these files: they need no second name."""
        for one in harmed:
            kept = self._kept.pop(one.answer.path, None)
            if kept is not None and kept.samefile(self._outputs / one.answer.path):  # no copy that was there before
                kept.unlink()

    def _lose(self, number: int, harmed: Sequence[Harmed], why: str, *, hint: str = "") -> None:
        self._left += [one.answer.path for one in harmed]
        if number not in self._lost and self._store.needed(number):
            told = f"{_which(number, harmed)}"
            message = f"{told}: a run {_AGAIN}" if self._here else f"{told}, and it cannot be had again: {why}"
            self._lost[number] = message
            self._lost_hint = self._lost_hint or hint
            self._report(events.AnswerLost(job=job_name(number), message=message))

    def _told(self) -> HumeRunnerError | None:
        if self._error is not None or not self._lost or self._here:  # nobody has to decide what costs nothing
            return self._error
        first, more = next(iter(self._lost.values())), len(self._lost) - 1
        others = f"; and the answers of {more} more jobs" if more else ""
        return LostAnswerNeedsDecision(
            first + others,
            hint=self._lost_hint
            or f"put the file back from a backup (`hume-runner verify MANIFEST` lists all that are harmed); or {_PAYS}",
        )


def _which(number: int, harmed: Sequence[Harmed]) -> str:
    return f"{job_name(number)}: {harmed[0].answer.path} {harmed[0].harm}"


def clear_away(store: StateReader, lost: Sequence[int], outputs: Path, report: events.Report) -> None:
    """Remove what is left on disk of jobs that are measured again: the files that the state knows of, as they were
    recorded, or without any content. What somebody changed or added stays, and what is no whole answer any more gets a
    name that nothing reads. Raises: OSError; StateError.

    Before the state forgets them, so that a run that dies here does it again.
    """
    for number in lost:
        for _, answer in list(store.answers(number)):
            path = outputs / answer.path
            if not path.is_file() or path.is_symlink() or _is_somebodys(outputs, answer):
                continue
            if _is_ours(outputs, answer):
                path.unlink()
                continue
            aside = _put_aside(path)
            message = f"{job_name(number)}: what was in {answer.path} is kept as {aside.relative_to(outputs)}"
            report(events.AnswerLost(job=job_name(number), message=message))
        for folder in {(outputs / answer.path).parent for _, answer in store.answers(number)}:
            with contextlib.suppress(OSError):  # not there, or not empty
                folder.rmdir()


def _is_ours(outputs: Path, answer: StoredAnswer) -> bool:
    """Whether nothing is in a file but what was recorded, or what a disk leaves."""
    if look_at(outputs, answer, thorough=True).harm is None:
        return True
    with (outputs / answer.path).open("rb") as file:
        return not any(block.strip(b"\0") for block in iter(partial(file.read, _BLOCK_BYTES), b""))


def _put_aside(path: Path) -> Path:
    """Give a file another name beside it, which was not taken."""
    aside = next(one for one in _names_beside(path) if not os.path.lexists(one))
    path.rename(aside)
    return aside


def _keep_beside(path: Path) -> Path:
    """Give a file another name beside it, too: what takes its own leaves it there. A run that died had given it one."""
    for aside in _names_beside(path):
        if not os.path.lexists(aside):
            break
        if aside.is_file() and filecmp.cmp(path, aside, shallow=False):
            return aside
    try:
        aside.hardlink_to(path)
    except OSError:  # a file system without such links
        shutil.copy2(path, aside)
    return aside


def _names_beside(path: Path) -> Iterator[Path]:
    for ending in count(1):
        yield path.with_name(f"{path.name}.bak" if ending == 1 else f"{path.name}.{ending}.bak")


def _is_somebodys(outputs: Path, answer: StoredAnswer) -> bool:
    """Whether a file is another one than was recorded, and whole: no disk makes such a one."""
    if look_at(outputs, answer, thorough=True).harm is None:
        return False
    try:
        json.loads((outputs / answer.path).read_bytes())
    except (ValueError, RecursionError):
        return False
    return True


def take_back(store: Store, outputs: Path, report: events.Report, now: float) -> None:
    """Answers that were given up, that are on disk again as they were, and that nobody has paid for anew meanwhile."""
    for number, answers in store.answers_given_up().items():
        if all(look_at(outputs, one, thorough=True).harm is None for one in answers):
            store.record_answer_back(number, now)
            path = next((one.path for one in answers if one.name != REQUEST), answers[0].path)
            report(events.Mended(job=job_name(number), path=path, harm="was gone"))


def give_up_lost(store: Store, mended: Mended, now: float, *, pays: bool) -> Mended:
    """With consent, or where it costs nothing: what is lost is measured again. What is left is what else went wrong."""
    for number in mended.lost:
        store.record_answer_lost(number, now, pays=pays)
    error = None if isinstance(mended.error, LostAnswerNeedsDecision) else mended.error
    return replace(mended, lost=(), error=error)
