"""Object stores (`s3://`, `gs://`, `az://`): list, read ranges, write on a condition. The one owner of obstore.

Credentials come from the environment or the machine, as obstore takes them; none passes through here.
"""

from __future__ import annotations

from hume_runner.stores.address import ObjectUri, is_remote, is_unusable, uri_fault
from hume_runner.stores.base import Content, ObjectInfo, ObjectStore, Patience, Version
from hume_runner.stores.opening import Stores, open_store
from hume_runner.stores.reading import chunks

__all__ = [
    "Content",
    "ObjectInfo",
    "ObjectStore",
    "ObjectUri",
    "Patience",
    "Stores",
    "Version",
    "chunks",
    "is_remote",
    "is_unusable",
    "open_store",
    "uri_fault",
]
