"""Which place a user means."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from concurrent.futures import Executor
from importlib.util import find_spec
from pathlib import PurePath
from typing import TYPE_CHECKING

from hume_runner.computing.dask import DaskCluster
from hume_runner.computing.executor import AnyExecutor, named_factory
from hume_runner.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from hume_runner.computing.remote import Place

Cluster = str | Callable[[], Executor]


def place_of(cluster: Cluster, *, wait_s: float, warn: Callable[[str], None]) -> Place:
    """An address is a Dask scheduler's, `module:factory` gives an executor, and so does a function.

    Nothing is connected yet. Raises: UsageError, MissingExtra."""
    if not isinstance(cluster, str):
        return AnyExecutor(getattr(cluster, "__qualname__", repr(cluster)), cluster, wait_s=wait_s)
    if "://" in cluster:
        if find_spec("distributed") is None:
            raise MissingExtra("cluster", f"--cluster {cluster}")
        return DaskCluster(cluster, wait_s=wait_s, warn=warn)
    if (meant := misnamed(cluster)) is not None:
        raise UsageError(f"--cluster {cluster}: neither the address of a Dask scheduler nor module:factory", hint=meant)
    return AnyExecutor(f"--cluster {cluster}", named_factory(cluster), wait_s=wait_s)


def misnamed(cluster: str) -> str | None:
    """What is no `module:factory` is told what would be, by what was probably meant; None for one that is."""
    module, _, member = cluster.partition(":")
    if _dotted(module) and _dotted(member):
        return None
    host, _, port = cluster.rpartition(":")
    if host and port.isascii() and port.isdecimal():
        return f"a Dask scheduler is named with its protocol: --cluster tcp://{cluster}"
    path, maker = PurePath(module), member.removesuffix("()")
    if maker != member and _dotted(module) and _dotted(maker):
        return f"the function is named, and called by the run: --cluster {module}:{maker}"
    if _dotted(path.name.removesuffix(".py")) and (len(path.parts) > 1 or path.suffix == ".py"):
        there = "" if len(path.parts) == 1 else f", with PYTHONPATH={shlex.quote(str(path.parent))}"
        named = f"{path.name.removesuffix('.py')}:{maker or 'make'}"
        return f"a module is named as Python imports it, and not by its file: --cluster {named}{there}"
    return "as --cluster tcp://host:8786, or --cluster mycluster:make"


def _dotted(words: str) -> bool:
    return all(word.isidentifier() for word in words.split("."))
