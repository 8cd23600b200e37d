"""A manifest as somebody names it, read as values, and what people have to know of it first."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.api.inputs import spared
from hume_runner.api.values import ManifestLike
from hume_runner.errors import UsageError
from hume_runner.manifest.load import Examined, examine_mapping
from hume_runner.manifest.load import examine as examine_file
from hume_runner.registry import all_registered, registered
from hume_runner.spelling import twins
from hume_runner.stores.address import is_remote

if TYPE_CHECKING:
    from hume_runner.manifest.model import Manifest
    from hume_runner.state.paths import Paths


def examine(
    manifest: ManifestLike, *, output_dir: str | PathLike[str] | None = None, endpoint: str | None = None
) -> Examined:
    """A manifest as far as it can be understood. Raises: UsageError."""
    if output_dir and is_remote(str(output_dir)):
        raise UsageError(
            "--output-dir is a folder on this machine", hint="write the URI as outputs.directory in the manifest"
        )
    directory = Path(output_dir).absolute() if output_dir else None
    if isinstance(manifest, Mapping):
        return spared(examine_mapping(manifest, folder=Path.cwd(), output_dir=directory, endpoint=endpoint))
    if not isinstance(manifest, str | PathLike):
        raise UsageError(
            f"a manifest is the path of a YAML file, or its members as a mapping, and not {_kind(manifest)}",
            hint='give the path as text or Path, or a dict such as {"version": 1, "name": …}',
        )
    return spared(examine_file(Path(manifest), output_dir=directory, endpoint=endpoint))


def _kind(value: object) -> str:
    return "None" if value is None else f"of the type {type(value).__name__}"


def told_twin(paths: Paths) -> str | None:
    """What people have to know whose study was begun twice, in states that read the same; None for any other."""
    others = () if paths.remote is not None else twins(paths.state)
    if not others:
        return None
    return (
        f"{paths.state}: another state reads the same, and is written differently (composed and decomposed letters): "
        f"{', '.join(ascii(str(one)) for one in others)} is not looked at, and what was measured there alone is not "
        "known here"
    )


def told_closed(manifest: Manifest) -> str | None:
    """What people have to know who would be sent to a host that closed; None for any other."""
    found = registered(manifest.service.api)
    if found is None or not found.closed:
        return None
    endpoint = manifest.service.endpoint or found.host
    if endpoint.rstrip("/") != found.host:
        return None
    others = " or ".join(one.api for one in sorted(all_registered(), key=lambda one: not one.here) if not one.closed)
    return (
        f"{endpoint}: this host of {found.api} closed on {found.closed}, and no key helps: name one that speaks it as "
        f"service.endpoint (emulator rehearses), or use service.api {others} (`hume-runner migrate MANIFEST`)"
    )
