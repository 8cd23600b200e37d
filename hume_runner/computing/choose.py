"""Which place a user means."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hume_runner.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from hume_runner.computing.remote import Place

Cluster = str | Callable[[], Executor]


def place_of(cluster: Cluster, *, wait_s: float, warn: Callable[[str], None]) -> Place:
    """An address is a Dask scheduler's, `module:factory` gives an executor, and so does a function.

    Nothing is connected yet. Raises: UsageError, MissingExtra."""
    if not isinstance(cluster, str):
        from hume_runner.computing.executor import AnyExecutor

        return AnyExecutor(getattr(cluster, "__qualname__", repr(cluster)), cluster, wait_s=wait_s)
    if "://" in cluster:
        if find_spec("distributed") is None:
            raise MissingExtra("cluster", f"--cluster {cluster}")
        from hume_runner.computing.dask import DaskCluster

        return DaskCluster(cluster, wait_s=wait_s, warn=warn)
    module, colon, member = cluster.partition(":")
    if not (colon and module and member):
        raise UsageError(
            f"--cluster {cluster}: neither the address of a Dask scheduler nor module:factory",
            hint="as --cluster tcp://host:8786, or --cluster mycluster:make",
        )
    from hume_runner.computing.executor import AnyExecutor, named_factory

    return AnyExecutor(f"--cluster {cluster}", named_factory(cluster), wait_s=wait_s)
