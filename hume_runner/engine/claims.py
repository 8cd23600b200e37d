"""What a job at the service is said to carry, and which of our items that is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from hume_runner.manifest.model import SourceKind
from hume_runner.planning.fingerprint import text_content, url_content
from hume_runner.services.foreign import Foreign, ForeignSource
from hume_runner.state.lifecycle import ItemStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store

# The key of an item of this kind and content (32 bytes) under the manifest's present settings.
KeyOf = Callable[[SourceKind, bytes], bytes]


class Claim:
    """What a job at the service is said to carry, and what of that cannot be told for sure."""

    def __init__(self, foreign: Foreign, kinds: Collection[str], unsure: str = "") -> None:
        self.foreign = foreign
        self.unsure = unsure
        self._kinds = kinds
        self.silent = bool(foreign.silent & set(kinds))

    def confirmed(self, details: Foreign) -> Claim:
        """The same by its details. Two orders of its texts leave open which answer is whose."""
        name = self.foreign.remote_id
        texts, others = (
            [source.value for source in one.sources if source.kind == "text"] for one in (self.foreign, details)
        )
        unsure = ""
        if texts and others and texts != others and sorted(map(str, texts)) == sorted(map(str, others)):
            unsure = f"{name} carries texts, and nothing tells in which order"
            details = replace(details, sources=tuple(one for one in details.sources if one.kind != "text"))
        told = Claim(details, self._kinds, unsure)
        if told.silent and not unsure:
            told.unsure = f"neither the list nor the details of {name} tell all that it carries"
        return told

    def known(self, store: StateReader, files: WaitingFiles, key_of: KeyOf) -> set[int]:
        """The places of the sources that are items of ours as they stand, measured or not."""
        keys = ((at, _key(source, files, key_of)) for at, source in enumerate(self.foreign.sources))
        return {at for at, key in keys if key is not None and store.status_of(key) is not None}

    def matches(self, store: StateReader, files: WaitingFiles, key_of: KeyOf) -> dict[bytes, str]:
        """Key -> what the answer calls it, of our items that wait to be measured and are measured there alike."""
        names = Counter(source.match for source in self.foreign.sources if source.kind == "file")
        keys: dict[bytes, str] = {}
        for source in self.foreign.sources:
            key = _key(source, files, key_of)
            if key is None or key in keys or store.status_of(key) is not ItemStatus.PENDING:
                continue
            if source.kind == "file" and names[source.match] > 1:
                self.unsure = f"{self.foreign.remote_id} carries several files under one name, '{source.match}'"
                continue
            keys[key] = source.match
        for item in store.load_items(list(keys)):
            alike = self.foreign.alike(item.kind, item.facts)
            if alike is None:
                self.unsure = f"nothing tells with which settings {self.foreign.remote_id} measured"
            if not alike:
                del keys[item.key]
            elif item.kind in self.foreign.unordered:
                self.unsure = f"{self.foreign.remote_id} carries texts, and nothing tells in which order"
                del keys[item.key]
        return keys


def _key(source: ForeignSource, files: WaitingFiles, key_of: KeyOf) -> bytes | None:
    match source.kind:
        case "url":
            return key_of("url", url_content(source.value or ""))
        case "text":
            return key_of("text", text_content(source.value or ""))
        case _:
            return files.with_md5(source.md5.lower()) if source.md5 else None


class WaitingFiles:
    """The keys of waiting files by MD5. Those whose MD5 is not known are read once, when the first is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read = False

    def with_md5(self, md5: str) -> bytes | None:
        try:
            digest = bytes.fromhex(md5)
        except ValueError:
            return None
        found = self._store.find_by_md5(digest)
        if found is None and not self._read:
            self._read = True
            for key, path in self._store.waiting_without_md5():
                try:
                    self._store.remember_md5(key, _md5(path))
                except OSError:
                    continue  # it fails by itself when it is sent
            found = self._store.find_by_md5(digest)
        return found


def _md5(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()
