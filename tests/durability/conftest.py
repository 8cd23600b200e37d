"""One service process a session; a reference run that nothing disturbed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.durability.case import Case, Reference, accepted_by_key, make_case, measured_earlier
from tests.durability.children import Nursery
from tests.durability.service import ServiceProcess

MakeCase = Callable[[str], Case]


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("service"), keys=600) as service:
        yield service


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory, service: ServiceProcess, nursery: Nursery) -> Reference:
    """An unbroken run. Its own figures are checked here, so that nothing is compared with nonsense."""
    case = make_case(tmp_path_factory.mktemp("reference"), service.url, service.new_key())
    assert nursery.run([case.child()]) == [0], case.said()
    accepted = accepted_by_key(service)[case.owner]
    assert len(accepted) == 3
    reference = Reference.of(case, accepted)
    assert sorted(reference.files) == sorted(
        ["results.jsonl"]
        + [f"raw/job {n}/{name}" for n in (1, 2, 3) for name in ("artifacts.zip", "predictions.json", "request.json")]
    )
    assert set(reference.work.values()) == {1}
    return reference


@pytest.fixture
def new_case(tmp_path: Path, service: ServiceProcess) -> MakeCase:
    """A case of its own name and key, at the common service, which has measured something for that key before."""

    def make(name: str) -> Case:
        case = make_case(tmp_path / name, service.url, service.new_key())
        measured_earlier(service.url, case.key)
        service.advance(10)
        return case

    return make
