"""What the host does to an answer that is ready: its `Date`, gzip, another spelling of the caller's key; and bombs."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from collections.abc import Callable
from email.utils import formatdate

from starlette.types import Message, Send

from hume_runner.emulator.difficulties import Dating, Difficulties, Quoting

_BLOCK = 1_000_000
_AROUND = {"spaces": (b"[", b" ", b"]"), "string": (b'["', b"a", b'"]'), "text": (b"", b"a", b"")}


def date_header(now_ms: int, dating: Dating) -> bytes | None:
    """The header's value, or None where the host sends none."""
    return None if dating.missing else formatdate(now_ms / 1000 + dating.off_s, usegmt=True).encode()


def spelt(key: str, way: str) -> str:
    """The key as the host spells it where it quotes it."""
    match way:
        case "url":
            return "".join(f"%{byte:02X}" for byte in key.encode())
        case "base64":
            return b64encode(key.encode()).decode()
        case "escapes":
            return "".join(f"\\u{ord(one):04x}" for one in key)
        case "split":
            return "".join(one if at % 2 else f"\\u{ord(one):04x}" for at, one in enumerate(key))
        case "entities":
            return "".join(f"&#x{ord(one):x};" for one in key)
        case _:
            return key


class Disguise:
    """Changes one answer on its way out. Its length changes with it, so none is announced."""

    def __init__(self, *, key: str, quoting: Quoting, refused: bool, gzip: bool) -> None:
        self._key = key.encode()
        self._spelt = spelt(key, quoting.way).encode()
        self._refusal = refused and "refusal" in quoting.places
        self._gzip = zlib.compressobj(6, zlib.DEFLATED, 31) if gzip else None

    @classmethod
    def of(cls, difficulties: Difficulties, key: str, status: int) -> Disguise | None:
        """None where the answer goes out as it is."""
        quoting = difficulties.quote_key
        quotes = bool(key and quoting.places)
        if status in (204, 304) or not (quotes or difficulties.gzip):
            return None
        return cls(key=key if quotes else "", quoting=quoting, refused=status >= 400, gzip=difficulties.gzip)

    def wrap(self, message: Message) -> Message:
        if message["type"] == "http.response.start":
            headers = [pair for pair in message["headers"] if pair[0].lower() != b"content-length"]
            if self._gzip is not None:
                if any(name.lower() == b"content-encoding" for name, _ in headers):
                    self._gzip = None  # a bomb is one already
                else:
                    headers.append((b"content-encoding", b"gzip"))
            return {**message, "headers": headers}
        body: bytes = message.get("body", b"")
        if self._key:
            body = (self._blamed(body) if self._refusal else body).replace(self._key, self._spelt)
        if self._gzip is not None:
            body = self._gzip.compress(body) + (b"" if message.get("more_body") else self._gzip.flush())
        return {**message, "body": body}

    def _blamed(self, body: bytes) -> bytes:
        """A refusal whose message names the key that was sent."""
        try:
            value = json.loads(body)
            value["message"] = f"{value['message']} (key {self._key.decode()})"
        except (ValueError, TypeError, KeyError):
            return body
        return json.dumps(value).encode()


async def send_bomb(send: Send, size: int, like: str, over: Callable[[], bool]) -> None:
    """A valid gzip answer of about a thousandth of `size` bytes that expands to `size`: whitespace or one string."""
    before, filling, after = _AROUND[like]
    kind = b"text/plain" if like == "text" else b"application/json"
    headers = [(b"content-type", kind), (b"content-encoding", b"gzip")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)

    def packed(part: bytes, mode: int = zlib.Z_FULL_FLUSH) -> bytes:
        return packer.compress(part) + packer.flush(mode)

    async def pour(part: bytes) -> None:
        await send({"type": "http.response.body", "body": part, "more_body": True})

    await pour(b"\x1f\x8b\x08" + bytes(6) + b"\xff" + packed(before))
    block = filling * _BLOCK
    # Nothing before a full flush is referred to behind it, so one packed block can be sent any number of times.
    small, checksum = packed(block), zlib.crc32(before)
    whole, rest = divmod(max(0, size - len(before) - len(after)), _BLOCK)
    for _ in range(whole):
        if over():
            return
        checksum = zlib.crc32(block, checksum)
        await pour(small)
    end = filling * rest + after
    checksum = zlib.crc32(end, checksum)
    length = len(before) + whole * _BLOCK + len(end)
    tail = packed(end, zlib.Z_FINISH) + checksum.to_bytes(4, "little") + (length % 2**32).to_bytes(4, "little")
    await send({"type": "http.response.body", "body": tail})
