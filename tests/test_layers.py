"""Who may import whom, and that each outside thing is touched in one place."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml
from importlinter import Contract
from importlinter.api import read_configuration
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.independence import IndependenceContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

from tests.tiers import sampled

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hume_runner"
FILES = {
    path.relative_to(PACKAGE).as_posix(): path
    for path in PACKAGE.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
# What people wrote there: how the comments of each kind of file look.
COMMENTS = {
    ".py": None,
    ".js": r"/\*.*?\*/|^\s*//[^\n]*",
    ".css": r"/\*.*?\*/",
    ".jinja": r"\{#.*?#\}|<!--.*?-->",
    ".json": None,
}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in FILES.items() if path.suffix in COMMENTS}
SOURCES = {name: text for name, text in TEXTS.items() if name.endswith(".py")}


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
TRANSPORT = "services are handed their transport"
MEDIA = "media knows files alone"
SOCKET = "a run's socket carries what it is given"
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
    ("engine.reactions.sending", "engine.merge", DECISIONS),
    ("engine.reactions.settling", "settings", DECISIONS),
    ("engine.view", "state.store", DECISIONS),
    ("http.retry", "stores.base", HTTP),
    ("http.backoff", "services.base", HTTP),
    ("services.local.sender", "http.transport", TRANSPORT),
    ("planning.scan", "http.transport", TRANSPORT),
    ("media.sniff", "registry", MEDIA),
    ("control.listener", "services.base", SOCKET),
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


def modules_of(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Top-level names of all that a file imports, inside functions as well."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def attributes_of(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Attributes of plain names, as `time.sleep`; what is imported from a module counts as such."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


@cache
def words_of(path: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", TEXTS[path]))


@cache
def touched_by(path: str) -> frozenset[str]:
    nodes = [*ast.walk(ast.parse(SOURCES[path]))]
    return frozenset([*modules_of(nodes), *attributes_of(nodes)])


def uses(what: str) -> set[str]:
    """Files that import a module, or for a dotted name use that attribute."""
    # Only where all its words stand somewhere: to take the whole package apart takes seconds.
    words = what.split(".")
    return {path for path in SOURCES if words_of(path).issuperset(words) and what in touched_by(path)}


@pytest.mark.parametrize(
    ("what", "places"),
    [
        ("sqlite3", ("state/", "emulator/")),
        ("requests", ("http/",)),
        ("tenacity", ("http/retry.py",)),
        # The lock tells people on which host its owner runs.
        # And those who talk to a run on their own machine have one module, which the engine knows nothing of.
        ("socket", ("http/", "emulator/server.py", "state/lock.py", "control/")),
        ("random", ("wiring.py", "http/retry.py", "emulator/")),
        # Whoever measures asks where the models lie, and is made by no wiring. What is said of stores is obstore's to
        # read, save what it leaves to its caller.
        # The trace that a command belongs to is asked for before there is a machine, which costs start-up.
        ("os.environ", ("cli/main.py", "wiring.py", "processes.py", "services/local/weights.py", "stores/opening.py")),
        ("obstore", ("stores/remote.py", "stores/wording.py")),
        ("os.getenv", ()),
        # The client can be used without the runner, so it brings its own.
        # And the lock waits the hundredths of a second for which another process looks at it, as a dropped signal does.
        (
            "time.sleep",
            (
                "wiring.py",
                "hume/job.py",
                "http/retry.py",
                "cli/signals.py",
                "cli/status.py",
                "emulator/",
                "state/lock.py",
            ),
        ),
        ("sys.stdout", ("cli/",)),
        # The last resort for a remote id that can be written nowhere else.
        # And what others' code prints in our process has to go somewhere.
        ("sys.stderr", ("cli/", "engine/rescue.py", "guests.py")),
        ("sys.exit", ("cli/entry.py",)),
        # Others' code may set handlers of its own, and those that were there are put back.
        ("signal", ("cli/", "processes.py", "guests.py")),
        ("_signal", ("cli/entry.py",)),
        ("argparse", ("cli/",)),
        # Who reads JSON that others may have written asks `small_json`, which takes no end of nesting. Others read what
        # this process made or what comes with the package, or are readers with such an end of their own: of answers, of
        # lists, and the emulator of requests.
        (
            "json.loads",
            (
                "http/answer.py",
                "http/json_lenient.py",
                "http/json_stream.py",
                "sources/listing.py",
                "emulator/",
                "services/expression_v1/sender.py",
                "services/local/",
                "engine/mend.py",
                "results/compare/packing.py",
                "results/sinks.py",
                "manifest/published.py",
                "cli/schema.py",
                "cli/completion.py",
                "api/beginning.py",
                "installing.py",
            ),
        ),
        ("json.load", ()),
    ],
)
def test_each_outside_thing_is_touched_in_its_place_alone(what: str, places: tuple[str, ...]) -> None:
    strangers = {name for name in uses(what) if not any(name.startswith(place) for place in places)}
    assert not strangers


# Where a service is made and held. All others name the parts of one that they need.
HOLDS_A_SERVICE = {"services/base.py", "wiring.py", "engine/environment.py"}


def names_in(text: str) -> Iterator[str]:
    """Names that code uses, also in annotations that are written as text; not the words of comments and docstrings."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.ClassDef(name=name):
                yield name
            case (
                ast.arg(annotation=ast.Constant(value=str(said)))
                | ast.AnnAssign(annotation=ast.Constant(value=str(said)))
            ):
                yield from re.findall(r"\w+", said)
            case ast.FunctionDef(returns=ast.Constant(value=str(said))):
                yield from re.findall(r"\w+", said)


