"""Who may import whom."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
from importlinter import Contract
from importlinter.api import read_configuration
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

from tests.package import PACKAGE, ROOT, SOURCES
from tests.tiers import sampled


def test_data_flows_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


KINDS = {
    "forbidden": ForbiddenContract,
    "independence": IndependenceContract,
    "layers": LayersContract,
    "protected": ProtectedContract,
}
LAYERS = "data flows one way"
PUBLIC = "the public names are for others"
APIS = "an API is known to its own folder alone"
SERVICES = "no API leans on another"
READINGS = "the emulator reads each API by itself"
EMULATOR = "the emulator is an independent reading of the APIs"
DECISIONS = "decisions are made of values"
HTTP = "http knows no service"
HOSTS = "who decides asks services, and no host"
TRANSPORT = "services are handed their transport"
MEDIA = "media knows files alone"
SOCKET = "a run's socket carries what it is given"
ASKING = "who only asks a state cannot write it"
COMMANDS = "the command line stands on the facade"
# Who must not import whom, and which of the contracts says so.
FORBIDDEN = [
    ("manifest.checks", "sources.files", LAYERS),
    ("sources.files", "services.base", LAYERS),
    ("registry", "services.local.service", LAYERS),
    ("planning.diff", "state.store", LAYERS),
    ("state.rows", "engine.view", LAYERS),
    ("results.rows", "engine.view", LAYERS),
    ("migration.manifest", "state.store", LAYERS),
    ("engine.loop", "notebook", LAYERS),
    ("engine.loop", "control.listener", LAYERS),
    ("api.functions", "cli.console", LAYERS),
    ("engine.loop", "", PUBLIC),
    ("services.packing", "services.local.planner", APIS),
    ("services.base", "services.batch_v0.client", APIS),
    ("planning.diff", "services.expression_v1.cost", APIS),
    ("state.rows", "services.batch_v0.names", APIS),
    ("engine.loop", "services.batch_v0.client", APIS),
    ("results.rows", "services.batch_v0.rows", APIS),
    ("migration.manifest", "services.batch_v0.client", APIS),
    ("manifest.checks", "services.batch_v0.settings", APIS),
    ("wiring", "services.expression_v1.client", APIS),
    ("api.functions", "services.batch_v0.client", APIS),
    ("services.expression_v1.client", "services.batch_v0.client", SERVICES),
    ("services.local.service", "services.batch_v0.client", SERVICES),
    ("emulator.expression_v1.names", "emulator.batch_v0.names", READINGS),
    ("emulator.batch_v0.rows", "emulator.expression_v1.scores", READINGS),
    ("emulator.faults", "services.batch_v0.layouts", EMULATOR),
    ("emulator.server", "computing.base", EMULATOR),
    ("emulator.server", "control.address", EMULATOR),
    ("emulator.server", "stores.base", EMULATOR),
    ("emulator.server", "guests", EMULATOR),
    ("emulator.server", "events", EMULATOR),
    ("emulator.batch_v0.artifacts", "media.audio", EMULATOR),
    ("engine.reactions.waiting", "state.disk", DECISIONS),
    ("engine.reactions.waiting", "state.store", DECISIONS),
    ("engine.reactions.sending", "http.transport", DECISIONS),
    ("engine.reactions.sending", "engine.stamps", DECISIONS),
    ("engine.reactions.settling", "settings", DECISIONS),
    ("engine.view", "state.store", DECISIONS),
    ("engine.pacing", "state.store", DECISIONS),
    ("engine.pacing", "engine.pacer", DECISIONS),
    ("engine.reconcile", "state.store", DECISIONS),
    ("http.retry", "stores.base", HTTP),
    ("http.backoff", "services.base", HTTP),
    ("engine.errands", "http.download", HOSTS),
    ("planning.scan", "http.exchanges", HOSTS),
    ("results.mirror", "http.retry", HOSTS),
    ("services.local.sender", "http.transport", TRANSPORT),
    ("planning.scan", "http.transport", TRANSPORT),
    ("media.sniff", "registry", MEDIA),
    ("control.listener", "services.base", SOCKET),
    ("machine", "endpoint", LAYERS),
    ("endpoint", "wiring", LAYERS),
    ("results.verify", "state.store", ASKING),
    ("api.verifying", "state.store", ASKING),
    ("engine.telling", "state.transactions", ASKING),
    ("cli.tables", "wiring", COMMANDS),
    ("cli.doctor", "computing.base", COMMANDS),
    ("cli.run", "notebook", COMMANDS),
]


def whole(name: str) -> str:
    return f"hume_runner.{name}".rstrip(".")


@cache
def contracts() -> dict[str, Contract]:
    read = read_configuration(str(ROOT / "pyproject.toml"))
    listed: list[dict[str, Any]] = read["contracts_options"]
    return {said["name"]: KINDS[said["type"]](said["name"], read["session_options"], said) for said in listed}


@cache
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("hume_runner", cache_dir=None)


def holds(name: str, graph: grimp.ImportGraph) -> bool:
    return contracts()[name].check(deepcopy(graph), verbose=False).kept


@sampled(12)
@pytest.mark.parametrize(("importer", "imported", "contract"), FORBIDDEN)
def test_an_import_against_the_rules_breaks_the_contract(importer: str, imported: str, contract: str) -> None:
    graph = deepcopy(imports())
    assert {whole(importer), whole(imported)} <= graph.modules
    graph.add_import(importer=whole(importer), imported=whole(imported), line_number=1, line_contents="")
    assert not holds(contract, graph)


def test_each_contract_is_seen_to_break() -> None:
    assert {contract for _, _, contract in FORBIDDEN} == set(contracts())


@pytest.mark.parametrize(
    ("layer", "contract", "member"),
    [("services", APIS, "protected_modules"), ("services", SERVICES, "modules"), ("emulator", READINGS, "modules")],
)
def test_each_folder_of_an_api_stands_in_the_contract(layer: str, contract: str, member: str) -> None:
    folders = {whole(f"{layer}.{path.parent.name}") for path in (PACKAGE / layer).glob("*/__init__.py")}
    assert set(contracts()[contract].contract_options[member]) == folders


def test_a_module_without_a_layer_breaks_the_contract() -> None:
    graph = deepcopy(imports())
    graph.add_module("hume_runner.newcomer")
    assert not holds(LAYERS, graph)


@pytest.mark.sweep
def test_lint_finds_each_such_line_where_it_is_written(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for importer, imported, _ in FORBIDDEN:
        with (tmp_path / PACKAGE.name / f"{importer.replace('.', '/')}.py").open("a", encoding="utf-8") as file:
            file.write(f"import {whole(imported)}\n")
    # An interpreter of its own, as the linter looks for the package where it would be imported from: here in the copy.
    shown = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True, no_logo=True))"
    wide = {**os.environ, "COLUMNS": "1000"}
    command = [sys.executable, "-c", shown]
    done = subprocess.run(command, cwd=tmp_path, env=wide, capture_output=True, text=True, check=False)
    assert done.returncode != EXIT_STATUS_SUCCESS
    for importer, imported, contract in FORBIDDEN:
        assert f"{contract} BROKEN" in done.stdout
        assert f"{whole(importer)} -> {whole(imported)} (l." in done.stdout, importer


def test_the_registry_imports_nothing_of_what_it_names() -> None:
    """Anybody may ask it, `validate` as well: whatever lies above is imported for type checkers alone."""
    shown = "import sys; import hume_runner.registry; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True).stdout.split()
    assert "hume_runner.registry" in loaded
    assert [name for name in loaded if name.startswith(("hume_runner.services", "hume_runner.readiness"))] == []


def test_no_folder_hides_from_the_contracts() -> None:
    """A folder without `__init__.py` can be imported from, and is in no graph of imports."""
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert {path.relative_to(PACKAGE).as_posix() for path in folders if not (path / "__init__.py").is_file()} == set()
    assert {whole(path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")) for path in SOURCES} == {
        name if name != "hume_runner" else whole("__init__") for name in imports().modules
    }


@pytest.mark.parametrize("contract", [APIS, EMULATOR, DECISIONS, HTTP, HOSTS, MEDIA, SOCKET, COMMANDS, LAYERS])
def test_each_exemption_of_a_contract_is_used_by_those_whom_it_is_about(contract: str) -> None:
    """`engine.** -> x` counts as used by linters where anybody in `engine` imports x."""
    options = contracts()[contract].contract_options
    sources = options.get("source_modules", options.get("containers", ["hume_runner"]))
    unused = set()
    for exemption in options["ignore_imports"]:
        importer, _, imported = exemption.partition(" -> ")
        lines = imports().find_matching_direct_imports(import_expression=f"{importer} -> {imported}")
        if not any(is_below(line["importer"], sources) for line in lines):
            unused.add(exemption)
    assert unused == set()


def test_whoever_may_write_a_state_has_one() -> None:
    options = contracts()[ASKING].contract_options
    graph = imports()
    importers = {one for name in options["protected_modules"] for one in graph.find_modules_that_directly_import(name)}
    assert set(options["allowed_importers"]) - {"hume_runner.state.**"} <= importers


def is_below(module: str, packages: Iterable[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in packages)
