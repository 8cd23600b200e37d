"""From a URI to a store, without loading obstore before one is needed."""

from __future__ import annotations

import os
import threading

from hume_runner.errors import MissingExtra, UsageError
from hume_runner.stores.address import ObjectUri, uri_fault
from hume_runner.stores.base import ObjectStore, Patience


def open_store(uri: str, patience: Patience | None = None) -> tuple[ObjectStore, str]:
    """The store that `uri` names, and the key in it. Sends nothing.

    Raises: UsageError for a bad URI, MissingExtra without obstore, StoreDenied or StoreError where the environment
    says too little or something wrong (an account for `az://`, a URL that is none).
    """
    fault = uri_fault(uri)
    if fault is not None:
        raise UsageError(f"an object store's URI {fault[0]}", hint=fault[1])
    place = ObjectUri.of(uri)
    try:
        from hume_runner.stores.remote import RemoteStore
    except ImportError:
        raise MissingExtra("remote", f"{place.scheme}://") from None
    return RemoteStore(place, patience or Patience(), os.environ), place.key


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
