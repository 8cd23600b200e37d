"""The files that a manifest's measurers need, with the places that they may come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hume_runner.errors import UsageError
from hume_runner.manifest.model import Manifest
from hume_runner.services.local import catalogue
from hume_runner.services.local.model_files import File, own_file
from hume_runner.services.local.settings import chosen


def needed(manifest: Manifest) -> tuple[File, ...]:
    """What has to be here before a run.

    Raises: UsageError where nothing is measured here, or a model of the manifest's own is refused.
    """
    api = manifest.service.api
    if api != "local":
        raise UsageError(
            f"{manifest.path.name} measures nothing on this machine: service.api is {api}", hint="service: {api: local}"
        )
    found: dict[str, File] = {}
    for one in chosen(manifest.settings["models"]):
        own = {file.name: file for file in own_files(one.options)}
        for weight in one.card.files:
            if weight.lies is not None:
                continue
            known = own.get(weight.name) or _catalogued(weight.name)
            if known is None or known.sha256 != weight.sha256:
                known = File(name=weight.name, size_bytes=None, sha256=weight.sha256)
            found[known.name] = known
    return tuple(found.values())


def own_files(options: Any) -> Iterator[File]:
    """Every `{url, sha256}` in the options of a model. Raises: UsageError with the reason why one is refused."""
    if isinstance(options, Mapping):
        if set(options) == {"url", "sha256"}:
            try:
                yield own_file(str(options["url"]), str(options["sha256"]))
            except ValueError as error:
                raise UsageError(f"a model of the manifest's own is refused: {error}") from error
        else:
            for value in options.values():
                yield from own_files(value)
    elif isinstance(options, list | tuple):
        for value in options:
            yield from own_files(value)


def _catalogued(name: str) -> File | None:
    model = catalogue.model_named(name.partition("/")[0])
    return next((file for file in model.files if file.name == name), None) if model else None
