"""One piece of work handed to a worker process, and what came of it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hume_runner.computing.base import MOST_DEATHS, NoAnswer, Pool, Unseen
from hume_runner.computing.here import OwnProcesses
from hume_runner.errors import HumeRunnerError, StoreError, of_system
from hume_runner.processes import Stopped, TookTooLong, WorkerDied
from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.jobs import Answered, Job, Refused, Submission, SubmitResult
from hume_runner.services.local.answer_form import answered_by
from hume_runner.services.local.answers import sources_of
from hume_runner.services.local.measurers.found import is_ours, own
from hume_runner.services.local.measuring import measure, measure_elsewhere
from hume_runner.services.local.media import LocalMedia
from hume_runner.services.local.settings import Chosen, for_material, identity
from hume_runner.services.local.task import Pictures, SoundPart, Stills, Task, Texts, Wanted
from hume_runner.services.local.weights import require
from hume_runner.services.remote_files import refused_by_store

# A worker takes a while to start: a few texts are measured sooner here.
_FEW_CHARACTERS = 20_000


class Measuring:
    """Measures pieces on a pool: processes of this machine, unless it is told otherwise."""

    def __init__(self, store: LocalMedia, models: Mapping[str, Any], *, workers: int, timeout_s: float) -> None:
        self._store = store
        self._models = models
        self._timeout_s = timeout_s
        self.pool: Pool = OwnProcesses(workers, timeout_s=timeout_s)
        self._here = threading.Lock()
        self.requests = {"measured": 0}

    def prepare(self, job: Job) -> Submission:
        """See `Sender.prepare`."""
        asked = self._asked(job)
        who = {one.model: one.card.measured_by for one in asked}
        request = {"measurers": {one.model: {**one.options, "measured_by": who[one.model]} for one in asked}}
        # Over what is measured and by whom, and not over the items' keys: a setting of another model makes other keys,
        # and leaves the answer what it is.
        said = [[member.item.kind, member.item.content_sha256, dict(member.detail)] for member in job.members]
        by = {one.model: identity(one) for one in asked}
        digest = hashlib.sha256(json.dumps([by, said], sort_keys=True).encode())
        return Submission(
            request=request,
            sha256=digest.hexdigest(),
            matches={member.position: str(place) for place, member in enumerate(job.members)},
            send=lambda: self._send(job, who),
            again=lambda body: taken_over(job, body),
        )

    def _asked(self, job: Job) -> tuple[Chosen, ...]:
        first = job.members[0]
        if first.item.kind == "text":
            return for_material(self._models, "text")
        return for_material(self._models, "sound" if "part" in first.detail else "pictures")

    def _send(self, job: Job, asked: Mapping[str, str]) -> SubmitResult:
        """`asked`: who is to measure, model -> measured_by. An answer of somebody else is none to what was asked."""
        self.requests["measured"] += 1
        try:
            with ExitStack() as stack:
                body = self._measured(self._task(job, stack))
        except CannotPrepare as problem:
            return Refused(reason=problem.reason, message=problem.message, temporary=False, divisible=True)
        except StoreError as error:
            return refused_by_store(error)
        except Stopped:
            return Refused(reason="interrupted", message="the run was interrupted", temporary=True)
        except TookTooLong:
            message = f"it took longer than execution.job_timeout, {self._timeout_s:g} s"
            return Refused(reason="timed_out", message=message, temporary=False, divisible=True)
        except WorkerDied as death:
            message = f"{MOST_DEATHS} workers died of it, the last one so: {death.how}"
            return Refused(reason="worker_died", message=message, temporary=False, divisible=True)
        except NoAnswer as none:
            message = f"the cluster gave no answer to this piece: {none.why}"
            return Refused(reason=none.reason, message=message, temporary=False, divisible=none.divisible)
        except HumeRunnerError as error:  # no piece can be measured
            return _stopping("no_workers", error)
        except (OSError, MemoryError) as error:
            # What this machine lacks. Nobody else has the piece, so that nobody is to be asked for it.
            if (known := of_system(error)) is None:
                raise
            return _stopping("no_room", known)
        told = answered_by(body)
        if told != asked:
            message = f"{_words(told)} measured it, and {_words(asked)} was asked to"
            return Refused(reason="other_measurer", message=message, temporary=False)
        return Answered(remote_id=job.nonce, body=body, server_time_s=None, simulated=False)

    def _measured(self, task: Task) -> bytes:
        if self.pool.elsewhere:
            try:
                files = tuple((path, Path(path).stat().st_size) for path in _files(task.material))
                return self.pool.call(measure_elsewhere, task, files)
            except FileNotFoundError as error:
                raise CannotPrepare("source_unreadable", f"{Path(error.filename).name}: {error.strerror}") from None
            except Unseen as unseen:  # by us neither, any more
                raise CannotPrepare("source_unreadable", f"{Path(unseen.path).name}: {unseen.why}") from None
        if _is_light(task):
            with self._here:  # sessions are not shared between threads
                return measure(task)
        return self.pool.call(measure, task)

    def _task(self, job: Job, stack: ExitStack) -> Task:
        """What is held while the piece is measured is held by `stack`."""
        first = job.members[0]
        material: Texts | SoundPart | Pictures | Stills
        for member in job.members:
            if member.item.kind != "text":
                self._store.require_origin(member.item, member.detail.get("origin"))
                self._store.unchanged(member.item)
        name = Path(first.item.value).name
        if first.item.kind == "text":
            material = Texts(texts=tuple(member.item.value for member in job.members))
        elif "part" in first.detail:
            path, _ = stack.enter_context(self._store.sound(first.item))
            material = SoundPart(path=str(path.absolute()), name=name, detail=first.detail)
        elif "pictures" in first.detail:
            path = stack.enter_context(self._store.source(first.item))
            begin_s, end_s = first.detail["begin_s"], first.detail["end_s"]
            material = Pictures(path=str(path.absolute()), name=name, begin_s=begin_s, end_s=end_s, detail=first.detail)
        else:
            files = [(stack.enter_context(self._store.source(one.item)), one.item) for one in job.members]
            material = Stills(files=tuple((str(path.absolute()), Path(item.value).name) for path, item in files))
        wanted = tuple(_wanted(one, elsewhere=self.pool.elsewhere) for one in self._asked(job))
        return Task(wanted=wanted, material=material)


def _stopping(reason: str, error: HumeRunnerError) -> Refused:
    return Refused(reason=reason, message=str(error), temporary=False, stops_run=True, error=error)


def taken_over(job: Job, body: bytes) -> Answered | None:
    """The answer that the same material has already; what was not wholly measured is tried anew."""
    try:
        sources = sources_of(json.loads(body))
    except ValueError:
        return None
    if len(sources) != len(job.members) or any(one["errors"] or not one["measured"] for one in sources):
        return None
    return Answered(remote_id=job.nonce, body=body, server_time_s=None, simulated=False)


def _words(measured_by: Mapping[str, str]) -> str:
    return ", ".join(measured_by[model] for model in sorted(measured_by)) or "nobody that is known"


def _is_light(task: Task) -> bool:
    """A few texts for measurers of ours that need no library, and so can neither take this process down nor slow its
    start. Others' code may do either, whatever it says that it needs."""
    if not isinstance(task.material, Texts) or sum(map(len, task.material.texts)) > _FEW_CHARACTERS:
        return False
    return all(is_ours(one.model) and not own()[one.model].modules for one in task.wanted)


def _files(material: Texts | SoundPart | Pictures | Stills) -> tuple[str, ...]:
    """What has to be read to measure it, as everybody may name it."""
    match material:
        case Texts():
            return ()
        case Stills(files=files):
            return tuple(path for path, _ in files)
        case SoundPart(path=path) | Pictures(path=path):
            return (path,)


def _wanted(one: Chosen, *, elsewhere: bool) -> Wanted:
    options = json.dumps(dict(one.options), sort_keys=True)
    if elsewhere:
        return Wanted(model=one.model, options=options, files=None)
    files = require(one.card.files)
    return Wanted(model=one.model, options=options, files=tuple((name, str(path)) for name, path in files.items()))
