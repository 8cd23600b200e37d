"""Tests live as the package does: in folders that mirror it, and what two of them need is written once."""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "hume_runner"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def imported(tree: ast.Module) -> dict[str, str]:
    """Where the names of a file come from: two that are spelt alike need not be the same."""
    return {
        name.asname or name.name: f"{node.module}.{name.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }


def without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return body[1:]
    return body


class Plain(ast.NodeTransformer):
    """Takes away what makes a copy look like something of its own: docstrings, annotations, names of its own, and,
    where asked for, what it is about."""

    def __init__(self, origins: Mapping[str, str], *, constants: bool) -> None:
        self._names = dict(origins)
        self._constants = constants
        self._own = 0

    def _rename(self, name: str) -> str:
        self._own += 1
        return self._names.setdefault(name, f"own {self._own}")

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(self._rename(node.arg))

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if isinstance(node.ctx, ast.Store):
            self._rename(node.id)
        return ast.Name(self._names.get(node.id, node.id), node.ctx)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        if node.value is None:
            return node  # a member: its type is all that there is of it
        return self.visit(ast.Assign([node.target], node.value, lineno=0))  # type: ignore[no-any-return]

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(type(node.value).__name__) if self._constants else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.body, node.returns = without_docstring(node.body), None
        return self.generic_visit(node)


def statements(node: Function | ast.ClassDef) -> int:
    return sum(isinstance(one, ast.stmt) for part in without_docstring(node.body) for one in ast.walk(part))


def shape(node: Function | ast.ClassDef, origins: Mapping[str, str], *, constants: bool) -> str:
    """Equal for copies: of a function its arguments and body, of a test what it is given as well."""
    plain = Plain(origins, constants=constants)
    copy = ast.parse(ast.unparse(node)).body[0]
    assert isinstance(copy, Function | ast.ClassDef)
    body: list[ast.AST] = [*without_docstring(copy.body)]
    if isinstance(copy, Function):
        body.insert(0, copy.args)
    if copy.name.startswith("test_"):
        body += copy.decorator_list
    return "\n".join(ast.dump(plain.visit(one)) for one in body)


def outline(node: ast.AST) -> tuple[object, ...]:
    """What copies have in common at least, for a tenth of the work: the kinds of what it is made of."""
    if isinstance(node, Function | ast.ClassDef):
        parts: list[ast.AST] = [*without_docstring(node.body)]
        return (type(node), *map(outline, parts))
    parts = [part for part in ast.iter_child_nodes(node) if isinstance(part, ast.stmt | ast.Call)]
    return (type(node).__name__.removeprefix("Ann"), *map(outline, parts))


def suspicious(trees: Mapping[str, ast.Module]) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Helpers that have a like somewhere."""
    alike: defaultdict[object, list[tuple[str, Function | ast.ClassDef]]] = defaultdict(list)
    for file, tree in trees.items():
        for node in ast.walk(tree):
            if isinstance(node, Function | ast.ClassDef):
                alike[outline(node)].append((file, node))
    return (one for ones in alike.values() if len(ones) > 1 for one in ones)


def lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def copies(files: Mapping[str, str]) -> list[list[str]]:
    """Places of what is written more than once: of two statements or more, or of one under the same name; and from
    three on, what differs in its constants alone. Of what a module holds, three lines or more."""
    found: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    trees = {file: ast.parse(text) for file, text in files.items()}
    origins = {file: imported(tree) for file, tree in trees.items()}
    for file, node in suspicious(trees):
        place = f"{file}:{node.lineno}: {node.name}"
        size = statements(node)
        if size > 1:
            found["", shape(node, origins[file], constants=False)].append(place)
        elif node in trees[file].body:
            found[node.name, shape(node, origins[file], constants=False)].append(place)
        if size > 2 and not node.name.startswith("test_"):
            found["but for constants", shape(node, origins[file], constants=True)].append(place)
    for file, tree in trees.items():
        for held in tree.body:
            if isinstance(held, ast.Assign | ast.AnnAssign) and held.value and lines(held) > 2:
                found["held", ast.dump(held.value)].append(f"{file}:{held.lineno}")
    return [list(places) for places in dict.fromkeys(map(tuple, found.values())) if len(places) > 1]


@cache
def texts() -> Mapping[str, str]:
    return {path.relative_to(TESTS).as_posix(): path.read_text(encoding="utf-8") for path in TESTS.rglob("*.py")}


def scripts() -> Mapping[str, str]:
    root = TESTS.parent
    found = (path for folder in ("benchmarks", "docs", "manifests", ".ci") for path in (root / folder).rglob("*.py"))
    return {f"../{path.relative_to(root).as_posix()}": path.read_text(encoding="utf-8") for path in found}


@pytest.mark.sweep
def test_nothing_is_written_twice() -> None:
    """Nor in a script that is run by itself, which may import what tests have."""
    assert len(texts()) > 400
    assert len(scripts()) > 20
    assert copies({**texts(), **scripts()}) == []


ONE = "def {name}({arguments}):\n    {first}\n    return one.two(3){more}\n"
PLAIN = {"name": "one_of", "arguments": "one", "first": "one.go()", "more": ""}


@pytest.mark.parametrize(
    ("change", "copied"),
    [
        ({}, True),
        ({"name": "another"}, True),
        ({"arguments": "one: int", "first": '"""What it gives."""\n    one.go()'}, True),
        ({"arguments": "one, two"}, False),
        ({"first": "one.stop()"}, False),
        ({"more": " + 1"}, False),
        ({"name": "test_one_of"}, True),
        ({"name": "test_one_of", "arguments": "three"}, False),
    ],
)
def test_a_copy_is_told_by_what_it_does(change: dict[str, str], copied: bool) -> None:
    assert bool(copies({"a": ONE.format(**PLAIN), "b": ONE.format(**(PLAIN | change))})) is copied


@pytest.mark.parametrize(
    ("first", "second", "copied"),
    [
        ("def one(): go()", "def one(): go()", True),
        ("def one(): go()", "def another(): go()", False),
        ("def one(a):\n go(a)\n go(1)", "def two(b):\n go(b)\n go(1)", True),
        ("def one():\n go(1)\n go(2)", "def two():\n go(1)\n go(3)", False),
        ("def one():\n go(1)\n go(2)\n go(3)", "def two():\n go(1)\n go(2)\n go('x')", False),
        ("def one():\n go(1)\n go(2)\n go(3)", "def two():\n go(1)\n go(2)\n go(4)", True),
        ("from a import go\ndef one():\n go()\n go()", "from b import go\ndef one():\n go()\n go()", False),
        ("class One:\n a: int\n b: int", "class Two:\n a: int\n b: int", True),
        ("class One:\n a: int\n b: int", "class Two:\n a: int\n b: str", False),
        ("ONE = {\n 1: 2,\n}", "TWO: dict[int, int] = {1:\n 2\n}", True),
        ('ONE = """a\nb\nc"""', 'TWO = """a\nb\nc"""', True),
        ('ONE = """a\nb\nc"""', 'TWO = """a\nb\nd"""', False),
        ("ONE = [1, 2]", "ONE = [1, 2]", False),
        ("@mark(1)\ndef test_one():\n go()\n go()", "@mark(2)\ndef test_one():\n go()\n go()", False),
    ],
)
def test_small_helpers_are_told_apart(first: str, second: str, copied: bool) -> None:
    assert bool(copies({"a": first, "b": second})) is copied


# -- where they stand --------------------------------------------------------------------------------------------------

# What has no folder of its own in the package: whole runs, named for what they show.
BEHAVIOURS = {"durability", "expression"}
MODULES = {
    path.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__") for path in PACKAGE.rglob("*.py")
}


# More files than anybody reads through to find one.
_MANY = 12


def told_of(folder: Path) -> str:
    return ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""


def test_a_folder_says_what_is_in_it() -> None:
    folders = [path.parent for path in PACKAGE.rglob("__init__.py") if path.parent != PACKAGE]
    assert [folder.name for folder in folders if not told_of(folder)] == []
    # Folders of one API, of measurers and of commands: their files are named after what every such folder has.
    alike = {*PACKAGE.glob("services/*/"), *PACKAGE.glob("services/local/*/"), *PACKAGE.glob("emulator/*/")}
    named = {folder: re.findall(r"\b\w+\.py\b", told_of(folder)) for folder in folders}
    files = {folder: {path.name for path in (*folder.glob("*.py"), *folder.parent.glob("*.py"))} for folder in folders}
    assert {folder.name: wrong for folder, names in named.items() if (wrong := {*names} - files[folder])} == {}
    large = [folder for folder in folders if len([*folder.glob("*.py")]) > _MANY and folder not in alike]
    assert [folder.name for folder in large if len(named[folder]) < 3] == []


def modules_in(text: str) -> set[str]:
    """Modules of the package that a file imports, as paths; what is imported from one may be one."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{name.name}" for name in node.names)]
    return {
        module.removeprefix("hume_runner.").replace(".", "/") for module in found if module.startswith("hume_runner.")
    } & MODULES


