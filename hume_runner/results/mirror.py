"""Outputs in an object store: what a run writes here is copied there, and compared there as here.

The state and the work stay on this machine. A copy is made under a condition, either that nothing is there or that it
is still what we put there, so nobody else's object is written over. What could not be copied the next run copies.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from hume_runner import small_json
from hume_runner.aside import folder_below
from hume_runner.errors import (
    AlreadyExists,
    ObjectMissing,
    PreconditionFailed,
    StoreError,
    StoreUnavailable,
    UsageError,
)
from hume_runner.results.outputs import RUN
from hume_runner.results.verify import Checked, Verdict
from hume_runner.state.answers import harmed_answers
from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
from hume_runner.state.uploads import Upload
from hume_runner.stores.address import ObjectUri
from hume_runner.stores.base import ObjectInfo, ObjectStore, Version
from hume_runner.stores.opening import Opens
from hume_runner.stores.reading import chunks

OWNER = "hume-runner.json"
_LABEL = "lineage"
_AT_ONCE = 8
_BATCH = 64
# Larger files go in parts, which no store takes under a condition through obstore: they are looked for before.
_WHOLE_BYTES = 32_000_000
_CHUNK = 1 << 20


class ChangedHere(Exception):
    """The file on this machine is not what the state knows: `verify` tells, and no copy is made of it."""


class Mirror:
    """The copy of one output directory below `target`, a URI."""

    def __init__(
        self, target: str, outputs: Path, *, manifest: str, clock: Callable[[], float], open_store: Opens
    ) -> None:
        self._target = target
        self._outputs = outputs
        self._manifest = manifest
        self._clock = clock
        self._folder = ObjectUri.of(target).key.strip("/")
        self._open_store = open_store
        self._opened: ObjectStore | None = None
        self._lineage = ""

    @property
    def _store(self) -> ObjectStore:
        if self._opened is None:
            self._opened = self._open_store(self._target)[0]
        return self._opened

    def _key(self, path: str) -> str:
        return f"{self._folder}/{path}" if self._folder else path

    # -- whose it is

    def check(self, lineage: str) -> None:
        """Before anything is sent: the place can be reached, and is nobody else's. Raises: UsageError, StoreError."""
        try:
            record = small_json.parsed(self._store.read(self._key(OWNER)).data)
        except ObjectMissing:
            if self._head(self._key(RUN)) is None:
                return
            record = {}
        except ValueError:
            record = {}
        if not isinstance(record, dict) or (record.get("manifest"), record.get("lineage")) != (self._manifest, lineage):
            owner = record.get("manifest") if isinstance(record, dict) else None
            whose = f"the manifest '{owner}'" if owner and owner != self._manifest else "another state"
            raise UsageError(
                f"{self._target}: what is there belongs to {whose}",
                hint="give each an outputs.directory of its own, or put the state back that made it; if this one is to "
                "change hands, move what is in it away",
            )

    def _claim(self, lineage: str) -> None:
        record = {"schema": 1, "manifest": self._manifest, "lineage": lineage}
        try:
            self._store.create(
                self._key(OWNER), json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
            )
        except AlreadyExists:
            self.check(lineage)

    # -- copying

    def upload(
        self,
        store: Store,
        *,
        go_on: Callable[[], bool] = lambda: True,
        on_copied: Callable[[int], None] = lambda number: None,
    ) -> None:
        """Copy what is not there yet, `run.json` last, and remove copies of what is no output any more.

        `on_copied` hears of each handful that is done. Raises: StoreError, UsageError where something else is there;
        nothing that was copied is forgotten.
        """
        due = store.uploads_due(self._target)
        first = next(due, None)
        if first is None:
            return
        self._claim(store.lineage)
        self._lineage = store.lineage
        last: list[Upload] = []
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="upload") as pool:
            waiting = self._all_but_last(first, due, last)
            while go_on() and (batch := list(islice(waiting, _BATCH))):
                self._send(store, pool, batch)
                on_copied(len(batch))
            if go_on():
                self._send(store, pool, last)

    @staticmethod
    def _all_but_last(first: Upload, due: Iterator[Upload], last: list[Upload]) -> Iterator[Upload]:
        for one in (first, *due):
            if one.path == RUN:
                last.append(one)
            else:
                yield one

    def _send(self, store: Store, pool: ThreadPoolExecutor, batch: Sequence[Upload]) -> None:
        wanted = [one for one in batch if one.sha256 is not None]
        store.record_upload_intents(self._target, [(one.path, one.sha256) for one in wanted if one.sha256])
        futures: list[tuple[Upload, Future[Version | None]]] = [(one, pool.submit(self._copy, one)) for one in wanted]
        futures += [(one, pool.submit(self._remove, one)) for one in batch if one.sha256 is None]
        done: list[tuple[str, str, Version]] = []
        gone: list[str] = []
        errors: list[StoreError | UsageError | OSError] = []
        for one, future in futures:
            try:
                version = future.result()
            except ChangedHere:
                continue
            except (StoreError, UsageError, OSError) as error:
                errors.append(error)
                continue
            if version is None:
                gone.append(one.path)
            elif one.sha256 is not None:
                done.append((one.path, one.sha256, version))
        if done:
            store.record_uploaded(self._target, done, self._clock())
        if gone:
            store.forget_uploads(self._target, gone)
        if errors:
            raise errors[0]

    def _copy(self, one: Upload) -> Version | None:
        assert one.sha256 is not None
        path = self._outputs / one.path
        key = self._key(one.path)
        was = one.was
        for _ in range(3):
            try:
                return self._write(key, path, one, was)
            except (AlreadyExists, PreconditionFailed):
                there, whole = self._ours(key, one)
                if there is not None and whole:
                    return there.which
                was = None if there is None else there.which
        raise StoreUnavailable(
            f"{self._store.root}/{key} changes all the time", key=key, hint="see who else writes there, then run again"
        )

    def _write(self, key: str, path: Path, one: Upload, was: Version | None) -> Version:
        if one.size is not None and one.size > _WHOLE_BYTES:
            there = self._head(key)
            if (there is None) != (was is None) or (there is not None and was is not None and there.etag != was.etag):
                raise PreconditionFailed(f"{key} is not what it was", key=key)
            return self._store.upload(key, _checked(path, one.sha256 or ""), labels=self._labels)
        data = b"".join(_checked(path, one.sha256 or ""))
        if was is None:
            return self._store.create(key, data, labels=self._labels)
        return self._store.swap(key, data, was, labels=self._labels)

    @property
    def _labels(self) -> dict[str, str]:
        """What tells a copy as ours, to a machine that knows no more than the state's history."""
        return {_LABEL: self._lineage}

    def _ours(self, key: str, one: Upload) -> tuple[ObjectInfo | None, bool]:
        """What stands in the way, and whether that is the very copy that is to be made; else it is an earlier one of
        ours, or gone by now. Raises: UsageError where it is nobody's that we know."""
        there = self._head(key)
        if there is None:
            return None, False
        digest = hashlib.sha256()
        for chunk in chunks(self._store, there):
            digest.update(chunk)
        sha256 = digest.hexdigest()
        if sha256 == one.sha256:
            return there, True
        if sha256 in (one.was_sha256, one.intended) or self._store.labels(key).get(_LABEL) == self._lineage:
            return there, False
        raise UsageError(
            f"{self._store.root}/{key}: something else is there, and not what a run of this manifest wrote",
            hint="move it away, or `hume-runner verify MANIFEST --repair` writes over it; nothing here is lost",
        )

    def _remove(self, one: Upload) -> None:
        key = self._key(one.path)
        there = self._head(key)
        if there is not None and one.was is not None and there.etag == one.was.etag:
            self._store.delete(key)

    def _head(self, key: str) -> ObjectInfo | None:
        try:
            return self._store.head(key)
        except ObjectMissing:
            return None

    # -- comparing, and having again

    def verify(self, store: StateReader) -> Iterator[Checked]:
        """Every copy beside the hash in the state, read whole; then what is there and not ours. Raises: StoreError."""
        for one in store.uploads(self._target):
            verdict, why = self._compare(one)
            yield Checked(path=self.uri(one.path), verdict=verdict, why=why)
        for info in self._store.list(self._folder):
            path = info.key.removeprefix(f"{self._folder}/") if self._folder else info.key
            if path != OWNER and not store.is_recorded(path):
                yield Checked(path=self.uri(path), verdict=Verdict.UNKNOWN)

    def uri(self, path: str) -> str:
        """The URI of a copy."""
        return f"{self._target.rstrip('/')}/{path}"

    def _compare(self, one: Upload) -> tuple[Verdict, str]:
        there = self._head(self._key(one.path))
        if there is None:
            return Verdict.MISSING, "" if one.was else "not copied yet"
        if there.size_bytes != one.size:
            return Verdict.CHANGED, f"{there.size_bytes} bytes instead of {one.size}"
        digest = hashlib.sha256()
        try:
            for chunk in chunks(self._store, there):
                digest.update(chunk)
        except (ObjectMissing, PreconditionFailed):
            return Verdict.CHANGED, "it was replaced while it was read"
        return (Verdict.SAME, "") if digest.hexdigest() == one.sha256 else (Verdict.CHANGED, "same size, other content")

    def repair(self, store: Store) -> None:
        """Copy again what is missing there or was changed, over whatever is there. Raises: StoreError, UsageError."""
        for one in store.uploads(self._target):
            verdict, _ = self._compare(one)
            if verdict is Verdict.SAME or one.sha256 is None:
                continue
            there = self._head(self._key(one.path))
            store.forget_uploads(self._target, [one.path])
            if there is not None:
                # Somebody else's bytes under our name: whoever repairs agrees to lose them.
                store.record_uploaded(self._target, [(one.path, "", there.which)], self._clock())
        self.upload(store)

    def restore(self, store: StateReader, disk: Disk) -> int:
        """Answers that are harmed here and whole there come from there; how many. Raises: StoreError, OSError."""
        restored = 0
        for harmed in list(harmed_answers(store, self._outputs)):
            key = self._key(harmed.answer.path)
            there = self._head(key)
            if there is None or there.size_bytes != harmed.answer.size:
                continue
            target = self._outputs / harmed.answer.path
            folder_below(self._outputs, "raw")
            disk.make_below(self._outputs, Path(harmed.answer.path).parent)
            try:
                with disk.written(target) as file:
                    digest = hashlib.sha256()
                    for chunk in chunks(self._store, there):
                        digest.update(chunk)
                        file.write(chunk)
                    if digest.hexdigest() != harmed.answer.sha256:
                        raise PreconditionFailed("another content", key=key)
            except (ObjectMissing, PreconditionFailed):
                continue
            restored += 1
        return restored


def _checked(path: Path, sha256: str) -> Iterator[bytes]:
    """The bytes of a file; after the last one it is known whether they are those that the state knows. Raises:
    ChangedHere, before whoever takes them can have taken them for whole."""
    digest = hashlib.sha256()
    held = b""
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                if held:
                    yield held
                held = chunk
    except FileNotFoundError:
        raise ChangedHere from None
    if digest.hexdigest() != sha256:
        raise ChangedHere
    if held:
        yield held
