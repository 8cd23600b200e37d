"""A measurer of another package, as it is taken in.

Others' code is asked of itself in our process, and measures in processes of its own. Whatever it says is looked at when
it says it, before anything is measured: what cannot be is refused in a line that names the package. What it prints goes
where words for people go, since standard output carries the result alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast, get_args

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from hume_runner.errors import HumeRunnerError, NotRegular, UsageError, in_a_line
from hume_runner.guests import of_a_signal, others_code
from hume_runner.regular_files import open_regular
from hume_runner.services.local.measurers.base import Card, Fault, Reads, Session, WeightFile
from hume_runner.services.local.measurers.table_check import OWN_TABLES, layout_fault, stems
from hume_runner.services.local.model_files import File
from hume_runner.services.table_shapes import Layout, is_word

_LONGEST_NAME = 100
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Unfit(UsageError):
    """What a measurer of another package says of itself cannot be."""


class Offered:
    """What a package offers under a name: a `Measurer` that answers as one has to, or raises Unfit."""

    def __init__(self, name: str, package: str, load: Callable[[], Any], *, taken: Iterable[Layout]) -> None:
        """`load` gives what is offered; `taken` are tables that there are without it. Raises: Unfit."""
        self.model, self._package = name, package
        if not is_word(name):
            raise self._unfit("its name is no word, as `faces2`: small letters, digits and underscores, at most 64")
        with self._asked("it cannot be loaded"):
            theirs: Any = load()
        with self._asked("it is no measurer"):
            reads, layouts, modules = theirs.reads, tuple(theirs.layouts), tuple(theirs.modules)
            self._opens, self._cards = theirs.open, theirs.card
            self._theirs = theirs
        if reads not in get_args(Reads):
            raise self._unfit(f"it reads {reads!r}, and there is {', '.join(get_args(Reads))}")
        if not all(isinstance(module, str) and module.replace(".", "_").isidentifier() for module in modules):
            raise self._unfit(f"the modules that it needs are no names of modules: {modules!r}")
        self.reads: Reads = reads
        self.modules: tuple[str, ...] = modules
        self.layouts = self._tables(layouts, taken)
        self._seen: Card | None = None

    def _tables(self, layouts: tuple[object, ...], taken: Iterable[Layout]) -> tuple[Layout, ...]:
        used = set(OWN_TABLES).union(*map(stems, taken))
        for layout in layouts:
            if (fault := layout_fault(layout)) is not None:
                raise self._unfit(fault)
            mine = stems(cast(Layout, layout))
            if used & mine:
                raise self._unfit(f"its table {min(used & mine)} would take the name of one that there is already")
            used |= mine
        return cast("tuple[Layout, ...]", layouts)

    @property
    def schema(self) -> Mapping[str, Any]:
        """See `Measurer`. Raises: Unfit."""
        with self._asked("it says no schema of its options"):
            told = self._theirs.schema
            plain: Any = json.loads(json.dumps(dict(told), allow_nan=False))
        properties = plain.get("properties", {})
        if not isinstance(properties, dict) or not all(isinstance(rule, dict) for rule in properties.values()):
            raise self._unfit("the schema of its options says no `properties`, each an object")
        return cast("Mapping[str, Any]", plain)

    def judged_schema(self) -> dict[str, Any]:
        """`schema`, which is a JSON Schema that stands by itself. Raises: Unfit."""
        told = dict(self.schema)
        try:
            Draft202012Validator.check_schema(told, format_checker=Draft202012Validator.FORMAT_CHECKER)
        except SchemaError as error:
            raise self._unfit(f"the schema of its options is none: {error.message}") from error
        if told.get("type") != "object":
            raise self._unfit("the schema of its options is none of an object")
        if _refers(told):
            raise self._unfit("the schema of its options refers to another ($ref), and is to stand by itself")
        return told

    def card(self, options: Mapping[str, Any]) -> Card:
        """See `Measurer`. Raises: Unfit."""
        with self._asked("it says no card"):
            card = self._cards(options)
        if type(card) is Card and card == self._seen:
            return card
        if (fault := _card_fault(card)) is not None:
            raise self._unfit(fault)
        with self._asked("it says no card"):
            if card != self._cards(options):
                raise ValueError("it says another one each time, so that nobody can tell who measured")
        self._seen = card
        return cast(Card, card)

    def fault(self, options: Mapping[str, Any]) -> Fault | None:
        """See `Measurer`. Raises: Unfit."""
        told = self._more("fault", options)
        words = (told.option, told.message, told.hint) if isinstance(told, Fault) else (None,)
        if told is not None and not all(isinstance(one, str) for one in words):
            raise self._unfit("what it says of options that cannot be is no Fault")
        return cast("Fault | None", told)

    def caution(self, options: Mapping[str, Any]) -> str | None:
        """See `Measurer`. Raises: Unfit."""
        told = self._more("caution", options)
        if not (told is None or isinstance(told, str)):
            raise self._unfit("what it says for a caution is no text")
        return told

    def _more(self, what: str, options: Mapping[str, Any]) -> object:
        with self._asked(f"its {what} cannot be asked"):
            tell = getattr(self._theirs, what, None)  # it need not have it
            return None if tell is None else tell(options)

    def open(self, options: Mapping[str, Any], files: Mapping[str, Path]) -> Session:
        """See `Measurer`: in a process that measures, where it may do what it likes."""
        return cast(Session, self._opens(options, files))

    @contextmanager
    def _asked(self, otherwise: str) -> Iterator[None]:
        """Whatever it raises meanwhile is its own fault, in our words. Raises: Unfit."""
        with others_code():
            try:
                yield
            except HumeRunnerError:
                raise
            except BaseException as error:
                if of_a_signal(error):
                    raise
                raise self._unfit(f"{otherwise}: {in_a_line(error)}") from error

    def _unfit(self, why: str) -> Unfit:
        return Unfit(
            f"the measurer {self.model!r} of the package {self._package} cannot be used: {why}",
            hint=f"update or uninstall {self._package}, or tell its authors",
        )


def _refers(rule: object) -> bool:
    if isinstance(rule, dict):
        return any(name in ("$ref", "$dynamicRef") or _refers(inner) for name, inner in rule.items())
    return isinstance(rule, list) and any(map(_refers, rule))


def _card_fault(card: Any) -> str | None:
    if type(card) is not Card:
        return f"its card is a {type(card).__name__}"
    for what in ("name", "version", "licence", "trained_on", "scale", "limits", "source"):
        said = getattr(card, what)
        if not isinstance(said, str) or said.encode("utf-8", "replace").decode() != said:
            return f"the {what} on its card is no text"
    for what in ("name", "version"):
        said = getattr(card, what)
        if not (0 < len(said) <= _LONGEST_NAME and said.isprintable()) or "@" in said or "#" in said:
            return f"the {what} on its card has to be printable, at most {_LONGEST_NAME} letters without @ and #"
    if not all(isinstance(one, str) for one in _listed(card.labels)):
        return "the labels on its card are no texts"
    return next((fault for file in _listed(card.files) if (fault := _file_fault(file)) is not None), None)


def _file_fault(file: object) -> str | None:
    if not isinstance(file, WeightFile):
        return "the files on its card are none"
    name, sha256, lies = cast("tuple[Any, Any, Any]", (file.name, file.sha256, file.lies))
    if not isinstance(name, str) or not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        return "a file on its card has no name, or no SHA-256"
    if lies is not None:
        return _place_fault(name, lies)
    try:
        File(name=name, size_bytes=None, sha256=sha256)
    except ValueError as error:
        return f"a file on its card is none: {error}"
    return None


def _place_fault(name: str, lies: object) -> str | None:
    """One that is not there is told where it is looked for, as any other that is missing."""
    if not isinstance(lies, Path):
        return f"where {name} lies is no path"
    try:
        open_regular(lies).close()
    except (NotRegular, IsADirectoryError) as error:
        return f"where {name} lies is {error.strerror if isinstance(error, NotRegular) else 'a folder'}: {lies}"
    except ValueError as error:  # of a name that no file can have
        return f"where {name} lies is no path: {error}"
    except OSError:
        pass
    return None


def _listed(told: Any) -> tuple[object, ...]:
    return tuple(told) if isinstance(told, tuple | list) else (None,)