def misplaced(files: Mapping[str, str], modules: Iterable[str]) -> dict[str, str]:
    """Tests that are named for a module and about it, and stand neither where it does nor in a folder around it.

    A behaviour may have the name of a module that has its test in its own place.
    """
    by_name: defaultdict[str, set[str]] = defaultdict(set)
    for module in modules:
        by_name[module.rpartition("/")[2]].add(module.rpartition("/")[0])
    found = {}
    for file, text in files.items():
        folder, _, name = file.removesuffix(".py").rpartition("/")
        subject = name.removeprefix("test_")
        places = by_name.get(subject, set()) if name != subject else set()
        if not places or any(place == folder or f"{place}/".startswith(f"{folder}/") for place in places):
            continue
        for module in modules_in(text) & {f"{place}/{subject}".removeprefix("/") for place in places}:
            due = "/".join([*module.split("/")[:-1], f"{name}.py"])
            if due not in files:
                found[file] = due
    return found


def test_folders_of_tests_mirror_those_of_the_package() -> None:
    folders = {file.rpartition("/")[0] for file in texts() if file.rpartition("/")[2].startswith("test_")} - {""}
    assert {folder for folder in folders if not (PACKAGE / folder).is_dir()} == BEHAVIOURS


def test_a_test_that_is_named_for_a_module_stands_where_the_module_does() -> None:
    assert misplaced(texts(), MODULES) == {}


