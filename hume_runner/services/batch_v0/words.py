"""Which text an answer is about, told by the words that were measured."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from hume_runner.frozen import frozen


def measures(text: str, words: Iterable[str]) -> bool | None:
    """Whether what was measured, told word by word or in longer pieces, is this text: all of it is; another one is;
    None where that cannot be told."""
    said = list(words)
    ours, pieces = letters(text), [piece for piece in map(letters, said) if piece]
    if not ours:  # signs alone
        ours, pieces = "".join(text.split()), ["".join(piece.split()) for piece in said]
    told = "".join(pieces)
    if not told:
        return None
    if told == ours:
        return True
    at = missing = 0
    for piece in pieces:
        found = ours.find(piece, at)
        missing, at = (missing + len(piece), at) if found < 0 else (missing, found + len(piece))
    return False if 2 * missing > len(told) else None


def another_s(text: str, words: Sequence[str], all_texts: Iterable[str]) -> bool:
    """Whether what was measured is surely another text than this one: none that is known, or one of `all_texts`."""
    same = measures(text, words)
    return same is False or (same is None and bool(words) and any(measures(one, words) for one in all_texts))


def letters(text: str) -> str:
    """What every way of cutting a text into words leaves of it."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(one for one in plain if one.isalnum())


@frozen
class Confirmed:
    """What an answer's words confirm. `names`: position -> the name in the answer that is this member's text;
    `doubtful`: positions of which the answer speaks, and nothing tells that it is this text."""

    names: Mapping[int, str]
    doubtful: frozenset[int]


def confirmed(texts: Mapping[int, tuple[str, str]], words: Mapping[str, Sequence[str]]) -> Confirmed:
    """Which name in an answer stands for which text of a job that was started elsewhere.

    `texts`: position -> (text, name that its echo gives it); `words`: all names of texts in the answer, with the words
    that were measured. The order in which a host echoes texts is no proof of the order in which they were sent: where
    there are two, the words tell, or nobody knows.
    """
    names: dict[int, str] = {}
    said = {name: _said(texts, told) for name, told in words.items()}
    for position, (_, name) in texts.items():
        alike = [one for one, positions in said.items() if position in positions]
        if alike == [name] or (len(alike) == 1 and said[alike[0]] == {position}):
            names[position] = alike[0]
    moved = any(names[position] != texts[position][1] for position in names)
    open_ = {text for position, (text, _) in texts.items() if position not in names}
    # Two that nothing tells apart may have been put in another order, and those in place tell of it only where the
    # order is one that no host makes by itself.
    kept = not moved and 2 * len(names) >= len(texts) and (len(open_) < 2 or not _sorted(texts))
    if len(words) == 1 or kept:
        # What tells nothing by itself stands where the others show that it stands.
        for position, (text, name) in texts.items():
            if name in words and measures(text, words[name]) is not False:
                names.setdefault(position, name)
    doubtful = {position for position, (_, name) in texts.items() if position not in names and name in words}
    return Confirmed(names=names, doubtful=frozenset(doubtful))


def _said(texts: Mapping[int, tuple[str, str]], words: Sequence[str]) -> set[int]:
    """Which texts were measured in these words: by every sign, where that tells one from another; else by letters."""
    alike = {at for at, (text, _) in texts.items() if measures(text, words)}
    told = signs("".join(words))
    exact = {at for at in alike if signs(texts[at][0]) == told}
    return exact or alike


def says(text: str, pieces: Iterable[str]) -> bool:
    """Whether what was measured in these pieces is this text, character by character: between two pieces a blank may
    stand or not, inside one all blanks are the text's, however many of them it has in one place.

    A service writes blanks between the letters of scripts that have none (docs/apis/batch_v0.md).
    """
    said = list(pieces)
    if not signs(text) or signs("".join(said)) != signs(text):
        return False
    whole, at = _blanks_once(text), 0
    for piece in map(_blanks_once, said):
        at += whole[at : at + 1] == " "
        if not whole.startswith(piece, at):
            return any(unicodedata.category(one) == "Lo" for one in text)
        at += len(piece)
    return True


def _blanks_once(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).split())


def signs(text: str) -> str:
    """A text as it is told apart from every other: its characters, without the blanks between them. Letters that are
    composed and the same in parts are the same characters."""
    return "".join(unicodedata.normalize("NFC", text).split())


# In what order hosts may put texts that they do not keep in the order in which they were sent.
_ORDERS: tuple[Callable[[str], Any], ...] = (str, str.casefold, str.strip, len, letters, lambda text: text.encode())


def _sorted(texts: Mapping[int, tuple[str, str]]) -> bool:
    """Whether texts, in the order of their names in the echo, stand in one that a host may have made."""
    return made([text for text, _ in sorted(texts.values(), key=lambda one: (len(one[1]), one[1]))])


def made(texts: Sequence[str]) -> bool:
    """Whether texts stand in an order that a host may have made."""
    for order in _ORDERS:
        keys = [order(text) for text in texts]
        if keys in (sorted(keys), sorted(keys, reverse=True)):
            return True
    return False
