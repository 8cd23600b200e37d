"""A study whose sources, outputs and state lie in Azure, against the emulator that Microsoft publishes."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.project import Project, tone
from tests.stores.azurite import AzureServer


@pytest.mark.sweep
def test_sources_outputs_and_state_lie_there_and_another_machine_goes_on(project: Project, azure: AzureServer) -> None:
    media, runs = azure.container(), azure.container()
    store = azure.store(media)
    for number in range(4):
        store.create(f"interviews/Köln study/P{number}.wav", tone(number + 1))
    project.manifest["sources"] = {"files": [f"az://{media}/interviews/**/*.wav"]}
    project.manifest["state"] = f"az://{runs}/study"
    project.manifest["outputs"] = {"directory": f"az://{runs}/out", "tables": ["csv"]}
    project.out = project.folder / "results" / "trial"
    ran = project.run("--limit", "3")
    assert ran.code == 0, ran.err
    shutil.rmtree(project.folder / "results")
    ran = project.run()
    assert ran.code == 0, ran.err
    paid = project.emulator.requests()
    assert paid["jobs_accepted"] == 2
    assert {one.key.partition("/")[0] for one in azure.store(runs).list()} == {"out", "study"}
    assert azure.store(runs).read("out/tables/items.csv").data == (project.out / "tables" / "items.csv").read_bytes()
    assert project.call("verify").code == 0
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.emulator.requests() == paid
