"""Tests that could not fail: what is looked for here let faults through."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("test_*.py"))
Function = ast.FunctionDef | ast.AsyncFunctionDef
Block = Iterable[ast.stmt]
# What fails by itself where something is otherwise: pytest's, subprocess's, jsonschema's and schemathesis'.
_CHECKING = set("raises warns fail check_call validate validate_response call_and_validate assert_outcomes".split())
# They take as many as they are given first, and these as many as there are in each.
_AS_MANY, _OF_EACH = {"enumerate", "sorted", "reversed", "pairwise"}, {"zip", "product"}
# No message is this: a pattern that finds something in it finds something in every text.
_NO_TEXT = "\x00"


def functions_of(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    """Tests, at the top, in classes, and under a condition."""
    for node in parts(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node
        elif not isinstance(node, Function):
            yield from functions_of(node)


def parts(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements right below one."""
    return (part for block in blocks(node) for part in block)


def blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for name in ("body", "orelse", "finalbody"):
        yield getattr(node, name, [])
    for name in ("handlers", "cases"):
        yield from (one.body for one in getattr(node, name, []))


def below(node: ast.AST) -> list[ast.stmt]:
    found = [*parts(node)]
    for one in found:  # which grows meanwhile
        found += parts(one)
    return found


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def generates(decorator: ast.expr) -> bool:
    """Whether a test is run with many inputs, so that what it meets now and then it meets."""
    return isinstance(decorator, ast.Call) and ast.unparse(decorator.func) in ("given", "hypothesis.given")


