"""Items that an earlier version measured under another key, recognised instead of paid again.

Schema 1 made keys over all settings of the manifest. An item whose content was measured under settings that, in what
touches this item, agree with the manifest's present ones has been measured: the plan finds its old key here, and the
state gives the measurement its new one together with the plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hume_runner import small_json
from hume_runner.manifest.model import SourceKind
from hume_runner.planning.fingerprint import FORMER_SETTINGS, canonical, former_key
from hume_runner.planning.staged import PlanReader
from hume_runner.services.base import Relevant

_BATCH = 5_000


def recognise_former(store: PlanReader, service: Relevant, settings: Mapping[str, Any]) -> None:
    """Note for every staged item that nobody measured under its key, the old measurement that is the same."""
    before = [(digest, completed(small_json.kept(text), settings)) for digest, text in store.former_settings()]
    if not before:
        return
    alike: dict[tuple[str, str | None], list[bytes]] = {}
    batch: list[tuple[bytes, bytes]] = []
    for kind, key, content, facts in store.unmeasured():
        look = (kind, facts)
        digests = alike.get(look)
        if digests is None:
            if len(alike) > 1_000:
                alike.clear()
            digests = alike[look] = list(_alike(before, service, kind, facts, settings))
        found = store.most_telling([former_key(kind, content, digest) for digest in digests])
        if found is not None:
            batch.append((key, found))
        if len(batch) >= _BATCH:
            store.note_former(batch)
            batch.clear()
    store.note_former(batch)


def _alike(
    before: Sequence[tuple[bytes, Mapping[str, Any]]],
    service: Relevant,
    kind: SourceKind,
    facts: str | None,
    settings: Mapping[str, Any],
) -> Iterator[bytes]:
    told = small_json.kept(facts) if facts else {}
    now = canonical(service.relevant(kind, told, settings))
    for digest, old in before:
        if canonical(service.relevant(kind, told, old)) == now:
            yield digest


def completed(old: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that an earlier version wrote down, with what it did not write: as it is now, since nobody knows."""
    return {**{name: value for name, value in settings.items() if name not in FORMER_SETTINGS}, **old}
