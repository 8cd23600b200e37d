"""Full name lists of the batch API, in the order in which answers carry them, and the column orders of the CSV files.

Copied from the API's published definition and from captured answers; the lists of JSON answers are alphabetical, the
CSV columns are not: `Desire` follows `Satisfaction`, and in face and prosody `Contemplation` precedes `Confusion`.
"""

from __future__ import annotations

# fmt: off
EXPRESSIONS_48 = (
    "Admiration", "Adoration", "Aesthetic Appreciation", "Amusement", "Anger", "Anxiety", "Awe", "Awkwardness",
    "Boredom", "Calmness", "Concentration", "Confusion", "Contemplation", "Contempt", "Contentment", "Craving",
    "Desire", "Determination", "Disappointment", "Disgust", "Distress", "Doubt", "Ecstasy", "Embarrassment",
    "Empathic Pain", "Entrancement", "Envy", "Excitement", "Fear", "Guilt", "Horror", "Interest", "Joy",
    "Love", "Nostalgia", "Pain", "Pride", "Realization", "Relief", "Romance", "Sadness", "Satisfaction",
    "Shame", "Surprise (negative)", "Surprise (positive)", "Sympathy", "Tiredness", "Triumph",
)

# The language model's list: the 48 and five more.
EXPRESSIONS_53 = (
    "Admiration", "Adoration", "Aesthetic Appreciation", "Amusement", "Anger", "Annoyance", "Anxiety", "Awe",
    "Awkwardness", "Boredom", "Calmness", "Concentration", "Confusion", "Contemplation", "Contempt",
    "Contentment", "Craving", "Desire", "Determination", "Disappointment", "Disapproval", "Disgust",
    "Distress", "Doubt", "Ecstasy", "Embarrassment", "Empathic Pain", "Enthusiasm", "Entrancement", "Envy",
    "Excitement", "Fear", "Gratitude", "Guilt", "Horror", "Interest", "Joy", "Love", "Nostalgia", "Pain",
    "Pride", "Realization", "Relief", "Romance", "Sadness", "Sarcasm", "Satisfaction", "Shame",
    "Surprise (negative)", "Surprise (positive)", "Sympathy", "Tiredness", "Triumph",
)

# 31 action units, then five hand gestures.
FACS = (
    "AU1 Inner Brow Raise", "AU2 Outer Brow Raise", "AU4 Brow Lowerer", "AU5 Upper Lid Raise",
    "AU6 Cheek Raise", "AU7 Lids Tight", "AU9 Nose Wrinkle", "AU10 Upper Lip Raiser",
    "AU11 Nasolabial Furrow Deepener", "AU12 Lip Corner Puller", "AU14 Dimpler", "AU15 Lip Corner Depressor",
    "AU16 Lower Lip Depress", "AU17 Chin Raiser", "AU18 Lip Pucker", "AU19 Tongue Show", "AU20 Lip Stretch",
    "AU22 Lip Funneler", "AU23 Lip Tightener", "AU24 Lip Presser", "AU25 Lips Part", "AU26 Jaw Drop",
    "AU27 Mouth Stretch", "AU28 Lips Suck", "AU32 Bite", "AU34 Puff", "AU37 Lip Wipe", "AU38 Nostril Dilate",
    "AU43 Eye Closure", "AU53 Head Up", "AU54 Head Down", "Hand over Mouth", "Hand over Eyes",
    "Hand over Forehead", "Hand over Face", "Hand touching Face / Head",
)

FACE_DESCRIPTIONS = (
    "Beaming", "Biting lip", "Cheering", "Cringe", "Cry", "Eyes closed", "Face in hands", "Frown", "Gasp",
    "Glare", "Glaring", "Grimace", "Grin", "Jaw drop", "Laugh", "Licking lip", "Pout", "Scowl", "Smile",
    "Smirk", "Snarl", "Squint", "Sulking", "Tongue out", "Wide-eyed", "Wince", "Wrinkled nose",
)

BURST_TYPES = (
    "Ah", "Aha", "Ahh", "Argh", "Aww", "Cackle", "Cheer", "Chuckle", "Cry", "Eek", "Eww", "Gasp", "Giggle",
    "Groan", "Growl", "Grr", "Grunt", "Ha", "Hah", "Haha", "Hehe", "Hiss", "Hmm", "Hoot", "Howl", "Huh",
    "Hurray", "Laugh", "Mhm", "Mmm", "Moan", "Oh", "Ohh", "Ooh", "Ooph", "Ouch", "Oww", "Pant", "Pff", "Phew",
    "Roar", "Scream", "Screech", "Shout", "Shriek", "Sigh", "Snicker", "Snort", "Sob", "Squeal", "Tsk", "Ugh",
    "Uh", "Uh-huh", "Umm", "Wail", "Wheep", "Whee", "Whew", "Whimper", "Woah", "Wow", "Yawn", "Yay", "Yelp",
    "Yippee", "Yuck",
)

SENTIMENT = (
    "1", "2", "3", "4", "5", "6", "7", "8", "9",
)

TOXICITY = (
    "toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate",
)

LANGUAGE_TAGS = (
    "zh", "da", "nl", "en", "en-AU", "en-IN", "en-NZ", "en-GB", "fr", "fr-CA", "de", "hi", "hi-Latn", "id",
    "it", "ja", "ko", "no", "pl", "pt", "pt-BR", "pt-PT", "ru", "es", "es-419", "sv", "ta", "tr", "uk",
)
# fmt: on


def _moved(names: tuple[str, ...], name: str, *, before: str = "", after: str = "") -> tuple[str, ...]:
    rest = [other for other in names if other != name]
    at = rest.index(before) if before else rest.index(after) + 1
    return (*rest[:at], name, *rest[at:])


CSV_EXPRESSIONS_53 = _moved(EXPRESSIONS_53, "Desire", after="Satisfaction")
CSV_EXPRESSIONS_48 = _moved(_moved(EXPRESSIONS_48, "Desire", after="Satisfaction"), "Contemplation", before="Confusion")
