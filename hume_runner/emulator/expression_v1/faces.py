"""Simulated faces: boxes inside the real picture, people that come back, and numbers for them.

What is in a picture follows from its bytes and the seed alone. Who is in it is drawn from a small cast, most often the
same person, so that tracking over the pictures of a video has something to follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hume_runner.emulator.expression_v1.images import Size
from hume_runner.emulator.expression_v1.scores import face_descriptions, face_expressions
from hume_runner.emulator.scores import fingerprint, integer, number
from hume_runner.frozen import frozen

LISTED = 32  # faces listed in an image
MEASURED = 2  # faces measured in an image, the largest
REMEMBERED = 32  # faces that tracking knows
_CROWD = 40
_CAST = 64


@frozen
class Detected:
    """One face. The box is x0, y0, x1, y1 in stored pixels."""

    person: int
    box: tuple[float, float, float, float]
    confidence: float
    key: bytes

    @property
    def area(self) -> float:
        return (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])

    @property
    def shorter_side(self) -> float:
        return min(self.box[2] - self.box[0], self.box[3] - self.box[1])


def detect_faces(image: bytes, size: Size, seed: int) -> list[Detected]:
    """All faces, however small and uncertain, largest first."""
    key = fingerprint(seed, "faces", image)
    found: list[Detected] = []
    people: set[int] = set()
    for place in range(_count(key)):
        person = _person(key, place, people)
        people.add(person)
        found.append(
            Detected(
                person=person,
                box=_box(key, place, size),
                confidence=_confidence(key, place),
                key=fingerprint(key, place),
            )
        )
    return sorted(found, key=lambda face: (-face.area, face.person))


def _count(key: bytes) -> int:
    drawn = number(key, "count", 0, 1)
    if drawn < 0.05:
        return 0
    if drawn < 0.75:
        return 1
    return 2 if drawn < 0.88 else 3 if drawn < 0.97 else integer(key, "crowd", 4, _CROWD)


def _confidence(key: bytes, place: int) -> float:
    """The largest face is nearly always sure, the others often."""
    return round(1 - 0.6 * number(key, f"confidence/{place}", 0, 1) ** (30 if place == 0 else 6), 4)


def _person(key: bytes, place: int, taken: set[int]) -> int:
    drawn = int(number(key, f"person/{place}", 0, 1) ** 4 * _CAST)
    while drawn in taken:
        drawn = (drawn + 1) % _CAST
    return drawn


def _box(key: bytes, place: int, size: Size) -> tuple[float, float, float, float]:
    """The first face fills half of the shorter side or more, each further one less."""
    shorter = min(size)
    width = shorter * number(key, f"width/{place}", 0.5, 0.75) / (1 + place * 0.6)
    height = min(size.height, width * number(key, f"height/{place}", 1.05, 1.3))
    x = number(key, f"x/{place}", 0, size.width - width)
    y = number(key, f"y/{place}", 0, size.height - height)
    return tuple(
        _pixel(value, limit)
        for value, limit in (  # type: ignore[return-value]
            (x, size.width),
            (y, size.height),
            (x + width, size.width),
            (y + height, size.height),
        )
    )


def _pixel(value: float, limit: int) -> float:
    return round(min(value, limit), 2)


class Tracker:
    """Numbers for faces, from 0 in the order in which they are first measured.

    It knows the last 32; a face that 32 others have pushed out is a new one when it comes back.
    """

    def __init__(self, known: Sequence[tuple[int, int]] = (), next_id: int = 0) -> None:
        self._ids = dict(known)
        self.next_id = next_id

    @property
    def known(self) -> tuple[tuple[int, int], ...]:
        """(person, number), least recently seen first."""
        return tuple(self._ids.items())

    def number_of(self, person: int) -> int:
        face_id = self._ids.pop(person, None)
        if face_id is None:
            face_id, self.next_id = self.next_id, self.next_id + 1
        self._ids[person] = face_id
        while len(self._ids) > REMEMBERED:
            del self._ids[next(iter(self._ids))]
        return face_id


def measure_faces(
    image: bytes, size: Size, *, threshold: float, min_size: int, tracker: Tracker, seed: int
) -> list[dict[str, Any]]:
    """The `faces` of one image: the measured ones, largest first, then the others, most confident first."""
    seen = [
        face
        for face in detect_faces(image, size, seed)
        if face.confidence >= threshold and face.shorter_side >= min_size
    ]
    measured, others = seen[:MEASURED], seen[MEASURED:]
    others.sort(key=lambda face: (-face.confidence, face.person))
    return [
        *(_face(face, face_id=tracker.number_of(face.person)) for face in measured),
        *(_face(face, face_id=None) for face in others[: LISTED - len(measured)]),
    ]


def _face(face: Detected, *, face_id: int | None) -> dict[str, Any]:
    measured = face_id is not None
    return {
        "face_id": face_id,
        "bbox": list(face.box),
        "confidence": face.confidence,
        "expressions": face_expressions(face.key) if measured else None,
        "descriptions": face_descriptions(face.key) if measured else None,
    }
