"""From a URI to a store, without loading obstore before one is needed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from hume_runner.errors import MissingExtra, UsageError
from hume_runner.stores.address import ObjectUri, uri_fault
from hume_runner.stores.base import ObjectStore, Patience
from hume_runner.stores.surroundings import PREFIX


class Opens(Protocol):
    """See `open_store`."""

    def __call__(self, uri: str, patience: Patience | None = None) -> tuple[ObjectStore, str]: ...


def open_store(uri: str, patience: Patience | None = None) -> tuple[ObjectStore, str]:
    """The store that `uri` names, and the key in it. Sends nothing.

    Raises: UsageError for a bad URI, MissingExtra without obstore, StoreMisconfigured where the environment says
    something wrong (a URL that is none), StoreDenied or StoreError where it says too little (an account for `az://`).
    """
    fault = uri_fault(uri)
    if fault is not None:
        raise UsageError(f"an object store's URI {fault[0]}", hint=fault[1])
    place = ObjectUri.of(uri)
    try:
        from hume_runner.stores.remote import RemoteStore
    except ImportError:
        raise MissingExtra("remote", f"{place.scheme}://") from None
    with _without_empty(place.scheme):
        return RemoteStore(place, patience or Patience(), dict(os.environ)), place.key


_setting = threading.Lock()


@contextmanager
def _without_empty(scheme: str) -> Iterator[None]:
    """While obstore reads the environment, a variable that is empty is one that is not set: CI sets a secret that is
    not there to nothing."""
    with _setting:
        empty = [name for name, value in os.environ.items() if name.startswith(PREFIX[scheme]) and not value]
        for name in empty:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(dict.fromkeys(empty, ""))


class Stores:
    """Opened stores, one a bucket. Safe to share between threads."""

    def __init__(self, patience: Patience | None = None) -> None:
        self._patience = patience
        self._lock = threading.Lock()
        self._opened: dict[str, ObjectStore] = {}

    def of(self, uri: str) -> tuple[ObjectStore, str]:
        """See `open_store`."""
        place = ObjectUri.of(uri)
        with self._lock:
            store = self._opened.get(place.root)
            if store is None:
                store = self._opened[place.root] = open_store(uri, self._patience)[0]
        return store, place.key
