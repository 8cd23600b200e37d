"""What comes from the environment, read once and passed on; and how secrets are kept out of free text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hume_runner.errors import ServiceRefused, UsageError

DEFAULT_KEY_VARIABLE = "HUME_API_KEY"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """A value that no repr, log or message shows."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return "<hidden>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says.

    `settle_s` (HUME_RUNNER_SETTLE): seconds after which a lost submission that the service does not list counts as
    never accepted. `late_s` (HUME_RUNNER_LATE): seconds that an answer may lag behind its job's end.
    """

    settle_s: float = 20.0
    late_s: float = 60.0

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        usual = cls()
        return cls(
            settle_s=_seconds(environ, "HUME_RUNNER_SETTLE", usual.settle_s),
            late_s=_seconds(environ, "HUME_RUNNER_LATE", usual.late_s),
        )


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name)
    if text is None:
        return default
    try:
        return max(0.0, float(text))
    except ValueError:
        raise UsageError(f"{name} is not a number of seconds: {text!r}", hint=f"export {name}=20") from None


def read_key(*, env: str | None, file: Path | None, environ: Mapping[str, str]) -> Secret:
    """The API key from the environment or its file. Raises: ServiceRefused, saying where it was looked for."""
    if file is not None:
        try:
            value = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise ServiceRefused(
                f"cannot read the API key from {file}: {reason}", hint="service.api_key.file names the file"
            ) from None
        origin = str(file)
    else:
        name = env or DEFAULT_KEY_VARIABLE
        value = environ.get(name, "").strip()
        origin = f"the environment variable {name}"
    if not value:
        raise ServiceRefused(
            f"no API key: {origin} is empty or not set",
            hint="set it, or rehearse without a key: --endpoint emulator --output-dir DIR",
        )
    if not value.isascii() or not value.isprintable():
        raise ServiceRefused(f"the API key in {origin} has characters that no header can carry", hint="copy it again")
    return Secret(value=value)


_QUERY = re.compile(r"(https?://[^\s'\"<>?#]+)[?#][^\s'\"<>]*")
_USERINFO = re.compile(r"(https?://)[^\s/@'\"<>]+@")


def mask_secrets(text: str) -> str:
    """Any text with the queries and credentials of the URLs in it replaced by `…`."""
    return _QUERY.sub(r"\1?…", _USERINFO.sub(r"\1…@", text))
