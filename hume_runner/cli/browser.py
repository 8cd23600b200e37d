"""A page in the browser of the person at this terminal."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path


def can_open(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser can be expected: a screen, or one that `BROWSER` names.

    Elsewhere Python would look for a browser in text mode, which takes the whole terminal.
    """
    if environ.get("BROWSER") or platform in ("win32", "darwin"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def opened(page: Path, environ: Mapping[str, str]) -> bool:
    """Open a page of this machine, which has no links on its way; whether some browser took it."""
    if not can_open(environ):
        return False
    try:
        return webbrowser.open(page.as_uri())
    except (webbrowser.Error, OSError):
        return False