class Helpers:
    """Which functions of the tests surely check something: by their own names, and by those that others import."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._known: dict[tuple[str, str], bool] = {}
        self.file = cache(self._file)

    def _file(self, module: str) -> File | None:
        return File(module, ast.parse(self._texts[module]), self) if module in self._texts else None

    def check(self, module: str, name: str) -> bool:
        """Whether what goes by this name in a module checks; who calls itself does not do so by that."""
        key = (module, name)
        if key not in self._known:
            self._known[key] = False
            file = self.file(module)
            self._known[key] = file is not None and file.defines_a_check(name)
        return self._known[key]


class File:
    """What stands in one file, and whether its tests surely come to a check."""

    def __init__(self, module: str, tree: ast.Module, helpers: Helpers) -> None:
        self.module, self.tree, self._helpers = module, tree, helpers
        self._functions: dict[str, Function] = {}
        self._origins: dict[str, tuple[str, str]] = {}
        self._constants: dict[str, ast.expr] = {}
        self._others: set[str] = set()
        for node in below(tree):
            if isinstance(node, Function):
                self._functions[node.name] = node
            elif isinstance(node, ast.ImportFrom):
                self._origins |= {one.asname or one.name: (node.module or "", one.name) for one in node.names}
            elif isinstance(node, ast.Import):
                self._others |= {one.asname or one.name for one in node.names}
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                self._constants |= {_last_name(target): node.value for target in targets}

    def defines_a_check(self, name: str) -> bool:
        if name in self._functions:
            return self.surely(self._functions[name].body)
        if name in self._origins:
            return self._helpers.check(*self._origins[name])
        # A member of what is imported.
        places = {module for origin in self._origins.values() for module in (origin[0], ".".join(origin))}
        return any(file.defines(name) and self._helpers.check(file.module, name) for file in self._files(places))

    def _files(self, modules: Iterable[str]) -> Iterator[File]:
        return (file for file in map(self._helpers.file, modules) if file is not None)

    def defines(self, name: str) -> bool:
        return name in self._functions

    def may_look_away(self, test: ast.FunctionDef) -> bool:
        """Whether it may end without a check. One with generated inputs may do so for some of them."""
        if any(map(generates, test.decorator_list)):
            return not any(
                isinstance(one, ast.Assert) or (isinstance(one, ast.Call) and self._is_check(one))
                for one in ast.walk(test)
            )
        return not self.surely(test.body)

    def surely(self, block: Block) -> bool:
        """Whether a check is reached whatever happens."""
        for one in block:
            if self._is_surely_one(one):
                return True
            if self._leaves(one, (ast.Return, ast.Continue, ast.Break)):
                return False
        return False

    def _leaves(self, node: ast.stmt, how: tuple[type[ast.stmt], ...]) -> bool:
        """Whether the block that this stands in may end here, unchecked."""
        if isinstance(node, how):
            return True
        if isinstance(node, Function | ast.ClassDef):
            return False
        if isinstance(node, ast.For | ast.While):
            how = (ast.Return,)  # the others end the inner loop alone
        for block in blocks(node):
            for one in block:
                if self._is_surely_one(one):
                    break
                if self._leaves(one, how):
                    return True
        return False

    def _is_surely_one(self, node: ast.stmt) -> bool:
        def every(blocks: Iterable[Block]) -> bool:
            return all(self.surely(block) or _fails(block) for block in blocks)

        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() | ast.While():
                return False  # nobody may call it, and it may be over at once
            case ast.Assert(test=test):
                return not isinstance(test, ast.Constant) and not self._holds_of_nothing(test)
            case ast.With(items=items, body=body) | ast.AsyncWith(items=items, body=body):
                entered = [item.context_expr for item in items]
                if any(map(self._evaluated, entered)):
                    return True
                hidden = any(isinstance(one, ast.Call) and _last_name(one.func) == "suppress" for one in entered)
                return not hidden and self.surely(body)
            case ast.If(test=test, body=body, orelse=orelse):
                return self._evaluated(test) or _fails(body) or _fails(orelse) or every([body, orelse])
            case ast.For(iter=iterated, body=body) | ast.AsyncFor(iter=iterated, body=body):
                return self._evaluated(iterated) or (self._surely_taken(iterated) and every([body]))
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=last):
                tried = self.surely(body) or self.surely(orelse)
                return (tried and every(one.body for one in handlers)) or self.surely(last)
            case ast.Match(subject=subject, cases=cases):
                rest = cases[-1].pattern
                whole = isinstance(rest, ast.MatchAs) and rest.pattern is None and cases[-1].guard is None
                return self._evaluated(subject) or (whole and every(one.body for one in cases))
            case ast.Raise():
                return True
            case _:
                return self._evaluated(node)

    def _evaluated(self, node: ast.AST) -> bool:
        """Whether an expression surely calls what checks."""
        match node:
            case ast.Lambda():
                return False
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return self._evaluated(test) or (self._evaluated(body) and self._evaluated(orelse))
            case ast.BoolOp(values=[first, *_]):
                return self._evaluated(first)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
                taken = all(self._surely_taken(one.iter) and not one.ifs for one in node.generators)
                made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
                return self._evaluated(node.generators[0].iter) or (taken and any(map(self._evaluated, made)))
            case ast.Call() if self._is_check(node):
                return True
            case _:
                return any(map(self._evaluated, ast.iter_child_nodes(node)))

    def _is_check(self, call: ast.Call) -> bool:
        name = _last_name(call.func)
        holder = call.func.value if isinstance(call.func, ast.Attribute) else None
        if isinstance(holder, ast.Name) and (holder.id, name) == ("hume_runner", "validate"):
            return False  # it says what it finds
        checked = (one.value for one in call.keywords if one.arg == "check")  # as of `subprocess.run`
        if name in _CHECKING or any(isinstance(one, ast.Constant) and one.value is True for one in checked):
            return True
        ours = not (isinstance(holder, ast.Name) and holder.id in self._others)
        return ours and name != "" and self._helpers.check(self.module, name)

    def _surely_taken(self, iterated: ast.expr) -> bool:
        """Whether there is something in it: it is written out, a constant, or made of constants."""
        match iterated:
            case ast.Tuple(elts=them) | ast.List(elts=them) | ast.Set(elts=them):
                return any(not isinstance(one, ast.Starred) or self._surely_taken(one.value) for one in them)
            case ast.Dict(keys=them):
                return bool(them)
            case ast.Constant(value=value):
                return bool(value)
            case ast.BinOp(left=left, right=right):
                return self._surely_taken(left) or self._surely_taken(right)
            case ast.Call(func=ast.Name(id="range"), args=[_, *_] as bounds):
                values = [one.value for one in bounds if isinstance(one, ast.Constant)]
                if len(values) == len(bounds):
                    return bool(range(*values))
                return all(isinstance(one, ast.Constant) or self._surely_taken(one) for one in bounds)
            case ast.Call(func=function, args=args):
                name = _last_name(function)
                wanted = args if name in _OF_EACH else args[:1] if name in _AS_MANY else []
                return bool(wanted) and all(map(self._surely_taken, wanted))
            case ast.Name(id=name) if name in self._constants:
                value = self._constants[name]
                literal = isinstance(value, ast.Tuple | ast.List | ast.Set | ast.Dict | ast.Constant)
                return name.isupper() and (not literal or self._surely_taken(value))
            case _:
                return _last_name(iterated).isupper()

    def _holds_of_nothing(self, test: ast.expr) -> bool:
        """`all(…)`, or `not any(…)`, of something that may be empty."""
        word = "all"
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            word, test = "any", test.operand
        match test:
            case ast.Call(func=ast.Name(id=name), args=[ast.GeneratorExp() | ast.ListComp() as given]):
                return name == word and not self._surely_taken(given.generators[0].iter)
        return False


def _fails(block: Block) -> bool:
    """Whether to come here is to fail."""
    return any(
        isinstance(one, ast.Raise)
        or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Call) and _last_name(one.value.func) == "fail")
        for one in block
    )


def catches_anything(node: ast.AST) -> bool:
    """`pytest.raises(Exception)` is content with a spelling mistake; so is one of several, and any text."""
    if not isinstance(node, ast.Call) or _last_name(node.func) not in ("raises", "warns"):
        return False
    said = {one.arg: one.value for one in node.keywords}
    match said.get("match"):
        case ast.Constant(value=str(pattern)) if re.search(pattern, _NO_TEXT, re.DOTALL):
            return True
    return not said and any(_last_name(one) in ("Exception", "BaseException") for one in _kinds(node.args[:1]))


def _kinds(them: list[ast.expr]) -> Iterator[ast.expr]:
    for one in them:
        yield from _kinds(one.elts) if isinstance(one, ast.Tuple) else [one]


# Most files are content with one search.
_ANY = re.compile(r"Exception\b|\bmatch=\w?[\"'](?![\w ]{3})")


def problems_of(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Tests that may look away, and calls that catch anything, by their modules."""
    helpers = Helpers(texts)
    found = {}
    for module, text in texts.items():
        file = helpers.file(module)
        if file is not None and module.rpartition(".")[2].startswith("test_"):
            calls = ast.walk(file.tree) if _ANY.search(text) else ()
            found[module] = [test.name for test in functions_of(file.tree) if file.may_look_away(test)]
            found[module] += [ast.unparse(node) for node in calls if catches_anything(node)]
    return {module: problems for module, problems in found.items() if problems}


