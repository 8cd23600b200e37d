"""Each outside thing is touched in one place: network, clock, disk, standard streams, SQL, and a service as a whole."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from enum import EnumType
from functools import cache
from importlib import import_module
from typing import Any

import pytest

from tests.package import SOURCES, words_of


def taken_by(text: str) -> set[str]:
    """Modules and their members that code uses, by their full names, whatever it calls them: `time.sleep` of
    `from time import sleep as wait` and of `import time as clock; clock.sleep`. Built-in functions are `builtins.open`.
    """
    nodes = [*ast.walk(ast.parse(text))]
    known, found = {}, set()
    for node in nodes:
        if isinstance(node, ast.Import):
            for one in node.names:
                known[one.asname or one.name.partition(".")[0]] = one.name if one.asname else one.name.partition(".")[0]
                found.add(one.name)
        elif isinstance(node, ast.ImportFrom) and node.module:
            known |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
    for node in nodes:
        if isinstance(node, ast.Attribute) and (full := _full_name(node, known)):
            found.add(full)
        elif isinstance(node, ast.Name) and node.id in BUILT_IN:
            found.add(f"builtins.{node.id}")
    return found.union(known.values())


def _full_name(node: ast.expr, known: Mapping[str, str]) -> str | None:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([known[node.id], *reversed(parts)]) if isinstance(node, ast.Name) and node.id in known else None


BUILT_IN = {"print", "input", "open", "exec", "eval", "__import__", "exit", "quit", "breakpoint", "SystemExit"}


@cache
def touched_by(path: str) -> frozenset[str]:
    return frozenset(taken_by(SOURCES[path]))


def is_of(name: str, what: str) -> bool:
    """Whether a full name is that of a thing, or of a part of it."""
    return name == what or name.startswith(f"{what}.")


def uses(what: str) -> set[str]:
    """Files that use a module, a part of it, or a built-in function."""
    # Only where all its words stand somewhere: to take the whole package apart takes seconds.
    words = what.removeprefix("builtins.").split(".")
    return {
        path
        for path in SOURCES
        if words_of(path).issuperset(words) and any(is_of(one, what) for one in touched_by(path))
    }


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("import time as clock\nclock.sleep(1)", "time.sleep"),
        ("from time import sleep as wait", "time.sleep"),
        ("import os as _os\n_os.environ['A']", "os.environ"),
        ("import datetime\ndatetime.datetime.now()", "datetime.datetime.now"),
        ("from datetime import datetime as dt\ndt.now()", "datetime.datetime.now"),
        ("def later():\n    import http.client", "http.client"),
        ("from urllib import request", "urllib.request"),
        ("print('here')", "builtins.print"),
        ("import multiprocessing.connection as c", "multiprocessing.connection"),
    ],
)
def test_a_thing_is_found_whatever_code_calls_it(text: str, taken: str) -> None:
    assert taken in taken_by(text)


@pytest.mark.parametrize(
    ("what", "places"),
    [
        ("sqlite3", ("state/", "emulator/")),
        ("requests", ("http/",)),
        ("urllib3", ("http/",)),
        ("http.client", ("http/",)),
        ("ssl", ("http/", "emulator/")),
        ("asyncio", ("emulator/",)),
        # Paths in URLs of files, and where a package was installed from.
        ("urllib.request", ("engine/adopt_files.py", "installing.py")),
        ("http.server", ()),
        ("socketserver", ()),
        ("multiprocessing", ()),
        ("smtplib", ()),
        ("ftplib", ()),
        ("xmlrpc", ()),
        ("tenacity", ("http/retry.py",)),
        # The lock tells people on which host its owner runs.
        # And those who talk to a run on their own machine have one module, which the engine knows nothing of.
        ("socket", ("http/", "emulator/server.py", "state/lock.py", "control/")),
        ("random", ("machine.py", "http/retry.py", "emulator/")),
        # Whoever measures asks where the models lie, and is handed no machine. What is said of stores is obstore's to
        # read, save what it leaves to its caller.
        # The trace that a command belongs to is asked for before there is a machine, which costs start-up.
        ("os.environ", ("cli/main.py", "machine.py", "processes.py", "services/local/weights.py", "stores/opening.py")),
        ("obstore", ("stores/remote.py", "stores/wording.py")),
        ("os.getenv", ()),
        ("os.path.expandvars", ()),
        (
            "time.time",
            (
                "machine.py",
                "cli/metrics.py",
                "http/transport.py",
                "services/batch_v0/client.py",
                "services/expression_v1/errors.py",
                "state/lock.py",
                "state/notes.py",
            ),
        ),
        # Whoever waits, and whoever shows that somebody does.
        (
            "time.monotonic",
            ("machine.py", "cli/", "computing/", "emulator/", "http/", "hume/job.py", "notebook.py", "state/"),
        ),
        ("time.perf_counter", ()),
        ("datetime.datetime.now", ("cli/",)),
        ("datetime.datetime.utcnow", ()),
        ("datetime.date.today", ()),
        ("uuid", ("machine.py", "emulator/")),
        # The client can be used without the runner, so it brings its own.
        # And the lock waits the hundredths of a second for which another process looks at it, as a dropped signal does.
        (
            "time.sleep",
            (
                "machine.py",
                "hume/job.py",
                "http/retry.py",
                "cli/signals.py",
                "cli/status.py",
                "state/lock.py",
            ),
        ),
        ("sys.stdout", ("cli/",)),
        # The last resort for a remote id that can be written nowhere else.
        # And what others' code prints in our process has to go somewhere.
        ("sys.stderr", ("cli/", "engine/rescue.py", "guests.py")),
        ("sys.exit", ("cli/entry.py",)),
        # Others' code may print, ask to end the process, or have to be ended at once.
        ("builtins.print", ("cli/changed.py", "guests.py")),
        ("builtins.input", ()),
        ("builtins.SystemExit", ("cli/", "guests.py")),
        ("os._exit", ("cli/entry.py", "computing/perform.py", "guests.py", "processes.py")),
        ("subprocess", ("cli/changed.py", "processes.py", "services/local/packages.py")),
        ("os.system", ()),
        ("os.popen", ()),
        ("os.fork", ()),
        # One place makes code, and none of it is others'.
        ("builtins.exec", ("frozen.py",)),
        ("builtins.eval", ()),
        ("builtins.__import__", ()),
        ("pkgutil", ()),
        ("runpy", ()),
        ("importlib.util.spec_from_file_location", ()),
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
        ("json.JSONDecoder", ("http/json_lenient.py", "http/json_stream.py", "small_json.py")),
        ("yaml", ("manifest/", "api/emulating.py", "cli/changed.py")),
    ],
)
def test_each_outside_thing_is_touched_in_its_place_alone(what: str, places: tuple[str, ...]) -> None:
    using = uses(what)
    assert {name for name in using if not name.startswith(places)} == set()
    assert [place for place in places if not any(name.startswith(place) for name in using)] == []


@pytest.mark.parametrize("package", ["planning", "engine", "results", "sources", "manifest", "media"])
def test_what_decides_gets_its_time_from_outside(package: str) -> None:
    for clock in ("time", "datetime.datetime.now", "datetime.date.today", "uuid", "random"):
        assert not {name for name in uses(clock) if name.startswith(f"{package}/")}, clock


# Who decides of values, and all that these files take of the standard library: no clock, disk, network or chance.
DECIDERS = sorted(path for path in SOURCES if re.match(r"engine/(reactions/|(view|pacing|reconcile)\.py)", path))
VALUES = {"__future__", "collections", "dataclasses", "enum", "functools", "itertools", "math", "typing"}
BESIDES = {
    "engine/reconcile.py": {"shlex", "shlex.quote"},  # a command to be pasted
    "engine/reactions/failing.py": {"pathlib.Path"},  # the name of a folder, for people
}
# And of what makes a value beside other things, the value.
HELD = {"hume_runner.engine.download": {"Fetched"}, "hume_runner.processes": {"Stopped"}}
_DISK = {
    "chmod", "exists", "glob", "is_dir", "is_file", "iterdir", "lstat", "mkdir", "open", "read_bytes", "read_text",
    "rename", "resolve", "rglob", "stat", "touch", "unlink", "walk", "write_bytes", "write_text",
}  # fmt: skip


def what_is_no_value(path: str, text: str) -> set[str]:
    """What a file takes that gives or makes more than values."""
    besides, found = BESIDES.get(path, set()), set()
    for name in taken_by(text):
        root, (module, _, member) = name.partition(".")[0], name.rpartition(".")
        if root != "hume_runner" and root not in VALUES and name not in besides:
            found.add(name)
        if module in HELD and member not in HELD[module]:
            found.add(name)
    called = {node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    return found | (called & _DISK)


@pytest.mark.parametrize("path", DECIDERS)
def test_decisions_are_made_of_values(path: str) -> None:
    assert what_is_no_value(path, SOURCES[path]) == set()


@pytest.mark.parametrize(
    "line",
    [
        "import time as clock",
        "from time import perf_counter",
        "import os",
        "import threading",
        "from pathlib import Path",
        "from datetime import datetime",
        "from uuid import uuid1",
        "from email.utils import formatdate",
        "open('a')",
        "view.outputs.exists()",
        "from hume_runner.engine.download import fetch",
        "from hume_runner.processes import ProcessExecutor",
    ],
)
def test_what_is_no_value_is_seen_in_a_decision(line: str) -> None:
    assert what_is_no_value("engine/view.py", f"from dataclasses import replace\n{line}\n")


_SQL = re.compile(
    r"\s*(SELECT|INSERT|UPDATE|DELETE|PRAGMA|CREATE\s+(TABLE|INDEX)|WITH|BEGIN|ATTACH|ALTER|DROP)\s", re.A
)


def sql_in(text: str) -> set[str]:
    """Strings that begin as a statement does, and calls that have one carried out."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Constant(value=str(said)) if _SQL.match(said):
                found.add(said)
            case ast.Attribute(attr="execute" | "executemany" | "executescript" | "_db" as called):
                found.add(called)
    return found