@pytest.mark.parametrize(
    ("file", "due"),
    [
        ("http/test_retry.py", None),
        ("state/test_retry.py", "http/test_retry.py"),
        ("test_retry.py", "http/test_retry.py"),
        ("http/test_patience.py", None),
        ("http/retry.py", None),
    ],
)
def test_what_is_misplaced_is_told_with_its_place(file: str, due: str | None) -> None:
    for text in (
        "from hume_runner.http.retry import RetryPolicy",
        "from hume_runner.http import retry",
        "import hume_runner.http.retry",
        "import hume_runner.http.retry as trying",
    ):
        found = misplaced({file: text}, ["http/retry", "state/lock"])
        assert found == ({file: due} if due else {}), text
    assert misplaced({file: "from hume_runner.state import lock"}, ["http/retry", "state/lock"]) == {}


# -- whether they are run ----------------------------------------------------------------------------------------------


def never_run(file: str, text: str) -> list[str]:
    """Tests where none is looked for: in a module that is not named for it, in a class that is not, or in a function.

    Of a class that is not named for it the tests run where it is handed on, as those of `unittest` are.
    """

    def inside(node: ast.AST, looked_into: bool) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, Function):
                if child.name.startswith("test_") and not looked_into:
                    yield child.name
                yield from inside(child, False)
            elif isinstance(child, ast.ClassDef):
                yield from inside(child, looked_into and child.name.startswith("Test"))
            elif isinstance(child, ast.stmt):
                yield from inside(child, looked_into)

    return [*inside(ast.parse(text), file.rpartition("/")[2].startswith("test_"))]


def test_every_test_stands_where_it_is_collected() -> None:
    found = {file: never_run(file, text) for file, text in texts().items() if "def test_" in text}
    assert len(found) > 300
    assert {file: names for file, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("file", "text", "found"),
    [
        ("state/test_lock.py", "def test_it(): go()", False),
        ("state/test_lock.py", "class TestLock:\n def test_it(self): go()", False),
        ("state/test_lock.py", "if linux:\n def test_it(): go()", False),
        ("state/test_lock.py", "def tested(): go()", False),
        ("state/locks.py", "def test_it(): go()", True),
        ("state/locks.py", "class TestLock:\n def test_it(self): go()", True),
        ("state/lock_test.py", "async def test_it(): go()", True),
        ("state/test_lock.py", "class LockTests:\n def test_it(self): go()", True),
        ("state/test_lock.py", "def made():\n def test_it(): go()", True),
    ],
)
def test_a_test_that_is_never_run_is_told(file: str, text: str, found: bool) -> None:
    assert never_run(file, text) == (["test_it"] if found else [])


