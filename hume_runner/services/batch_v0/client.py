"""Hume's batch API v0: its paths, bodies and member names; one method per operation.

Source: the published definition and SDKs; docs/apis/batch_v0.md says which fact comes from where and how sure it is.
Reading is lenient on purpose: members may be missing, null or new, because the definition changed more often than its
name. What is needed and missing raises UnexpectedResponse, naming the member.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final
from urllib.parse import quote

from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    UnexpectedResponse,
)
from hume_runner.frozen import frozen
from hume_runner.http.answer import parse_json
from hume_runner.http.long_lists import LongList, is_strange
from hume_runner.http.messages import ApiRequest, ApiResponse, Transport
from hume_runner.http.retry import RetryPolicy, wait_asked_for
from hume_runner.http.upload import Form, Upload
from hume_runner.services.batch_v0.reading import (
    THIN_JOB,
    read_job_id,
    unusable_id,
)

BASE_URL: Final = "https://api.hume.ai"
AUTH_HEADER: Final = "X-Hume-Api-Key"
JOBS_PATH: Final = "/v0/batch/jobs"

# The states of a job. Anything else is a state that this program does not know, and is not final.
QUEUED: Final = "QUEUED"
IN_PROGRESS: Final = "IN_PROGRESS"
COMPLETED: Final = "COMPLETED"
FAILED: Final = "FAILED"

# Values of the list operation's filters.
CREATED_AFTER: Final = "created_after"
CREATED_BEFORE: Final = "created_before"
SHORT_LIST_BYTES: Final = 2 * 1024 * 1024  # what is longer is read from disk
MAX_LIST_BYTES: Final = 512 * 1024 * 1024  # 500 jobs of 100 texts each can be long
ERROR_MEMBERS: Final = frozenset({"fault", "message", "error"})  # of an object that is no list, whatever else it has

_NOT_HERE = f"check service.endpoint: the API's paths are added to it ({JOBS_PATH}), so it ends before them"
_REQUEST_ID_HEADERS = ("X-Request-Id", "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "CF-Ray")


@frozen
class StartedJob:
    """A job that the service accepted. `headers`: those that help when asking the service's people about it."""

    job_id: str
    server_date_s: float | None
    simulated: bool
    headers: Mapping[str, str]


@frozen
class ListedJobs:
    """One answer of the list operation, jobs as the service sent them; `read_job` reads them.

    A long list lies on disk, and its jobs are read one by one whenever they are asked for.
    """

    jobs: Iterable[dict[str, Any]]
    server_date_s: float | None
    simulated: bool
    strange: bool = False

    @property
    def holds_others(self) -> bool:
        """Whether it holds something that is no object and not empty either; of a long list, once it was read."""
        return self.jobs.holds_others if isinstance(self.jobs, LongList) else self.strange


@frozen
class DetailedJob:
    """One job as the service sent it; `read_job` reads it."""

    job: dict[str, Any]
    simulated: bool


