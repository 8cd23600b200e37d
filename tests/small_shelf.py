"""APIs of ours whose service keeps no object of a store from the plan to its turn, and waits for none for long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hume_runner.registry import Dotted, register, registered
from hume_runner.services.batch_v0 import service as batch_v0_service
from hume_runner.services.expression_v1 import service as expression_v1_service
from hume_runner.services.remote_files import RemoteFiles
from hume_runner.stores.base import Patience
from hume_runner.stores.opening import Stores

QUICK = Patience(connect_s=1, request_s=2, retries=1, total_s=3)


def small() -> RemoteFiles:
    return RemoteFiles(Stores(QUICK), keep_bytes=0)


def batch_v0(*given: Any) -> object:
    return batch_v0_service.build(*given, objects=small())


def expression_v1(*given: Any) -> object:
    return expression_v1_service.build(*given, objects=small())


@contextmanager
def small_shelf(api: str) -> Iterator[None]:
    """For as long as the block lasts, this API's service has one."""
    known = registered(api)
    assert known is not None
    register(replace(known, build=Dotted(f"{__name__}:{api.replace('-', '_')}")))
    try:
        yield
    finally:
        register(known)