def test_sql_is_written_where_the_state_is() -> None:
    strangers = {path: sql_in(text) for path, text in SOURCES.items() if not path.startswith(("state/", "emulator/"))}
    assert {path: said for path, said in strangers.items() if said} == {}
    assert sql_in(SOURCES["state/file.py"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("store._db.execute(words)", True),
        ('QUERY = f"  SELECT number FROM {table} "', True),
        ("'PRAGMA user_version'", True),
        ("'select some of them', 'Within a day'", False),
    ],
)
def test_sql_is_found_however_code_says_it(text: str, found: bool) -> None:
    assert bool(sql_in(text)) is found


# Names of our own modules in strings lead around what may be imported. The registry is for that; these name folders of
# their own, where other packages offer measurers, and a log.
NAMING = {
    "registry.py",
    "results/report/page.py",
    "results/compare/page.py",
    "services/local/measurers/found.py",
    "http/exchanges.py",
    "cli/requests_told.py",
}


def modules_named_in(text: str) -> set[str]:
    strings = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)}
    named = {said.partition(":")[0] for said in strings if isinstance(said, str) and said.startswith("hume_runner.")}
    files = {f"{path.removesuffix('.py').removesuffix('/__init__')}".replace("/", ".") for path in SOURCES}
    folders = {path.rpartition("/")[0].replace("/", ".") for path in SOURCES} - {""}
    return {name for name in named if name.removeprefix("hume_runner.") in files | folders}