class BatchV0Api:
    """The five operations. GETs are tried again as `retry` says; a job is started with exactly one POST.

    Times are seconds: `read_timeout_s` for each silence (None: the transport's), `answer_deadline_s` and
    `download_deadline_s` in total for one short answer and for one download.
    """

    def __init__(
        self,
        transport: Transport,
        retry: RetryPolicy,
        *,
        read_timeout_s: float | None = None,
        answer_deadline_s: float = 120.0,
        download_deadline_s: float = 4 * 3600.0,
    ) -> None:
        self._transport = transport
        self._retry = retry
        self._read_timeout_s = read_timeout_s
        self._answer_deadline_s = answer_deadline_s
        self._download_deadline_s = download_deadline_s

    def start_job(self, body: Mapping[str, Any], uploads: Sequence[Upload] = (), *, deadline_s: float) -> StartedJob:
        """POST once, never again. With uploads the body travels as the form's `json` field, before the files.

        Raises: ApiError; `retry.submission_outcome(error)` tells whether the job may exist all the same.
        """
        form = None
        if uploads:
            text = json.dumps(body, allow_nan=False)
            form = Form(fields=(("json", text),), uploads=tuple(("file", upload) for upload in uploads))
        request = ApiRequest(
            method="POST",
            path=JOBS_PATH,
            read_timeout_s=self._read_timeout_s,
            deadline_s=deadline_s,
            fresh_connection=True,
            **({"form": form} if form is not None else {"json": dict(body)}),
        )
        with self._transport.send(request) as response:
            if not 200 <= response.status < 300:
                raise api_error(response)
            answer = response.json()
            told = answer.get("job_id") if isinstance(answer, dict) else None
            job_id = read_job_id(told)
            if unusable_id(told):
                raise UnexpectedResponse(f"{response.where}: {unusable_id(told)}", status=response.status)
            if job_id is None:
                # Older gateways wrapped errors into 200.
                raise _error_inside(response, answer, f"{response.where} answered without a job_id")
            return StartedJob(
                job_id=job_id,
                server_date_s=response.server_date_s,
                simulated=response.simulated,
                headers={name: response.headers[name] for name in _REQUEST_ID_HEADERS if name in response.headers},
            )

    def list_jobs(
        self,
        *,
        limit: int | None = None,
        status: Sequence[str] = (),
        when: str | None = None,
        timestamp_ms: int | None = None,
        sort_by: str | None = None,
        direction: str | None = None,
        type: Sequence[str] = (),
    ) -> ListedJobs:
        """Jobs of this key, newest first unless `direction` is "asc"; 50 of them unless `limit` says otherwise.

        Whether a host caps `limit` is not documented: compare the number that comes back.
        """
        single = {
            "limit": limit,
            "when": when,
            "timestamp_ms": timestamp_ms,
            "sort_by": sort_by,
            "direction": direction,
        }
        params = (
            *(("status", value) for value in status),
            *((name, str(value)) for name, value in single.items() if value is not None),
            *(("type", value) for value in type),
        )

        def ask() -> ListedJobs:
            with self._get(JOBS_PATH, params=params) as response:
                jobs, strange = _listed(response)
            return ListedJobs(
                jobs=jobs, server_date_s=response.server_date_s, simulated=response.simulated, strange=strange
            )

        return self._retry.call(ask)

    def job_details(self, job_id: str) -> dict[str, Any]:
        """One job as the service sends it; `read_job` reads it. Raises: NotFound."""
        return self.ask_details(job_id).job

    def ask_details(self, job_id: str) -> DetailedJob:
        """The same, and whether an emulator said so. Raises: NotFound."""

        def ask() -> DetailedJob:
            with self._get(_job_path(job_id)) as response:
                answer = response.json()
            if not isinstance(answer, dict) or not isinstance(answer.get("state"), dict):
                raise _error_inside(response, answer, f"{response.where} answered without the job's state")
            return DetailedJob(job=answer, simulated=response.simulated)

        return self._retry.call(ask)

    def open_predictions(self, job_id: str) -> ApiResponse:
        """The predictions, a JSON array, still to be read with `iter_bytes`. Raises: NotFound."""
        return self._open(f"{_job_path(job_id)}/predictions")

    def open_artifacts(self, job_id: str) -> ApiResponse:
        """The artifacts, a zip, still to be read with `iter_bytes`. Raises: NotFound."""
        return self._open(f"{_job_path(job_id)}/artifacts")

    def _open(self, path: str) -> ApiResponse:
        def ask() -> ApiResponse:
            response = self._get(path, deadline_s=self._download_deadline_s)
            if "html" in response.headers.get("Content-Type", "").lower():
                # Neither predictions nor a zip: say so now, before it is copied to disk.
                parse_json(response.error_body(), where=response.where, content_type="text/html", status=200)
            return response

        return self._retry.call(ask)

    def _get(
        self, path: str, *, params: tuple[tuple[str, str], ...] = (), deadline_s: float | None = None
    ) -> ApiResponse:
        response = self._transport.send(
            ApiRequest(
                method="GET",
                path=path,
                params=params,
                read_timeout_s=self._read_timeout_s,
                deadline_s=deadline_s or self._answer_deadline_s,
            )
        )
        if not 200 <= response.status < 300:
            raise api_error(response)
        return response


def _listed(response: ApiResponse) -> tuple[Iterable[dict[str, Any]], bool]:
    """The objects in an answer that is a list, or an object with one, and whether there is something else in it."""
    chunks = response.iter_bytes()
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > SHORT_LIST_BYTES:
            whole = chain((bytes(body),), chunks)
            return LongList(whole, limit=MAX_LIST_BYTES, where=response.where, thin=THIN_JOB), False
    content_type = response.headers.get("Content-Type", "")
    answer = parse_json(bytes(body), where=response.where, content_type=content_type, status=response.status)
    if isinstance(answer, dict):
        lists = [value for value in answer.values() if isinstance(value, list)]
        if isinstance(answer.get("jobs"), list):
            answer = answer["jobs"]  # the shape before May 2023
        elif len(lists) == 1 and not ERROR_MEMBERS & answer.keys():
            answer = lists[0]  # another envelope
    if not isinstance(answer, list):
        raise _error_inside(response, answer, f"{response.where} answered without a list of jobs")
    return tuple(job for job in answer if isinstance(job, dict)), any(map(is_strange, answer))


