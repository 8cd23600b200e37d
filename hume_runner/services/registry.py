"""The APIs that a manifest may name: one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hume_runner.services.base import Service
from hume_runner.services.batch_v0 import service as batch_v0
from hume_runner.services.expression_v1 import service as expression_v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """How a service is made: `build(manifest, endpoint, connect, on_server_time)`, where `connect()` gives what
    `connect(url, key, retry, pacer=…, timeout_s=…, stack=…, max_answer_bytes=…)` here makes once the address and the
    key are known. `keeps_answers`: as `Service.keeps_answers`, for whoever needs no service."""

    build: Callable[..., Service]
    connect: Callable[..., Any]
    host: str
    calls_back: bool = False  # whether the service itself posts to notify.callback_url
    keeps_answers: bool = True


SERVICES: Mapping[str, Registered] = {
    batch_v0.API: Registered(
        build=batch_v0.BatchV0Service, connect=batch_v0.connect, host=batch_v0.HOST, calls_back=True
    ),
    expression_v1.API: Registered(
        build=expression_v1.ExpressionV1Service,
        connect=expression_v1.connect,
        host=expression_v1.HOST,
        keeps_answers=expression_v1.ExpressionV1Service.keeps_answers,
    ),
}


def registered(api: str) -> Registered | None:
    """The service of that name; None for one that the schema knows and this version does not run."""
    return SERVICES.get(api)
