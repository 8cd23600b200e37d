"""`--select`: a small language that says which items are meant, as `label.wave == 2 and kind != "text"`.

It is read by Python's own parser and walked over a list of what is allowed: names of an item, literals, comparisons,
`and`, `or`, `not`. Nothing is called, nothing is looked up but the item. (simpleeval evaluates more than this has to,
and tells neither columns nor which labels an expression speaks of.)
"""

from __future__ import annotations

import ast
import operator
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from difflib import get_close_matches
from typing import Any

from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Scalar

KINDS = ("url", "file", "text")
_FIELDS = ("id", "kind")
_HINT = "compare id, kind or label.NAME with ==, !=, <, <=, >, >=, in, not in; join with and, or, not and parentheses"
_MOST_CHARACTERS = 10_000
_MOST_DEPTH = 100  # Python's parser takes more than its compiler-free walk should follow

# What an expression is worth for (id, kind, labels).
_Value = Callable[[str, str, Mapping[str, Scalar]], Any]
_ORDER: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


@frozen
class Expression:
    """A parsed expression. `labels`: the columns (from 1) at which it speaks of them."""

    text: str
    labels: Mapping[str, int]
    _holds: _Value = field(repr=False, compare=False)

    def holds(self, id: str, kind: str, labels: Mapping[str, Scalar]) -> bool:
        """Whether an item is meant."""
        return bool(self._holds(id, kind, labels))

    def check_labels(self, known: Iterable[str]) -> None:
        """Raises: UsageError for a label that no source of the manifest has."""
        names = sorted(set(known))
        forms = {_form(one) for one in names}
        for name, column in self.labels.items():
            if _form(name) not in forms:
                close = get_close_matches(name, names, n=3, cutoff=0.5)
                hint = (
                    f"did you mean {' or '.join(f'label.{one}' for one in close)}?"
                    if close
                    else f"the sources have: {', '.join(names[:10])}"
                    if names
                    else "labels stand at a source (`labels: {wave: 2}`), or are the other columns of a list"
                )
                raise UsageError(_at(column, f"no source has a label {name!r}"), hint=hint)


def parse(text: str) -> Expression:
    """Raises: UsageError with the column."""
    if len(text) > _MOST_CHARACTERS:
        raise UsageError(f"--select: longer than {_MOST_CHARACTERS:,} characters", hint=_HINT)
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        what = "nothing to compare" if not text.strip() else (error.msg or "not understood")
        raise UsageError(_at(error.offset or 1, what), hint=_HINT) from None
    except (ValueError, RecursionError, MemoryError):
        raise UsageError("--select: not understood", hint=_HINT) from None
    reader = _Reader(text.strip())
    return Expression(text=text.strip(), _holds=reader.value(tree.body, 0), labels=reader.labels)


def _at(column: int, what: str) -> str:
    return f"--select, column {column}: {what}"


