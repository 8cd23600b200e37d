"""What all operations of the host have in common: who asks, its runs, its options, and what it keeps to itself."""

from __future__ import annotations

import uuid
from hashlib import sha256

from starlette.requests import Request

from hume_runner.emulator.context import Context
from hume_runner.emulator.expression_v1.errors import unauthorized
from hume_runner.emulator.expression_v1.options import ExpressionOptions
from hume_runner.emulator.expression_v1.runs import RunStore


class Host:
    """One host. `unheard`: of a run, until when it reads errored, and then live (Unix ms)."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.options = ExpressionOptions()
        self.runs = RunStore(context.data)
        self.runs.abandon_live(max(context.clock.now_ms(), self.runs.latest_ms()))
        self.secret = bytes.fromhex(
            context.storage.remembered("expression_secret", sha256(uuid.uuid4().bytes).hexdigest())
        )
        self.unheard: dict[str, tuple[int, int]] = {}

    def owner(self, request: Request) -> str:
        """The organization of the request's one credential."""
        keys = request.headers.getlist("x-hume-api-key")
        tokens = request.headers.getlist("authorization")
        if len(keys) + len(tokens) != 1:
            reason = "exactly one credential is needed" if keys or tokens else "no credential was sent"
            raise unauthorized(reason, key_was_sent=bool(keys))
        if keys:
            owner = self.context.owner_of(keys[0])
        else:
            scheme, _, token = tokens[0].partition(" ")
            owner = self.context.owner_of(token.strip()) if scheme.lower() == "bearer" else None
        if owner is None:
            raise unauthorized("invalid credential", key_was_sent=bool(keys))
        return owner
