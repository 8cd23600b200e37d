"""What helps against failed items, by the reason why they failed. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum


class Cure(StrEnum):
    """What has to happen before another try can end otherwise."""

    AGAIN = "again"  # nothing: the cause lies elsewhere, and may be gone
    FILE = "file"  # another file in its place
    MODELS = "models"  # a model that measures such an item
    MEASURER = "measurer"  # another version of who measures, or other options: the same fails on it every time


# A link's content may change without the item becoming another one: it is tried again as it is.
_OF_THE_FILE = frozenset(
    "archive archive_too_large archive_unreadable corrupt empty nested_archive no_audio no_video not_media too_large "
    "too_long truncated undecodable unknown_format unsupported unsupported_media".split()
)
_OTHERS = {"no_model": Cure.MODELS, "measurer_failed": Cure.MEASURER}
_OF_ONE = {
    Cure.AGAIN: "--retry-failed tries it again",
    Cure.FILE: "another file in its place is measured",
    Cure.MODELS: "a model that measures it helps, and no other try",
    Cure.MEASURER: "it fails again unless the model or its options change",
}
_OF_MANY = {
    Cure.FILE: "replace the files, which the next run measures, or remove them; nothing else helps",
    Cure.MODELS: "name a model that measures them under `models`, or remove them from the sources; nothing else helps",
    Cure.MEASURER: "change the options of the model that failed, or remove them; the same fails on them again, and "
    "`hume-runner run MANIFEST --retry-failed` helps after an update alone",
    Cure.AGAIN: "`hume-runner run MANIFEST --retry-failed` tries them again; or remove them",
}


def cure(reason: str | None, *, link: bool = False) -> Cure:
    """What helps against a failure with this reason; `link`: of an item that is fetched from its URL."""
    if reason in _OF_THE_FILE:
        return Cure.AGAIN if link else Cure.FILE
    return _OTHERS.get(reason or "", Cure.AGAIN)


def advice(reason: str | None, *, link: bool = False) -> str:
    """The same of one item, in words."""
    return _OF_ONE[cure(reason, link=link)]


def advices(failures: Mapping[str, int], links: Mapping[str, int]) -> Iterator[str]:
    """What helps against failed items, by reason and number; `links`: those of them that are links. Where different
    things help, each tells against what."""
    against: dict[Cure, list[str]] = {}
    for reason, number in failures.items():
        fetched = min(number, links.get(reason, 0))
        if number > fetched:
            against.setdefault(cure(reason), []).append(reason)
        if fetched:
            asked = against.setdefault(cure(reason, link=True), [])
            if reason not in asked:
                asked.append(reason)
    for helps, told in _OF_MANY.items():
        if helps in against:
            yield told if len(against) == 1 else f"{', '.join(against[helps])}: {told}"
