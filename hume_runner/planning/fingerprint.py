"""What makes two items the same. Pure.

A key is a SHA-256 over the kind, the content and the settings that change this item's result (`Relevant.relevant` says
which), so that no two different triples can run together. Change nothing here without a new `VERSION` and a way back to
the keys of the one before: every state file in use holds keys made by it, and another key means paying again.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hume_runner.manifest.model import Manifest

VERSION = b"hume_runner item 2"
# Keys were made like this over all settings of the manifest, whatever they changed; old states hold them.
FORMER_VERSION = b"hume_runner item 1"
FORMER_SETTINGS = ("models", "transcription")

# Query members that signed links carry and that change with every signing, in lower case. Sources: AWS Signature
# Version 4 query parameters and CloudFront signed URLs, Google Cloud Storage V2/V4 signed URLs, Azure service SAS.
_VOLATILE_PREFIXES = ("x-amz-", "x-goog-")
# Azure's members are two letters long and could be anybody's: they count as volatile only beside their signature.
_AZURE_NAMES = frozenset("sv se st sr sp spr sip skoid sktid skt ske sks skv saoid suoid scid ses sdd".split())
_AWS_V2_NAMES = frozenset("expires policy signature key-pair-id awsaccesskeyid googleaccessid".split())

_HOST = re.compile(r"^([a-zA-Z][a-zA-Z0-9+.-]*://)([^/?#]*)")
# Most URLs of a long list are their own identity: lower case before the path, and neither query nor fragment.
_ITSELF = re.compile(r"[a-z][a-z0-9+.-]*://[a-z0-9._:-]*(?:/[^?#]*)?").fullmatch


# The same of many at once, each with a line end behind it.
_THEMSELVES = re.compile(r"(?:[a-z][a-z0-9+.-]*+://[a-z0-9._:-]*+(?:/[^?#\n]*+)?+\n)*+").fullmatch


def url_identity(url: str) -> str:
    """The URL without its fragment and without the volatile query members of signed links; scheme and host lower-cased.

    The order of the other members stays: servers may read meaning into it.
    """
    if _ITSELF(url):
        return url
    url, _, _ = url.partition("#")
    base, mark, query = url.partition("?")
    match = _HOST.match(base)
    if match:
        user, at, host = match[2].rpartition("@")
        base = match[1].lower() + user + at + host.lower() + base[match.end() :]
    if not mark:
        return base
    members = query.split("&")
    names = {member.partition("=")[0].lower() for member in members}
    signed_v2 = "signature" in names
    azure = "sig" in names
    kept = [member for member in members if not _volatile(member.partition("=")[0].lower(), signed_v2, azure)]
    return base + "?" + "&".join(kept) if kept else base


def _volatile(name: str, signed_v2: bool, azure: bool) -> bool:
    if name.startswith(_VOLATILE_PREFIXES):
        return True
    if name in _AWS_V2_NAMES:
        return signed_v2
    if name == "sig" or name in _AZURE_NAMES:
        return azure
    return False


def url_content(url: str) -> bytes:
    """The 32-byte digest that stands for a URL's content."""
    return hashlib.sha256(url_identity(url).encode("utf-8", "surrogatepass")).digest()


def url_contents(urls: Sequence[str]) -> list[bytes]:
    """`url_content` of each of many."""
    lines = "\n".join(urls) + "\n"
    if lines.count("\n") != len(urls) or not _THEMSELVES(lines):
        return [url_content(url) for url in urls]
    sha256 = hashlib.sha256
    return [sha256(url).digest() for url in lines.encode("utf-8", "surrogatepass").split(b"\n")[:-1]]


def text_content(text: str) -> bytes:
    """The 32-byte digest of a text's characters (UTF-8)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def canonical(settings: Mapping[str, Any]) -> str:
    """JSON with sorted members and no blanks: the same settings give the same text, however they were written.

    Whole floats are written as integers, so that `fps_pred: 3` and `fps_pred: 3.0` are the same setting.
    """
    return json.dumps(_plain(settings), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(member) for member in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def result_settings(manifest: Manifest) -> dict[str, Any]:
    """All that a manifest says that can change a result, of one item or another."""
    return {**manifest.settings, "batching": {"pack_short_audio": manifest.batching.pack_short_audio}}


def packing(manifest: Manifest) -> str:
    """All that a manifest says that decides which items go into a job together and changes no result, as canonical
    JSON. With what holds where it says nothing, which another version may have otherwise."""
    batching, limits = manifest.batching, manifest.service.limits
    return canonical(
        {
            "max_sources": batching.max_sources,
            "max_bytes": batching.max_bytes,
            "pack_short_audio": batching.pack_short_audio,
            "limits": {"upload_bytes": limits.upload_bytes, "sources_per_job": limits.sources_per_job},
        }
    )


def settings_digest(api: str, settings: Mapping[str, Any]) -> bytes:
    """32 bytes over the API and the canonical settings that change a result."""
    return hashlib.sha256(f"{api}\n{canonical(settings)}".encode()).digest()


def item_key(kind: str, content: bytes, settings: bytes) -> bytes:
    """An item's identity, 32 bytes, from its kind, its content's digest and the digest of the settings that change its
    result (32 bytes each)."""
    return _key(VERSION, kind, content, settings)


def item_keys(kind: str, settings: bytes) -> Callable[[bytes], bytes]:
    """`item_key` of one kind and one digest of settings, for many contents."""
    before, sha256 = b"%b %b\n" % (VERSION, kind.encode()), hashlib.sha256
    return lambda content: sha256(before + content + settings).digest()


def former_key(kind: str, content: bytes, settings: bytes) -> bytes:
    """The same as states of schema 1 hold it: over the digest of all settings of the manifest."""
    return _key(FORMER_VERSION, kind, content, settings)


def _key(version: bytes, kind: str, content: bytes, settings: bytes) -> bytes:
    return hashlib.sha256(b"%b %b\n%b%b" % (version, kind.encode(), content, settings)).digest()


def job_key(members: Iterable[bytes]) -> str:
    """A job's identity, 64 hex digits, from its members' keys in order."""
    return hashlib.sha256(b"hume_runner job 1\n" + b"".join(members)).hexdigest()


def changed_settings(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    path: str = "",
    *,
    default_of: Callable[[str], Any] = lambda path: None,
) -> list[str]:
    """Each member that differs, as `models.face.fps_pred: 3 -> 5`, in the order of their names.

    `default_of` tells what holds where a member is not written, by its path; None where nothing does.
    """
    found: list[str] = []
    for name in sorted({*before, *after}):
        where = f"{path}.{name}" if path else name
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += changed_settings(old, new, where, default_of=default_of)
        # As texts: to Python, true is 1, and to a service it is not.
        elif (old is _ABSENT) != (new is _ABSENT) or _show(old) != _show(new):
            default = default_of(where) if old is _ABSENT or new is _ABSENT else None
            held = [_show(default) if one is _ABSENT and default is not None else _show(one) for one in (old, new)]
            if held[0] == held[1]:  # a default that is another thing where somebody writes it
                held = [_show(old), _show(new)]
            found.append(f"{where}: {held[0]} -> {held[1]}")
    return found


_ABSENT = object()


def _show(value: Any) -> str:
    return "absent" if value is _ABSENT else json.dumps(_plain(value), ensure_ascii=False)
