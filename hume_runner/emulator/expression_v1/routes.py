"""The Expression Measurement API's operations: two uploads that answer at once, and the records of past ones."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import uuid
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from hume_runner.emulator.context import (
    Context,
    Refused,
    Stopped,
    answer_lost,
    answering,
    in_place_of,
    json_response,
    parse_json,
)
from hume_runner.emulator.difficulties import Listing, Lost, leave_out
from hume_runner.emulator.expression_v1 import face_state
from hume_runner.emulator.expression_v1.audio import find_samples, measure_audio
from hume_runner.emulator.expression_v1.config import AudioConfig, VideoConfig, audio_config, video_config
from hume_runner.emulator.expression_v1.errors import Coded, new_request_id, unauthorized
from hume_runner.emulator.expression_v1.faces import measure_faces
from hume_runner.emulator.expression_v1.images import MAX_IMAGE_BYTES, Size, check_image
from hume_runner.emulator.expression_v1.options import ExpressionOptions
from hume_runner.emulator.expression_v1.queries import next_cursor, page_size, refuse_cursor, run_filter
from hume_runner.emulator.expression_v1.runs import RunFilter, RunRow, RunStore, new_run_id
from hume_runner.emulator.expression_v1.uploads import Submission, receive_submission

logger = logging.getLogger(__name__)

_AUDIO = "/v1/expression/audio/file"
_VIDEO = "/v1/expression/video/file"
_RUNS = "/v1/expression/run"
_LEAST_METERED_MS = 10_000  # of a run that took in media
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

Measure = Callable[[], Coroutine[Any, Any, tuple[dict[str, Any], int]]]
"""Gives what the answer holds besides its ids, and the metered milliseconds."""


class ExpressionV1:
    """The routes below /v1/expression."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._options = ExpressionOptions()
        self._runs = RunStore(context.data)
        self._runs.abandon_live(max(context.clock.now_ms(), self._runs.latest_ms()))
        self._secret = bytes.fromhex(
            context.storage.remembered("expression_secret", sha256(uuid.uuid4().bytes).hexdigest())
        )
        self._active = 0
        self._unheard: dict[str, tuple[int, int]] = {}  # until when a run reads errored, and then live

    def routes(self) -> list[Route]:
        served = {
            (_AUDIO, "POST"): self.measure_audio,
            (_VIDEO, "POST"): self.measure_video,
            (_RUNS, "GET"): self.list_runs,
            (_RUNS + "/{run_id}", "GET"): self.get_run,
            (_RUNS + "/{run_id}/events", "GET"): self.list_events,
        }
        routes = []
        for (path, method), handler in served.items():
            routes.append(Route(path, _answering(handler), methods=[method]))
            others = [other for other in _METHODS if other != method]
            routes.append(Route(path, _answering(self._other_method(method)), methods=others))
        return routes

    def admin_routes(self) -> list[Route]:
        return [
            Route("/_emulator/runs", answering(self.accepted_runs), methods=["GET"]),
            Route("/_emulator/expression", answering(self.change_options), methods=["POST"]),
        ]

    def background(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._close_at_the_end()]

    async def _close_at_the_end(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self._runs.close()

    # --- measure ---------------------------------------------------------------------------------------------------

    async def measure_audio(self, request: Request) -> Response:
        owner = self._owner(request)
        with _closing(Submission(self._context.data)) as submission:
            await self._receive(request, submission, "audio_too_long")
            config = audio_config(submission.config)
            if len(submission.media) > 1:
                raise Coded("message_invalid", "exactly one part named 'file' is allowed")
            medium = submission.media[0]
            samples = find_samples(submission, medium)

            async def measure() -> tuple[dict[str, Any], int]:
                result = await self._context.in_thread(
                    measure_audio, submission, medium, samples, config.measurement_timer_ms, self._context.seed
                )
                return result, samples.duration_ms

            return await self._measured(request, owner, "audio", config, submission, measure)

    async def measure_video(self, request: Request) -> Response:
        owner = self._owner(request)
        with _closing(Submission(self._context.data)) as submission:
            await self._receive(request, submission, "image_too_large")
            config = video_config(submission.config)

            async def measure() -> tuple[dict[str, Any], int]:
                # All pictures are checked before the first one is measured.
                sizes = await self._context.in_thread(_check_images, submission)
                result = await self._context.in_thread(self._measure_images, submission, sizes, config, owner)
                return result, round(len(sizes) * 1000 / 3)

            return await self._measured(request, owner, "video", config, submission, measure)

    async def _receive(self, request: Request, submission: Submission, too_large: str) -> None:
        limit = self._options.body_bytes
        try:
            await receive_submission(
                request.headers.get("content-type", ""),
                request.stream(),
                submission,
                limit_bytes=limit,
                too_large=Coded(too_large, f"the request is larger than {limit} bytes"),
            )
        except ClientDisconnect:
            self._left_while_uploading(request, submission)
            raise Stopped from None

    def _left_while_uploading(self, request: Request, submission: Submission) -> None:
        """A half-sent request leaves no run, or the one that the host is set to make of it."""
        how = self._context.difficulties.leaving.while_uploading
        if how == "nothing":
            return
        endpoint = "audio" if request.url.path == _AUDIO else "video"
        config = audio_config(None) if endpoint == "audio" else video_config(None)
        run_id, _ = self._start_run(self._owner(request), endpoint, config, submission)
        now_ms = self._context.clock.now_ms()
        if how == "billed":
            size = submission.size_bytes
            self._runs.record_measured(run_id, ended_ms=now_ms, bytes_received=size, metered_ms=_LEAST_METERED_MS)
        else:
            received = submission.size_bytes if how == "unbilled" else None
            self._runs.record_errored(run_id, ended_ms=now_ms, bytes_received=received, error="client_left")

    async def _measured(
        self,
        request: Request,
        owner: str,
        endpoint: str,
        config: AudioConfig | VideoConfig,
        submission: Submission,
        measure: Measure,
    ) -> Response:
        """Measure as a run of its own: live until the answer is there, ended and billed before it is sent."""
        allowed = self._options.concurrent_uploads
        if allowed is not None and self._active >= allowed:
            raise Coded("server_busy", "no capacity right now")
        clock = self._context.clock
        lost = self._context.difficulties.lost("uploads", _content(endpoint, config, submission))
        if lost is not None:
            await answer_lost(request, lost.answer)
            if lost.accepted_after_s is None:
                in_place_of(lost.answer, Response())
                raise Coded("internal_error", "never taken in")
        began_s = clock.monotonic_s()
        run_id, request_id = self._start_run(owner, endpoint, config, submission, lost)
        self._active += 1
        try:
            if self._options.failing_measurements > 0:
                self._options.failing_measurements -= 1
                raise Coded("internal_error", "measurement failed")
            result, media_ms = await measure()
            await clock.sleep(self._context.processing_time_s - (clock.monotonic_s() - began_s))
        except Coded as refused:
            refused.body["request_id"] = request_id
            self._errored(run_id, submission, refused.body["code"])
            raise
        except Exception:
            self._errored(run_id, submission, "internal_error")
            raise
        finally:
            self._active -= 1
        ended_ms = clock.now_ms() + (0 if lost is None else round((lost.accepted_after_s or 0) * 1000))
        how = self._context.difficulties.leaving.after_uploading
        left = how != "billed" and await request.is_disconnected()
        if left or (lost is not None and not lost.billed):
            silent = how == "silent" if lost is None else not lost.says_bytes
            received = None if silent else submission.size_bytes
            self._runs.record_errored(run_id, ended_ms=ended_ms, bytes_received=received, error="client_left")
        else:
            uncounted = 0 if lost is None else min(lost.uncounted_bytes, submission.size_bytes)
            self._runs.record_measured(
                run_id,
                ended_ms=ended_ms,
                bytes_received=submission.size_bytes - uncounted,
                metered_ms=max(_LEAST_METERED_MS, media_ms),
            )
            self._context.log.uploads_measured += 1
        response = json_response({"request_id": request_id, "run_id": run_id, **result})
        return response if lost is None else in_place_of(lost.answer, response)

    def _start_run(
        self,
        owner: str,
        endpoint: str,
        config: AudioConfig | VideoConfig,
        submission: Submission,
        lost: Lost | None = None,
    ) -> tuple[str, str]:
        """A run that the host takes in late has its start, and is shown, only then."""
        late_s = 0.0 if lost is None else lost.accepted_after_s or 0.0
        now_ms = self._context.clock.now_ms() + round(late_s * 1000)
        visible_ms: int | None = now_ms + round(self._options.run_visible_after_s * 1000)
        if self._options.unrecorded_runs > 0:
            self._options.unrecorded_runs -= 1
            visible_ms = None
        run_id, request_id = new_run_id(now_ms), new_request_id()
        media = [{"sha256": one.sha256, "size_bytes": one.size_bytes} for one in submission.media]
        content = _content(endpoint, config, submission)
        if lost is not None and (lost.silent_s or lost.live_s):
            silent_ms = now_ms + round(lost.silent_s * 1000)
            self._unheard[run_id] = (silent_ms, silent_ms + round(lost.live_s * 1000))
        self._runs.record_started(
            run_id=run_id,
            request_id=request_id,
            owner=owner,
            user_id=_user_of(owner),
            endpoint=endpoint,
            started_ms=now_ms,
            visible_ms=visible_ms,
            config=json.dumps(config.effective()),
            media=json.dumps(media),
            content_sha256=sha256(content.encode()).hexdigest(),
        )
        return run_id, request_id

    def _errored(self, run_id: str, submission: Submission, code: str) -> None:
        now_ms = self._context.clock.now_ms()
        self._runs.record_errored(run_id, ended_ms=now_ms, bytes_received=submission.size_bytes, error=code)

    def _measure_images(
        self, submission: Submission, sizes: Sequence[Size], config: VideoConfig, owner: str
    ) -> dict[str, Any]:
        now_ms = self._context.clock.now_ms()
        tracker = face_state.restore(
            config.face_state,
            organization=owner,
            now_ms=now_ms,
            secret=self._secret,
            lifetime_s=self._options.face_state_lifetime_s,
        )
        measurements = []
        for frame_id, (medium, size) in enumerate(zip(submission.media, sizes, strict=True)):
            faces = measure_faces(
                submission.read(medium),
                size,
                threshold=config.threshold,
                min_size=config.min_size,
                tracker=tracker,
                seed=self._context.seed,
            )
            measurements.append({"frame_id": frame_id, "faces": faces})
        result: dict[str, Any] = {"received": {"frames": len(sizes)}, "measurements": measurements}
        if config.return_face_state:
            result["face_state"] = face_state.issue(tracker, organization=owner, now_ms=now_ms, secret=self._secret)
        return result

    # --- look ------------------------------------------------------------------------------------------------------

    async def list_runs(self, request: Request) -> Response:
        owner = self._owner(request)
        query = request.query_params
        size = page_size(query)
        wanted = run_filter(query, self._secret)
        now_ms = self._context.clock.now_ms()
        listing = self._context.difficulties.runs
        if listing != Listing() or self._unheard:
            return json_response(self._difficult_list(owner, wanted, query, size, listing))
        found = [] if wanted is None else self._runs.runs(owner, wanted, now_ms, size + 1)
        page: dict[str, Any] = {"runs": [_summary(run) for run in found[:size]]}
        if len(found) > size:
            page["next_cursor"] = next_cursor(found[size - 1], query, self._secret)
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
        ready = [run for run in self._runs.runs(owner, RunFilter(), now_ms, -1) if run.started_ms <= shown_from_ms]
        by_id = {run.id for run in ready}
        chosen = self._runs.runs(owner, _loosened(wanted, listing), now_ms, -1)
        # The status that is shown is the one that is filtered by.
        heard = [self._heard(run) for run in chosen if run.id in by_id]
        runs = listing.cut([run for run in heard if status in (None, run.status)], [self._heard(run) for run in ready])
        more = len(runs) > size and "page_size" not in listing.ignores
        page = runs[:size] if more else runs
        entries = [self._shown(run) for run in listing.ordered(page, lambda run: run.started_ms, self._chance)]
        answer: dict[str, Any] = {"runs": listing.arranged(entries, named_by="run_id")}
        if more:
            answer["next_cursor"] = next_cursor(page[-1], query, self._secret)
        return answer

    @property
    def _chance(self) -> random.Random:
        return self._context.difficulties.chance

    def _heard(self, run: RunRow) -> RunRow:
        """The run as far as the host has heard of it yet."""
        silent_ms, live_ms = self._unheard.get(run.id, (0, 0))
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
                for run in self._runs.all_runs()
            ]
        )

    async def change_options(self, request: Request) -> Response:
        return json_response(self._options.change(parse_json(await request.body())))

    # --- who, which ------------------------------------------------------------------------------------------------

    def _owner(self, request: Request) -> str:
        """The organization of the request's one credential."""
        keys = request.headers.getlist("x-hume-api-key")
        tokens = request.headers.getlist("authorization")
        if len(keys) + len(tokens) != 1:
            reason = "exactly one credential is needed" if keys or tokens else "no credential was sent"
            raise unauthorized(reason, key_was_sent=bool(keys))
        if keys:
            owner = self._context.owner_of(keys[0])
        else:
            scheme, _, token = tokens[0].partition(" ")
            owner = self._context.owner_of(token.strip()) if scheme.lower() == "bearer" else None
        if owner is None:
            raise unauthorized("invalid credential", key_was_sent=bool(keys))
        return owner

    def _run(self, request: Request) -> RunRow:
        owner = self._owner(request)
        run = self._runs.run(request.path_params["run_id"], owner, self._context.clock.now_ms())
        if run is None:
            raise Coded("not_found", "no such run")
        return run

    def _other_method(self, allowed: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def refuse(request: Request) -> Response:
            self._owner(request)
            raise Coded("method_not_allowed", f"{request.method} is not allowed here", {"Allow": allowed})

        return refuse


class _closing:  # noqa: N801 - used like contextlib.closing, which hides the type
    def __init__(self, submission: Submission) -> None:
        self._submission = submission

    def __enter__(self) -> Submission:
        return self._submission

    def __exit__(self, *_: object) -> None:
        self._submission.close()


def _answering(handler: Callable[[Request], Coroutine[Any, Any, Response]]) -> Callable[..., Any]:
    """Like `answering`, and an unexpected error is a coded one."""

    async def wrapped(request: Request) -> Response:
        try:
            return await handler(request)
        except (Refused, Stopped):
            raise
        except Exception:
            logger.exception("%s %s failed", request.method, request.url.path)
            raise Coded("internal_error", "internal error") from None

    return answering(wrapped)


def _check_images(submission: Submission) -> list[Size]:
    # One byte more than the limit tells; the rest of a part that is too large need not be read.
    return [
        check_image(submission.read(medium, 0, MAX_IMAGE_BYTES + 1), position)
        for position, medium in enumerate(submission.media)
    ]


def _content(endpoint: str, config: AudioConfig | VideoConfig, submission: Submission) -> str:
    """What makes two uploads the same work, as JSON text."""
    media = [{"sha256": one.sha256, "size_bytes": one.size_bytes} for one in submission.media]
    return json.dumps([endpoint, config.effective(), media], sort_keys=True)


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


def _user_of(owner: str) -> str:
    """One user an organization, with an id that follows from it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, owner))
