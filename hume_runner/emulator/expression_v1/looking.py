"""What the host tells of past runs: the list, one of them, its events; and all of them for tests."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from hume_runner.emulator.context import Refused, json_response
from hume_runner.emulator.difficulties import Listing, leave_out
from hume_runner.emulator.expression_v1.errors import Coded
from hume_runner.emulator.expression_v1.host import Host
from hume_runner.emulator.expression_v1.queries import next_cursor, page_size, refuse_cursor, run_filter
from hume_runner.emulator.expression_v1.runs import RunFilter, RunRow


class Looking:
    """Tells of runs."""

    def __init__(self, host: Host) -> None:
        self._host, self._context = host, host.context

    async def list_runs(self, request: Request) -> Response:
        owner = self._host.owner(request)
        query = request.query_params
        size = page_size(query)
        wanted = run_filter(query, self._host.secret)
        now_ms = self._context.clock.now_ms()
        listing = self._context.difficulties.runs
        if listing != Listing() or self._host.unheard:
            return json_response(self._difficult_list(owner, wanted, query, size, listing))
        found = [] if wanted is None else self._host.runs.runs(owner, wanted, now_ms, size + 1)
        page: dict[str, Any] = {"runs": [_summary(run) for run in found[:size]]}
        if len(found) > size:
            page["next_cursor"] = next_cursor(found[size - 1], query, self._host.secret)
        return json_response(page)

    def _difficult_list(
        self, owner: str, wanted: RunFilter | None, query: QueryParams, size: int, listing: Listing
    ) -> dict[str, Any]:
        if listing.status is not None:
            raise Refused.message(listing.status, "runs cannot be listed")
        if wanted is None:
            if "mode" not in listing.ignores:
                return {"runs": listing.arranged([], named_by="run_id")}
            wanted = RunFilter()
        now_ms = self._context.clock.now_ms()
        status = None if "status" in listing.ignores else wanted.status
        shown_from_ms = now_ms - round(listing.late_s * 1000)
        ready = [run for run in self._host.runs.runs(owner, RunFilter(), now_ms, -1) if run.started_ms <= shown_from_ms]
        by_id = {run.id for run in ready}
        chosen = self._host.runs.runs(owner, _loosened(wanted, listing), now_ms, -1)
        # The status that is shown is the one that is filtered by.
        heard = [self._heard(run) for run in chosen if run.id in by_id]
        runs = listing.cut([run for run in heard if status in (None, run.status)], [self._heard(run) for run in ready])
        more = len(runs) > size and "page_size" not in listing.ignores
        page = runs[:size] if more else runs
        entries = [self._shown(run) for run in listing.ordered(page, lambda run: run.started_ms, self._chance)]
        answer: dict[str, Any] = {"runs": listing.arranged(entries, named_by="run_id")}
        if more:
            answer["next_cursor"] = next_cursor(page[-1], query, self._host.secret)
        return answer

    @property
    def _chance(self) -> random.Random:
        return self._context.difficulties.chance

    def _heard(self, run: RunRow) -> RunRow:
        """The run as far as the host has heard of it yet."""
        silent_ms, live_ms = self._host.unheard.get(run.id, (0, 0))
        now_ms = self._context.clock.now_ms()
        if now_ms < silent_ms:
            return replace(run, status="errored", ended_ms=run.started_ms, bytes_received=None, metered_ms=0)
        if now_ms < live_ms:
            return replace(run, status="live", ended_ms=None, bytes_received=None, metered_ms=0)
        return run

    def _shown(self, run: RunRow) -> dict[str, Any]:
        listing = self._context.difficulties.runs
        off_ms = round(listing.off_s * 1000)
        ended_ms = None if run.ended_ms is None else run.ended_ms + off_ms
        received = run.bytes_received
        if received is not None:
            received = listing.counts(received, len(json.loads(run.media)))
        return _summary(replace(run, started_ms=run.started_ms + off_ms, ended_ms=ended_ms, bytes_received=received))

    async def get_run(self, request: Request) -> Response:
        listing = self._context.difficulties.runs
        run = self._run(request)
        if listing.details_status is not None:
            raise Refused.message(listing.details_status, "no such operation")
        if run.started_ms + round(listing.details_late_s * 1000) > self._context.clock.now_ms():
            raise Coded("not_found", "no such run")
        run = self._heard(run)
        whole = self._shown(run) | {"close_code": None, "close_reason": None, "config": json.loads(run.config)}
        leave_out(whole, listing.details_leave_out)
        return json_response(whole)

    async def list_events(self, request: Request) -> Response:
        self._run(request)
        page_size(request.query_params)
        refuse_cursor(request.query_params)
        return json_response({"events": [], "at_cap": False, "capped_kinds": [], "gaps": False})

    async def accepted_runs(self, request: Request) -> Response:
        """Every run with this data, in order, shown or not: the oracle of tests."""
        now_ms = self._context.clock.now_ms()
        return json_response(
            [
                _summary(run)
                | {
                    "request_id": run.request_id,
                    "visible": run.visible_ms is not None and run.visible_ms <= now_ms,
                    "content_sha256": run.content_sha256,
                    "files": json.loads(run.media),
                    "config": json.loads(run.config),
                    "error": run.error,
                }
                for run in self._host.runs.all_runs()
            ]
        )

    def _run(self, request: Request) -> RunRow:
        owner = self._host.owner(request)
        run = self._host.runs.run(request.path_params["run_id"], owner, self._context.clock.now_ms())
        if run is None:
            raise Coded("not_found", "no such run")
        return run


def _loosened(wanted: RunFilter, listing: Listing) -> RunFilter:
    """The filters that the host heeds; the status is left to what is shown."""
    off_ms, ignored = round(listing.off_s * 1000), listing.ignores

    def bound(name: str, value: int | None) -> int | None:
        return None if value is None or name in ignored else value - off_ms

    return RunFilter(
        user_id=None if "user_id" in ignored else wanted.user_id,
        endpoint=None if "endpoint" in ignored else wanted.endpoint,
        started_before_ms=bound("started_before", wanted.started_before_ms),
        started_after_ms=bound("started_after", wanted.started_after_ms),
        behind=None if "cursor" in ignored else wanted.behind,
    )


def _summary(run: RunRow) -> dict[str, Any]:
    return {
        "run_id": run.id,
        "user_id": run.user_id,
        "status": run.status,
        "endpoint": run.endpoint,
        "mode": "file",
        "started_at": _instant(run.started_ms),
        "ended_at": None if run.ended_ms is None else _instant(run.ended_ms),
        "bytes_received": run.bytes_received,
        "bytes_recorded": None,
        "metered_seconds": run.metered_ms / 1000,
    }


def _instant(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
