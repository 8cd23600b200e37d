"""The two uploads, each measured as a run of its own, and what becomes of it where the client or the answer is lost."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Coroutine, Sequence
from hashlib import sha256
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hume_runner.emulator.context import Stopped, answer_lost, in_place_of, json_response
from hume_runner.emulator.difficulties import Lost
from hume_runner.emulator.expression_v1 import face_state
from hume_runner.emulator.expression_v1.audio import find_samples, measure_audio
from hume_runner.emulator.expression_v1.config import AudioConfig, VideoConfig, audio_config, video_config
from hume_runner.emulator.expression_v1.errors import Coded, new_request_id
from hume_runner.emulator.expression_v1.faces import measure_faces
from hume_runner.emulator.expression_v1.host import Host
from hume_runner.emulator.expression_v1.images import MAX_IMAGE_BYTES, Size, check_image
from hume_runner.emulator.expression_v1.runs import new_run_id
from hume_runner.emulator.expression_v1.uploads import Submission, receive_submission

AUDIO = "/v1/expression/audio/file"
VIDEO = "/v1/expression/video/file"
_LEAST_METERED_MS = 10_000  # of a run that took in media

Measure = Callable[[], Coroutine[Any, Any, tuple[dict[str, Any], int]]]
"""Gives what the answer holds besides its ids, and the metered milliseconds."""


class Measuring:
    """Takes recordings and pictures in, and answers with what is in them."""

    def __init__(self, host: Host) -> None:
        self._host, self._context = host, host.context
        self._active = 0

    async def measure_audio(self, request: Request) -> Response:
        owner = self._host.owner(request)
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
        owner = self._host.owner(request)
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
        limit = self._host.options.body_bytes
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
        endpoint = "audio" if request.url.path == AUDIO else "video"
        config = audio_config(None) if endpoint == "audio" else video_config(None)
        run_id, _ = self._start_run(self._host.owner(request), endpoint, config, submission)
        now_ms = self._context.clock.now_ms()
        if how == "billed":
            size = submission.size_bytes
            self._host.runs.record_measured(run_id, ended_ms=now_ms, bytes_received=size, metered_ms=_LEAST_METERED_MS)
        else:
            received = submission.size_bytes if how == "unbilled" else None
            self._host.runs.record_errored(run_id, ended_ms=now_ms, bytes_received=received, error="client_left")

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
        allowed = self._host.options.concurrent_uploads
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
            if self._host.options.failing_measurements > 0:
                self._host.options.failing_measurements -= 1
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
            self._host.runs.record_errored(run_id, ended_ms=ended_ms, bytes_received=received, error="client_left")
        else:
            uncounted = 0 if lost is None else min(lost.uncounted_bytes, submission.size_bytes)
            self._host.runs.record_measured(
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
        visible_ms: int | None = now_ms + round(self._host.options.run_visible_after_s * 1000)
        if self._host.options.unrecorded_runs > 0:
            self._host.options.unrecorded_runs -= 1
            visible_ms = None
        run_id, request_id = new_run_id(now_ms), new_request_id()
        media = [{"sha256": one.sha256, "size_bytes": one.size_bytes} for one in submission.media]
        content = _content(endpoint, config, submission)
        if lost is not None and (lost.silent_s or lost.live_s):
            silent_ms = now_ms + round(lost.silent_s * 1000)
            self._host.unheard[run_id] = (silent_ms, silent_ms + round(lost.live_s * 1000))
        self._host.runs.record_started(
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
        self._host.runs.record_errored(run_id, ended_ms=now_ms, bytes_received=submission.size_bytes, error=code)

    def _measure_images(
        self, submission: Submission, sizes: Sequence[Size], config: VideoConfig, owner: str
    ) -> dict[str, Any]:
        now_ms = self._context.clock.now_ms()
        tracker = face_state.restore(
            config.face_state,
            organization=owner,
            now_ms=now_ms,
            secret=self._host.secret,
            lifetime_s=self._host.options.face_state_lifetime_s,
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
            result["face_state"] = face_state.issue(
                tracker, organization=owner, now_ms=now_ms, secret=self._host.secret
            )
        return result


class _closing:  # noqa: N801 - used like contextlib.closing, which hides the type
    def __init__(self, submission: Submission) -> None:
        self._submission = submission

    def __enter__(self) -> Submission:
        return self._submission

    def __exit__(self, *_: object) -> None:
        self._submission.close()


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


def _user_of(owner: str) -> str:
    """One user an organization, with an id that follows from it."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, owner))
