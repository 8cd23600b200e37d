"""Hume's Expression Measurement API v1: its paths, bodies and codes; one method per operation.

An upload is measured while the connection is open, and its results exist in that one answer only. So the answer comes
back whole and exactly as it was received, to be stored before anybody interprets it, and an answer that makes no sense
is handed over, too: it was billed.

Source: the official SDK and documentation; docs/apis/expression_v1.md says which fact comes from where and how sure it
is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from hume_runner.errors import NotFound, UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.http.answer import parse_json, read_bounded
from hume_runner.http.json_stream import JsonReader, project, whole
from hume_runner.http.messages import ApiRequest, ApiResponse, Transport
from hume_runner.http.retry import RetryPolicy
from hume_runner.http.upload import Form, Part, Upload
from hume_runner.services.expression_v1.errors import api_error, classified, own_code, request_id_of
from hume_runner.services.expression_v1.reading import RunView, instant, read_listed_run, read_run

BASE_URL: Final = "https://api.cloud.hume.ai"
AUTH_HEADER: Final = "X-Hume-Api-Key"
AUDIO_PATH: Final = "/v1/expression/audio/file"
VIDEO_PATH: Final = "/v1/expression/video/file"
RUNS_PATH: Final = "/v1/expression/run"

# A run's status, mode and endpoint. All may gain values.
LIVE: Final = "live"
ENDED: Final = "ended"
ERRORED: Final = "errored"
FILE: Final = "file"
AUDIO: Final = "audio"
VIDEO: Final = "video"

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
LARGE_ANSWER_BYTES: Final = 4 * 1024 * 1024
MOST_RUNS_A_PAGE: Final = 200


class AnswerNotUnderstood(UnexpectedResponse):
    """Success was announced with a body that is no measurement. `answer` is all of it: it was billed, so keep it."""

    def __init__(self, error: UnexpectedResponse, answer: bytes) -> None:
        super().__init__(str(error), status=error.status, body=error.body, hint=error.hint)
        self.answer = answer


@frozen
class Measured:
    """A measurement. `body` is the whole answer as it was received; `read_audio_answer` and `read_video_answer` read
    it. `face_state` is valid for 24 hours from `server_date_s`, Unix seconds by the service's clock."""

    run_id: str
    request_id: str
    body: bytes
    face_state: str | None
    server_date_s: float | None
    simulated: bool