def test_only_who_holds_a_service_names_all_of_it() -> None:
    naming = {path for path in SOURCES if "Service" in words_of(path) and "Service" in names_in(SOURCES[path])}
    assert naming == HOLDS_A_SERVICE


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("from hume_runner.services.base import Service", True),
        ("def adopt(service: base.Service) -> None: ...", True),
        ("def adopt(service: 'Service | None') -> None: ...", True),
        ("def held() -> 'Service': ...", True),
        ("held: 'Service'", True),
        ('"""A `Service` whose answers lie in a file."""', False),
        ("def adopt(service: Host) -> None: ...  # no Service", False),
    ],
)
def test_a_service_is_found_however_code_names_it(text: str, named: bool) -> None:
    assert ("Service" in names_in(text)) is named


@pytest.mark.parametrize("package", ["planning", "engine", "results", "sources", "manifest", "media"])
def test_what_decides_gets_its_time_from_outside(package: str) -> None:
    for clock in ("time.time", "time.monotonic", "time.sleep", "datetime.now", "datetime.utcnow", "uuid.uuid4"):
        assert not {name for name in uses(clock) if name.startswith(f"{package}/")}, clock


DOCUMENTS = [ROOT / "tests" / "emulator" / api / "openapi.yaml" for api in ("batch_v0", "expression_v1")]
# Members that have the name of something else as well, which anybody may speak of: why, and which.
EVERYDAY = {
    "any program has things of this name": """
        at begin box code config cursor detail end error errors events file filename files frame id json kind length
        limit message metadata mode name position received request results runs schema score source state status step
        text time type uri url urls when fault
    """,
    "letters, of which each is short for much": "h w x y",
    "what HTTP, or whoever speaks it, calls so": "content_type encoding endpoint request_id",
    "the manifest's own, for all APIs (schemas/manifest-v1.schema.json)": "audio callback_url language models notify",
    "columns and members of our own outputs (schemas/)": "confidence ended_at file_type probability run_id started_at",
}
# Members of the same name as something that a part of the program has for itself: place, why, and which.
OF_THEIR_OWN = [
    ("services/local/", "an API too, with members of its own", "emotions entity face faces frames granularity image"),
    ("services/local/", "an API too, with members of its own", "min_size ner window"),
    ("media/", "what each sound and picture has", "channels descriptions frames image sample_rate"),
    ("services/source_store.py", "a kind of medium, as `media` names it", "image"),
    ("api/found_sources.py", "what people call the columns of their lists", "image"),
    ("manifest/", "settings, as the manifest spells them", "fps_pred transcription"),
    ("planning/fingerprint.py", "settings, as the manifest spells them", "fps_pred transcription"),
    ("registry.py", "lines of manifests, as `init` proposes them", "face fps_pred identify_faces measurement_timer_ms"),
    ("cli/plan_shown.py", "a setting as an example, in a comment", "fps_pred"),
    ("results/compare/base.py", "a setting as an example, in a comment", "fps_pred"),
    ("results/figures/choosing.py", "what rows are, for people", "measurements"),
    ("results/report/families.py", "what rows are, for people", "measurements"),
    ("results/compare/reading.html.jinja", "what rows are, for people", "measurements"),
    ("results/report/", "pictures with boxes in them, whichever API found what is there", "frames"),
    ("results/report/pictures.js", "what browsers have of this name", "image"),
    ("results/report/timeline.js", "the part of a drawing that is seen", "window"),
    ("state/", "a table of the state", "measurements"),
    ("state/", "a setting of SQLite", "page_size"),
    ("settings.py", "a letter written as HTML does", "entity"),
    ("api/commanding.py", "how many requests may follow at once", "burst"),
    ("engine/pacing.py", "how many requests may follow at once", "burst"),
    ("wiring.py", "how many requests may follow at once", "burst"),
    ("emulator/", "how much a request sent: what both its APIs are told of each", "bytes_received"),
]
# What is in no document, and one file of an API's folder tells another by way of those that do not look into it.
HANDED_THROUGH = frozenset({"metered_ms"})


