"""What the host tells of jobs: the list, the details of one, and all of them for tests."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from hume_runner.emulator.batch_v0.host import Host
from hume_runner.emulator.batch_v0.spelling import respell, shown_id
from hume_runner.emulator.batch_v0.storage import JobFilter, JobRow
from hume_runner.emulator.context import Refused, json_response
from hume_runner.emulator.difficulties import Listing, leave_out

_STATUSES = ("QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED")
_TYPES = ("INFERENCE", "EMBEDDING_GENERATION", "TL_INFERENCE", "TRAINING")
_SINGLE = ("limit", "when", "timestamp_ms", "sort_by", "direction")
_WHOLE = re.compile(r"-?[0-9]{1,100}")
_INT64 = 2**63 - 1


def state_of(job: JobRow) -> dict[str, Any]:
    """The `state` member, with exactly the members that belong to the status."""
    state: dict[str, Any] = {"status": job.status, "created_timestamp_ms": job.created_ms}
    if job.started_ms is not None:
        state["started_timestamp_ms"] = job.started_ms
    if job.ended_ms is not None:
        state["ended_timestamp_ms"] = job.ended_ms
    if job.status == "COMPLETED":
        state |= {"num_predictions": job.predictions, "num_errors": job.errors}
    if job.status == "FAILED":
        state["message"] = job.message
    return state


def job_json(job: JobRow) -> str:
    """One job as JSON text; the request is already stored that way, however long its texts are."""
    state = json.dumps(state_of(job), ensure_ascii=False, separators=(",", ":"))
    return f'{{"type":"INFERENCE","job_id":"{job.id}","request":{job.request},"state":{state}}}'


class Looking:
    """Tells of jobs."""

    def __init__(self, host: Host) -> None:
        self._host, self._context = host, host.context

    async def list_jobs(self, request: Request) -> Response:
        owner = self._host.owner(request)
        wanted, types = _filter_of(request, self._context.clock.now_ms())
        listing, quoted = self._context.difficulties.jobs, self._context.difficulties.quote_key.places
        if listing != Listing() or quoted:
            return json_response(self._difficult_list(request, owner, wanted, listing))
        jobs = self._host.store.jobs(owner, wanted) if not types or "INFERENCE" in types else []
        body = "[" + ",".join(job_json(job) for job in jobs) + "]"
        return Response(body.encode(), headers={"content-type": "application/json"})

    def _difficult_list(self, request: Request, owner: str, wanted: JobFilter, listing: Listing) -> list[Any]:
        if listing.status is not None:
            raise Refused.message(listing.status, "jobs cannot be listed")
        shown_from_ms = self._context.clock.now_ms() - round(listing.late_s * 1000)
        ready = [job for job in self._host.store.jobs(owner, JobFilter(limit=-1)) if job.created_ms <= shown_from_ms]
        chosen = self._host.store.jobs(owner, _loosened(wanted, listing))
        by_id = {job.id for job in ready}
        jobs = listing.cut([job for job in chosen if job.id in by_id], ready)
        if "limit" not in listing.ignores:
            jobs = jobs[: wanted.limit]
        jobs = listing.ordered(jobs, lambda job: job.created_ms, self._context.difficulties.chance)
        return listing.arranged([self._shown(request, job, "list") for job in jobs], named_by="job_id")

    async def details(self, request: Request) -> Response:
        job = self._host.job(request)
        listing, quoted = self._context.difficulties.jobs, self._context.difficulties.quote_key.places
        if listing != Listing() or quoted:
            if listing.details_status is not None:
                raise Refused.message(listing.details_status, "no details of jobs")
            entry = self._shown(request, job, "details")
            leave_out(entry, listing.details_leave_out)
            return json_response(entry)
        return Response(job_json(job).encode(), headers={"content-type": "application/json"})

    def _shown(self, request: Request, job: JobRow, where: str) -> dict[str, Any]:
        """The job as a difficult host tells of it."""
        entry: dict[str, Any] = json.loads(job_json(job))
        listing = self._context.difficulties.jobs
        entry["job_id"] = shown_id(job.id, listing, where)
        respell(entry["request"], listing)
        for kind in ("urls", "text", "files"):
            entry["request"][kind] = listing.some_of(entry["request"][kind])
        for name in entry["state"]:
            if name.endswith("_timestamp_ms"):
                entry["state"][name] += round(listing.off_s * 1000)
        if name := self._context.quoted_key(request, "name"):
            entry["name"] = f"job of {name}"
        if (key := self._context.quoted_key(request, "message")) and job.status == "FAILED":
            entry["state"]["message"] = f"{job.message} (key {key})"
        return entry

    async def accepted_jobs(self, request: Request) -> Response:
        """Every job that was ever accepted with this data, in order: the oracle of tests."""
        callbacks = self._host.store.callbacks()
        answer = []
        for job in self._host.store.all_jobs():
            echo = json.loads(job.request)
            callback = callbacks.get(job.id)
            answer.append(
                {
                    "job_id": job.id,
                    "owner": job.owner,
                    "status": job.status,
                    "created_timestamp_ms": job.created_ms,
                    "content_sha256": job.content_sha256,
                    "urls": echo["urls"],
                    "text": echo["text"],
                    "files": echo["files"],
                    "models": [name for name, options in echo["models"].items() if options is not None],
                    "settings": echo["models"],
                    "callback": None
                    if callback is None
                    else {"state": callback.state, "attempts": callback.attempts, "detail": callback.detail},
                }
            )
        return json_response(answer)


def _loosened(wanted: JobFilter, listing: Listing) -> JobFilter:
    """The filters that the host heeds. The limit is for what is left; a clock that is off moves the bounds with it."""
    off_ms = round(listing.off_s * 1000)

    def bound(name: str, value: int | None) -> int | None:
        return None if value is None or {"when", "timestamp_ms", name} & listing.ignores else value - off_ms

    return replace(
        wanted,
        limit=-1,
        statuses=() if "status" in listing.ignores else wanted.statuses,
        created_before_ms=bound("created_before", wanted.created_before_ms),
        created_after_ms=bound("created_after", wanted.created_after_ms),
        sort_by="created" if "sort_by" in listing.ignores else wanted.sort_by,
        ascending=False if "direction" in listing.ignores else wanted.ascending,
    )


def _filter_of(request: Request, now_ms: int) -> tuple[JobFilter, list[str]]:
    """The list operation's filters, and the job types asked for. Raises Refused for values outside the definition."""
    query = request.query_params
    for name in _SINGLE:
        if len(query.getlist(name)) > 1:
            raise Refused.message(400, f"{name}: may be given once")
    statuses = [_chosen("status", value, _STATUSES) for value in query.getlist("status")]
    types = [_chosen("type", value, _TYPES) for value in query.getlist("type")]
    limit = min(_whole("limit", query.get("limit"), 50), _INT64)  # no upper bound is documented
    if limit < 0:
        raise Refused.message(400, "limit: must not be negative")
    pivot_ms = _whole("timestamp_ms", query.get("timestamp_ms"), now_ms)
    if not -_INT64 - 1 <= pivot_ms <= _INT64:
        raise Refused.message(400, "timestamp_ms: must fit into 64 bits")
    when = None if "when" not in query else _chosen("when", query["when"], ("created_before", "created_after"))
    return (
        JobFilter(
            limit=limit,
            statuses=tuple(dict.fromkeys(statuses)),
            created_before_ms=pivot_ms if when == "created_before" else None,
            created_after_ms=pivot_ms if when == "created_after" else None,
            sort_by=_sorting(query.get("sort_by", "created")),
            ascending=_chosen("direction", query.get("direction", "desc"), ("asc", "desc")) == "asc",
        ),
        types,
    )


def _chosen(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise Refused.message(400, f"{name}: must be one of {', '.join(allowed)}")
    return value


def _sorting(value: str) -> Any:
    return _chosen("sort_by", value, ("created", "started", "ended"))


def _whole(name: str, value: str | None, default: int) -> int:
    if value is None:
        return default
    if not _WHOLE.fullmatch(value):
        raise Refused.message(400, f"{name}: must be a whole number")
    return int(value)