class ExpressionV1Api:
    """The five operations. GETs are tried again as `retry` says; media are sent with exactly one POST.

    Times are seconds: `upload_timeout_s` for each silence of an upload, in which the service measures, and
    `answer_deadline_s` in total for one answer about runs.
    """

    def __init__(
        self,
        transport: Transport,
        retry: RetryPolicy,
        *,
        upload_timeout_s: float = 600.0,
        answer_deadline_s: float = 120.0,
    ) -> None:
        self._transport = transport
        self._retry = retry
        self._upload_timeout_s = upload_timeout_s
        self._answer_deadline_s = answer_deadline_s

    def measure_audio(self, part: Upload | Part, config: Mapping[str, Any] | None, *, deadline_s: float) -> Measured:
        """Measure one recording, sent as it is. See `measure_images`.

        `config`: {"measurement_timer_ms"}; None sends none. Members that the API does not know are refused by it.
        """
        return self._measure(AUDIO_PATH, (part,), config, deadline_s)

    def measure_images(
        self, images: Sequence[Upload | Part], config: Mapping[str, Any] | None, *, deadline_s: float
    ) -> Measured:
        """Measure JPEG images, one result each in their order. POSTs once, never again.

        `config`: {"face": {"threshold", "min_size", "return_face_state"}, "face_state"}; None sends none.
        Raises: AnswerNotUnderstood, with the answer; ApiError; `measurement_outcome(error)` tells whether it may have
        been measured, and billed, all the same. ValueError without an image.
        """
        if not images:
            raise ValueError("no image to measure")
        return self._measure(VIDEO_PATH, images, config, deadline_s)

    def _measure(
        self, path: str, parts: Sequence[Upload | Part], config: Mapping[str, Any] | None, deadline_s: float
    ) -> Measured:
        settings = () if config is None else (("config", json.dumps(config, allow_nan=False)),)
        request = ApiRequest(
            method="POST",
            path=path,
            form=Form(json_fields=settings, uploads=tuple(("file", part) for part in parts)),
            read_timeout_s=self._upload_timeout_s,
            deadline_s=deadline_s,
            fresh_connection=True,
        )
        with self._transport.send(request) as response:
            if not 200 <= response.status < 300:
                raise api_error(response)
            body, complete = read_bounded(response.iter_bytes(), MAX_ANSWER_BYTES)
        if not complete:
            message = f"{response.where} answered with more than {MAX_ANSWER_BYTES:,} bytes"
            raise AnswerNotUnderstood(UnexpectedResponse(message, status=response.status), body)
        return _measured(response, body)

    def list_runs(
        self,
        *,
        mode: str | None = None,
        endpoint: str | None = None,
        status: str | None = None,
        user_id: str | None = None,
        started_after: float | None = None,
        started_before: float | None = None,
        page_size: int = MOST_RUNS_A_PAGE,
        on_date: Callable[[float], None] = lambda server_date_s: None,
    ) -> Iterator[RunView]:
        """The organization's runs, newest first, page after page as they are needed.

        `on_date` is told each page's `Date`, Unix seconds by the service's clock.

        `started_after` is included, `started_before` is not; both Unix seconds by the service's clock, widened to whole
        milliseconds. A run takes a moment to be listed, and rarely one never is. An entry without an id has "" there.
        """
        filters = {
            "mode": mode,
            "endpoint": endpoint,
            "status": status,
            "user_id": user_id,
            "started_after": None if started_after is None else instant(started_after),
            "started_before": None if started_before is None else instant(started_before, round_up=True),
            "page_size": str(page_size),
        }
        params = tuple((name, value) for name, value in filters.items() if value is not None)
        for run in self._pages(RUNS_PATH, params, "runs", on_date):
            yield read_listed_run(run)

    def get_run(self, run_id: str) -> RunView:
        """One run with its configuration in `raw`. Raises: NotFound, also for one that is not listed yet."""
        return read_run(self._object(_run_path(run_id), ()))

    def _pages(
        self,
        path: str,
        params: tuple[tuple[str, str], ...],
        member: str,
        on_date: Callable[[float], None] = lambda server_date_s: None,
    ) -> Iterator[dict[str, Any]]:
        """The elements of `member` on every page. Each page is asked for again on its own if it fails."""
        followed: set[str] = set()
        cursor: tuple[tuple[str, str], ...] = ()
        while True:
            page = self._object(path, params + cursor, member, on_date)
            yield from (element for element in page[member] if isinstance(element, dict))
            following = page.get("next_cursor")
            if not isinstance(following, str) or not following:
                return
            if following in followed:
                raise UnexpectedResponse(f"GET {path}: the pages go round in a circle", status=None)
            followed.add(following)
            cursor = (("cursor", following),)

    def _object(
        self,
        path: str,
        params: tuple[tuple[str, str], ...],
        member: str = "",
        on_date: Callable[[float], None] = lambda server_date_s: None,
    ) -> dict[str, Any]:
        """A GET whose answer is an object, with a list as `member` if one is named."""

        def ask() -> dict[str, Any]:
            request = ApiRequest(method="GET", path=path, params=params, deadline_s=self._answer_deadline_s)
            with self._transport.send(request) as response:
                if not 200 <= response.status < 300:
                    raise api_error(response)
                answer = response.json()
                if response.server_date_s is not None:
                    on_date(response.server_date_s)
            if not isinstance(answer, dict) or (member and not isinstance(answer.get(member), list)):
                what = f"a list of {member}" if member else "a run"
                raise UnexpectedResponse(f"{response.where} answered without {what}", status=response.status)
            return answer

        return self._retry.call(ask)


def _run_path(run_id: str) -> str:
    """The run's path. Ids come from outside: none may lead to another path, whatever is in it."""
    if not run_id.strip(". "):
        # Dots are never escaped in a URL, and the HTTP library resolves them.
        raise NotFound(f"no run can be called {run_id!r}")
    return f"{RUNS_PATH}/{quote(run_id, safe='', errors='replace')}"


def _measured(response: ApiResponse, body: bytes) -> Measured:
    """Just enough of the answer to file it. Raises: AnswerNotUnderstood; ApiError for an error with status 200."""
    try:
        kind = response.headers.get("Content-Type", "")
        if len(body) > LARGE_ANSWER_BYTES:
            answer = _heading(body, response.where)
        else:
            answer = parse_json(body, where=response.where, content_type=kind, status=response.status)
        run_id = answer.get("run_id") if isinstance(answer, dict) else None
        if not isinstance(run_id, str) or not run_id:
            if own_code(answer) is not None:
                raise classified(response, answer, body.decode("utf-8", "replace"))
            raise UnexpectedResponse(
                f"{response.where} answered without a run_id",
                status=response.status,
                body=body[:2000].decode("utf-8", "replace"),
            )
    except UnexpectedResponse as error:
        raise AnswerNotUnderstood(error, body) from error
    request_id, face_state = answer.get("request_id"), answer.get("face_state")
    return Measured(
        run_id=run_id,
        request_id=request_id if isinstance(request_id, str) else request_id_of(response, answer) or "",
        body=body,
        face_state=face_state if isinstance(face_state, str) and face_state else None,
        server_date_s=response.server_date_s,
        simulated=response.simulated,
    )


def _heading(body: bytes, where: str) -> Any:
    """What files an answer; the rest is checked to be whole and JSON, and not held a second time as objects."""
    reader = JsonReader([body], complain=lambda problem: UnexpectedResponse(f"{where} answered with {problem}"))
    reader.skip_mark()
    found = project(reader, dict.fromkeys(("run_id", "request_id", "face_state", "type", "code", "message"), whole))
    if reader.peek():
        reader.fail("something follows the JSON")
    return found
