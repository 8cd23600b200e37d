"""What the small language model sees of a text: tokens, and the features of each. Training and measuring read this.

A text is the sum of its tokens and of its pairs of neighbouring tokens, so what a token gives is worked out once.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

from hume_runner.frozen import frozen

# In this order: names that the training data masks, faces made of signs, words, runs of sentence marks, any other sign.
_TOKEN = re.compile(
    r"\[[A-Z]+\]|[:;=]['’]?-?[)(DPpOo/\\|\]\[*3]+(?!\w)|<3|[^\W_]+(?:['’][^\W_]+)*|[!?.…]+|[^\w\s]",
)
_MASK = re.compile(r"\[[A-Z]+\]")
_LONG = re.compile(r"(.)\1{2,}")
_DIGITS = re.compile(r"\d+")
_LETTER = re.compile(r"[^\W\d_]")
_LONGEST_WORD = 24
_GRAMS = (2, 3, 4)
START = "^"  # what the first token has before it


@frozen(kw_only=False)
class Token:
    """One token: how pairs spell it, its own features, and whether it is a word (or a picture sign) that could be
    known. A masked name has no features: at run time names are unknown words."""

    key: str
    features: tuple[str, ...]
    is_word: bool


def raw_tokens(text: str) -> list[str]:
    """The tokens of a text as they are written, from left to right."""
    return _TOKEN.findall(text)


def read_token(raw: str) -> Token:
    """What a written token gives. Upper case and drawn-out letters are kept as features of their own."""
    if _MASK.fullmatch(raw):
        return Token("[name]", (), False)
    plain = raw.lower().replace("’", "'")[:_LONGEST_WORD]
    key = _DIGITS.sub("#", _LONG.sub(r"\1\1", plain))
    has_letters = _LETTER.search(key) is not None
    features = [f"w {key}"]
    if has_letters:
        features.extend(f"c {gram}" for gram in _grams(key))
        if len(raw) > 1 and raw.isupper():
            features.append("s upper")
        if _LONG.search(plain):
            features.append("s long")
    return Token(key, tuple(features), has_letters or ord(raw[0]) > 0x2190)  # from the arrows on: pictures


def _grams(key: str) -> Iterator[str]:
    framed = f"<{key}>"
    for length in _GRAMS:
        if length < len(framed):
            for begin in range(len(framed) - length + 1):
                yield framed[begin : begin + length]


def pair_feature(before: str, after: str) -> str:
    """The feature of two neighbouring tokens, by their keys."""
    return f"p {before} {after}"


def place_of(feature: str) -> int:
    """Where a feature lies: 32 bits that are the same on every machine."""
    return zlib.crc32(feature.encode("utf-8", "surrogatepass"))
