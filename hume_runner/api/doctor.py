"""Whether this machine, and one manifest on it, are ready for a run. Sends nothing that costs."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hume_runner import installing
from hume_runner._version import __version__
from hume_runner.amounts import counted
from hume_runner.api.project import Project
from hume_runner.errors import HumeRunnerError, MissingExtra, StateError
from hume_runner.frozen import frozen
from hume_runner.machine import Machine
from hume_runner.registry import all_registered, load, registered
from hume_runner.settings import DEFAULT_KEY_VARIABLE, read_key
from hume_runner.sources import expand
from hume_runner.state.reader import StateReader
from hume_runner.stores.address import is_remote

if TYPE_CHECKING:
    from hume_runner.api.values import ManifestLike
    from hume_runner.manifest.model import Manifest
    from hume_runner.readiness import Readiness

EXTRAS = ("emulator", "media", "tables", "report", "figures", "local", "cluster", "remote")
# Enough for the state and the answers of some thousand items.
LEAST_FREE_BYTES = 500_000_000
# Signed links are usually good for minutes, so a clock that is off by one begins to matter.
MOST_CLOCK_OFFSET_S = 60.0
# A requirement as the package's metadata writes it: 'urllib3<3,>=2.2', 'av>=14; extra == "media"'.
_REQUIREMENT = re.compile(r"""([A-Za-z0-9._-]+)([^;]*)(?:;\s*extra == ['"]([a-z]+)['"])?""")
_LEAST = re.compile(r">=\s*([0-9.]+)")

Mark = Literal["ok", "note", "problem"]


@frozen
class Finding:
    """One line of the answer. `hint` is the next step; `exit_code` is 0 unless `mark` is `problem`."""

    name: str
    mark: Mark
    message: str
    hint: str = ""
    exit_code: int = 0

    @classmethod
    def of(cls, name: str, error: HumeRunnerError) -> Finding:
        return cls(name=name, mark="problem", message=str(error), hint=error.hint, exit_code=error.exit_code)


@frozen
class Requirement:
    """One line of the package's metadata. `extra` is empty for what is always needed."""

    package: str
    least: str
    extra: str


def findings(
    manifest: ManifestLike | None = None,
    *,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    machine: Machine | None = None,
) -> Iterator[Finding]:
    """Everything that can be found out, most fundamental first; what a manifest needs only where one is given."""
    machine = machine or Machine.this()
    requirements = tuple(_requirements())
    yield from _versions(requirements)
    project: Project | None = None
    if manifest:
        try:
            project = Project.open(manifest, output_dir=output_dir, state=state, endpoint=endpoint, machine=machine)
            yield _sources(project.manifest)
        except HumeRunnerError as error:
            yield from _problems("manifest", error)
    yield from _extras(requirements, _needs(project.manifest if project else None))
    yield from _models(project.manifest if project else None)
    if project is None:
        yield from _disk(Path(output_dir or "."), kind="folder")
        yield _default_key(machine)
        if endpoint:
            message = "not asked: which API it should speak, and with which key, is in a manifest"
            yield Finding(name="endpoint", mark="note", message=message, hint="hume-runner doctor MANIFEST")
        return
    yield from _disk(project.paths.outputs, kind="outputs")
    yield from _copy(project)
    yield from _state(project)
    yield from _service(project)


# -- what is installed ------------------------------------------------------------------------------------------------


def _requirements() -> Iterator[Requirement]:
    try:
        lines = importlib.metadata.requires(installing.DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match and (match[3] is None or match[3] in EXTRAS):
            least = _LEAST.search(match[2])
            yield Requirement(package=match[1], least=least[1] if least else "", extra=match[3] or "")


def _versions(requirements: Iterable[Requirement]) -> Iterator[Finding]:
    yield Finding(name="python", mark="ok", message=f"{platform.python_version()} ({sys.executable})")
    core = [one for one in requirements if not one.extra]
    if not core:
        hint = f"{installing.extras('emulator')}, or `make setup` there"
        yield Finding(name="hume_runner", mark="note", message=f"{__version__}, run without being installed", hint=hint)
        return
    yield Finding(name="hume_runner", mark="ok", message=__version__)
    lacking = [text for one in core if (text := _lack(one))]
    if lacking:
        packages = [one.package + (f">={one.least}" if one.least else "") for one in core if _lack(one)]
        hint = f"pip install {shlex.join(packages)}"
        yield Finding(name="core", mark="problem", message=", ".join(lacking), hint=hint, exit_code=64)
    else:
        yield Finding(name="core", mark="ok", message=_installed(core))


def _extras(requirements: Iterable[Requirement], needed: dict[str, str]) -> Iterator[Finding]:
    for extra in EXTRAS:
        wanted = [one for one in requirements if one.extra == extra]
        if not wanted:
            continue
        lacking = [text for one in wanted if (text := _lack(one))]
        name = f"[{extra}]"
        if not lacking:
            yield Finding(name=name, mark="ok", message=_installed(wanted))
        elif extra in needed:
            yield Finding.of(name, MissingExtra(extra, needed[extra]))
        else:
            missing = MissingExtra(extra, "")
            yield Finding(name=name, mark="note", message=", ".join(lacking), hint=f"if you need it: {missing.hint}")


def _needs(manifest: Manifest | None) -> dict[str, str]:
    """The extras that a manifest cannot do without -> what for."""
    needs: dict[str, str] = {}
    if manifest is None:
        return needs
    if manifest.service.endpoint == "emulator":
        needs["emulator"] = "service.endpoint: emulator"
    found = registered(manifest.service.api)
    needs |= dict.fromkeys(found.extras if found else (), f"service.api: {manifest.service.api}")
    if manifest.outputs.tables:
        needs["tables"] = "outputs.tables"
    if manifest.outputs.report:
        needs["report"] = "outputs.report"
    if manifest.outputs.remote is not None:
        needs["remote"] = "outputs.directory"
    elif manifest.state is not None and is_remote(str(manifest.state)):
        needs["remote"] = "state"
    elif any(entry.kind == "file" and is_remote(entry.value or "") for entry in manifest.sources):
        needs["remote"] = "sources.files"
    return needs


def _models(manifest: Manifest | None) -> Iterator[Finding]:
    """Which models can measure on this machine: those of the manifest, or all where there is none."""
    for one in all_registered():
        if one.readiness is None or (manifest is not None and manifest.service.api != one.api):
            continue
        models = None if manifest is None else manifest.settings["models"]
        found: Iterator[Readiness] = load(one.readiness)(models)
        for ready in found:
            name = f"{one.api}.{ready.model}"
            if ready.error is None:
                yield Finding(name=name, mark="ok", message=ready.message)
            elif manifest is not None:
                yield Finding.of(name, ready.error)
            else:
                yield Finding(name=name, mark="note", message=ready.problem, hint=f"if you need it: {ready.error.hint}")


def _installed(requirements: Iterable[Requirement]) -> str:
    return ", ".join(f"{one.package} {importlib.metadata.version(one.package)}" for one in requirements)


def _lack(requirement: Requirement) -> str:
    """What is wrong with a package, or an empty text."""
    try:
        version = importlib.metadata.version(requirement.package)
    except importlib.metadata.PackageNotFoundError:
        return f"{requirement.package} is not installed"
    if _numbers(version) < _numbers(requirement.least):
        return f"{requirement.package} {version} is older than {requirement.least}"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without zeros at the end: '2.10.0rc1' -> (2, 10)."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


# -- the manifest, the disk and the state -----------------------------------------------------------------------------


def _problems(name: str, error: HumeRunnerError) -> Iterator[Finding]:
    problems = getattr(error, "problems", ())
    for problem in problems:
        yield Finding(name=name, mark="problem", message=str(problem), hint=problem.hint, exit_code=error.exit_code)
    if not problems:
        yield Finding.of(name, error)


def _sources(manifest: Manifest) -> Finding:
    """Raises: ManifestError, SourceError."""
    count = sum(1 for _ in expand(manifest))
    items = counted(count, "item")
    return Finding(name="manifest", mark="ok", message=f"{manifest.name}: {items} for {manifest.service.api}")


def _copy(project: Project) -> Iterator[Finding]:
    """Whether the place in a store where a copy of the outputs is kept can be reached, and is this state's."""
    try:
        mirror = project.mirror()
        if mirror is None:
            return
        try:
            with StateReader.peek(project.paths.state, name=project.manifest.name) as store:
                lineage = store.lineage
        except FileNotFoundError:
            lineage = ""
        mirror.check(lineage)
    except HumeRunnerError as error:
        yield Finding.of("copy", error)
        return
    yield Finding(name="copy", mark="ok", message=f"{project.manifest.outputs.remote} can be read")


def _disk(directory: Path, *, kind: str) -> Iterator[Finding]:
    """Whether the outputs can be written. The directory itself need not exist, and is not made."""
    here = next(parent for parent in (directory.absolute(), *directory.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=here) as file:
            file.write(b"x")
            file.flush()
        free = shutil.disk_usage(here).free
    except OSError as error:
        message = f"{directory}: cannot write: {error.strerror or error}"
        hint = "make it writable, or choose another place with --output-dir"
        yield Finding(name=kind, mark="problem", message=message, hint=hint, exit_code=StateError.exit_code)
        return
    size = f"{free / 1e9:,.1f} GB free"
    if free < LEAST_FREE_BYTES:
        hint = "free some space, or choose another place with --output-dir"
        message = f"{directory}: only {size}"
        yield Finding(name=kind, mark="problem", message=message, hint=hint, exit_code=StateError.exit_code)
    else:
        yield Finding(name=kind, mark="ok", message=f"{directory}: writable, {size}")


def _state(project: Project) -> Iterator[Finding]:
    remote = project.paths.remote
    if remote is None and not project.paths.state.exists():
        yield Finding(name="state", mark="ok", message="none yet: the first run makes it")
        return
    try:
        with project.look() as seen:
            status = seen.status
    except HumeRunnerError as error:
        yield Finding.of("state", error)
        return
    items = status.items
    measured = f"{items['done']:,} of {counted(items['total'], 'item')} measured"
    if remote is not None:
        measured = f"{remote} can be read: {measured if items['total'] else 'none yet, the first run makes it'}"
    yield Finding(name="state", mark="ok", message=measured)
    if status.lock is not None:
        hint = "another run has to wait for it"
        yield Finding(name="lock", mark="note", message=f"a run is on: {status.lock}", hint=hint)


# -- the service ------------------------------------------------------------------------------------------------------


def _default_key(machine: Machine) -> Finding:
    try:
        read_key(env=None, file=None, environ=machine.environ)
    except HumeRunnerError as error:
        return Finding(name="key", mark="note", message=str(error), hint="only a real service needs one")
    return Finding(name="key", mark="ok", message=f"{DEFAULT_KEY_VARIABLE} is set (its value is not shown)")


def _service(project: Project) -> Iterator[Finding]:
    """The key, the endpoint and the clocks; for the emulator there is nothing to reach."""
    manifest, machine = project.manifest, project.machine
    with ExitStack() as stack:
        try:
            endpoint = stack.enter_context(replace(project, manifest=_impatient(manifest)).endpoint())
        except HumeRunnerError as error:
            yield Finding.of("endpoint", error)
            return
        if endpoint.here:
            yield Finding(name="endpoint", mark="ok", message=f"{endpoint.name}: no key, no network, no bill")
            return
        if endpoint.embedded:
            yield Finding(name="endpoint", mark="ok", message="emulator: started for each run; no key, no network")
            return
        try:
            read_key(env=manifest.service.api_key.env, file=manifest.service.api_key.file, environ=machine.environ)
        except HumeRunnerError as error:
            yield Finding.of("key", error)
            return
        where = manifest.service.api_key.file or manifest.service.api_key.env
        yield Finding(name="key", mark="ok", message=f"from {where} (its value is not shown)")
        try:
            endpoint.service.greet()
        except HumeRunnerError as error:
            yield Finding.of("endpoint", error)
            return
        yield Finding(name="endpoint", mark="ok", message=f"{endpoint.name} answers and takes the key")
        server_time = endpoint.server_time()
        yield _clock(None if server_time is None else server_time - machine.now())


def _impatient(manifest: Manifest) -> Manifest:
    """The manifest with one try a request: a person waits for the answer."""
    execution = replace(manifest.execution, retry=replace(manifest.execution.retry, attempts=1))
    service = replace(manifest.service, timeout_s=min(manifest.service.timeout_s, 15.0))
    return replace(manifest, execution=execution, service=service)


def _clock(offset_s: float | None) -> Finding:
    if offset_s is None:
        return Finding(name="clock", mark="note", message="the endpoint does not tell its time")
    # The Date header has whole seconds.
    ahead = f"{abs(offset_s):.0f} s {'behind' if offset_s > 0 else 'ahead of'} the endpoint's"
    if abs(offset_s) > MOST_CLOCK_OFFSET_S:
        hint = "set this machine's clock: links that expire are judged by it"
        return Finding(name="clock", mark="problem", message=f"this clock is {ahead}", hint=hint, exit_code=64)
    return Finding(name="clock", mark="ok", message=f"this clock is {ahead}")
