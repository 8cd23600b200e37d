"""Names with accents, composed or decomposed."""

from __future__ import annotations

import unicodedata


def form(kind: str, name: str = "Größe") -> str:
    """`kind`: NFC or NFD."""
    return unicodedata.normalize(kind, name)
