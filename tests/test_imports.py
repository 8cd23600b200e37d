"""An import stands at the top of its file, unless it brings what not everybody installs, or what starting does without.

What starting is: the help of each command, commands that look or make small things, and a run that wants nothing but
answers. An import inside a function has to spare one of these starts what it brings: a start loads the module around it
and ends without. Where none does, nobody gains by it. Two modules that need each other may import one another so, too.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hume_runner"


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


TREES = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}


def imported(node: ast.AST, modules: Mapping[str, object]) -> Iterator[str]:
    """The modules that a statement loads. Our own are given in full, whichever way they are written."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
        for name in node.names:
            inside = f"{node.module}.{name.name}"
            yield inside if inside in modules else node.module


def statements(node: ast.AST, *, inside: bool = False) -> Iterator[tuple[ast.stmt, bool]]:
    """Every import, and whether it stands in a function. What only a type checker reads is none."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, inside
        elif isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            yield from statements(ast.Module(body=child.orelse, type_ignores=[]), inside=inside)
        else:
            yield from statements(child, inside=inside or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))


class Imports:
    """Which module loads which, by what stands in their files."""

    def __init__(self, trees: Mapping[str, ast.AST]) -> None:
        self.at_once: dict[str, set[str]] = {name: set() for name in trees}
        self.later: list[tuple[str, int, str]] = []
        for name, tree in trees.items():
            for statement, inside in statements(tree):
                for what in imported(statement, trees):
                    if inside:
                        self.later.append((name, statement.lineno, what))
                    else:
                        self.at_once[name].add(what)
        self.loaded = cache(self._loaded)

    def _loaded(self, name: str) -> frozenset[str]:
        """All that is there once this module is: what it imports, what that imports, and the packages around them."""
        seen: set[str] = set()
        left = [name]
        while left:
            one = left.pop()
            if one not in seen:
                seen.add(one)
                left += self.at_once.get(one, ())
                around = one.rpartition(".")[0]
                left += [around] if around else []
        return frozenset(seen)

    def without_need(self, starts: Iterable[Set[str]], optional: Set[str], besides: Set[str]) -> Iterator[str]:
        """Places of imports inside functions that save nobody anything. `starts`: the modules that each start loads;
        `besides`: those who import late for another reason."""
        starts = [*starts]
        for name, line, what in self.later:
            brought = self.loaded(what) - self.loaded(name)
            optionally = {one.partition(".")[0] for one in brought} & optional
            spared = any(name in start and what not in start for start in starts)
            if not brought or not (optionally or spared or name in self.loaded(what) or name in besides):
                yield f"{name}:{line}: {what}"

    def idle(self, starts: Iterable[Set[str]], optional: Set[str], besides: Set[str]) -> set[str]:
        """Those of `besides` who would do as well without."""
        held = {place.partition(":")[0] for place in self.without_need(starts, optional, frozenset())}
        return {*besides} - held


# Who loads a module by a name that is no statement: what is registered, what a person names, what is used first.
BY_NAME = {
    "hume_runner",
    "hume_runner.api",
    "hume_runner.cli.main",
    "hume_runner.computing.executor",
    "hume_runner.registry",
    "hume_runner.services.local.measurers.found",
}


def test_modules_are_loaded_by_name_in_their_places_alone() -> None:
    loading = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("import_module", "__import__")
    }
    assert loading == BY_NAME


def test_every_import_names_the_whole_way() -> None:
    """One that counts from its own file would not be seen here."""
    relative = {
        name
        for name, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.level
    }
    assert relative == set()


SCRIPTS = sorted(
    path for folder in ("benchmarks", "docs", "manifests", ".ci") for path in (ROOT / folder).rglob("*.py")
)


def names_taken(tree: ast.AST) -> set[tuple[str, str]]:
    """(module of the package, name) that a script imports, or takes of a module that it imports; a module that is
    imported as a whole has no name."""
    taken: set[tuple[str, str]] = set()
    modules: dict[str, str] = {"hume_runner": "hume_runner"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "hume_runner":
            taken |= {(str(node.module), name.name) for name in node.names}
            inside = {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
            modules |= {name: module for name, module in inside.items() if module in TREES}
        elif isinstance(node, ast.Import):
            ours = [name for name in node.names if name.name.partition(".")[0] == "hume_runner"]
            taken |= {(name.name, "") for name in ours}
            modules |= {name.asname: name.name for name in ours if name.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            holder, _, rest = ast.unparse(node.value).partition(".")
            module = f"{modules.get(holder, '')}.{rest}".rstrip(".")
            if module in TREES:
                taken.add((module, node.attr))
    return taken


def missing_of(taken: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return {
        (module, name)
        for module, name in taken
        if module not in TREES
        or (name and f"{module}.{name}" not in TREES and not hasattr(import_module(module), name))
    }


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_script_takes_from_the_package_is_there(script: Path) -> None:
    assert missing_of(names_taken(ast.parse(script.read_text(encoding="utf-8")))) == set()


def test_scripts_are_looked_for_wherever_they_lie() -> None:
    assert {ROOT / ".ci/action/command.py", ROOT / "manifests/make_media.py", ROOT / ".ci/lowest.py"} < {*SCRIPTS}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("from hume_runner.errors import Problem", set()),
        ("from hume_runner.errors import Gone", {("hume_runner.errors", "Gone")}),
        ("from hume_runner import errors", set()),
        ("from hume_runner.gone import Problem", {("hume_runner.gone", "Problem")}),
        ("import hume_runner.gone", {("hume_runner.gone", "")}),
        ("import hume_runner.errors as said\nsaid.Problem", set()),
        ("import hume_runner.errors as said\nsaid.Gone", {("hume_runner.errors", "Gone")}),
        ("from hume_runner import errors\nerrors.Gone", {("hume_runner.errors", "Gone")}),
        ("from hume_runner import errors as said\nsaid.Gone.more", {("hume_runner.errors", "Gone")}),
        ("import hume_runner.errors\nhume_runner.errors.Gone", {("hume_runner.errors", "Gone")}),
        ("import hume_runner\nhume_runner.gone()", {("hume_runner", "gone")}),
        ("import hume_runner\nhume_runner.run().gone", set()),
        ("import other\nother.errors.Gone", set()),
    ],
)
def test_what_a_script_would_miss_is_told(text: str, missing: set[tuple[str, str]]) -> None:
    assert missing_of(names_taken(ast.parse(text))) == missing


@cache
def optional_packages() -> frozenset[str]:
    """What the extras bring beyond the core, by the names that are imported."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        return {distribution(one) for one in requirements}

    extras = project["optional-dependencies"]
    wanted = {name for extra, them in extras.items() if extra not in {"dev", "lint", "all"} for name in names(them)}
    # What comes with one of them, and what a notebook has.
    wanted |= {"markupsafe", "ipython"}
    wanted -= names(project["dependencies"])
    return frozenset(
        package
        for package, origins in packages_distributions().items()
        if any(origin.lower().replace("_", "-") in wanted for origin in origins)
    )


