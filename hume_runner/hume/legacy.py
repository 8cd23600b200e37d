"""`HumeBatchClient`: the documented surface of the old Python package, on top of this package's own client."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Self

from hume_runner import aside
from hume_runner.errors import ApiError
from hume_runner.http.answer import check_zip
from hume_runner.http.json_stream import JsonReader
from hume_runner.http.messages import ApiResponse
from hume_runner.http.retry import NO_RETRY, RetryPolicy, submission_outcome
from hume_runner.http.transport import CONNECT_TIMEOUT_S, RequestsTransport, TransportLimits
from hume_runner.http.upload import Upload
from hume_runner.hume.configs import ModelConfig, TranscriptionConfig, models_of
from hume_runner.hume.exceptions import (
    InvalidApiKeyException,
    JobNotFoundException,
    WrongTypeException,
    WrongValueException,
    as_client_exceptions,
)
from hume_runner.hume.job import BatchJob, BatchJobDetails, BatchJobStatus
from hume_runner.services.batch_v0.client import AUTH_HEADER, BASE_URL, BatchV0Api
from hume_runner.settings import Secret

MAX_PREDICTIONS_BYTES = 8 * 1024**3  # `get_predictions` holds them in memory anyway
SUBMIT_DEADLINE_S = 3600.0
RETRY = RetryPolicy(attempts=4, max_wait_s=30.0, deadline_s=120.0)


VERSION = "v0"
CLOSED = (
    "Hume's own host closed its batch API on 14 June 2026 and answers 403: base_url names a host that speaks it "
    "(`hume-runner emulate` is one to rehearse with)"
)
_LOST = (
    "nobody knows whether the service took the job: it may run, and be billed. "
    "client.list_jobs(limit=5) shows the newest jobs; look there before you submit it again"
)


class ApiType(Enum):
    """The old package's two APIs; only BATCH is served here."""

    BATCH = "batch"
    STREAM = "stream"


