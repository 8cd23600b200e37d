"""Each safeguard against losing, mixing and paying twice holds under an attack, and the same attack breaks a run
without it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.durability.attacks import ATTACKS, Attack, World
from tests.durability.children import Nursery
from tests.durability.mutants import MUTANTS
from tests.durability.service import ServiceProcess

ATTACK = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.without.replace(" ", "-"))


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServiceProcess, ServiceProcess]]:
    """Two hosts that know the same keys."""
    folder = tmp_path_factory.mktemp("services")
    with ServiceProcess(folder / "a", keys=60) as first, ServiceProcess(folder / "b", keys=60) as second:
        yield first, second


@pytest.fixture
def world(tmp_path: Path, services: tuple[ServiceProcess, ServiceProcess], nursery: Nursery) -> Iterator[World]:
    first, second = services
    yield World(folder=tmp_path, first=first, second=second, nursery=nursery)
    for service in services:
        service.be()
        service.inject([])


@pytest.mark.sweep
@ATTACK
def test_an_attack_breaks_nothing(attack: Attack, world: World) -> None:
    assert attack.act(world, None) == []


@pytest.mark.mutant
@ATTACK
def test_without_its_safeguard_the_same_attack_breaks_something(attack: Attack, world: World) -> None:
    assert attack.without in MUTANTS
    assert attack.breaks in "\n".join(attack.act(world, attack.without))