class _Reader:
    """Turns the parser's tree into functions of an item."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.labels: dict[str, int] = {}

    def _column(self, node: ast.expr) -> int:
        # The parser counts bytes.
        lines = self._text.splitlines() or [""]
        before = sum(len(line) + 1 for line in lines[: node.lineno - 1])
        here = lines[node.lineno - 1].encode()[: node.col_offset].decode("utf-8", "replace")
        return before + len(here) + 1

    def _refuse(self, node: ast.expr, what: str, hint: str = _HINT) -> UsageError:
        return UsageError(_at(self._column(node), what), hint=hint)

    def value(self, node: ast.expr, depth: int) -> _Value:
        if depth > _MOST_DEPTH:
            raise self._refuse(node, "nested too deeply")
        match node:
            case ast.BoolOp(op=op, values=values):
                parts = [self.value(one, depth + 1) for one in values]
                join = all if isinstance(op, ast.And) else any
                return lambda *item: join(part(*item) for part in parts)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                inner = self.value(operand, depth + 1)
                return lambda id, kind, labels: not inner(id, kind, labels)
            case ast.Compare():
                return self._comparison(node, depth)
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return self._name(node)
            case _:
                return self._literal(node)

    def _comparison(self, node: ast.Compare, depth: int) -> _Value:
        self._check_kinds(node)
        values = [self.value(one, depth + 1) for one in (node.left, *node.comparators)]
        steps = [self._step(op, left, right) for op, left, right in zip(node.ops, values[:-1], values[1:], strict=True)]
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, (ast.Is, ast.IsNot)):
                raise self._refuse(node, "`is` is not known here", "write == or !=")
            if isinstance(op, (ast.In, ast.NotIn)) and isinstance(right, ast.Constant) and type(right.value) is not str:
                raise self._refuse(right, "`in` wants several values", "write them as (1, 2)")
        return lambda *item: all(step(*item) for step in steps)

    def _step(self, op: ast.cmpop, left: _Value, right: _Value) -> _Value:
        match op:
            case ast.Eq():
                return lambda *item: _same(left(*item), right(*item))
            case ast.NotEq():
                return lambda *item: not _same(left(*item), right(*item))
            case ast.In():
                return lambda *item: _among(left(*item), right(*item))
            case ast.NotIn():
                return lambda *item: not _among(left(*item), right(*item))
        compare: Callable[[Any, Any], bool] = _ORDER.get(type(op), operator.eq)

        def ordered(*item: Any) -> bool:
            a, b = _alike(left(*item), right(*item))
            if None in (a, b) or isinstance(a, str) != isinstance(b, str) or tuple in (type(a), type(b)):
                return False  # what is not there, or of another kind, is neither less nor more
            return compare(a, b)

        return ordered

    def _name(self, node: ast.Name | ast.Attribute | ast.Subscript) -> _Value:
        match node:
            case ast.Name(id="id"):
                return lambda id, kind, labels: _composed(id)
            case ast.Name(id="kind"):
                return lambda id, kind, labels: kind
            case ast.Attribute(value=ast.Name(id="label"), attr=name):
                return self._label(node, name)
            case ast.Subscript(value=ast.Name(id="label"), slice=ast.Constant(value=str() as name)):
                return self._label(node, name)
            case ast.Name(id="label"):
                raise self._refuse(node, "which label?", "write label.NAME, or label['a name with blanks']")
            case ast.Name(id=name):
                close = get_close_matches(name, (*_FIELDS, "label"), n=1)
                hint = (
                    f"did you mean {close[0]}?" if close else f"put a text in quotes: '{name}'; a label is label.{name}"
                )
                raise self._refuse(node, f"nothing is called {name!r}", hint)
            case _:
                raise self._refuse(node, "not known here")

    def _label(self, node: ast.expr, name: str) -> _Value:
        self.labels.setdefault(name, self._column(node))
        form = _form(name)

        def found(id: str, kind: str, labels: Mapping[str, Scalar]) -> Any:
            if name in labels:
                return _composed(labels[name])
            # Python's parser gives names in one form only (NFKC), and a list may have them in any.
            spelt = (one for one in labels if not one.isascii() and _form(one) == form)
            return _composed(labels.get(next(spelt, name)))

        return found

    def _literal(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(value=bool() | int() | float() | str() | None as literal):
                value = _composed(literal)
                return lambda *item: value
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)) if (
                number is not True
            ):
                return lambda *item: -number
            case ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements):
                literals = tuple(self._literal(one)("", "", {}) for one in elements)
                return lambda *item: literals
            case _:
                raise self._refuse(node, "not known here")

    def _check_kinds(self, node: ast.Compare) -> None:
        """`kind == 'video'` would never hold."""
        operands = (node.left, *node.comparators)
        if not any(isinstance(one, ast.Name) and one.id == "kind" for one in operands):
            return
        for one in operands:
            literals = one.elts if isinstance(one, (ast.Tuple, ast.List, ast.Set)) else [one]
            for literal in literals:
                if isinstance(literal, ast.Constant) and literal.value not in KINDS:
                    raise self._refuse(literal, f"no source is of the kind {literal.value!r}", "kinds: url, file, text")


def _alike(a: Any, b: Any) -> tuple[Any, Any]:
    """A text that spells a number, beside a number, is that number: columns of a list are text where one cell is."""
    for this, other in ((a, b), (b, a)):
        if isinstance(this, str) and isinstance(other, (int, float)) and not isinstance(other, bool):
            number = _number(this)
            if number is None:
                break
            return (number, b) if this is a else (a, number)
    return a, b


def _number(text: str) -> int | float | None:
    """What a text spells. A whole number stays one: identifiers may have more digits than a float."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None


def _composed(value: Any) -> Any:
    """A text in the form that keyboards give: names of files may come decomposed (macOS), and look the same."""
    return unicodedata.normalize("NFC", value) if isinstance(value, str) and not value.isascii() else value


def _form(name: str) -> str:
    return unicodedata.normalize("NFKC", name)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, bool) != isinstance(b, bool):
        return False  # to Python, true is 1
    a, b = _alike(a, b)
    return bool(a == b)


def _among(a: Any, b: Any) -> bool:
    if isinstance(b, tuple):
        return any(_same(a, one) for one in b)
    return isinstance(a, str) and isinstance(b, str) and a in b
