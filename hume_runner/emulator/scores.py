"""Simulated scores: a pure function of content, seed and place, so that the same bytes always measure the same.

Nothing is measured. A mood (one base value a name) is drawn once for each content and person, and every segment moves
around it, so that charts and averages of simulated answers look like something. Values are float32 printed as doubles,
as the service prints them; most lie between 0 and 1, a few are a little above 1, as in captured answers.
"""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache


def fingerprint(*parts: object) -> bytes:
    """32 bytes that stand for the parts, in order."""
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        raw = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.digest()


def number(key: bytes, label: str, low: float, high: float) -> float:
    """One value between low and high."""
    raw = int.from_bytes(hashlib.blake2b(label.encode(), key=key[:32], digest_size=8).digest(), "big")
    return low + (high - low) * (raw / 2**64)


def integer(key: bytes, label: str, low: int, high: int) -> int:
    """One whole number, both ends included."""
    return min(high, low + int(number(key, label, 0, high - low + 1)))


def float32(value: float) -> float:
    """The double that a single-precision value becomes."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


@lru_cache(maxsize=4096)
def _mood(key: bytes, label: str, count: int) -> tuple[float, ...]:
    raw = hashlib.shake_128(key + label.encode()).digest(2 * count)
    # The fourth power leaves most names near zero and a few that stand out.
    return tuple(0.004 + 0.75 * (value / 65535) ** 4 for value in struct.unpack(f"<{count}H", raw))


def score_list(key: bytes, label: str, place: object, count: int) -> tuple[float, ...]:
    """`count` scores for one segment. `label` names model and person, `place` the segment within them."""
    mood = _mood(key, label, count)
    raw = hashlib.shake_128(key + f"{label}\0{place}".encode()).digest(2 * count)
    moves = struct.unpack(f"<{count}H", raw)
    values = [base * (0.55 + move / 65535) for base, move in zip(mood, moves, strict=True)]
    single: tuple[float, ...] = struct.unpack(f"<{count}f", struct.pack(f"<{count}f", *values))
    return single


def sentiment_list(key: bytes, label: str, place: object) -> tuple[float, ...]:
    """Nine weights that sum to about one, as captured ones do (0.884 to 1.056)."""
    values = score_list(key, label + "/sentiment", place, 9)
    total = sum(values) / number(key, f"{label}/sentiment-sum/{place}", 0.89, 1.05)
    return struct.unpack("<9f", struct.pack("<9f", *(value / total for value in values)))
