"""The table of the small language model, and the probabilities that it gives a text.

The file, all numbers little-endian:

    8 bytes   magic, `hr-emo` and the version of this format in two digits
    u32       CRC-32 of all bytes after this number
    u32       length of the header
    header    JSON: labels, thresholds, words, features, width, hidden, scale
    u32       hashes of the features; those of whole words come first, so that a known word is one below `words`
    u8        weight of each feature: inverse document frequency in sixteenths
    u8        `width` numbers for each feature, 128 is zero
    f32       hidden layer (hidden by width), its bias, outward (labels by hidden), straight path
              (labels by width), bias

A text is the weighted sum of its features' rows, divided by the length of the vector of weights and multiplied by
`scale`; then one hidden layer with a straight path beside it, and a sigmoid for each label. The sum is exact: it is
made of whole numbers, packed into one large integer a token, so that adding two tokens is one addition in plain Python.
"""

from __future__ import annotations

import json
import math
import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from operator import mul
from typing import TYPE_CHECKING, Any

from hume_runner.frozen import frozen
from hume_runner.services.local.measurers.hashed_text import (
    START,
    Token,
    pair_feature,
    place_of,
    raw_tokens,
    read_token,
)

if TYPE_CHECKING:
    from types import ModuleType

MAGIC = b"hr-emo01"
_LANE = 8  # bytes for one sum: 255 * 255 a feature leaves room for 10^14 of them
_STEEPEST = 60.0  # beyond it a probability is 0 or 1 to every digit that is told
_KEPT = 50_000  # tokens and pairs that are remembered, some 600 bytes each


@frozen
class Table:
    """What the file says. `network`: hidden, its bias, outward, straight path, bias, each row after row."""

    labels: tuple[str, ...]
    thresholds: tuple[float, ...]
    words: int
    scale: float
    width: int
    hidden: int
    places: array[int]
    weights: bytes
    rows: bytes
    network: tuple[array[float], ...]


def _sizes(labels: int, width: int, hidden: int) -> tuple[int, ...]:
    return (hidden * width, hidden, labels * hidden, labels * width, labels)


def _swapped(numbers: array[Any]) -> array[Any]:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers


def write_table(table: Table) -> bytes:
    """The bytes of the file."""
    header = json.dumps(
        {
            "labels": table.labels,
            "thresholds": table.thresholds,
            "words": table.words,
            "features": len(table.places),
            "width": table.width,
            "hidden": table.hidden,
            "scale": table.scale,
        },
        separators=(",", ":"),
    ).encode()
    body = b"".join(
        (
            struct.pack("<I", len(header)),
            header,
            _swapped(table.places).tobytes(),
            table.weights,
            table.rows,
            *(_swapped(part).tobytes() for part in table.network),
        )
    )
    return MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def read_table(data: bytes) -> Table:
    """The table in these bytes. Raises: ValueError, one line, if they are not one or are damaged."""
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("this is no table of the small language model, or one of another format")
    begin = len(MAGIC) + 8
    if len(data) < begin or struct.unpack_from("<I", data, len(MAGIC))[0] != zlib.crc32(data[begin - 4 :]):
        raise ValueError("the table of the small language model is damaged: its checksum is another")
    try:
        (length,) = struct.unpack_from("<I", data, begin - 4)
        header = json.loads(data[begin : begin + length])
        labels, width, hidden, features = (header[name] for name in ("labels", "width", "hidden", "features"))
        view = memoryview(data)[begin + length :]
        sizes = _sizes(len(labels), width, hidden)
        if len(view) != features * (5 + width) + 4 * sum(sizes):
            raise ValueError("the lengths do not fit")
        network, at = [], features * (5 + width)
        for size in sizes:
            network.append(_swapped(array("f", bytes(view[at : at + 4 * size]))))
            at += 4 * size
        return Table(
            labels=tuple(labels),
            thresholds=tuple(header["thresholds"]),
            words=int(header["words"]),
            scale=float(header["scale"]),
            width=width,
            hidden=hidden,
            places=_swapped(array("I", bytes(view[: 4 * features]))),
            weights=bytes(view[4 * features : 5 * features]),
            rows=bytes(view[5 * features : (5 + width) * features]),
            network=tuple(network),
        )
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise ValueError(f"the table of the small language model cannot be read: {error}") from error


@frozen(kw_only=False)
class Read:
    """A text as the model sees it: the exact sum of its features, how many words it has, and how many are known."""

    total: int
    words: int
    known: int


