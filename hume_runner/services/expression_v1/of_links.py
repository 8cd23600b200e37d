"""Which of expression-v1's options need files, so that no link can be measured with them.

Alone in its file, which imports nothing: every manifest is asked about, and settings.py would bring fractions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def link_faults(models: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """(member, what is wrong, what to do). How many items a link would be is not known before a run has fetched it."""
    audio = models.get("audio")
    if isinstance(audio, Mapping) and audio.get("channels") == "each":
        hint = "download the recordings and list them under sources.files, or write mix or a number"
        yield ("audio", "channels"), "each makes items of files, and this manifest lists links", hint
