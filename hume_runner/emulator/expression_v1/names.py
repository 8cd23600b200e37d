"""Score names of the Expression Measurement API, and the cutoffs below which a name is left out.

The service's full tables are published nowhere that could be read: 15 of 415 audio expressions, 6 of 190 voice
attributes, 11 of 48 video expressions and 4 of 27 descriptions are confirmed. The rest here stands in for them: the
batch API's names in lower case, and numbered ones for voice attributes. Clients must take names as they come.
"""

from __future__ import annotations

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

# fmt: off
VIDEO_EXPRESSIONS = (
    "admiration", "adoration", "aesthetic appreciation", "amusement", "anger", "anxiety", "awe", "awkwardness",
    "boredom", "calmness", "concentration", "confusion", "contemplation", "contempt", "contentment", "craving",
    "desire", "determination", "disappointment", "disgust", "distress", "doubt", "ecstasy", "embarrassment",
    "empathic pain", "entrancement", "envy", "excitement", "fear", "guilt", "horror", "interest", "joy", "love",
    "nostalgia", "pain", "pride", "realization", "relief", "romance", "sadness", "satisfaction", "shame",
    "surprise (negative)", "surprise (positive)", "sympathy", "tiredness", "triumph",
)
VIDEO_DESCRIPTIONS = (
    "beaming", "biting lip", "cheering", "cringe", "cry", "eyes closed", "face in hands", "frown", "gasp",
    "glare", "glaring", "grimace", "grin", "jaw drop", "laugh", "licking lip", "pout", "scowl", "smile",
    "smirk", "snarl", "squint", "sulking", "tongue out", "wide-eyed", "wince", "wrinkled nose",
)
# fmt: on

AUDIO_EXPRESSIONS = tuple(dict.fromkeys((*_CONFIRMED_AUDIO, *VIDEO_EXPRESSIONS)))
VOICE_ATTRIBUTES = (*_CONFIRMED_ATTRIBUTES, *(f"simulated attribute {number}" for number in range(7, 31)))

VOICE_ATTRIBUTE_CUTOFF = 0.725
VIDEO_CUTOFF = 0.1  # a score must be above it


def audio_cutoff(name: str) -> float:
    """Each audio expression has a threshold of its own; the service's are unknown, these only differ."""
    return 0.2 + 0.05 * (sum(name.encode()) % 7)