def distribution(requirement: str) -> str:
    end = next((at for at, sign in enumerate(requirement) if sign in "<>=~![ ;"), len(requirement))
    return requirement[:end].lower().replace("_", "-")


_PLAIN = """
version: 1
name: plain
service: {api: batch-v0}
models: {language: {}}
sources: {text: [one]}
"""

# An interpreter of its own, in which nothing is loaded yet; each start is a copy of it that has the command line.
_STARTING = """
import contextlib, json, os, sys
from hume_runner.cli.main import COMMANDS, main

starts = {"": 64, "--version": 0, **{f"{name} --help": 0 for name in COMMANDS}, "validate plain.yaml": 0}
starts |= {"plan plain.yaml --endpoint emulator": 0, "run plain.yaml --endpoint emulator --quiet": 0}
starts |= {f"{name} plain.yaml": 0 for name in ("status", "verify", "tables", "report")}
starts |= {"ctl plain.yaml status": 64}  # no run listens
os.chdir(sys.argv[1])
with open("plain.yaml", "w") as file:
    file.write(sys.argv[2])
loaded = {}
for words, due in starts.items():
    come, go = os.pipe()
    if not os.fork():
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            try:
                status = main(words.split())
            except SystemExit as left:
                status = left.code
        with open(go, "w") as file:
            json.dump([status, sorted(sys.modules)], file)
        os._exit(0)
    os.close(go)
    with open(come) as file:
        status, loaded[words] = json.load(file)
    os.wait()
    assert status == due, (words, status)
print(json.dumps(loaded))
"""
# Who imports late for another reason than what it costs.
BESIDES = {
    "hume_runner": "the public names are there for who takes nothing but one of them",
    "hume_runner.cli.entry": "somebody listens for Ctrl-C before anything that takes a while",
}


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, frozenset[str]]:
    """The modules that are there when each start ends, by its words."""
    code = [sys.executable, "-c", _STARTING, str(tmp_path_factory.mktemp("starting")), _PLAIN]
    told = json.loads(subprocess.run(code, check=True, capture_output=True, text=True).stdout)
    return {words: frozenset(modules) for words, modules in told.items()}


