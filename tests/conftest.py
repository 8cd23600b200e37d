"""Guards for the whole suite: no socket beyond loopback, no database outside temporary folders, no real API key."""

from __future__ import annotations

import gc
import ipaddress
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import HealthCheck, settings

from hume_runner.emulator.server import Emulator
from hume_runner.guests import GUESTS
from hume_runner.state.disk import Disk
from hume_runner.state.store import Store
from tests import npm, warm
from tests.accents import form
from tests.cli.project import Project
from tests.durability.children import Nursery
from tests.fakes import World
from tests.object_stores import S3Server, leading_to, serving
from tests.stores import azurite
from tests.tiers import QUICK_EXAMPLES, mark_the_rest
from tests.wire import _shared_emulator, connect, serve, shared_emulator, tls_bundle, tls_server, unused_port

# Fixtures of every test.
__all__ = ["_shared_emulator", "connect", "serve", "shared_emulator", "tls_bundle", "tls_server", "unused_port"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell's background job ignores it, and so would every program that a test starts and interrupts.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class GuardError(AssertionError):
    """A test reached for something outside."""


_TEMPORARY = [Path(tempfile.gettempdir()).resolve()]


def _check_connection(address: Any) -> None:
    host = address[0] if isinstance(address, tuple) else None  # a path is a socket on this machine
    if host is None or host == "localhost":
        return
    try:
        outside = not ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        outside = True
    if outside:
        raise GuardError(f"a test connects to {host}")


def _check_database(name: Any) -> None:
    text = os.fsdecode(name)
    if text.startswith("file:"):
        text = unquote(urlsplit(text).path)
    if text in ("", ":memory:"):
        return
    path = Path(text).resolve()
    if not any(path.is_relative_to(folder) for folder in _TEMPORARY):
        raise GuardError(f"a test opens the database {path}")


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        _check_connection(arguments[1])
    elif event == "sqlite3.connect":
        _check_database(arguments[0])


# An audit hook sees what C code does as well, and no test can take it away by patching.
sys.addaudithook(_guard)

# What a test promises is never how long it takes: machines are busy. `make sweep` names the second one.
_PATIENT: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("suite", max_examples=QUICK_EXAMPLES, **_PATIENT)
settings.register_profile("sweep", max_examples=100, **_PATIENT)
settings.load_profile("suite")


# A file system in memory; where there is little of it (64 MB in a container), files stay on the disk.
_MEMORY = Path("/dev/shm")
_ENOUGH_BYTES = 2 << 30


def pytest_configure(config: pytest.Config) -> None:
    """What a person waits for keeps its files in memory and need not wait for a disk's syncing. The sweep, which
    kills and breaks runs at each of their operations, keeps to the disk."""
    room = shutil.disk_usage(_MEMORY).free if os.access(_MEMORY, os.W_OK) else 0
    if "not sweep" in config.option.markexpr and room > _ENOUGH_BYTES and "TMPDIR" not in os.environ:
        os.environ["TMPDIR"] = str(_MEMORY)
        tempfile.tempdir = None  # asked for before
        _TEMPORARY.append(_MEMORY.resolve())


@pytest.hookimpl(tryfirst=True)  # before `-m` is looked at
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    mark_the_rest(items)


def pytest_runtest_setup() -> None:
    """Each test has a process that nobody else's code came into, whichever tests had it before: with a guest in it, a
    test that ends a run in its middle would end a command on behalf of that guest."""
    GUESTS.came = False


# Thousands of tests and all that they import stay to the end: the garbage collector need not go through them, neither
# while they are collected nor later.
gc.disable()


def pytest_collection_finish() -> None:
    gc.enable()
    gc.collect()
    gc.freeze()


# Whoever starts the tests may ignore hang-ups (nohup does), and what is ignored stays ignored in every child.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The machine's own key and settings play no part; lost answers settle soon."""
    _TEMPORARY.append(tmp_path_factory.getbasetemp().resolve())
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("HUME_API_KEY", raising=False)
        patch.setenv("HUME_RUNNER_SETTLE", "0.3")
        patch.setenv("HUME_RUNNER_LATE", "0.3")
        # Of tests that go on at once none sees what another's run has under way.
        patch.setenv("HUME_RUNNER_RUNS", str(tmp_path_factory.mktemp("runs")))
        yield
    warm.close()


@pytest.fixture
def processing_time_s() -> float:
    """How long the emulator takes for a job; a module whose jobs have to last longer has one of its own."""
    return 0.005


@pytest.fixture
def emulator(processing_time_s: float) -> Iterator[Emulator]:
    """Each test's own: it counts what it measures, and tests make it fail."""
    with Emulator(processing_time_s=processing_time_s) as emulator:
        yield emulator


@pytest.fixture
def project(tmp_path: Path, emulator: Emulator) -> Project:
    return Project(tmp_path / "project", emulator)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Runs with the fake service."""
    return World(tmp_path)


@pytest.fixture
def store(world: World) -> Iterator[Store]:
    """The state that those runs left."""
    with Store.create_or_open(world.state, disk=Disk(), name="fake", lineage="unused") as store:
        yield store


@pytest.fixture
def keyed_environment(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the key of the project, for commands that are given no other."""
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, as far as this process is concerned."""
    warm.server()  # begun later, it would have its socket in here
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


@pytest.fixture
def keeps_bytes(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where a file system takes both spellings of an accent for one name."""
    probe = tmp_path_factory.mktemp("probe")
    (probe / form("NFD")).mkdir()
    if (probe / form("NFC")).exists():
        pytest.skip("this file system takes both spellings for one name")


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """For tests that end runs in the middle, or have many of them at a time."""
    with Nursery() as nursery:
        yield nursery


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server of this process; each test takes a bucket of its own."""
    with serving() as server:
        yield server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The S3 server, with this test's environment leading to it."""
    return leading_to(s3_server, monkeypatch)


@pytest.fixture(scope="session")
def azure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[azurite.AzureServer]:
    with azurite.serving(npm.cache(tmp_path_factory.getbasetemp())) as server:
        yield server


@pytest.fixture
def azure(azure_server: azurite.AzureServer, monkeypatch: pytest.MonkeyPatch) -> azurite.AzureServer:
    """A server of Azure's protocol, with this test's environment leading to it."""
    return leading_to(azure_server, monkeypatch)