def test_no_string_names_a_module_of_ours_but_the_registrys() -> None:
    assert {path for path, text in SOURCES.items() if modules_named_in(text)} == NAMING


def test_a_module_is_found_in_a_string() -> None:
    text = "load('hume_runner.services.batch_v0.client:Client'), log('hume_runner.http'), tell('hume_runner.events')"
    assert modules_named_in(text) == {
        "hume_runner.services.batch_v0.client",
        "hume_runner.http",
        "hume_runner.events",
    }
    assert modules_named_in("log('hume_runner.nowhere'), 'hume_runner is here'") == set()


def test_nobody_takes_a_public_name_where_it_is_offered_to_others() -> None:
    """`import hume_runner.errors; hume_runner.HumeBatchClient` is no import that a contract would see."""
    modules = {path.partition("/")[0].removesuffix(".py") for path in SOURCES}
    offered = {
        (path, name)
        for path in SOURCES
        for name in touched_by(path)
        if name.startswith("hume_runner.") and name.split(".")[1] not in modules
    }
    assert offered == set()


def test_the_facade_hands_the_command_line_values_and_functions_of_its_own() -> None:
    """A name of it that is written elsewhere would be that module's for all who stand on the facade."""
    facade = import_module("hume_runner.api")
    elsewhere = {name for name, home in facade._HOMES.items() if not home.startswith("api.")}
    functions = {"schema_text"}
    of_the_machine = {"Machine"}
    values = elsewhere - functions - of_the_machine
    assert functions | of_the_machine <= elsewhere
    assert {name for name in values if not is_value(getattr(facade, name))} == set()


def is_value(kind: Any) -> bool:
    return isinstance(kind, EnumType) or (is_dataclass(kind) and kind.__setattr__ is not object.__setattr__)


# Where a service is made and held. All others name the parts of one that they need.
HOLDS_A_SERVICE = {"services/base.py", "endpoint.py", "engine/environment.py"}


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


def test_the_search_finds_what_it_looks_for() -> None:
    assert "machine.py" in uses("os.environ")
    assert "state/file.py" in uses("sqlite3")
    assert "services/packing.py" not in uses("sqlite3")
