"""The Expression Measurement API's operations: two uploads that answer at once, and the records of past ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hume_runner.emulator.context import Context, Refused, Stopped, answering, json_response, parse_json
from hume_runner.emulator.expression_v1.errors import Coded
from hume_runner.emulator.expression_v1.host import Host
from hume_runner.emulator.expression_v1.looking import Looking
from hume_runner.emulator.expression_v1.measuring import AUDIO, VIDEO, Measuring

logger = logging.getLogger(__name__)

_RUNS = "/v1/expression/run"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


class ExpressionV1:
    """The routes below /v1/expression."""

    def __init__(self, context: Context) -> None:
        self._host = Host(context)
        self._measuring = Measuring(self._host)
        self._looking = Looking(self._host)

    def routes(self) -> list[Route]:
        served = {
            (AUDIO, "POST"): self._measuring.measure_audio,
            (VIDEO, "POST"): self._measuring.measure_video,
            (_RUNS, "GET"): self._looking.list_runs,
            (_RUNS + "/{run_id}", "GET"): self._looking.get_run,
            (_RUNS + "/{run_id}/events", "GET"): self._looking.list_events,
        }
        routes = []
        for (path, method), handler in served.items():
            routes.append(Route(path, _answering(handler), methods=[method]))
            others = [other for other in _METHODS if other != method]
            routes.append(Route(path, _answering(self._other_method(method)), methods=others))
        return routes

    def admin_routes(self) -> list[Route]:
        return [
            Route("/_emulator/runs", answering(self._looking.accepted_runs), methods=["GET"]),
            Route("/_emulator/expression", answering(self.change_options), methods=["POST"]),
        ]

    def background(self) -> Sequence[Coroutine[Any, Any, None]]:
        return [self._close_at_the_end()]

    async def _close_at_the_end(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self._host.runs.close()

    async def change_options(self, request: Request) -> Response:
        return json_response(self._host.options.change(parse_json(await request.body())))

    def _other_method(self, allowed: str) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def refuse(request: Request) -> Response:
            self._host.owner(request)
            raise Coded("method_not_allowed", f"{request.method} is not allowed here", {"Allow": allowed})

        return refuse


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
