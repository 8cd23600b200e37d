"""`models`, `verify_models`, `pull_models`: what `local` measures with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from hume_runner.api.project import Project
from hume_runner.api.values import ManifestLike
from hume_runner.machine import Machine
from hume_runner.services.local import catalogue
from hume_runner.services.local.needs import needed
from hume_runner.services.local.pull import Licence, OnStep, pull_agreed
from hume_runner.services.local.weights import ModelStatus, Weights
from hume_runner.spelling import stored_path


def models(*names: str) -> tuple[ModelStatus, ...]:
    """The models of these names, without any all, and what of them is on this machine; hashes nothing. Raises:
    UsageError."""
    return models_on(None, *names)


def verify_models(*names: str) -> tuple[ModelStatus, ...]:
    """The same, with every file hashed. Raises: UsageError."""
    return models_on(None, *names, read=True)


def models_on(machine: Machine | None, *names: str, read: bool = False) -> tuple[ModelStatus, ...]:
    """The same on a machine of the caller's; None for this one."""
    settings = (machine or Machine.this()).models
    return Weights(settings.root).status(catalogue.named(names), read=read)


def pull_models(
    *names: str,
    agree: bool | Callable[[Sequence[Licence]], bool],
    manifest: ManifestLike | None = None,
    folder: str | PathLike[str] | None = None,
    on_step: OnStep | None = None,
) -> None:
    """Get the models of these names and what a manifest needs; without either, those that measurers use if their
    options say nothing else. What is here and right stays.

    `agree`: whether you do, to the licences that nobody agreed to here yet; or a function that is asked. `folder` is
    looked into first.
    Raises: UsageError (also for a no), ManifestError, ServiceUnavailable for what no place has, NoRoom.
    """
    pull_onto(None, *names, agree=agree, manifest=manifest, folder=folder, on_step=on_step)


def pull_onto(
    machine: Machine | None,
    *names: str,
    agree: bool | Callable[[Sequence[Licence]], bool],
    manifest: ManifestLike | None = None,
    folder: str | PathLike[str] | None = None,
    on_step: OnStep | None = None,
) -> None:
    """The same on a machine of the caller's; None for this one."""
    wanted = catalogue.named(names) if names else catalogue.usual() if manifest is None else ()
    files = [file for model in wanted for file in model.files]
    hosts: tuple[str, ...] = ()
    if manifest is not None:
        found = Project.open(manifest, machine=machine).manifest
        files += needed(found)
        hosts = tuple(found.service.allow_hosts)
    here = machine or Machine.this()
    pull_agreed(
        files,
        here.models,
        agree=agree,
        environ=here.environ,
        folder=stored_path(Path(folder).absolute()) if folder else None,
        allow_hosts=hosts,
        tell=on_step or (lambda step: None),
    )
