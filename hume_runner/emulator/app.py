"""All that the stand-in answers: the APIs' routes, those by which a test steers it, and what holds for every path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from hume_runner.emulator.asked_difficulties import parse_difficulties
from hume_runner.emulator.context import Context, Refused, RouteGroup, answering, json_response, parse_json
from hume_runner.emulator.faults import FaultError, parse_duration_s, parse_faults
from hume_runner.emulator.gateway import Gateway, answer


def app_of(context: Context, groups: Sequence[RouteGroup]) -> Gateway:
    routes = [route for group in groups for route in group.routes()]
    admin = [
        *_admin_routes(context),
        *(route for group in groups for route in group.admin_routes()),
    ]
    router = Router([*admin, *_merged(routes)], redirect_slashes=False, default=_not_found)
    return Gateway(router, context, routes)


def _merged(routes: Sequence[Route]) -> list[Route]:
    """One route a path, so that a method which it does not have is refused with all those that it has."""
    by_path: dict[str, dict[str, Any]] = {}
    for route in routes:
        for method in route.methods or ():
            by_path.setdefault(route.path, {})[method] = route.endpoint

    def serve(handlers: dict[str, Any]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            handler = handlers.get(request.method)
            if handler is None:
                body = {"message": "method not allowed"}
                return json_response(body, 405, {"Allow": ", ".join(sorted(handlers))})
            response: Response = await handler(request)
            return response

        return endpoint

    return [Route(path, _AnyMethod(serve(handlers)), methods=None) for path, handlers in by_path.items()]


class _AnyMethod:
    """An ASGI app, which starlette does not restrict to GET as it does a function."""

    def __init__(self, endpoint: Callable[[Request], Any]) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._endpoint(Request(scope, receive, send))
        await response(scope, receive, send)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, 404, {"message": "not found"})


def _admin_routes(context: Context) -> list[Route]:
    async def requests(request: Request) -> Response:
        return json_response(context.log.snapshot())

    async def faults(request: Request) -> Response:
        try:
            value = (parse_json(b'{"faults":' + await request.body() + b"}"))["faults"]
            context.faults = parse_faults(value, seed=context.seed)
        except FaultError as error:
            raise Refused.message(400, str(error)) from None
        return json_response({"faults": len(context.faults.faults)})

    async def difficulties(request: Request) -> Response:
        try:
            context.difficulties = parse_difficulties(parse_json(await request.body()), seed=context.seed)
        except FaultError as error:
            raise Refused.message(400, str(error)) from None
        return json_response({})

    async def clock(request: Request) -> Response:
        value = parse_json(await request.body())
        try:
            seconds = parse_duration_s(value.pop("advance", 0))
        except FaultError as error:
            raise Refused.message(400, f"advance: {error}") from None
        stopped = value.pop("stopped", None)
        if value or stopped not in (None, True, False):
            raise Refused.message(400, "members are advance (a duration) and stopped (true or false)")
        if stopped is not None:
            (context.clock.stop if stopped else context.clock.go)()
        context.clock.advance(seconds)
        return json_response({"now_ms": context.clock.now_ms()})

    async def limits(request: Request) -> Response:
        value = parse_json(await request.body())
        known = {"upload_bytes", "sources_per_kind", "queued_jobs", "body_bytes"}
        for name, number in value.items():
            fits = isinstance(number, int) and not isinstance(number, bool) and number >= 0
            if name not in known or not (fits or (name == "queued_jobs" and number is None)):
                raise Refused.message(400, f"{name}: must be one of {', '.join(sorted(known))}, with a whole number")
        for name, number in value.items():
            setattr(context.limits, name, number)
        return json_response({name: getattr(context.limits, name) for name in sorted(known)})

    return [
        Route("/_emulator/requests", answering(requests), methods=["GET"]),
        Route("/_emulator/faults", answering(faults), methods=["POST"]),
        Route("/_emulator/difficulties", answering(difficulties), methods=["POST"]),
        Route("/_emulator/clock", answering(clock), methods=["POST"]),
        Route("/_emulator/limits", answering(limits), methods=["POST"]),
    ]
