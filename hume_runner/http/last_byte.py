"""A request whose last byte is held back until somebody says that it may go.

Without it no server has a whole request, so that what is sent so far can be taken back at any moment by closing the
connection. What decides is asked in the thread that sends, when everything else has left.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from hume_runner.errors import TransportError

# A request is made deep inside a service's own calls, with no argument of ours in reach.
_here = threading.local()


class NotConfirmed(TransportError):
    """The last byte was not sent. `sent` is False: the announced length was never reached, so that no server has a
    whole request to act on."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, sent=False, hint=hint)


@contextmanager
def held_back(confirm: Callable[[], None]) -> Iterator[None]:
    """Requests with a body that this thread sends in the block wait for `confirm` before their last byte; what it
    raises ends them."""
    before = getattr(_here, "confirm", None)
    _here.confirm = confirm
    try:
        yield
    finally:
        _here.confirm = before


def guarded_body(body: bytes | Iterable[bytes]) -> bytes | Iterable[bytes]:
    """The body as it is to be sent by this thread: itself, or with its last byte held back."""
    confirm: Callable[[], None] | None = getattr(_here, "confirm", None)
    return body if confirm is None else _Held([body] if isinstance(body, bytes) else body, confirm)


class _Held:
    def __init__(self, body: Iterable[bytes], confirm: Callable[[], None]) -> None:
        self._body = body
        self._confirm = confirm

    def __iter__(self) -> Iterator[bytes]:
        held = b""
        for chunk in self._body:
            if not chunk:
                continue
            if held:
                yield held
            held = chunk
        if len(held) > 1:
            yield held[:-1]
        self._confirm()
        if held:
            yield held[-1:]