class HumeBatchClient:
    """Client of the batch API v0.

    `timeout` is in seconds and bounds each silence of the service, not a whole transfer; a pair is one for the
    connection and one for the rest, and None leaves it at the bounds of whole transfers. Reading is tried again by
    itself after temporary failures; a submission never is, because it might run and be billed twice: the exception's
    `sent` says whether it can have arrived. A pickled client holds the key.
    """

    def __init__(
        self,
        api_key: str,
        *old: str,
        timeout: float | tuple[float, float] | None = 10,
        base_url: str = BASE_URL,
        _api_http_base_url: str | None = None,
        _api_version: str | None = None,
        _api_ws_base_uri: str | None = None,
    ) -> None:
        """`base_url`: the host that speaks the protocol. Those with an underscore are the old package's, as are further
        arguments by position (version, host, streaming host): taken, with a warning.

        Raises: HumeClientException, which is a TypeError as well for two hosts and the like.
        """
        if old:
            given = (_api_version, _api_http_base_url, _api_ws_base_uri)
            _api_version, _api_http_base_url, _api_ws_base_uri = _by_position(old, given)
        if _api_version not in (None, VERSION):
            raise WrongValueException(f"this client speaks {VERSION}, not {_api_version!r}")
        if _api_http_base_url is not None:
            if base_url not in (BASE_URL, _api_http_base_url):
                raise WrongTypeException("base_url and _api_http_base_url name two hosts: leave the second out")
            # No DeprecationWarning: Python keeps those from the people who write scripts.
            warnings.warn("_api_http_base_url is called base_url here", FutureWarning, stacklevel=2)
            base_url = _api_http_base_url
        if not isinstance(base_url, str):
            raise WrongTypeException(f"base_url is an address, not {type(base_url).__name__}")
        connect_s, silence_s = _seconds(timeout)
        self._opening = _Opening(base_url=base_url, key=_key(api_key), connect_s=connect_s, silence_s=silence_s)
        self._open()
        if self._transport.base_url == BASE_URL:
            warnings.warn(CLOSED, FutureWarning, stacklevel=2)

    def _open(self) -> None:
        opening = self._opening
        with as_client_exceptions():
            self._transport = RequestsTransport(
                opening.base_url,
                opening.key.value,
                AUTH_HEADER,
                limits=TransportLimits(timeout_s=opening.silence_s, connect_timeout_s=opening.connect_s),
            )
        self._api = BatchV0Api(self._transport, RETRY)
        self._once = BatchV0Api(self._transport, NO_RETRY)

    def __getstate__(self) -> dict[str, Any]:
        # Connections and locks stay here; a copy opens its own.
        return {name: value for name, value in vars(self).items() if name not in ("_transport", "_api", "_once")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._open()

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

        Raises: HumeClientException, which is a TypeError as well for one string where a list is due; OSError for a file
        that cannot be read.
        """
        for name, value in (("urls", urls), ("text", text), ("files", files)):
            if isinstance(value, str | bytes):
                raise WrongTypeException(f"{name} is a list, not one string")
        body: dict[str, Any] = {"urls": list(urls or []), "models": _models(configs)}
        if text is not None:
            body["text"] = list(text)
        if transcription_config is not None:
            if not hasattr(transcription_config, "to_dict"):
                raise WrongTypeException("transcription_config is a TranscriptionConfig")
            body["transcription"] = transcription_config.to_dict()
        if callback_url is not None:
            body["callback_url"] = callback_url
        if notify is not None:
            body["notify"] = notify
        _refuse_unwritable(body)
        uploads = [Upload.of(Path(path)) for path in files or ()]
        with as_client_exceptions():
            try:
                started = self._api.start_job(body, uploads, deadline_s=SUBMIT_DEADLINE_S)
            except ApiError as error:
                if submission_outcome(error) == "unknown":
                    error.hint = _LOST
                raise
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
            return BatchJobDetails.from_response(self._api.job_details(_id(job_id)))

    def get_job_predictions(self, job_id: str) -> Any:
        """The predictions as JSON values. For large ones `download_job_predictions` needs no memory."""

        def fetch() -> Any:
            return self._once.open_predictions(_id(job_id)).json(max_bytes=MAX_PREDICTIONS_BYTES)

        with as_client_exceptions():
            return RETRY.call(fetch)

    def download_job_predictions(self, job_id: str, filepath: str | Path) -> None:
        """The predictions as a JSON file; checked to be whole before the file appears under its name."""
        self._download(lambda: self._once.open_predictions(_id(job_id)), Path(filepath), _check_predictions)

    def download_job_artifacts(self, job_id: str, filepath: str | Path) -> None:
        """The artifacts as a zip file; checked to be whole before the file appears under its name."""
        self._download(lambda: self._once.open_artifacts(_id(job_id)), Path(filepath), _check_zip)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opening:
    """What a client is made from. Times are seconds."""

    base_url: str
    key: Secret
    connect_s: float
    silence_s: float


def _by_position(old: tuple[Any, ...], by_name: tuple[str | None, ...]) -> tuple[str | None, ...]:
    """(version, host, streaming host) as the old package took them by position, filled up with those by name."""
    if len(old) > len(by_name) or not all(isinstance(one, str) for one in old):
        raise WrongTypeException("after the key, arguments have names: HumeBatchClient(key, timeout=30, base_url=...)")
    if any(one is not None for one in by_name[: len(old)]):
        raise WrongTypeException("an argument is given by position and by name: leave the first out")
    return (*old, *by_name[len(old) :])


def _key(api_key: Any) -> Secret:
    if isinstance(api_key, str):
        return Secret(value=api_key)
    what = "None" if api_key is None else f"of type {type(api_key).__name__}"
    raise InvalidApiKeyException(
        f"the API key is {what}, not text",
        hint="check where it comes from: os.environ[NAME] fails where .get gives None",
    )


def _models(configs: Any) -> dict[str, dict[str, Any]]:
    """The `models` member. Whatever has the methods of a configuration is one: scripts mix packages."""
    try:
        listed = list(configs)
    except TypeError:
        listed = [None]
    if not all(hasattr(one, "get_model_type") and hasattr(one, "to_dict") for one in listed):
        raise WrongTypeException("configs is a list of FaceConfig, ProsodyConfig and the like")
    return models_of(listed)


def _refuse_unwritable(body: Mapping[str, Any]) -> None:
    """Raises: WrongTypeException, WrongValueException for what JSON has not (bytes, sets, NaN)."""
    try:
        json.dumps(body, allow_nan=False)
    except TypeError as error:
        raise WrongTypeException(f"the request cannot be written as JSON: {error}") from None
    except ValueError as error:
        raise WrongValueException(f"the request cannot be written as JSON: {error}") from None


def _seconds(timeout: Any) -> tuple[float, float]:
    """(for a connection, for a silence), seconds; None bounds no silence."""
    pair = timeout if isinstance(timeout, tuple) and len(timeout) == 2 else (None, timeout)
    for one in pair:
        if one is not None and (isinstance(one, bool) or not isinstance(one, int | float)):
            raise WrongTypeException(f"timeout is a number of seconds, not {type(one).__name__}")
        if one is not None and not one > 0:
            raise WrongValueException(f"timeout is {one}: it has to be more than 0 seconds, or None for no bound")
    connect, silence = pair
    return CONNECT_TIMEOUT_S if connect is None else connect, math.inf if silence is None else silence


def _id(job_id: Any) -> str:
    """A job's id as it stands in a path; a UUID is one, too."""
    if job_id is None:
        raise JobNotFoundException("there is no job called None", hint="get_job takes the id that submit_job's job has")
    return str(job_id)


def _check_predictions(path: Path) -> None:
    with path.open("rb") as file:
        reader = JsonReader(file, where="the predictions")
        for _ in reader.whole_array():
            reader.skip()


def _check_zip(path: Path) -> None:
    check_zip(path, "the artifacts")
