"""Files on this machine: paths, globs and lists of paths. Looks at names and sizes, reads no content."""
# Plain strings and os.path here, as a Path for each of a million names costs more than all the rest.
# ruff: noqa: PTH112, PTH113, PTH114, PTH115, PTH116, PTH118

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from hume_runner.errors import BucketMissing, ObjectMissing, UnusableName, refuse_scarce
from hume_runner.manifest.checks import name_fault
from hume_runner.manifest.model import Place, Scalar, SourceEntry
from hume_runner.manifest.patterns import pattern_fault
from hume_runner.manifest.shown import in_quotes, quoted
from hume_runner.sources.base import SourceItem
from hume_runner.sources.globbing import is_glob, matching_files
from hume_runner.sources.ids import id_fault, readable
from hume_runner.sources.inputs import ReadFiles
from hume_runner.sources.left_out import LeftOut
from hume_runner.sources.list_file import listed_as
from hume_runner.sources.listing import rows
from hume_runner.sources.name_pattern import name_pattern
from hume_runner.sources.problems import ProblemLog
from hume_runner.sources.remote import RemoteObject, matching_objects, object_fault
from hume_runner.spelling import Spellings, look_the_same
from hume_runner.stores.address import is_remote
from hume_runner.stores.base import ObjectInfo
from hume_runner.stores.opening import Stores

_MOST_NEIGHBOURS = 10_000


