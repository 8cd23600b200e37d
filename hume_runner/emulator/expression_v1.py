"""The Expression Measurement API's operations: two uploads that answer at once, and the records of past ones."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from hume_runner.emulator import expression_face_state as face_state
from hume_runner.emulator.context import Context, Refused, Stopped, answering, json_response
from hume_runner.emulator.expression_audio import find_samples, measure_audio
from hume_runner.emulator.expression_config import AudioConfig, VideoConfig, audio_config, video_config
from hume_runner.emulator.expression_errors import Coded, new_request_id, unauthorized
from hume_runner.emulator.expression_faces import measure_faces
from hume_runner.emulator.expression_images import MAX_IMAGE_BYTES, Size, check_image
from hume_runner.emulator.expression_options import ExpressionOptions
from hume_runner.emulator.expression_queries import next_cursor, page_size, refuse_cursor, run_filter
from hume_runner.emulator.expression_runs import RunRow, RunStore, new_run_id
from hume_runner.emulator.expression_uploads import Submission, receive_submission
from hume_runner.emulator.requests_v0 import parse_json

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

            return await self._measured(owner, "audio", config, submission, measure)

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

            return await self._measured(owner, "video", config, submission, measure)

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
            raise Stopped from None

    async def _measured(
        self, owner: str, endpoint: str, config: AudioConfig | VideoConfig, submission: Submission, measure: Measure
    ) -> Response:
        """Measure as a run of its own: live until the answer is there, ended and billed before it is sent."""
        allowed = self._options.concurrent_uploads
        if allowed is not None and self._active >= allowed:
            raise Coded("server_busy", "no capacity right now")
        began = time.monotonic()
        run_id, request_id = self._start_run(owner, endpoint, config, submission)
        self._active += 1
        try:
            if self._options.failing_measurements > 0:
                self._options.failing_measurements -= 1
                raise Coded("internal_error", "measurement failed")
            result, media_ms = await measure()
            await asyncio.sleep(max(0.0, self._context.processing_time_s - (time.monotonic() - began)))
        except Coded as refused:
            refused.body["request_id"] = request_id
            self._errored(run_id, submission, refused.body["code"])
            raise
        except Exception:
            self._errored(run_id, submission, "internal_error")
            raise
        finally:
            self._active -= 1
        self._runs.record_measured(
            run_id,
            ended_ms=self._context.clock.now_ms(),
            bytes_received=submission.size_bytes,
            metered_ms=max(_LEAST_METERED_MS, media_ms),
        )
        self._context.log.uploads_measured += 1
        return json_response({"request_id": request_id, "run_id": run_id, **result})

    def _start_run(
        self, owner: str, endpoint: str, config: AudioConfig | VideoConfig, submission: Submission
    ) -> tuple[str, str]:
        now_ms = self._context.clock.now_ms()
        visible_ms: int | None = now_ms + round(self._options.run_visible_after_s * 1000)
        if self._options.unrecorded_runs > 0:
            self._options.unrecorded_runs -= 1
            visible_ms = None
        run_id, request_id = new_run_id(now_ms), new_request_id()
        media = [{"sha256": one.sha256, "size_bytes": one.size_bytes} for one in submission.media]
        content = json.dumps([endpoint, config.effective(), media], sort_keys=True)
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
        found = [] if wanted is None else self._runs.runs(owner, wanted, now_ms, size + 1)
        page: dict[str, Any] = {"runs": [_summary(run) for run in found[:size]]}
        if len(found) > size:
            page["next_cursor"] = next_cursor(found[size - 1], query, self._secret)
        return json_response(page)

    async def get_run(self, request: Request) -> Response:
        run = self._run(request)
        whole = _summary(run) | {"close_code": None, "close_reason": None, "config": json.loads(run.config)}
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
