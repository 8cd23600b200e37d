"""A job's one request, and what a failed one means."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    StoreError,
    TransportError,
)
from hume_runner.http.retry import is_on_the_way, submission_outcome, took_its_time
from hume_runner.http.upload import SourceChanged, Upload
from hume_runner.manifest.model import Manifest
from hume_runner.services.batch_v0.host import Host
from hume_runner.services.batch_v0.matching import sent_by
from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.jobs import Accepted, Job, Member, PlanItem, Refused, Submission, SubmitResult, Unknown
from hume_runner.services.remote_files import RemoteFiles, refused_by_store
from hume_runner.settings import masked_url

# A submission's upload may take long; a slow link of 1 Mbit/s moves 100 MB in 14 minutes.
_SUBMIT_DEADLINE_S = 1_800.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


class Submissions:
    """Builds and sends the one request of a job."""

    def __init__(self, manifest: Manifest, host: Host, remote: RemoteFiles) -> None:
        self._manifest = manifest
        self._settings = manifest.settings
        self._host = host
        self._remote = remote

    def prepare(self, job: Job) -> Submission:
        """See `Sender.prepare`. Raises: OSError for a file that cannot be read any more."""
        body = self._body(job)
        matches = matches_of(job)
        # Objects of a store are fetched by who sends: that may take long.
        files = {
            member.position: _upload(member.item, member.item.path, matches[member.position])
            for member in job.members
            if member.item.path is not None
        }
        digest = hashlib.sha256(job.key.encode())
        digest.update(job.nonce.encode())
        self._host.sent[job.number] = sent_by(job, matches, self._settings)
        return Submission(
            request=_shown(body),
            sha256=digest.hexdigest(),
            matches=matches,
            send=lambda: self._send(body, job, files, matches),
        )

    def _body(self, job: Job) -> dict[str, Any]:
        manifest = self._manifest
        body: dict[str, Any] = dict(manifest.settings)
        urls = [member.item.value for member in job.members if member.item.kind == "url"]
        texts = [member.item.value for member in job.members if member.item.kind == "text"]
        if urls:
            body["urls"] = urls
        if texts:
            body["text"] = texts
        if manifest.notify.email:
            body["notify"] = True
        if manifest.notify.callback_url:
            body["callback_url"] = manifest.notify.callback_url
        return body

    def _send(
        self, body: Mapping[str, Any], job: Job, files: Mapping[int, Upload], matches: Mapping[int, str]
    ) -> SubmitResult:
        try:
            with ExitStack() as stack:
                uploads = [
                    files[member.position] if member.item.remote is None else self._fetched(member, matches, stack)
                    for member in job.members
                    if member.item.kind == "file"
                ]
                self._host.requests["submit"] += 1
                started = self._host.http.start_job(body, uploads, deadline_s=_SUBMIT_DEADLINE_S)
        except CannotPrepare as problem:
            return Refused(reason=problem.reason, message=problem.message, temporary=False, divisible=True)
        except StoreError as error:
            return refused_by_store(error)
        except ApiError as error:
            return judge_submission(error)
        if started.server_date_s is not None:
            self._host.saw_time(started.server_date_s)
        return Accepted(remote_id=started.job_id, server_time_s=started.server_date_s, simulated=started.simulated)

    def _fetched(self, member: Member, matches: Mapping[int, str], stack: ExitStack) -> Upload:
        """An object on its way through this machine. Raises: CannotPrepare, StoreError."""
        path = stack.enter_context(self._remote.planned(member.item))
        return _upload(member.item, path, matches[member.position])


def _upload(item: PlanItem, path: Path, name: str) -> Upload:
    return Upload.of(path, filename=name, sha256=item.content_sha256)


def _shown(body: Mapping[str, Any]) -> dict[str, Any]:
    """A request as it may be written down: its sources stand elsewhere, and a callback's query is nobody's business."""
    request = {name: value for name, value in body.items() if name not in ("urls", "text")}
    if "callback_url" in request:
        request["callback_url"] = masked_url(str(request["callback_url"]))
    return request


def matches_of(job: Job) -> dict[int, str]:
    """By what the answer will name each member: the URL itself, an upload's unique name, a text's 1-based position."""
    names: dict[int, str] = {}
    texts = 0
    for member in job.members:
        item = member.item
        if item.kind == "url":
            names[member.position] = item.value
        elif item.kind == "text":
            texts += 1
            names[member.position] = str(texts)
        else:
            names[member.position] = upload_name(job.nonce, member.position, item.value)
    return names


def upload_name(nonce: str, position: int, name: str) -> str:
    """A file's name in an upload: unique in its job, carrying the job's nonce, safe everywhere.

    The ending stays, since the service tells formats by it.
    """
    base = name.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = base.rpartition(".")
    if not stem:
        stem, dot, ending = base, "", ""
    safe = _UNSAFE.sub("_", stem)[:60].strip("._") or "file"
    ending = _UNSAFE.sub("", ending)[:10]
    return f"{nonce}-{position:03d}-{safe}{dot if ending else ''}{ending}"


def judge_submission(error: ApiError) -> SubmitResult:
    """What a failed POST means: surely refused, or unknown. Only a connection that never opened, 503 and a 4xx
    that is about the request prove that nothing was accepted."""
    if isinstance(error, SourceChanged):
        # Halving the job finds the file that changes; the others are not to blame.
        return Refused(reason="source_changed", message=str(error), temporary=False, divisible=True, hint=error.hint)
    if submission_outcome(error) != "refused":
        return Unknown(message=str(error), slow=took_its_time(error))
    fatal = isinstance(error, (AuthError, Discontinued)) or error.status == 402
    temporary = isinstance(error, (RateLimited, ServerError, TransportError)) or error.status == 409
    temporary = temporary or is_on_the_way(error)
    return Refused(
        reason="refused_by_service",
        message=str(error),
        temporary=temporary,
        stops_run=fatal or isinstance(error, NotFound),
        divisible=isinstance(error, RequestRejected),
        retry_after_s=error.retry_after_s,
        hint=error.hint,
    )
