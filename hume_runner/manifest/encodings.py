"""Names of encodings that a list may be written in."""

from __future__ import annotations

import codecs

# Codecs of text that no list is written in: escapes, domain names, and what needs another system.
_NO_TEXT_FILES = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_HINT = "write utf-8, cp1252 (Windows), utf-16 or latin-1; without encoding the list is read as UTF-8"


def encoding_fault(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of an encoding (message, next step), or None."""
    try:
        found = codecs.lookup(name).name
        # bytes.decode takes codecs of text alone: Python also calls compression and the like codecs.
        usable = found.replace("-", "_") not in _NO_TEXT_FILES and bool(b"a".decode(name, "replace"))
    except (LookupError, ValueError):
        usable = False
    return None if usable else ("is no encoding that is known here", _HINT)