class Model:
    """Probabilities of the labels for texts. With numpy where that is there; without it the same to 1e-12."""

    def __init__(self, table: Table, *, plain: bool = False) -> None:
        self.table = table
        self._index = {place: number for number, place in enumerate(table.places)}
        self._tokens: dict[str, tuple[str, int, bool, bool]] = {}
        self._pairs: dict[tuple[str, str], int] = {}
        self._lanes = table.width + 2  # the row, then the sum of the weights, then of their squares
        self._numpy = None if plain else _numpy()
        self._layers = self._arrays() if self._numpy else self._lists()

    def read(self, text: str) -> Read:
        """What the table finds in a text."""
        total = words = known = 0
        before = START
        for raw in raw_tokens(text):
            found = self._tokens.get(raw)
            key, packed, is_word, is_known = found if found is not None else self._learn(raw)
            pair = self._pairs.get((before, key))
            total += packed + (pair if pair is not None else self._learn_pair(before, key))
            words += is_word
            known += is_known
            before = key
        return Read(total, words, known)

    def probabilities(self, texts: Sequence[Read]) -> list[list[float]]:
        """A probability for each label of each text, in the order of the labels."""
        if not texts:
            return []
        return self._by_numpy(texts) if self._numpy else [self._by_hand(text) for text in texts]

    def _learn(self, raw: str) -> tuple[str, int, bool, bool]:
        token: Token = read_token(raw)
        known = token.is_word and self._index.get(place_of(token.features[0]), self.table.words) < self.table.words
        if len(self._tokens) >= _KEPT:
            self._tokens.clear()
        found = self._tokens[raw] = (token.key, self._packed(token.features), token.is_word, known)
        return found

    def _learn_pair(self, before: str, after: str) -> int:
        if len(self._pairs) >= _KEPT:
            self._pairs.clear()
        packed = self._pairs[before, after] = self._packed((pair_feature(before, after),))
        return packed

    def _packed(self, features: Iterable[str]) -> int:
        """The weighted rows of these features, one lane each number."""
        width, total = self.table.width, 0
        for feature in features:
            number = self._index.get(place_of(feature))
            if number is None:
                continue
            weight = self.table.weights[number]
            lanes = bytearray(self._lanes * _LANE)
            lanes[: width * _LANE : _LANE] = self.table.rows[number * width : (number + 1) * width]
            lanes[width * _LANE] = 1
            struct.pack_into("<Q", lanes, (width + 1) * _LANE, weight)
            total += int.from_bytes(lanes, "little") * weight
        return total

    def _unpacked(self, text: Read) -> bytes:
        return text.total.to_bytes(self._lanes * _LANE, "little")

    def _lists(self) -> Any:
        table = self.table
        inward, bias, outward, straight, end = (list(part) for part in table.network)
        return (
            [inward[at : at + table.width] for at in range(0, len(inward), table.width)],
            bias,
            # One row for each label: what the text itself gives, then what the hidden layer gives.
            [
                straight[one * table.width : (one + 1) * table.width]
                + outward[one * table.hidden : (one + 1) * table.hidden]
                for one in range(len(table.labels))
            ],
            end,
        )

    def _by_hand(self, text: Read) -> list[float]:
        inward, bias, outward, end = self._layers
        *sums, weight, squares = struct.unpack(f"<{self._lanes}Q", self._unpacked(text))
        factor = self.table.scale / math.sqrt(squares) if squares else 0.0
        seen = [(one - 128 * weight) * factor for one in sums]
        seen += [max(0.0, sum(map(mul, row, seen), start)) for row, start in zip(inward, bias, strict=True)]
        return [_sigmoid(sum(map(mul, row, seen), start)) for row, start in zip(outward, end, strict=True)]

    def _arrays(self) -> Any:
        np, table = self._numpy, self.table
        assert np is not None
        inward, bias, outward, straight, end = (np.array(part, dtype=np.float64) for part in table.network)
        labels = len(table.labels)
        return (
            inward.reshape(table.hidden, table.width).T,
            bias,
            np.hstack((straight.reshape(labels, table.width), outward.reshape(labels, table.hidden))).T,
            end,
        )

    def _by_numpy(self, texts: Sequence[Read]) -> list[list[float]]:
        np = self._numpy
        assert np is not None
        inward, bias, outward, end = self._layers
        lanes = np.frombuffer(b"".join(map(self._unpacked, texts)), dtype="<u8").reshape(len(texts), self._lanes)
        exact = lanes.astype(np.int64)
        squares = exact[:, -1:].astype(np.float64)
        factor = np.where(squares > 0, self.table.scale / np.sqrt(np.maximum(squares, 1)), 0.0)
        seen = (exact[:, :-2] - 128 * exact[:, -2:-1]) * factor
        both = np.hstack((seen, np.maximum(seen @ inward + bias, 0.0)))
        told: list[list[float]] = (1 / (1 + np.exp(-np.clip(both @ outward + end, -_STEEPEST, _STEEPEST)))).tolist()
        return told


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-max(-_STEEPEST, min(value, _STEEPEST))))


def _numpy() -> ModuleType | None:
    try:
        import numpy
    except ImportError:
        return None
    return numpy