def test_no_import_stands_in_a_function_without_need(starts: dict[str, frozenset[str]]) -> None:
    assert "hume_runner.cli.tables" in starts["tables --help"]
    assert "hume_runner.state.reader" in starts["status plain.yaml"] - starts["validate --help"]
    assert "hume_runner.engine.run" in starts["run plain.yaml --endpoint emulator --quiet"]
    assert "hume_runner.results.figures.write" not in frozenset().union(*starts.values())
    imports = Imports(TREES)
    found = "\n".join(imports.without_need(starts.values(), optional_packages(), BESIDES.keys()))
    assert not found, found
    assert imports.idle(starts.values(), optional_packages(), BESIDES.keys()) == set()


@pytest.mark.parametrize(
    ("inside", "needed"),
    [
        ("import extra", True),
        ("import extra.part", True),
        ("from package import heavy", True),  # brings the extra
        ("from package.heavy import name", True),
        ("from package import light", False),
        ("import math", False),
        ("from package import there", False),  # is loaded at the top
        ("import package.there", False),
    ],
)
@pytest.mark.parametrize("starts", [None, "without", "with"])
def test_what_is_needed_is_told_apart(inside: str, needed: bool, starts: str | None) -> None:
    """Nobody gains by it where no start loads the module around it, or where each that does has the other as well."""
    files = {
        "package": "",
        "package.there": "",
        "package.light": "",
        "package.heavy": "import extra",
        "package.one": f"from package import there\ndef f():\n    {inside}",
    }
    imports = Imports({name: ast.parse(text) for name, text in files.items()})
    there = {what for _, _, what in imports.later} if starts == "with" else set()
    loaded = {"package.one", "package.there", *there} if starts else set()
    found = [*imports.without_need([loaded], {"extra"}, set())]
    is_new = "there" not in inside
    assert (found == []) == (is_new if starts == "without" else needed)
    assert [*imports.without_need([loaded], {"extra"}, {"package.one"})] == ([] if is_new else found)
    assert imports.idle([loaded], {"extra"}, {"package.one"}) == (set() if found else {"package.one"})


def test_two_that_need_each_other_may_import_one_another_late() -> None:
    files = {"one": "def f():\n    import two", "two": "import three", "three": "import one"}
    imports = Imports({name: ast.parse(text) for name, text in files.items()})
    assert [*imports.without_need([{"one", "two", "three"}], set(), set())] == []


def test_what_a_type_checker_reads_is_not_imported() -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\nelse:\n    import b\n"
    text += "if not TYPE_CHECKING:\n    import c\n"
    imports = Imports({"one": ast.parse(text)})
    assert imports.at_once["one"] == {"typing", "b", "c"}


def brought(node: ast.AST) -> set[str]:
    """The names that imports in it bring."""
    every = (one.names for one in ast.walk(node) if isinstance(one, ast.Import | ast.ImportFrom))
    return {name.asname or name.name for names in every for name in names}


def missed_at_run_time(tree: ast.Module) -> list[str]:
    """What is imported for type checkers alone, and used elsewhere than in an annotation. A type checker sees nothing
    amiss, and the interpreter nothing before it gets there."""

    def is_for_checkers(node: ast.AST) -> bool:
        return isinstance(node, ast.If) and ast.unparse(node.test).removeprefix("typing.") == "TYPE_CHECKING"

    names = {name for node in ast.walk(tree) if is_for_checkers(node) for name in brought(node)}

    def used(node: ast.AST, known: set[str]) -> Iterator[str]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            known = known | brought(node)
        if isinstance(node, ast.Name) and node.id in names - known:
            yield node.id
        for field, value in ast.iter_fields(node):
            if field not in ("annotation", "returns"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST) and not is_for_checkers(child):
                        yield from used(child, known)

    return [*used(tree, set())]


def test_what_is_imported_for_type_checkers_alone_is_used_in_annotations_alone() -> None:
    found = {name: missed for name, tree in TREES.items() if (missed := missed_at_run_time(tree))}
    assert found == {}


@pytest.mark.parametrize(
    ("text", "missed"),
    [
        ("def f(one: A) -> A:\n    two: A = one\n    return two", []),
        ("def f():\n    return A()", ["A"]),
        ("def f():\n    from a import A\n    return A()", []),
        ("def f(one: A = A.usual): ...", ["A"]),
        ("class B(A): ...", ["A"]),
        ("one = cast('A', 1)", []),
    ],
)
def test_a_name_that_is_not_there_when_it_is_used_is_told(text: str, missed: list[str]) -> None:
    for_checkers = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from a import A\n"
    assert missed_at_run_time(ast.parse(for_checkers + text)) == missed
