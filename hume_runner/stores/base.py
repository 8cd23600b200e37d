"""An object store as we use one: the protocol and the values that cross it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Protocol

from hume_runner.frozen import frozen

NO_LABELS: Mapping[str, str] = MappingProxyType({})


@frozen
class Version:
    """Which bytes a key stands for. `etag` changes whenever they do, and is no hash of them; `version` names these
    bytes for good where the store keeps versions. Either may be None, as stores differ."""

    etag: str | None
    version: str | None = None


@frozen
class ObjectInfo:
    """What a store tells of an object without giving it. A listing gives no version. `modified_at`: Unix seconds."""

    key: str
    size_bytes: int
    etag: str | None
    version: str | None
    modified_at: float

    @property
    def which(self) -> Version:
        return Version(etag=self.etag, version=self.version)


@frozen
class Content:
    """A small object, whole."""

    info: ObjectInfo
    data: bytes


@frozen
class Patience:
    """How long a store may take. `request_s`: one request, its body included; `total_s`: with what is tried again.

    A write that is tried again may meet its own first try: whoever makes or swaps an object looks what is there before
    it believes a refusal, or asks for `retries=0`.
    """

    connect_s: float = 5.0
    request_s: float = 60.0
    retries: int = 4
    total_s: float = 90.0


class ObjectStore(Protocol):
    """One bucket. Safe to share between threads.

    Every operation raises StoreUnavailable, StoreDenied, BucketMissing, or StoreError for what nobody foresaw, besides
    what it says itself, and UnusableName for a key that cannot be asked for.
    No message holds more than the name of the bucket, the key, and the store's own error code.
    """

    @property
    def root(self) -> str:
        """As `s3://bucket`."""
        ...

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        """All objects below `folder` (no slash at its end needed; empty: everything), page by page, in the store's
        order. A key that ends in a slash, which some programs make for a folder, comes without it.

        Raises: UnusableName if it holds a key that cannot be asked for (with `//`, or with `.` or `..` as a part).
        """
        ...

    def head(self, key: str) -> ObjectInfo:
        """Raises: ObjectMissing."""
        ...

    def read(self, key: str, *, which: Version | None = None) -> Content:
        """The whole object in memory. Raises: ObjectMissing, PreconditionFailed if it is not `which` any more."""
        ...

    def read_range(self, info: ObjectInfo, start: int, end: int) -> bytes:
        """Bytes `start` to `end` (exclusive) of exactly this object.

        Raises: ObjectMissing, PreconditionFailed if it was replaced.
        """
        ...

    def labels(self, key: str) -> Mapping[str, str]:
        """What was written beside an object's bytes. Raises: ObjectMissing."""
        ...

    def create(self, key: str, data: bytes, *, labels: Mapping[str, str] = NO_LABELS) -> Version:
        """`labels`: small ASCII texts by names of letters, kept beside the bytes. Raises: AlreadyExists."""
        ...

    def swap(self, key: str, data: bytes, was: Version, *, labels: Mapping[str, str] = NO_LABELS) -> Version:
        """Write over exactly `was`. Raises: PreconditionFailed if something else is there, or nothing."""
        ...

    def overwrite(self, key: str, data: bytes) -> Version:
        """Write whatever is there: last one wins."""
        ...

    def upload(self, key: str, parts: Iterator[bytes], *, labels: Mapping[str, str] = NO_LABELS) -> Version:
        """Write a large object in parts, over whatever is there. Nothing is published unless all of `parts` came."""
        ...

    def delete(self, key: str) -> None:
        """What is not there is deleted, too. No store that we know has a condition for this."""
        ...
