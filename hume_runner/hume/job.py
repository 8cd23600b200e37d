"""One batch job, as the old Python package showed it: a handle, its details, its state."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.amounts import seconds_text
from hume_runner.http.backoff import doubled
from hume_runner.hume.configs import ModelConfig, ModelType, configs_of
from hume_runner.hume.exceptions import (
    JobFailedException,
    JobTimeoutException,
    UnexpectedAnswerException,
    WrongTypeException,
    WrongValueException,
)

if TYPE_CHECKING:
    from hume_runner.hume.legacy import HumeBatchClient

FIRST_POLL_S = 0.25
LONGEST_POLL_S = 30.0


class BatchJobStatus(Enum):
    """What the service does with a job."""

    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    IN_PROGRESS = "IN_PROGRESS"
    QUEUED = "QUEUED"

    @classmethod
    def is_terminal(cls, status: BatchJobStatus) -> bool:
        """Whether nothing more will happen to a job of this status."""
        return status in (cls.COMPLETED, cls.FAILED)

    @classmethod
    def from_str(cls, status: str) -> BatchJobStatus:
        """The status of this name. Raises: ValueError."""
        try:
            return cls(status)
        except ValueError:
            names = ", ".join(member.value for member in cls)
            raise ValueError(f"unknown job status {status!r}; known are {names}") from None


@dataclass
class BatchJobState:
    """Times are Unix milliseconds, None for what has not happened. Counts and `message` come with the end of a job."""

    status: BatchJobStatus
    created_timestamp_ms: int | None
    started_timestamp_ms: int | None
    ended_timestamp_ms: int | None
    num_predictions: int | None = None
    num_errors: int | None = None
    message: str | None = None


class BatchJobDetails:
    """What the service says about a job: its request, echoed, and its state.

    `files` holds what the service sends for each upload: an object with `filename`, `content_type` and `md5sum`.
    """

    def __init__(
        self,
        *,
        configs: dict[ModelType, ModelConfig],
        urls: list[str],
        files: list[Any],
        state: BatchJobState,
        callback_url: str | None = None,
        notify: bool = False,
        text: list[str] | None = None,
        job_id: str | None = None,
    ) -> None:
        self.configs = configs
        self.urls = urls
        self.files = files
        self.state = state
        self.callback_url = callback_url
        self.notify = notify
        self.text = text if text is not None else []
        self.job_id = job_id

    @classmethod
    def from_response(cls, response: Any) -> BatchJobDetails:
        """Details from an answer of the details or list operation.

        Missing and null members are fine where the job can be understood without them; unknown ones are ignored.
        Raises: HumeClientException, saying which member it was.
        """
        try:
            request, state = _object(response, "request"), _object(response, "state")
            return cls(
                configs=configs_of(request.get("models") or {}),
                urls=list(request.get("urls") or []),
                files=list(request.get("files") or []),
                text=list(request.get("text") or []),
                callback_url=request.get("callback_url"),
                notify=bool(request.get("notify")),
                state=BatchJobState(
                    status=BatchJobStatus.from_str(state["status"]),
                    created_timestamp_ms=state.get("created_timestamp_ms"),
                    started_timestamp_ms=state.get("started_timestamp_ms"),
                    ended_timestamp_ms=state.get("ended_timestamp_ms"),
                    num_predictions=state.get("num_predictions"),
                    num_errors=state.get("num_errors"),
                    message=state.get("message"),
                ),
                job_id=response.get("job_id"),
            )
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
            raise UnexpectedAnswerException(f"the service's job details make no sense: {what}") from error

    def get_status(self) -> BatchJobStatus:
        return self.state.status

    def get_run_time_ms(self) -> int | None:
        """Milliseconds from start to end; None while the job is not over."""
        started, ended = self.state.started_timestamp_ms, self.state.ended_timestamp_ms
        return None if started is None or ended is None else ended - started

    def get_created_time(self) -> datetime | None:
        """When the job was accepted: UTC, without a time zone in the value, as the old package had it."""
        return _utc(self.state.created_timestamp_ms)

    def get_started_time(self) -> datetime | None:
        """When the service began; None before. UTC without a time zone in the value."""
        return _utc(self.state.started_timestamp_ms)

    def get_ended_time(self) -> datetime | None:
        """When the job ended; None before. UTC without a time zone in the value."""
        return _utc(self.state.ended_timestamp_ms)

    def __repr__(self) -> str:
        models = ", ".join(model.value for model in self.configs)
        sources = f"{len(self.urls)} urls, {len(self.files)} files, {len(self.text)} texts"
        return (
            f"BatchJobDetails(job_id={self.job_id!r}, status={self.state.status.value}, models=[{models}], {sources})"
        )


def _object(value: Any, name: str) -> Mapping[str, Any]:
    found = value[name]
    if not isinstance(found, Mapping):
        raise TypeError(f"{name} is no object")
    return found


def _utc(timestamp_ms: int | None) -> datetime | None:
    if timestamp_ms is None:
        return None
    return datetime.fromtimestamp(timestamp_ms / 1000, tz=UTC).replace(tzinfo=None)


class BatchJob:
    """A job at the service. It lives there: this is a name for it, and asking costs one request each time.

    A pickled one holds its client, and so the key.
    """

    TIMEOUT_MESSAGE = "after {}s the job goes on at the service: `client.get_job('{}')` finds it again at any time"

    def __init__(self, client: HumeBatchClient, job_id: str) -> None:
        self._client = client
        self.id = job_id

    def __repr__(self) -> str:
        return f"BatchJob(id={self.id!r})"

    def get_status(self) -> BatchJobStatus:
        return self.get_details().state.status

    def get_details(self) -> BatchJobDetails:
        return self._client.get_job_details(self.id)

    def get_predictions(self) -> Any:
        """The predictions as JSON values, one element a source."""
        return self._client.get_job_predictions(self.id)

    def download_predictions(self, filepath: str | Path) -> None:
        """The predictions as a JSON file, byte for byte as the service sends them. The file is whole or not there."""
        self._client.download_job_predictions(self.id, filepath)

    def download_artifacts(self, filepath: str | Path) -> None:
        """The artifacts as a zip file. The file is whole or not there."""
        self._client.download_job_artifacts(self.id, filepath)

    def await_complete(self, timeout: float | None = 300, raise_on_failed: bool = False) -> BatchJobDetails:
        """Wait until the job is over; asks after 0.25 s, then after twice as long each time, up to 30 s.

        `timeout`: seconds; None waits as long as it takes. Raises: HumeClientException if the job is not over by then
        (it goes on at the service) or, with `raise_on_failed`, if it failed; for a timeout below one second it is a
        ValueError as well.
        """
        limit = math.inf if timeout is None else timeout
        if isinstance(limit, bool) or not isinstance(limit, int | float):
            raise WrongTypeException(f"timeout is a number of seconds, not {type(timeout).__name__}")
        if not limit >= 1:
            raise WrongValueException("timeout must be at least 1 second")
        ends_at = time.monotonic() + limit
        for polls in itertools.count():
            details = self.get_details()
            if BatchJobStatus.is_terminal(details.state.status):
                break
            left = ends_at - time.monotonic()
            if left <= 0:
                told = self.TIMEOUT_MESSAGE.format(seconds_text(limit), self.id)
                raise JobTimeoutException(f"{told} (it is {details.state.status.value})")
            time.sleep(min(doubled(polls, first=FIRST_POLL_S, most=LONGEST_POLL_S), left))
        if raise_on_failed and details.state.status is BatchJobStatus.FAILED:
            raise JobFailedException(f"job {self.id} failed: {details.state.message or 'the service gives no reason'}")
        return details
