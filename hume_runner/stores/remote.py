"""A bucket behind obstore. The only file that knows obstore's names; import it where a store is opened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import obstore
from obstore.store import from_url

from hume_runner.errors import (
    ObjectMissing,
    PreconditionFailed,
    StoreDenied,
    StoreError,
    StoreUnavailable,
    UnusableName,
)
from hume_runner.hosts import is_loopback
from hume_runner.stores.address import ObjectUri, is_unusable
from hume_runner.stores.base import NO_LABELS, Content, ObjectInfo, Patience, Version
from hume_runner.stores.surroundings import check
from hume_runner.stores.wording import broken_off, in_our_words, packed, unusable

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta, PutMode, PutResult, UpdateVersion
    from obstore.store import ClientConfig, RetryConfig

_LISTED_AT_ONCE = 1_000
_UPLOAD_PART_BYTES = 8 * 1024 * 1024
_UPLOADS_AT_ONCE = 4
_AS_IT_IS = {"", "identity", "aws-chunked"}  # the last is of how it was brought


# Of connections, what obstore reads of the environment as long as a program says nothing about them: we say time-outs.
_CONNECTION_OPTIONS = (
    "allow_http allow_invalid_certificates connect_timeout timeout proxy_url proxy_ca_certificate proxy_excludes"
).split()
_ENVIRONMENT = {"s3": ("AWS", "AWS_ENDPOINT_URL"), "gs": ("GOOGLE", ""), "az": ("AZURE", "AZURE_ENDPOINT")}


class RemoteStore:
    """See `ObjectStore`. Raises: StoreMisconfigured where the environment says what cannot be, StoreDenied, StoreError
    where it says too little."""

    def __init__(self, place: ObjectUri, patience: Patience, environ: Mapping[str, str]) -> None:
        self._root = place.root
        self._environ = environ
        check(place.scheme, environ)
        client: ClientConfig = {
            "connect_timeout": timedelta(seconds=patience.connect_s),
            "timeout": timedelta(seconds=patience.request_s),
            **_said_of_connections(place.scheme, environ),
        }
        retry: RetryConfig = {
            "max_retries": patience.retries,
            "retry_timeout": timedelta(seconds=patience.total_s),
            "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
        }
        with self._mapped(""):
            # Everything else that the environment says is read here, by obstore: keys, profile, region, endpoint.
            self._store = from_url(place.root, client_options=client, retry_config=retry)

    @property
    def root(self) -> str:
        return self._root

    def list(self, folder: str = "") -> Iterator[ObjectInfo]:
        with self._mapped(folder, listing=True):
            pages = obstore.list(self._store, folder.rstrip("/") or None, chunk_size=_LISTED_AT_ONCE)
        while True:
            with self._mapped(folder, listing=True):
                page = next(pages, None)
            if page is None:
                return
            for meta in page:
                yield _info(meta)

    def head(self, key: str) -> ObjectInfo:
        self._check(key)
        try:
            with self._mapped(key):
                return _info(obstore.head(self._store, key))
        except ObjectMissing:
            self._require_bucket()  # an answer to HEAD has no body, which would tell the two apart
            raise

    def read(self, key: str, *, which: Version | None = None) -> Content:
        self._check(key)
        with self._mapped(key):
            got = obstore.get(self._store, key, options=_only(which))
            return Content(info=_info(got.meta), data=bytes(got.bytes()))

    def read_range(self, info: ObjectInfo, start: int, end: int) -> bytes:
        self._check(info.key)
        with self._mapped(info.key):
            got = obstore.get(self._store, info.key, options={**_only(info.which), "range": (start, end)})
            found = _info(got.meta)
            data = bytes(got.bytes())
            encoding = str(got.attributes.get("Content-Encoding") or "")
        if encoding.lower() not in _AS_IT_IS:
            raise packed(f"{self._root}/{info.key}", encoding, info.key)
        # A store that knows no conditions is found out as well.
        if (found.etag, found.size_bytes) != (info.etag, info.size_bytes) or len(data) != end - start:
            raise PreconditionFailed(f"{self._root}/{info.key} was replaced while it was read", key=info.key)
        return data

    def labels(self, key: str) -> Mapping[str, str]:
        self._check(key)
        with self._mapped(key):
            found = obstore.get(self._store, key, options={"head": True}).attributes
        return {str(name): value for name, value in found.items()}

    def create(self, key: str, data: bytes, *, labels: Mapping[str, str] = NO_LABELS) -> Version:
        return self._put(key, data, "create", labels)

    def swap(self, key: str, data: bytes, was: Version, *, labels: Mapping[str, str] = NO_LABELS) -> Version:
        if was.etag is None and was.version is None:
            raise StoreError(f"{self._root} names no version of {key}, so that nothing can be swapped", key=key)
        mode: UpdateVersion = {}
        if was.etag is not None:
            mode["e_tag"] = was.etag
        if was.version is not None:
            mode["version"] = was.version
        return self._put(key, data, mode, labels)

    def overwrite(self, key: str, data: bytes) -> Version:
        return self._put(key, data, "overwrite", NO_LABELS)

    def upload(self, key: str, parts: Iterator[bytes], *, labels: Mapping[str, str] = NO_LABELS) -> Version:
        self._check(key)
        try:
            with self._mapped(key):
                return _version(
                    obstore.put(
                        self._store,
                        key,
                        parts,
                        attributes=dict(labels),
                        use_multipart=True,
                        chunk_size=_UPLOAD_PART_BYTES,
                        max_concurrency=_UPLOADS_AT_ONCE,
                    )
                )
        except ObjectMissing as error:
            # The answer that the parts are joined was lost, and the upload is over when it is asked for again.
            raise StoreUnavailable(
                f"{self._root}/{key} may be there, and its store did not say so", key=key, hint="try again"
            ) from error

    def delete(self, key: str) -> None:
        self._check(key)
        # S3 has deleted what is not there; Azure and Google say that it is not.
        with suppress(ObjectMissing), self._mapped(key):
            obstore.delete(self._store, key)

    def _require_bucket(self) -> None:
        """Raises: BucketMissing. Who may not list cannot know."""
        with suppress(StoreDenied, UnusableName):
            next(self.list(), None)

    def _put(self, key: str, data: bytes, mode: PutMode, labels: Mapping[str, str]) -> Version:
        self._check(key)
        with self._mapped(key):
            put = obstore.put(self._store, key, data, mode=mode, attributes=dict(labels) or None, use_multipart=False)
            return _version(put)

    def _check(self, key: str) -> None:
        """obstore takes a slash off both ends, and would ask for another name. Raises: UnusableName."""
        if is_unusable(key):
            raise unusable(key, self._root)

    @contextmanager
    def _mapped(self, key: str, *, listing: bool = False) -> Iterator[None]:
        """Foreign errors as ours. They pass through here and nowhere else."""
        try:
            yield
        except (obstore.exceptions.BaseError, OSError, ValueError) as error:
            raise in_our_words(error, self._root, key, listing=listing, environ=self._environ) from None
        except BaseException as error:
            # What breaks off inside obstore is no Exception, and would end a run with all that is on its way.
            if type(error).__name__ != "PanicException":
                raise
            raise broken_off(self._root, key) from error


def _said_of_connections(scheme: str, environ: Mapping[str, str]) -> ClientConfig:
    """What the environment says of connections. Without TLS only to this machine, or where it says so."""
    prefix, endpoint = _ENVIRONMENT[scheme]
    said = {name: environ.get(f"{prefix}_{name.upper()}", "") for name in _CONNECTION_OPTIONS}
    found = {name: value for name, value in said.items() if value}
    if is_loopback(urlsplit(environ.get(f"{endpoint}_S3") or environ.get(endpoint, "")).hostname or ""):
        found.setdefault("allow_http", "true")
    return cast("ClientConfig", found)


def _only(which: Version | None) -> GetOptions:
    options: GetOptions = {}
    if which is not None and which.etag is not None:
        options["if_match"] = which.etag
    if which is not None and which.version is not None:
        options["version"] = which.version
    return options


def _info(meta: ObjectMeta) -> ObjectInfo:
    return ObjectInfo(
        key=meta["path"],
        size_bytes=meta["size"],
        etag=meta["e_tag"],
        version=meta["version"],
        modified_at=meta["last_modified"].timestamp(),
    )


def _version(result: PutResult) -> Version:
    return Version(etag=result["e_tag"], version=result["version"])
