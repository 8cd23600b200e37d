"""Score names of the Expression Measurement API, and the cutoffs below which a name is left out.

The service's full tables are published nowhere that could be read: 15 of 415 audio expressions, 6 of 190 voice
attributes, 11 of 48 video expressions and 4 of 27 descriptions are confirmed. The rest here stands in for them: the
batch API's names in lower case, and numbered ones for voice attributes. Clients must take names as they come.
"""

from __future__ import annotations

from hume_runner.emulator.batch_v0.names import EXPRESSIONS_48, FACE_DESCRIPTIONS

_CONFIRMED_AUDIO = (
    "abhorrence",
    "admiration",
    "adoration",
    "amusement",
    "anger",
    "chuckling",
    "dumbfoundedness",
    "eagerness",
    "feeling uplifted",
    "feeling upset",
    "interest",
    "joy",
    "neutral",
    "pleasure",
    "pondering",
)
_CONFIRMED_ATTRIBUTES = ("background music", "calm", "clear", "fast", "husky", "monotone")
_LOWER_48 = tuple(name.lower() for name in EXPRESSIONS_48)

AUDIO_EXPRESSIONS = tuple(dict.fromkeys((*_CONFIRMED_AUDIO, *_LOWER_48)))
VOICE_ATTRIBUTES = (*_CONFIRMED_ATTRIBUTES, *(f"simulated attribute {number}" for number in range(7, 31)))
VIDEO_EXPRESSIONS = _LOWER_48
VIDEO_DESCRIPTIONS = tuple(name.lower() for name in FACE_DESCRIPTIONS)

VOICE_ATTRIBUTE_CUTOFF = 0.725
VIDEO_CUTOFF = 0.1  # a score must be above it


def audio_cutoff(name: str) -> float:
    """Each audio expression has a threshold of its own; the service's are unknown, these only differ."""
    return 0.2 + 0.05 * (sum(name.encode()) % 7)