def told_by(document: Path) -> set[str]:
    """The members of all objects that an API's document describes, and the parameters of its paths."""
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            if isinstance(value.get("properties"), dict):
                found.update(value["properties"])
            if value.get("in") in ("query", "path"):
                found.add(value["name"])
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                walk(one)

    walk(yaml.load(document.read_text(encoding="utf-8"), Loader=loader))
    return found


@cache
def members() -> frozenset[str]:
    """Names of members that are no words of ours, or of everybody."""
    everyday = " ".join(EVERYDAY.values()).split()
    return HANDED_THROUGH.union(*map(told_by, DOCUMENTS)).difference(everyday)


def own_words(path: str) -> set[str]:
    return {word for place, _, words in OF_THEIR_OWN if path.startswith(place) for word in words.split()}


def said_in(text: str, kind: str = ".py") -> Iterator[str]:
    """Names in code and whole strings. Words that nobody says, as `num_errors`, are looked for in all of a text, words
    for people and SQL as well; `sentiment` may be spoken of. In what is neither Python nor JSON, in comments alone."""
    yield from (word for word in re.findall(r"\w+", text) if "_" in word)
    if comments := COMMENTS[kind]:
        yield from re.findall(r"\w+", re.sub(comments, "", text, flags=re.DOTALL | re.MULTILINE))
    elif kind == ".json":
        yield from strings_in(json.loads(text))
    else:
        yield from said_in_code(text)