class FileShelf:
    """What the file entries of one manifest share: its folder, the size limit, and which files were named already.

    A file that an entry names exactly belongs to that entry, with its id and labels, wherever a glob finds it as well;
    of two globs the first wins. Kept as 64-bit hashes, as a list may name millions: two of a million names meet by
    chance once in 37 million manifests.
    """

    def __init__(
        self,
        folder: Path,
        *,
        outputs: Path | None,
        kept: tuple[str, ...],
        most_bytes: int | None,
        limit_hint: str,
        log: ProblemLog,
        read: ReadFiles,
        left_out: LeftOut,
    ) -> None:
        self.folder = os.path.normpath(folder)
        # What a run writes is no source of the next run, even where a glob such as **/*.wav spans it.
        self.outputs = None if outputs is None else os.path.normpath(outputs)
        self._kept = tuple(f"{place.rstrip('/')}/" for place in kept)
        self.most_bytes = most_bytes
        self.limit_hint = limit_hint
        self.log = log
        self.left_out = left_out
        self._read = read
        self._exact: set[int] = set()
        self._yielded: set[int] = set()
        self.stores = Stores()
        self._spellings = Spellings()

    def absolute(self, name: str) -> str:
        return os.path.normpath(os.path.join(self.folder, name))

    def located(self, name: str) -> str:
        """The absolute path as the disk spells it, where exactly one reads as this name does."""
        path = self.absolute(name)
        stored = self._spellings.stored(path)
        return stored[0] if len(stored) == 1 else path

    def known_as(self, path: str) -> str:
        """Relative to the manifest's folder where the file lies inside it."""
        inside = self.folder.rstrip("/") + "/"
        return readable(path.removeprefix(inside))

    def reserve(self, name: str) -> None:
        """An entry names this file exactly."""
        self._exact.add(hash(name if is_remote(name) else self.located(name)))

    def is_ours(self, uri: str) -> bool:
        """Whether an object lies where runs keep their outputs or their state."""
        return uri.startswith(self._kept)

    def take(self, path: str, *, exact: bool, named: bool) -> bool:
        """Whether `path` is to be yielded; `named`: under an id of its own, which may well be a second one."""
        key = hash(path)
        if not named and (key in self._yielded or (not exact and key in self._exact)):
            return False
        self._yielded.add(key)
        return True

    def is_read(self, path: str) -> bool:
        """Whether a file that a pattern finds is one that the manifest reads, and so no source."""
        try:
            return self._read.one(os.stat(path)) is not None
        except (OSError, ValueError):
            return False

    def check(self, path: str, place: Place, *, exact: bool) -> bool:
        """Whether `path` is a readable file of an allowed size, and no secret; says so in the log if not. What the
        manifest reads is passed over where a pattern found it (not `exact`)."""
        shown = quoted(self.known_as(path))
        twins = self._spellings.stored(path)
        if len(twins) > 1:
            message = f"{len(twins)} files read as {shown}, all written differently (composed and decomposed letters)"
            self.log.missing(place, message, "rename one of them, or name it exactly as the disk spells it")
            return False
        try:
            status = os.stat(path)
            if stat.S_ISDIR(status.st_mode):
                self.log.missing(place, f"{shown} is a folder", f"write {self.known_as(path)}/**/*.wav for files in it")
                return False
            if not stat.S_ISREG(status.st_mode):
                self.log.missing(place, f"{shown} is not a regular file", "copy its content to a file")
                return False
            if not self._may_be_sent(status, path, place, exact=exact):
                return False
            # Opening is the only honest test of "may be read": modes do not tell on every file system.
            os.close(os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)))
        except (FileNotFoundError, NotADirectoryError):
            self.log.missing(place, self._absent(path, shown), lambda: self._other_signs(path) or self._neighbour(path))
            return False
        except (OSError, ValueError) as error:
            refuse_scarce(error)
            why = getattr(error, "strerror", None) or str(error)
            self.log.missing(place, f"{shown} cannot be read: {why}", "check the file and its permissions")
            return False
        return self.fits(status.st_size, shown, place)

    def _may_be_sent(self, status: os.stat_result, path: str, place: Place, *, exact: bool) -> bool:
        read = self._read.one(status)
        if read is None:
            return True
        if not exact:
            self.left_out.read.add(hash(path))
            return False
        if read.kind != "secret":
            return True  # a person may want their list measured as a text
        return not self._read.is_secret(Path(path), place, self.log, called=self.known_as(path))

    def fits(self, size_bytes: int, shown: str, place: Place) -> bool:
        """Whether a file is of an allowed size; says so in the log if not."""
        if self.most_bytes is not None and size_bytes > self.most_bytes:
            size, most = size_bytes / 10**6, self.most_bytes / 10**6
            self.log.missing(
                place, f"{shown} has {size:,.1f} MB, more than the {most:g} MB of an upload", self.limit_hint
            )
            return False
        return True

    def _absent(self, path: str, shown: str) -> str:
        return f"{shown} is a link to nothing" if os.path.islink(path) else f"there is no file {shown}"

    def _other_signs(self, path: str) -> str:
        """The next step where a file is there under this name without what other programs put around or into it."""
        name = self.known_as(path)
        for plain in (name.strip("\"'"), name.replace("\\", "/"), name.strip("\"'").replace("\\", "/")):
            if plain and plain != name and os.path.isfile(self.located(plain)):
                return f"write {plain}: without quotes around it, and with / between folders"
        return ""

    def _neighbour(self, path: str) -> str:
        """The nearest name in the same folder, as most missing files are misspelt."""
        folder, name = os.path.split(path)
        if os.path.islink(path):  # its name is no mistake
            return f"it leads to {quoted(readable(os.readlink(path)))}: put that back, or remove the link"
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for _, entry in zip(range(_MOST_NEIGHBOURS), entries, strict=False)]
        except OSError:
            names = []
        same = next((one for one in names if look_the_same(one, name)), None)
        if same is not None:
            # Such as a blank that does not break: quoted side by side, nobody would see a difference.
            return f"{quoted(readable(same))} is there, written with other characters that look the same: {same!a}"
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
        if near:
            return f"did you mean {quoted(self.known_as(os.path.join(folder, near[0])))}?"
        return f"paths are relative to the manifest's folder, {readable(self.folder)}"


