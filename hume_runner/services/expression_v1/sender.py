"""One upload and what came of it: answered, refused, or nobody knows."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hume_runner import aside
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    ServerError,
    StoreError,
    TransportError,
)
from hume_runner.http.retry import is_on_the_way, took_its_time
from hume_runner.http.upload import SourceChanged, Upload
from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.expression_v1.account import Account
from hume_runner.services.expression_v1.client import AnswerNotUnderstood, Measured
from hume_runner.services.expression_v1.errors import measurement_outcome
from hume_runner.services.expression_v1.limits import GAP_SAMPLES
from hume_runner.services.expression_v1.media import MediaStore
from hume_runner.services.expression_v1.parts import divisible, endpoint_of
from hume_runner.services.expression_v1.settings import OWN_DEFAULTS, told_service
from hume_runner.services.expression_v1.wav_parts import Clip, JoinedClips, WavPart
from hume_runner.services.jobs import Answered, Job, Limits, Refused, Submission, SubmitResult, Unknown
from hume_runner.services.remote_files import refused_by_store

FACE_STATE_S = 24 * 3600 - 600  # ten minutes before the service forgets
_SUBMIT_DEADLINE_S = 1_800.0


class Uploads:
    """Sends prepared media. An answer that nobody understands is kept below `outputs`: it was paid for."""

    def __init__(
        self, account: Account, store: MediaStore, limits: Limits, models: Mapping[str, Any], outputs: Path
    ) -> None:
        self._account = account
        self._store = store
        self._limits = limits
        self._models = models
        self._outputs = outputs

    def prepare(self, job: Job) -> Submission:
        """See `Sender.prepare`."""
        config = config_of(job, self._models)
        shown = {name: value for name, value in config.items() if name != "face_state"}
        digest = hashlib.sha256(job.key.encode())
        digest.update(json.dumps([dict(member.detail) for member in job.members], sort_keys=True).encode())
        return Submission(
            # Whether faces are numbered on from the job before: the results have to know, and the state is opaque.
            request={"endpoint": endpoint_of(job), "config": shown, "continues": "face_state" in config},
            sha256=digest.hexdigest(),
            matches={member.position: str(place) for place, member in enumerate(job.members)},
            send=lambda: self._send(job, config),
        )

    def _send(self, job: Job, config: Mapping[str, Any]) -> SubmitResult:
        self._account.requests["submit"] += 1
        known = self._account.server_time_s
        self._account.under_way[job.nonce] = (endpoint_of(job), known)
        result = self._sent(job, config)
        if isinstance(result, Unknown):  # under way until somebody looks for it: a run may be what became of it
            self._account.lost_here[job.nonce] = known > -math.inf
        else:
            del self._account.under_way[job.nonce]
        return result

    def _sent(self, job: Job, config: Mapping[str, Any]) -> SubmitResult:
        try:
            with ExitStack() as stack:
                measured = self._measure(job, config, stack)
        except CannotPrepare as problem:
            return Refused(reason=problem.reason, message=problem.message, temporary=False, divisible=True)
        except StoreError as error:
            return refused_by_store(error)
        except ApiError as error:
            return self._kept(job, error) or judge_submission(error, divisible=divisible(job))
        self._account.measured(measured.run_id, simulated=measured.simulated, server_time_s=measured.server_date_s)
        return Answered(
            remote_id=measured.run_id,
            body=measured.body,
            server_time_s=measured.server_date_s,
            simulated=measured.simulated,
            carry=measured.face_state,
        )

    def _kept(self, job: Job, error: ApiError) -> Answered | None:
        """An answer that was billed and is not understood: kept as the job's answer if it says which run it is, else
        as a file of its own, since nobody can fetch it again."""
        if not isinstance(error, AnswerNotUnderstood):
            return None
        try:
            run_id = json.loads(error.answer).get("run_id")
        except (ValueError, AttributeError, RecursionError):
            run_id = None
        if isinstance(run_id, str) and run_id:
            return Answered(remote_id=run_id, body=error.answer, server_time_s=None, simulated=self._account.simulated)
        folder = aside.folder_below(self._outputs, "raw")
        folder.mkdir(parents=True, exist_ok=True)
        aside.write(folder / f"not-understood-{job.nonce}.bin", error.answer)
        return None

    def _measure(self, job: Job, config: Mapping[str, Any], stack: ExitStack) -> Measured:
        given = dict(config) or None
        first = job.members[0]
        for member in job.members:
            self._store.require_origin(member.item, member.detail.get("origin"))
        if "part" in first.detail:
            path, sound = stack.enter_context(self._store.sound(first.item, self._limits.job_bytes))
            part = WavPart(
                path=path,
                first_sample=int(first.detail["first"]),
                samples=int(first.detail["samples"]),
                filename=f"{job.nonce}.wav",
                sha256=first.detail.get("sha256"),
                written_ns=sound.written_ns,
            )
            return self._account.http.measure_audio(part, given, deadline_s=_SUBMIT_DEADLINE_S)
        if "clip" in first.detail:
            clips = tuple(
                Clip(
                    path=stack.enter_context(self._store.sound(m.item, self._limits.job_bytes))[0],
                    samples=int(m.detail["samples"]),
                    sha256=m.detail.get("sha256"),
                )
                for m in job.members
            )
            joined = JoinedClips(clips=clips, gap_samples=GAP_SAMPLES, filename=f"{job.nonce}.wav")
            return self._account.http.measure_audio(joined, given, deadline_s=_SUBMIT_DEADLINE_S)
        images: list[tuple[Path, str]] = []
        if "first_frame" in first.detail:
            folder, frames = stack.enter_context(self._store.frames(first.item))
            begin = int(first.detail["first_frame"])
            for index in range(begin, begin + len(first.detail["times_ms"])):
                images.append((folder / f"{index:06}.jpg", frames.digests[index]))
        else:
            for member in job.members:
                path, still = stack.enter_context(self._store.still(member.item))
                images.append((path, still.sha256))
        uploads = [
            Upload.of(path, filename=f"{job.nonce}-{index:03d}.jpg", sha256=sha256)
            for index, (path, sha256) in enumerate(images)
        ]
        return self._account.http.measure_images(uploads, given, deadline_s=_SUBMIT_DEADLINE_S)


def config_of(job: Job, models: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that goes with an upload, with the state of the faces before it as long as that is fresh."""
    if endpoint_of(job) == "audio":
        return told_service(models.get("audio") or {})
    options = models.get("video") or {}
    face = dict(options.get("face") or {})
    config: dict[str, Any] = {}
    if "first_frame" in job.members[0].detail and options.get("track_faces", OWN_DEFAULTS["track_faces"]):
        face["return_face_state"] = True
        fresh = job.carry_age_s is not None and job.carry_age_s < FACE_STATE_S
        if job.carry and fresh:
            config["face_state"] = job.carry
    if face:
        config["face"] = face
    return config


def judge_submission(error: ApiError, *, divisible: bool) -> SubmitResult:
    """What a failed upload means: surely not billed, or unknown. An error with the service's own code is not billed."""
    if isinstance(error, SourceChanged):
        return Refused(reason="source_changed", message=str(error), temporary=False, divisible=divisible)
    if measurement_outcome(error) != "refused":
        return Unknown(message=str(error), slow=took_its_time(error))
    temporary = isinstance(error, (RateLimited, ServerError, TransportError)) or error.status == 409
    temporary = temporary or is_on_the_way(error)
    return Refused(
        reason=error.code or "refused_by_service",
        message=str(error),
        temporary=temporary,
        stops_run=isinstance(error, (AuthError, Discontinued, NotFound)) or error.status == 402,
        divisible=divisible and error.code not in ("config_invalid", "message_invalid"),
        retry_after_s=error.retry_after_s,
        hint=error.hint or ("see to the account's credit, then run again: it resumes" if error.status == 402 else ""),
    )