# -- what they put in the place of ours --------------------------------------------------------------------------------

# (file, what of ours a test replaces): what nobody can hand in, and why.
BROKEN_ON_PURPOSE = {"durability/mutants.py"}  # so that it is seen that tests see it
REPLACED = {
    # Of a store that does not answer: commands but `run` wait for it with the patience that they have.
    ("cli/test_remote_sources.py", "hume_runner.stores.opening.Patience"),
}
# To take all files apart takes seconds.
MAY_REPLACE = re.compile(r"setattr|patch|^ *(?!self\.)\w+\.[\w.]+ = ", re.MULTILINE)


def replacing(text: str) -> Iterator[str]:
    """What a file has tests put something in the place of, by its whole name: `patch.setattr(thing, "name", …)`, a
    dotted name in its stead, `mock.patch`, and a plain assignment to what is imported."""
    tree = ast.parse(text)
    origins: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            origins |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
        elif isinstance(node, ast.Import):
            origins |= {name.asname: name.name for name in node.names if name.asname}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr=called) | ast.Name(id=called), args=[first, *more]):
                on_thing = called == "setattr" or ast.unparse(node.func).endswith("patch.object")
                if called in ("setattr", "patch") and isinstance(first, ast.Constant):
                    yield str(first.value)
                elif on_thing and more and isinstance(more[0], ast.Constant):
                    yield f"{whole(first, origins)}.{more[0].value}"
            case ast.Assign(targets=[ast.Attribute() as target]) if ast.unparse(target).partition(".")[0] in origins:
                yield whole(target, origins)


def whole(node: ast.expr, origins: Mapping[str, str]) -> str:
    first, dot, rest = ast.unparse(node).partition(".")
    return f"{origins.get(first, first)}{dot}{rest}"


def is_ours(name: str) -> bool:
    """Whether a function, a class or a property of the package has this name; a number or a table of it has none."""
    parts = name.split(".")
    if parts[0] != PACKAGE.name:
        return False
    for end in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:end]))
        except ImportError:
            continue
        for part in parts[end:]:
            found = inspect.getattr_static(found, part, None)
        kind = found.__func__ if isinstance(found, classmethod | staticmethod) else found
        if isinstance(kind, property | cached_property):
            return True
        return callable(kind) and str(getattr(kind, "__module__", "")).partition(".")[0] == PACKAGE.name
    return False


def test_no_function_of_ours_is_replaced() -> None:
    """It is handed in, or what it asks of the outside is replaced: a disk, a store, a clock."""
    found = {
        (file, name)
        for file, text in texts().items()
        if file not in BROKEN_ON_PURPOSE and MAY_REPLACE.search(text)
        for name in replacing(text)
        if is_ours(name)
    }
    assert found == REPLACED


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ('patch.setattr("hume_runner.stores.opening.open_store", quick)', True),
        ('from hume_runner.stores import opening\nmonkeypatch.setattr(opening, "open_store", quick)', True),
        ('import hume_runner.stores.opening as o\nmonkeypatch.setattr(o, "open_store", quick)', True),
        ('from hume_runner.state.store import Store\nmonkeypatch.setattr(Store, "record_accepted", fails)', True),
        ('from hume_runner.state.store import Store\nmonkeypatch.setattr(Store, "tells_each", True)', True),
        ('from hume_runner.state.store import Store\nsetattr(Store, "apart", fails)', True),
        ("from hume_runner.state.store import Store\nStore.job = fails", True),
        ("from hume_runner.stores import opening\nopening.Patience = quick", True),
        ('with mock.patch("hume_runner.stores.opening.Stores"): go()', True),
        ('from hume_runner.state.store import Store\nwith mock.patch.object(Store, "job"): go()', True),
        ('from hume_runner.state.remote import keeper\nmonkeypatch.setattr(keeper, "_MANY_ENTRIES", 0)', False),
        ('from hume_runner.services.local import ready\nmonkeypatch.setattr(ready, "find_spec", no)', False),
        ('import os\nmonkeypatch.setattr(os, "open", no)', False),
        ('monkeypatch.setattr("tempfile.tempdir", "x")', False),
        ("store.job = one", False),
    ],
)
def test_what_is_replaced_is_told_apart(text: str, ours: bool) -> None:
    assert any(map(is_ours, replacing(text))) is ours