class FileSource:
    """An entry under `sources.files`."""

    def __init__(self, entry: SourceEntry, shelf: FileShelf) -> None:
        self._entry = entry
        self._shelf = shelf
        self._glob = entry.value is not None and is_glob(entry.value) and not self._is_a_file(entry.value)
        if entry.value is not None and not self._glob:
            shelf.reserve(entry.value)

    def _is_a_file(self, name: str) -> bool:
        # `take[1].wav` is a glob, and also what recorders call a second take.
        if is_remote(name):
            if "*" in name or object_fault(name) is not None:
                return False
            try:
                return self._asked(name) is not None
            except BucketMissing:
                return False  # the listing tells
        return os.path.isfile(self._shelf.located(name))

    def items(self) -> Iterator[SourceItem]:
        entry = self._entry
        if entry.labels_from is None:
            yield from self._found()
            return
        pattern = name_pattern(entry.labels_from)
        for item in self._found():
            labels = pattern.labels(item.value)
            if labels is None:
                message = f"the name of {quoted(item.value)} does not fit labels_from {quoted(entry.labels_from)}"
                hint = partial(_other_pattern, entry.labels_from, item.value)
                self._shelf.log.malformed(entry.place, message, hint)
                continue
            yield item._replace(labels={**labels, **item.labels})

    def _found(self) -> Iterator[SourceItem]:
        entry = self._entry
        if entry.value is None:
            yield from self._listed()
        elif self._glob:
            yield from self._globbed(entry.value)
        else:
            yield from self._named(entry.value, entry.place, entry.id, entry.labels)

    def _named(self, name: str, place: Place, given: str | None, labels: Mapping[str, Scalar]) -> Iterator[SourceItem]:
        """The file that is named exactly. It is called as it is written here, however the disk spells it."""
        shelf = self._shelf
        if is_remote(name):
            yield from self._named_object(name, place, given, labels)
            return
        yield from self._one(shelf.located(name), place, given, labels, called=shelf.known_as(shelf.absolute(name)))

    def _one(
        self, path: str, place: Place, given: str | None, labels: Mapping[str, Scalar], *, called: str | None = None
    ) -> Iterator[SourceItem]:
        shelf = self._shelf
        exact = called is not None
        if not shelf.take(path, exact=exact, named=given is not None) or not shelf.check(path, place, exact=exact):
            return
        name = shelf.known_as(path) if called is None else called
        yield SourceItem(
            kind="file",
            id=name if given is None else given,
            explicit_id=given is not None,
            value=name,
            place=place,
            path=Path(path),
            labels=labels,
        )

    def _globbed(self, pattern: str) -> Iterator[SourceItem]:
        entry, shelf = self._entry, self._shelf
        if is_remote(pattern):
            yield from self._globbed_objects(pattern)
            return

        def unreadable(error: OSError) -> None:
            folder = quoted(shelf.known_as(str(error.filename)))
            shelf.log.missing(entry.place, f"the folder {folder} cannot be read: {error.strerror}", "check permissions")

        before, passed_over = len(shelf.log.problems), shelf.left_out.number
        found = 0
        for path in matching_files(pattern, shelf.folder, unreadable, skip=shelf.outputs, left_out=shelf.left_out):
            if entry.id is not None and found:
                found += not shelf.is_read(path)
                continue
            before_it = len(shelf.left_out.read)
            yield from self._one(os.path.normpath(path), entry.place, entry.id, entry.labels)
            found += len(shelf.left_out.read) == before_it
        self._serves(found)
        if not found and len(shelf.log.problems) == before:
            told = shelf.left_out.told() if shelf.left_out.number > passed_over else None
            shelf.log.missing(
                entry.place, f"no file matches {quoted(pattern)}", told or (lambda: self._glob_hint(pattern))
            )

    def _serves(self, found: int) -> None:
        entry = self._entry
        if entry.id is not None and found > 1:
            message = f"the id {quoted(entry.id)} cannot serve {found:,} files"
            self._shelf.log.malformed(entry.place, message, "remove the id, or name the files one by one")

    # -- in object stores

    def _asked(self, uri: str) -> ObjectInfo | None:
        """What the store tells of an object; None where there is none. Raises: StoreError."""
        store, key = self._shelf.stores.of(uri)
        try:
            return store.head(key)
        except ObjectMissing:
            return None

    def _named_object(
        self, uri: str, place: Place, given: str | None, labels: Mapping[str, Scalar]
    ) -> Iterator[SourceItem]:
        log = self._shelf.log
        fault = object_fault(uri)
        if fault is not None:
            log.malformed(place, f"the URI {fault[0]}", fault[1])
            return
        try:
            info = self._asked(uri)
        except BucketMissing as error:
            log.missing(place, str(error), error.hint)
            return
        if info is None:
            log.missing(place, f"there is no object {quoted(uri)}", "check its name; upper and lower case differ")
            return
        yield from self._object(RemoteObject(uri=uri, info=info), place, given, labels, exact=True)

    def _object(
        self, found: RemoteObject, place: Place, given: str | None, labels: Mapping[str, Scalar], *, exact: bool
    ) -> Iterator[SourceItem]:
        shelf = self._shelf
        if not shelf.take(found.uri, exact=exact, named=given is not None):
            return
        if not shelf.fits(found.info.size_bytes, quoted(found.uri), place):
            return
        yield SourceItem(
            kind="file",
            id=found.uri if given is None else given,
            explicit_id=given is not None,
            value=found.uri,
            place=place,
            remote=found,
            labels=labels,
        )

    def _globbed_objects(self, pattern: str) -> Iterator[SourceItem]:
        entry, log = self._entry, self._shelf.log
        fault = object_fault(pattern)
        if fault is not None:
            log.malformed(entry.place, f"the URI {fault[0]}", fault[1])
            return
        store, keys = self._shelf.stores.of(pattern)
        before, found = len(log.problems), 0
        try:
            for info in matching_objects(store, keys):
                uri = f"{store.root}/{info.key}"
                if self._shelf.is_ours(uri):
                    continue
                # What some programs make for a folder is listed like an empty object, and is none.
                if not info.size_bytes and self._asked(uri) is None:
                    continue
                found += 1
                if entry.id is None or found == 1:
                    one = RemoteObject(uri=uri, info=info)
                    yield from self._object(one, entry.place, entry.id, entry.labels, exact=False)
        except (BucketMissing, UnusableName) as error:
            log.missing(entry.place, str(error), error.hint)
        self._serves(found)
        if not found and len(log.problems) == before:
            log.missing(entry.place, f"no object matches {quoted(pattern)}", "upper and lower case differ")

    def _glob_hint(self, pattern: str) -> str:
        base: list[str] = []
        for part in pattern.split("/")[:-1]:
            if is_glob(part):
                break
            base.append(part)
        folder = "/".join(base)
        if folder and not os.path.isdir(self._shelf.located(folder)):
            return f"there is no folder {quoted(folder)} in {readable(self._shelf.folder)}"
        return (
            f"paths are relative to the manifest's folder, {readable(self._shelf.folder)}; upper and lower case differ"
        )

    def _listed(self) -> Iterator[SourceItem]:
        entry, shelf = self._entry, self._shelf
        name, own = listed_as(entry), entry.labels
        for line, value, given, labels in rows(entry, shelf.log):
            place = Place(file=name, line=line, column=1, path=entry.place.path)
            fault = None if is_remote(value) else name_fault(value)
            fault = fault or (id_fault(given) if given is not None else None)
            if fault:
                shelf.log.malformed(place, *fault)
                continue
            yield from self._named(value, place, given, {**own, **labels} if own else labels)


def _other_pattern(pattern: str, name: str) -> str:
    """The next step where a name does not fit: without an ending of its own a pattern fits any."""
    plain, dot, ending = pattern.rpartition(".")
    if dot and ending.isalnum() and pattern_fault(plain) is None and name_pattern(plain).labels(name) is not None:
        return f"leave {quoted(dot + ending)} out of the pattern, and any ending fits: {in_quotes(plain)}"
    return "change the pattern, or list such files in an entry of their own"