def strings_in(value: Any) -> Iterator[str]:
    """The members and the whole strings of what JSON says."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value:
            yield from strings_in(one)
            if isinstance(value, dict):
                yield from strings_in(value[one])


def said_in_code(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Constant(value=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.alias(name=name):
                yield name
            case ast.MatchClass(kwd_attrs=names):
                yield from names


@cache
def says_members(path: str) -> frozenset[str]:
    # Most files hold none of the words, in whatever sense, and need not be taken apart.
    return members().intersection(said_in(TEXTS[path], kind_of(path))) if words_of(path) & members() else frozenset()


def kind_of(path: str) -> str:
    return Path(path).suffix


def test_every_file_of_the_package_is_looked_into() -> None:
    no_text = {name for name in FILES if name not in TEXTS}
    assert no_text == {"py.typed", "services/local/measurers/goemotions.bin"}
    assert FILES["py.typed"].stat().st_size == 0
    assert {kind_of(name) for name in TEXTS} == set(COMMENTS)


def knows_an_api(path: str) -> bool:
    """The folder of an API. And `hume/`, which has the old package's names because scripts say them; and `migration/`,
    which reads what was written for one API and says it for another."""
    return re.match(r"(services|emulator)/(batch_v0|expression_v1)/|hume/|migration/", path) is not None


def test_only_an_apis_own_folders_hold_the_names_of_its_members() -> None:
    strangers = {path: says_members(path) - own_words(path) for path in TEXTS if not knows_an_api(path)}
    assert {path: sorted(said) for path, said in strangers.items() if said} == {}


@pytest.mark.parametrize("layer", ["services", "emulator"])
def test_each_of_these_names_is_said_where_it_belongs(layer: str) -> None:
    said = set().union(*(says_members(path) for path in TEXTS if path.startswith(f"{layer}/") and knows_an_api(path)))
    assert said >= {"job_id", "grouped_predictions", "utterance_id", "metered_seconds", "sentiment", "toxicity"}
    everywhere = set().union(*(says_members(path) for path in TEXTS if knows_an_api(path)))
    assert everywhere == members()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("row['sentiment'] = 1", {"sentiment"}),
        ("row.get('toxicity', entry.predictions)", {"toxicity", "predictions"}),
        ("match row:\n    case {'channels': 2} | Row(gaps=1): pass", {"channels", "gaps"}),
        ("class Row:\n    utterances: list\n    def faces(self, seq): pass", {"utterances", "faces", "seq"}),
        ("show(trigger=1)", {"trigger"}),
        ("Q = 'SELECT job_id FROM t'  # by num_errors", {"job_id", "num_errors"}),
        ("print('sentiment and toxicity')  # the predictions", set()),
        ("source.name = 'file'", set()),
    ],
)
def test_a_member_is_found_however_code_says_it(text: str, said: set[str]) -> None:
    assert members().intersection(said_in(text)) == said


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (".js", "const sorted = set.family === 'sentiment';", {"sentiment"}),
        (".js", "part.more.toxicity.map((a) => a);", {"toxicity"}),
        (".js", "`${told} by ${row.predictions}`", {"predictions"}),
        (".js", "/* The sentiment of\n a face. */\n  // And toxicity.\nconst n = 1;", set()),
        (".js", "/* By num_errors. */", {"num_errors"}),
        (".css", ".sentiment { color: red; } /* faces */", {"sentiment"}),
        (".jinja", "<p>{{ one.toxicity }}</p>{# faces #}<!-- gaps -->", {"toxicity"}),
        (".json", '{"sentiment": ["toxicity", {"a": "the faces"}]}', {"sentiment", "toxicity"}),
    ],
)
def test_a_member_is_found_in_what_is_no_python(kind: str, text: str, said: set[str]) -> None:
    assert members().intersection(said_in(text, kind)) == said


@pytest.mark.sweep
def test_no_word_is_excused_without_need() -> None:
    documented = set().union(*map(told_by, DOCUMENTS))
    everyday = [word for words in EVERYDAY.values() for word in words.split()]
    assert set(everyday) <= documented
    assert len(everyday) == len(set(everyday))
    abroad = [path for path in TEXTS if not knows_an_api(path)]
    unsaid = set(everyday)
    for path in abroad:
        if words_of(path) & unsaid:  # soon none is left, and to take a file apart takes a while
            unsaid.difference_update(said_in(TEXTS[path], kind_of(path)))
    assert unsaid == set()
    for place, _, words in OF_THEIR_OWN:
        said = set().union(*(says_members(path) for path in abroad if path.startswith(place)))
        assert said >= set(words.split()), place


def test_the_search_finds_what_it_looks_for() -> None:
    assert "wiring.py" in uses("os.environ")
    assert "state/file.py" in uses("sqlite3")
    assert "services/packing.py" not in uses("sqlite3")