@pytest.mark.sweep
def test_no_test_looks_away() -> None:
    assert len(FILES) > 300
    assert (
        problems_of(
            {
                ".".join(path.relative_to(TESTS.parent).with_suffix("").parts): path.read_text(encoding="utf-8")
                for path in TESTS.rglob("*.py")
            }
        )
        == {}
    )


def test_every_file_of_tests_has_the_name_that_is_looked_for() -> None:
    assert FILES
    assert [path for path in TESTS.rglob("*_test.py") if path not in FILES] == []


@pytest.mark.parametrize(
    ("call", "caught"),
    [
        ("pytest.raises(Exception)", True),
        ("raises(\n        BaseException)", True),
        ("pytest.raises((Exception,))", True),
        ("pytest.raises((ValueError, (KeyError, Exception)))", True),
        ("pytest.raises(Exception, match='.')", True),
        ("pytest.raises(ValueError, match='.')", True),
        ("pytest.raises(ValueError, match=r'.*')", True),
        ("pytest.warns(UserWarning, match='')", True),
        ("pytest.raises(Exception, match='odd')", False),
        ("pytest.raises(ValueError, match='a.*')", False),
        ("pytest.raises(ValueError)", False),
        ("pytest.raises((ValueError, KeyError))", False),
    ],
)
def test_the_guard_tells_what_catches_anything(call: str, caught: bool) -> None:
    text = f"class TestIt:\n  def test_it():\n    with {call}:\n        odd()\n"
    assert bool(problems_of({"test_it": text})) is caught


HELPERS = """
def checked(row):
    assert row

def refused(row):
    if not row:
        raise ValueError

def by_way_of_another(row):
    return checked(row)

def check_nothing(row):
    return row

def check_now_and_then(row):
    if row:
        assert row

class Project:
    def run(self):
        checked(self)

    def look(self):
        return self
"""


