"""How a service may spell a key that it quotes, and a search for it that shares nothing with what hides it."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, unquote_to_bytes


def _lines(key: str) -> str:
    return "\n".join(key[at : at + 5] for at in range(0, len(key), 5))


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda key: key,
    "upper": str.upper,
    "lower": str.lower,
    "json": lambda key: "".join(f"\\u{ord(letter):04x}" for letter in key),
    "json in capitals": lambda key: "".join(f"\\u{ord(letter):04X}" for letter in key),
    "json, some": lambda key: "".join(f"\\u{ord(c):04x}" if at % 2 else c for at, c in enumerate(key)),
    "json in json": lambda key: json.dumps("".join(f"\\u{ord(letter):04x}" for letter in key))[1:-1],
    "slashes escaped": lambda key: key.replace("/", "\\/"),
    "percent": lambda key: quote(key, safe=""),
    "percent, all": lambda key: "".join(f"%{ord(letter):02x}" for letter in key),
    "percent twice": lambda key: quote(quote(key, safe=""), safe=""),
    "html": html.escape,
    "html, all": lambda key: "".join(f"&#{ord(letter)};" for letter in key),
    "html, hexadecimal": lambda key: "".join(f"&#x{ord(letter):X};" for letter in key),
    "hexadecimal": lambda key: key.encode().hex(),
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "base64, shifted": lambda key: base64.b64encode(b"x" + key.encode() + b"tail").decode(),
    "base64, a login": lambda key: base64.b64encode(b"me" + key.encode()).decode(),
    "base64 of mail": lambda key: base64.encodebytes(b"some words before it, " * 4 + key.encode() * 2).decode(),
    "base64 of urls": lambda key: base64.urlsafe_b64encode(key.encode()).decode(),
    "line breaks": _lines,
    "line breaks in json": lambda key: json.dumps(_lines(key))[1:-1],
}


def quotes(content: bytes, key: str) -> bool:
    """Whether `content` has the key in it: every way of decoding it is tried, and what is decoded once more."""
    wanted = key.lower().encode()
    once = {content, *_decoded(content)}
    twice = once | {again for one in once for again in _decoded(one)}
    return any(wanted in re.sub(rb"\s|\\+[nrt]", b"", one.lower()) for one in twice)


def _decoded(content: bytes) -> set[bytes]:
    text = content.decode("latin-1")
    unescaped = re.sub(r"\\+u00([0-9A-Fa-f]{2})", lambda found: chr(int(found[1], 16)), text).replace("\\/", "/")
    found = {
        unescaped.encode("latin-1", "replace"),
        unquote_to_bytes(content),
        html.unescape(text).encode("latin-1", "replace"),
    }
    solid = re.sub(r"\s|\\+[nrt]", "", text)
    for run in re.findall(r"[A-Za-z0-9+/_-]{16,}", solid):
        for skipped in range(4):
            part = run[skipped:].translate(str.maketrans("-_", "+/"))
            found.add(base64.b64decode(part[: len(part) - (len(part) % 4 == 1)] + "=="))
    for run in re.findall(r"(?:[0-9A-Fa-f]{2}){8,}", solid):
        found |= {bytes.fromhex(run), bytes.fromhex(run[1:-1])}
    return found
