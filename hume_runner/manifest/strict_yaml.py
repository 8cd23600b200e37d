"""YAML text -> Document, with the parts of YAML that surprise people left out.

Works on the parser's events with a stack of its own: neither deep nesting nor aliases of aliases can exhaust anything,
and every key and value keeps its place. Refused with a place: more than one document, duplicate keys, tags, merge keys,
aliases that explode, words that YAML 1.1 and 1.2 read differently, keys that are not text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from hume_runner.errors import Problem
from hume_runner.manifest.document import Document, Node, path_text
from hume_runner.manifest.misread import misread
from hume_runner.manifest.scalars import Unclear, resolve
from hume_runner.manifest.shown import in_quotes, may_be_secret, quoted

MOST_BYTES = 5_000_000
MOST_VALUES = 300_000
DEEPEST = 50

# Half of a surrogate pair: no text that is UTF-8 has it, and no escape of YAML stands for it.
_JUNK = "\ud800"
TOO_DEEP = (f"is nested more than {DEEPEST} levels deep", "no member needs that depth")
USE_A_LIST = "move the sources to a list file: {from: sources.csv}"
TOO_LARGE = (f"is larger than {MOST_BYTES // 10**6} MB", USE_A_LIST)
# Line breaks that YAML 1.1 counts and editors do not would make every later line number wrong.
_UNUSUAL = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def parse(data: bytes, file: str) -> Document:
    """The document in `data`; whatever is wrong with it is in `problems`."""
    text, problem = _decode(data, file)
    if problem:
        return Document(file=file, root=None, problems=[problem])
    return _Builder(file, text).build()


def _decode(data: bytes, file: str) -> tuple[str, Problem | None]:
    def refuse(message: str, hint: str, before: str | None = None) -> tuple[str, Problem]:
        line, column = (None, None) if before is None else end_of(before)
        return "", Problem(file=file, line=line, column=column, path="", message=message, hint=hint)

    if len(data) > MOST_BYTES:
        return refuse(*TOO_LARGE)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return refuse("is UTF-16 text", "save it as UTF-8", "")
    if b"\0" in data:
        before = data[: data.index(b"\0")].decode("utf-8", "replace")
        return refuse("is a binary file, not YAML", "name the manifest, not a medium", before)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        return refuse("is not UTF-8 text", "save it as UTF-8", data[: error.start].decode("utf-8", "replace"))
    odd = _UNUSUAL.search(text)
    if odd:
        name = f"U+{ord(odd.group()):04X}"
        return refuse(f"has the control character {name}", f'remove it, or write "\\u{name[2:]}"', text[: odd.start()])
    return text, None


# `key: words: more words`, perhaps as an entry of a list.
_TWO_COLONS = re.compile(r"\s*(?:- +)?(?P<key>[A-Za-z_]\w*): +(?P<text>[^\s\"'\[{#&*!|>%@`][^#]*: [^#]*?)\s*(?: #.*)?")


def _unquoted(line: str) -> str:
    """The next step for a line whose text has a ': ' and no quotes; empty where it is another trouble."""
    found = _TWO_COLONS.fullmatch(line)
    if found is None or len(found["text"]) > 60 or may_be_secret(found["key"]):
        return ""
    return f"put the text in quotes: {found['key']}: {in_quotes(found['text'])}"


def end_of(text: str) -> tuple[int, int]:
    """Line and column just after `text`, from 1."""
    lines = re.split(r"\r\n|\r|\n", text)
    return len(lines), len(lines[-1]) + 1


@dataclass(slots=True)
class _Frame:
    """A mapping or list under construction. `key` is the key that waits for its value."""

    node: Node
    anchor: str | None
    started_at: int
    key: str | None = None

    @property
    def step(self) -> str | int:
        return len(self.node.value) if isinstance(self.node.value, list) else self.key or ""


class _Fatal(Exception):
    """Nothing after this point can be understood."""


class _Builder:
    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.problems: list[Problem] = []
        self.stack: list[_Frame] = []
        self.root: Node | None = None
        self.anchors: dict[str, tuple[Node, int]] = {}
        self.values = 0  # aliases count as often as they stand for something
        self.end = end_of(text)
        self.junk = 0  # placeholders for keys that are not text

    def build(self) -> Document:
        documents = 0
        try:
            for event in self._events():
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._fatal(event.start_mark, "a second document starts here", "keep one manifest in one file")
                else:
                    self._take(event)
            if self.root is None or self.root.value is None:
                self._fatal(None, "is empty", "hume-runner init FOLDER writes a manifest to start from")
        except _Fatal:
            return Document(file=self.file, root=None, problems=self.problems)
        return Document(file=self.file, root=self.root, problems=self.problems)

    def _events(self) -> Iterator[Any]:
        try:
            yield from yaml.parse(self.text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message, hint = self._syntax(error, mark)
            self._fatal(mark, message, hint)
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            self._fatal(None, f"is not YAML: {type(error).__name__}", "check it with a YAML linter")

    def _syntax(self, error: yaml.MarkedYAMLError, mark: Any) -> tuple[str, str]:
        """What a syntax error means for a person, and what usually cures it."""
        lines = re.split(r"\r\n|\r|\n", self.text)
        line = lines[mark.line] if mark and mark.line < len(lines) else ""
        said = " ".join(filter(None, (error.context, error.problem)))
        if "nesting depth" in said:  # the parser has a bound of its own since PyYAML 6.0.4, and may meet it first
            return TOO_DEEP
        if "\t" in line[: len(line) - len(line.lstrip())] or line[mark.column : mark.column + 1] == "\t":
            return "a tab cannot indent YAML", "indent with spaces"
        if "mapping values are not allowed" in said:
            return "a second ':' where none can stand", _unquoted(line) or (
                "put text that contains ': ' in quotes, or check the indentation"
            )
        if (meant := misread(line, mark.column, said)) is not None:
            return meant
        if "alias" in said:
            return f"is not valid YAML: {said}", "put text that starts with '*' or '&' in quotes"
        return f"is not valid YAML: {said}", "check indentation, quotes and brackets here and on the line before"

    def _take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._open(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                frame = self.stack.pop()
                self._anchor(frame.anchor, frame.node, self.values - frame.started_at)
                self._put(frame.node, event)
            case yaml.AliasEvent():
                self._alias(event)
            case _:
                pass  # starts and ends of stream and document carry nothing

    def _node(self, value: Any, event: Any) -> Node:
        self._count(1, event)
        return Node(value, event.start_mark.line + 1, event.start_mark.column + 1)

    def _count(self, values: int, event: Any) -> None:
        self.values += values
        if self.values > MOST_VALUES:
            if isinstance(event, yaml.AliasEvent):
                self._fatal(event.start_mark, "aliases of aliases grow beyond all bounds", "write the values out")
            self._fatal(event.start_mark, f"has more than {MOST_VALUES:,} values", USE_A_LIST)

    def _open(self, event: Any) -> None:
        self._tag(event)
        node = self._node({} if isinstance(event, yaml.MappingStartEvent) else [], event)
        if len(self.stack) >= DEEPEST:
            self._fatal(event.start_mark, *TOO_DEEP)
        self.stack.append(_Frame(node, event.anchor, self.values - 1))

    def _scalar(self, event: Any) -> None:
        self._tag(event)
        if self._key_expected():
            self._key(event)
            return
        value: Any = event.value
        # implicit[0]: written without quotes and without a tag, so that the word itself decides.
        if event.implicit[0]:
            value = resolve(event.value)
            if isinstance(value, Unclear):
                self._unclear(event, value)
                value = event.value
        node = self._node(value, event)
        self._anchor(event.anchor, node, 1)
        self._put(node, event)

    def _key(self, event: Any) -> None:
        frame = self.stack[-1]
        members: dict[str, Node] = frame.node.value
        spot = (event.start_mark.line + 1, event.start_mark.column + 1)
        key = event.value
        value = resolve(key) if event.implicit[0] else key
        if key == "<<" and event.implicit[0]:
            self._report(event.start_mark, "merge keys (<<) are not supported", "write the members out")
            key = self._placeholder()
        elif not isinstance(value, str):
            kind = "a key must be text" if not isinstance(value, Unclear) else "YAML versions read this key differently"
            self._report(event.start_mark, f"{kind}: {quoted(key)}", f'put it in quotes: "{_short(key)}"')
        if key in members:
            first = frame.node.keys[key]
            name = path_text((*self._path(), key))
            message = f"stands twice; first on line {first[0]}"
            self._report(event.start_mark, message, "keep one of the two", path=name)
            key = self._placeholder()
        frame.key = key
        frame.node.keys[key] = spot

    def _placeholder(self) -> str:
        """A key for a value that is read on and then left out."""
        self.junk += 1
        return f"{_JUNK}{self.junk}"

    def _put(self, node: Node, event: Any) -> None:
        if not self.stack:
            self.root = node
            return
        frame = self.stack[-1]
        if isinstance(frame.node.value, list):
            frame.node.value.append(node)
        elif frame.key is None:
            self._report(event.start_mark, "a key must be text, not a mapping, a list or an alias", "write it in words")
            frame.key = self._placeholder()
        else:
            if frame.key.startswith(_JUNK):
                frame.node.keys.pop(frame.key, None)
            else:
                frame.node.value[frame.key] = node
            frame.key = None

    def _alias(self, event: Any) -> None:
        known = self.anchors.get(event.anchor)
        if known is None:
            name = quoted("*" + event.anchor)
            self._fatal(event.start_mark, f"{name} names no anchor before it", "text that starts with '*' needs quotes")
        node, size = known
        self._count(size, event)
        self._put(node, event)

    def _anchor(self, name: str | None, node: Node, size: int) -> None:
        if name is not None:
            self.anchors[name] = (node, size)

    def _tag(self, event: Any) -> None:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            hint = "remove it; manifests need no tags"
            text = isinstance(event, yaml.ScalarEvent) and not tag.startswith("!!")
            if text and not may_be_secret(path_text(self._path())):
                meant = in_quotes(_short(f"{tag} {event.value}".strip()))
                hint += f"; text that starts with '!' stands in quotes: {meant}"
            self._report(event.start_mark, f"the tag {quoted(tag)} is not allowed", hint)

    def _unclear(self, event: Any, unclear: Unclear) -> None:
        path = path_text(self._path())
        word = "this value" if may_be_secret(path) else quoted(event.value)
        if not unclear.quotable:
            self._report(event.start_mark, f"{word} is {unclear.reads}", "write a finite number")
            return
        message = f"{word} without quotes means {unclear.reads} in YAML 1.1 and something else in YAML 1.2"
        quotes = "put it in quotes" if may_be_secret(path) else f'put it in quotes: "{_short(event.value)}"'
        if path == "transcription.language":
            quotes += " is Norwegian"
        elif unclear.reads in ("true", "false"):
            quotes += f", or write {unclear.reads}"
        self._report(event.start_mark, message, quotes)

    def _key_expected(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].node.value, dict) and self.stack[-1].key is None

    def _path(self) -> tuple[str | int, ...]:
        """Where the parser stands, as far as keys are known."""
        steps = (frame.step for frame in self.stack)
        return tuple(step for step in steps if isinstance(step, int) or (step and step[0] != _JUNK))

    def _report(self, mark: Any, message: str, hint: str, *, path: str | None = None) -> None:
        if path is None:
            path = path_text(self._path())
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        # The parser places what is missing at the end on a line that may not exist.
        line, column = min((line, column), self.end)
        self.problems.append(Problem(file=self.file, line=line, column=column, path=path, message=message, hint=hint))

    def _fatal(self, mark: Any, message: str, hint: str) -> NoReturn:
        self._report(mark, message, hint, path="")
        raise _Fatal


def _short(text: str) -> str:
    return text if len(text) <= 30 and text.isprintable() else "…"
