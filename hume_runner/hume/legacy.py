"""`HumeBatchClient`: the documented surface of the old Python package, on top of this package's own client."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Self

from hume_runner import aside
from hume_runner.http.answer import check_zip
from hume_runner.http.json_stream import JsonReader
from hume_runner.http.retry import NO_RETRY, RetryPolicy
from hume_runner.http.transport import ApiResponse, RequestsTransport
from hume_runner.http.upload import Upload
from hume_runner.hume.configs import ModelConfig, TranscriptionConfig, models_of
from hume_runner.hume.exceptions import as_client_exceptions
from hume_runner.hume.job import BatchJob, BatchJobDetails, BatchJobStatus
from hume_runner.services.batch_v0.client import AUTH_HEADER, BASE_URL, BatchV0Api

MAX_PREDICTIONS_BYTES = 8 * 1024**3  # `get_predictions` holds them in memory anyway
SUBMIT_DEADLINE_S = 3600.0
RETRY = RetryPolicy(attempts=4, max_wait_s=30.0, deadline_s=120.0)


class ApiType(Enum):
    """The old package's two APIs; only BATCH is served here."""

    BATCH = "batch"
    STREAM = "stream"


class HumeBatchClient:
    """Client of the batch API v0.

    `timeout` is in seconds and bounds each silence of the service, not a whole transfer. Reading is tried again by
    itself after temporary failures; a submission never is, because it might run and be billed twice: the exception's
    `sent` says whether it can have arrived.
    """

    def __init__(
        self, api_key: str, *, timeout: float = 10, base_url: str = BASE_URL, _api_http_base_url: str | None = None
    ) -> None:
        """`base_url`: the host that speaks the protocol. `_api_http_base_url` is its old name: taken, with a warning.

        Raises: TypeError for both at once with two hosts; HumeClientException.
        """
        if _api_http_base_url is not None:
            if base_url not in (BASE_URL, _api_http_base_url):
                raise TypeError("base_url and _api_http_base_url name two hosts: leave the second out")
            # No DeprecationWarning: Python keeps those from the people who write scripts.
            warnings.warn("_api_http_base_url is called base_url here", FutureWarning, stacklevel=2)
            base_url = _api_http_base_url
        with as_client_exceptions():
            self._transport = RequestsTransport(base_url, api_key, AUTH_HEADER, timeout_s=timeout)
        self._api = BatchV0Api(self._transport, RETRY)
        self._once = BatchV0Api(self._transport, NO_RETRY)

    def __repr__(self) -> str:
        return f"HumeBatchClient(base_url={self._transport.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections. Optional: they go with the client."""
        self._transport.close()

    @classmethod
    def get_api_type(cls) -> ApiType:
        return ApiType.BATCH

    def get_job(self, job_id: str) -> BatchJob:
        """A handle on a job that exists already; asks nothing."""
        return BatchJob(self, job_id)

    def submit_job(
        self,
        urls: Sequence[str] | None,
        configs: Iterable[ModelConfig],
        transcription_config: TranscriptionConfig | None = None,
        callback_url: str | None = None,
        notify: bool | None = None,
        files: Iterable[str | Path] | None = None,
        text: Sequence[str] | None = None,
    ) -> BatchJob:
        """Start a job. One configuration a model: the last wins. Files are streamed from disk.

        Raises: HumeClientException; OSError for a file that cannot be read; TypeError for one string where a list is
        due.
        """
        for name, value in (("urls", urls), ("text", text), ("files", files)):
            if isinstance(value, str | bytes):
                raise TypeError(f"{name} is a list, not one string")
        body: dict[str, Any] = {"urls": list(urls or []), "models": models_of(configs)}
        if text is not None:
            body["text"] = list(text)
        if transcription_config is not None:
            body["transcription"] = transcription_config.to_dict()
        if callback_url is not None:
            body["callback_url"] = callback_url
        if notify is not None:
            body["notify"] = notify
        uploads = [Upload.of(Path(path)) for path in files or ()]
        with as_client_exceptions():
            started = self._api.start_job(body, uploads, deadline_s=SUBMIT_DEADLINE_S)
        return BatchJob(self, started.job_id)

    def list_jobs(
        self,
        *,
        limit: int | None = None,
        status: BatchJobStatus | str | Iterable[BatchJobStatus | str] = (),
        when: str | None = None,
        timestamp_ms: int | None = None,
        sort_by: str | None = None,
        direction: str | None = None,
        type: str | Iterable[str] = (),
    ) -> list[BatchJobDetails]:
        """Jobs of this key, each with its `job_id`; newest first and at most 50 unless asked otherwise.

        `when`: "created_before" or "created_after" the time `timestamp_ms` (Unix milliseconds). `sort_by`: "created",
        "started" or "ended". `direction`: "asc" or "desc". `type`: kinds of jobs, which later hosts ignore.
        """
        statuses = [status] if isinstance(status, str | BatchJobStatus) else list(status)
        with as_client_exceptions():
            listed = self._api.list_jobs(
                limit=limit,
                status=[one.value if isinstance(one, BatchJobStatus) else one for one in statuses],
                when=when,
                timestamp_ms=timestamp_ms,
                sort_by=sort_by,
                direction=direction,
                type=[type] if isinstance(type, str) else list(type),
            )
        return [BatchJobDetails.from_response(job) for job in listed.jobs]

    def get_job_details(self, job_id: str) -> BatchJobDetails:
        with as_client_exceptions():
            return BatchJobDetails.from_response(self._api.job_details(job_id))

    def get_job_predictions(self, job_id: str) -> Any:
        """The predictions as JSON values. For large ones `download_job_predictions` needs no memory."""

        def fetch() -> Any:
            return self._once.open_predictions(job_id).json(max_bytes=MAX_PREDICTIONS_BYTES)

        with as_client_exceptions():
            return RETRY.call(fetch)

    def download_job_predictions(self, job_id: str, filepath: str | Path) -> None:
        """The predictions as a JSON file; checked to be whole before the file appears under its name."""
        self._download(lambda: self._once.open_predictions(job_id), Path(filepath), _check_predictions)

    def download_job_artifacts(self, job_id: str, filepath: str | Path) -> None:
        """The artifacts as a zip file; checked to be whole before the file appears under its name."""
        self._download(lambda: self._once.open_artifacts(job_id), Path(filepath), _check_zip)

    def _download(self, open_answer: Callable[[], ApiResponse], path: Path, check: Callable[[Path], None]) -> None:
        with aside.written(path) as file:

            def fetch() -> None:
                file.seek(0)
                file.truncate()
                with open_answer() as response:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                file.flush()
                check(Path(file.name))

            with as_client_exceptions():
                RETRY.call(fetch)


def _check_predictions(path: Path) -> None:
    with path.open("rb") as file:
        reader = JsonReader(file, where="the predictions")
        for _ in reader.whole_array():
            reader.skip()


def _check_zip(path: Path) -> None:
    check_zip(path, "the artifacts")