@pytest.mark.parametrize(
    ("body", "looks_away"),
    [
        ("rows()", True),
        ("assert rows()", False),
        ("assert True", True),
        ("if rows():\n        assert rows()", True),
        ("if rows():\n        assert one\n    else:\n        assert two", False),
        ("if rows():\n        pytest.fail('rows')", False),
        ("for row in rows():\n        assert row", True),
        ("for row in rows():\n        assert row\n    assert rows()", False),
        ("for row in (1, 2):\n        assert row", False),
        ("for row in ():\n        assert row", True),
        ("for row in range(0):\n        assert row", True),
        ("for row in range(0, 9, 2):\n        assert row", False),
        ("for number, row in enumerate(rows()):\n        assert row", True),
        ("for number, row in enumerate(ROWS, 0):\n        assert row", False),
        ("for row in ROWS:\n        assert row", False),
        ("for row in NONE:\n        assert row", True),
        ("for row in ROWS:\n        pass\n    for row in rows():\n        assert row", True),
        ("for row in ROWS:\n        if row:\n            continue\n        assert row", True),
        ("if rows():\n        for row in ROWS:\n            assert row", True),
        ("with rows() as them:\n        for row in them:\n            assert row", True),
        ("with rows() as them:\n        assert them", False),
        ("with suppress(ValueError):\n        go()\n        assert one", True),
        ("with pytest.raises(ValueError):\n        rows()", False),
        ("while rows():\n        assert one", True),
        ("def check(row):\n        assert row\n    rows(check)", True),
        ("def check(row):\n        assert row\n    check(rows())", False),
        ("rows(lambda row: checked(row))", True),
        ("rows() and checked(row)", True),
        ("[checked(row) for row in rows()]", True),
        ("[checked(row) for row in ROWS]", False),
        ("assert all(row.good for row in rows())", True),
        ("assert not any(row.bad for row in rows())", True),
        ("assert all(row.good for row in ROWS)", False),
        ("assert any(row.good for row in rows())", False),
        ("try:\n        assert rows()\n    except AssertionError:\n        pass", True),
        ("try:\n        rows()\n    except ValueError as error:\n        assert error", True),
        (
            "try:\n        rows()\n        raise AssertionError\n    except ValueError as error:\n        assert error",
            False,
        ),
        ("try:\n        assert rows()\n    finally:\n        go()", False),
        ("if rows():\n        return\n    assert one", True),
        ("if rows():\n        assert rows()\n        return\n    assert one", False),
        ("match rows():\n        case 1:\n            assert one", True),
        ("match rows():\n        case 1:\n            assert one\n        case _:\n            assert two", False),
        ("checked(rows())", False),
        ("refused(rows())", False),
        ("by_way_of_another(rows())", False),
        ("there.checked(rows())", False),
        ("check_nothing(rows())", True),
        ("check_now_and_then(rows())", True),
        ("validate_nothing(rows())", True),
        ("Project().run()", False),
        ("Project().look()", True),
        ("jsonschema.validate(rows())", False),
        ("hume_runner.validate(rows())", True),
        ("subprocess.run(rows(), check=True)", False),
        ("subprocess.run(rows(), check=False)", True),
    ],
)
def test_the_guard_tells_them_apart(body: str, looks_away: bool) -> None:
    imports = "import subprocess\nfrom tests import there\nfrom tests.there import Project, by_way_of_another\n"
    imports += "from tests.there import check_nothing, check_now_and_then, checked, refused\nNONE = ()\n"
    text = f"{imports}def test_it():\n    {body}\n"
    assert bool(problems_of({"tests.test_it": text, "tests.there": HELPERS})) is looks_away


@pytest.mark.parametrize(
    ("decorators", "body", "looks_away"),
    [
        ("@given(st.text())", "if rows():\n        assert rows()", False),
        ("@hypothesis.given(st.text())", "for row in rows():\n        assert row", False),
        ("@settings(deadline=None)\n@given(st.text())", "if rows():\n        assert rows()", False),
        ("@given(st.text())", "rows()", True),
        ("@pytest.mark.parametrize('given', [1])", "if rows():\n        assert rows()", True),
        ("@pytest.mark.usefixtures('given')", "for row in rows():\n        assert row", True),
        ("@not_given(1)", "for row in rows():\n        assert row", True),
    ],
)
def test_what_is_generated_may_look_away_now_and_then(decorators: str, body: str, looks_away: bool) -> None:
    assert bool(problems_of({"test_it": f"{decorators}\ndef test_it():\n    {body}\n"})) is looks_away


@pytest.mark.parametrize("around", ["class TestIt:", "if linux:", "if linux:\n  pass\n else:"])
def test_a_test_is_found_wherever_it_is_collected(around: str) -> None:
    text = f"{around}\n  def test_it():\n   rows()\n".replace("\n else", "\nelse")
    assert problems_of({"test_it": text}) == {"test_it": ["test_it"]}