def _job_path(job_id: str) -> str:
    """The job's path. Ids come from outside: none may lead to another path, whatever is in it."""
    if not job_id.strip(". "):
        # Dots are never escaped in a URL, and the HTTP library resolves them.
        raise NotFound(f"no job can be called {job_id!r}")
    return f"{JOBS_PATH}/{quote(job_id, safe='', errors='replace')}"


# -- errors ------------------------------------------------------------------------------------------------------------


def api_error(response: ApiResponse) -> ApiError:
    """What an error answer means; reads at most 64 KiB of its body and closes it.

    Shapes: {"fault": {"faultstring", "detail": {"errorcode"}}} (gateway), {"code", "message"}, {"message"}, anything.
    """
    raw = response.error_body()
    try:
        value = parse_json(raw, where=response.where)
    except UnexpectedResponse:
        value = None
    return _classified(response, value, raw.decode("utf-8", "replace"))


def _error_inside(response: ApiResponse, value: Any, otherwise: str) -> ApiError:
    """An error that came with status 200, as older gateways sent them; UnexpectedResponse if it is none we know."""
    if isinstance(value, dict) and ("fault" in value or value.get("message")):
        error = _classified(response, value, json.dumps(value))
        if not isinstance(error, UnexpectedResponse):
            return error
    return UnexpectedResponse(otherwise, status=response.status, body=json.dumps(value)[:2000])


def _classified(response: ApiResponse, value: Any, text: str) -> ApiError:
    status = response.status
    message, code = _message_and_code(value)
    said = f": {message}" if message else ""
    now = response.server_date_s if response.server_date_s is not None else time.time()
    facts: dict[str, Any] = {
        "status": status,
        "code": code,
        "body": text[:2000],
        "request_id": next((response.headers[name] for name in _REQUEST_ID_HEADERS if name in response.headers), None),
        "retry_after_s": wait_asked_for(response.headers, now),
    }
    lowered = f"{code} {message}".lower()
    if "invalidapikey" in lowered or "invalid apikey" in lowered:
        return AuthError(f"the API key is not valid{said}", hint="check the key and that it belongs here", **facts)
    if status == 403 and "discontinued" in lowered:
        return Discontinued(
            f"{response.where}: this API is closed{said}",
            hint="use service.api expression-v1 (`hume-runner migrate MANIFEST`) or a compatible host as "
            "service.endpoint",
            **facts,
        )
    if status in (401, 403):
        return AuthError(
            f"{response.where} is not allowed with this key ({status}){said}", hint="check the key", **facts
        )
    if status == 404 or message == "job not found":
        asked_for_one = f"{JOBS_PATH}/" in response.where
        hint = "jobs are seen by the key that made them" if asked_for_one else _NOT_HERE
        return NotFound(f"{response.where}: not found{said}", hint=hint, **facts)
    if status == 402:
        return RequestRejected(f"{response.where}: payment is required (402){said}", hint="check the account", **facts)
    if status == 429:
        return RateLimited(f"{response.where}: too many requests or jobs (429){said}", **facts)
    if 400 <= status < 500:
        return RequestRejected(f"{response.where} refused the request ({status}){said}", **facts)
    if status >= 500:
        return ServerError(f"{response.where} failed ({status}){said}", **facts)
    return UnexpectedResponse(f"{response.where} answered {status}, which this API never does{said}", **facts)


def _message_and_code(value: Any) -> tuple[str, str | None]:
    """(message, code) of an error body in any of its shapes; empty and None where it has none."""
    if not isinstance(value, dict):
        return "", None
    message, code = value.get("message"), value.get("code")
    fault = value.get("fault")
    if isinstance(fault, dict):
        detail = fault.get("detail")
        message = fault.get("faultstring") or message
        code = (detail.get("errorcode") if isinstance(detail, dict) else None) or code
    error = value.get("error")
    if not message and isinstance(error, str):
        message = error
    elif not message and isinstance(error, dict):
        message, code = error.get("message"), error.get("code") or code
    return str(message or "")[:500].strip(), None if code is None else str(code)[:100]
