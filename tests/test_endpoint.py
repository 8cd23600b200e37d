"""What is known of a service before anybody asks it, and what its answers tell of the time there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hume_runner import wiring
from hume_runner.endpoint import Endpoint
from hume_runner.errors import UsageError
from hume_runner.machine import Machine
from hume_runner.manifest.load import load_manifest
from hume_runner.settings import Settings
from hume_runner.state.disk import Disk
from hume_runner.state.paths import Paths
from tests.fakes import FakeClock


class Clocked(Machine):
    """A machine whose clocks are one that passes when somebody waits."""

    clock = FakeClock(0.0)

    def monotonic(self) -> float:
        return self.clock.now


@contextmanager
def reached(
    folder: Path, service: str, environ: Mapping[str, str], *, known_as: str | None = None
) -> Iterator[Endpoint]:
    path = folder / "m.yaml"
    models = "{acoustics: {}}" if "local" in service else "{language: {}}"
    path.write_text(f"version: 1\nname: m\nservice: {service}\nmodels: {models}\nsources: {{text: [one]}}\n")
    manifest, machine = load_manifest(path), Clocked(disk=Disk(), environ=environ, settings=Settings())
    if known_as is not None:
        manifest = replace(manifest, service=replace(manifest.service, api=known_as))
    with wiring.endpoint(manifest, Paths.of(manifest, None), machine) as endpoint:
        yield endpoint


@pytest.mark.parametrize(
    ("service", "embedded", "simulated"),
    [
        ("{api: batch-v0, endpoint: emulator}", True, True),
        ('{api: batch-v0, endpoint: "http://127.0.0.1:8"}', False, True),
        ('{api: batch-v0, endpoint: "https://measure.example.org"}', False, False),
        ("{api: batch-v0}", False, False),
    ],
)
def test_an_endpoint_tells_whether_its_scores_may_be_made_up(
    tmp_path: Path, service: str, embedded: bool, simulated: bool
) -> None:
    with reached(tmp_path, service, {}) as endpoint:
        assert (endpoint.embedded, endpoint.simulated, endpoint.here) == (embedded, simulated, False)
        assert endpoint.room() is None
    assert not (tmp_path / "out").exists()


def test_who_pays_is_told_by_a_digest_of_the_key_and_by_nothing_without_one(tmp_path: Path) -> None:
    with reached(tmp_path, "{api: batch-v0}", {"HUME_API_KEY": "secret"}) as endpoint:
        assert endpoint.account() == hashlib.sha256(b"secret").hexdigest()
    with reached(tmp_path, "{api: batch-v0}", {}) as endpoint:
        assert endpoint.account() == ""
    with reached(tmp_path, "{api: local}", {"HUME_API_KEY": "secret"}) as endpoint:
        assert endpoint.account() == ""


def test_a_services_time_goes_on_with_the_monotonic_clock(tmp_path: Path) -> None:
    with reached(tmp_path, "{api: batch-v0}", {}) as endpoint:
        assert endpoint.server_time() is None
        endpoint._saw_server_time(1_800_000_000.0)
        Clocked.clock.sleep(5.0)
        assert endpoint.server_time() == 1_800_000_005.0


def test_an_api_that_was_taken_away_since_is_refused_with_those_that_are_there(tmp_path: Path) -> None:
    with (
        pytest.raises(UsageError, match="nobody knows gone any more") as refused,
        reached(tmp_path, "{api: batch-v0}", {}, known_as="gone"),
    ):
        pass
    assert refused.value.hint == "use batch-v0 or expression-v1 or local"
