"""Where words go: stdout carries the result, stderr what a person wants to see meanwhile."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from hume_runner._version import __version__
from hume_runner.cli.signals import Mailbox
from hume_runner.cli.signs import fitted, in_ascii, moves_cursor, only_ascii
from hume_runner.cli.streams import SafeStream, Writer

if TYPE_CHECKING:
    from hume_runner.cli.drawing import Drawing
    from hume_runner.cli.lines import Line
    from hume_runner.cli.log_file import LogFile
    from hume_runner.events import Event
    from hume_runner.settings import Masker

SCHEMA = 1
_MOST_ERRORS = 100
# What of an event may name commands; the rest is data.
_WORDS = frozenset({"message", "hint", "next", "error"})
_COMMAND = (
    r"(hume-runner (?:run|plan|validate|status|verify|tables|report|compare|adopt|migrate|ctl|state \w+|"
    r"models pull --manifest)) "
)


class Console:
    """The two streams, how much to say on them, and the signals that come back.

    Nothing here ever raises because of a stream: see `streams`. `json` turns stdout into JSON Lines only, from `begin`
    to `end`. `masker` keeps what is secret out of both streams. `manifest` is the path of the one that is spoken of,
    `counts` and `ending` what the last line tells.
    """

    def __init__(self, *, out: TextIO | None, err: TextIO | None, answers: TextIO | None = None) -> None:
        self.json = False
        self.quiet = False
        self.verbose = 0
        self.progress = True
        self.masker: Masker | None = None
        self.manifest: str | None = None
        self.environ: Mapping[str, str] = {}
        self.traceparent: str | None = None
        self.log: LogFile | None = None
        # Whether the manifest keeps its state elsewhere than in its output directory.
        self.state_is_apart = False
        self.counts: Mapping[str, int] = {}
        self.ending: Mapping[str, str | None] = {}
        self._errors: list[dict[str, Any]] = []
        self._begun = False
        self._begun_with: str | None = None
        self._advice: tuple[re.Pattern[str], list[str], list[str], list[str]] | None = None
        self.mailbox = Mailbox()
        self._drawing: Drawing | None = None
        self._answers = answers
        self.out = self._stream(out)
        self.err = self._stream(err)

    @classmethod
    def standard(cls) -> Console:
        return cls(out=sys.stdout, err=sys.stderr, answers=sys.stdin)

    def _stream(self, stream: TextIO | None) -> SafeStream:
        return SafeStream(
            stream,
            on_broken=self._broke,
            gives_up=lambda: self.mailbox.signalled is not None,
            mask=self._mask,
        )

    def _mask(self, text: str) -> str:
        # The manifest that is run now brings its own.
        return text if self.masker is None else self.masker.keys(text)

    def masked(self, text: str) -> str:
        """`text` for a file: without secrets, and without the queries of URLs; commands as they can be typed."""
        from hume_runner.settings import mask_secrets

        return mask_secrets(self._mask(self.advised(text)))

    def _broke(self, stream: SafeStream) -> None:
        """A stream failed: the command is told as if by a signal. A full disk behind stderr costs only the words."""
        if stream.reader_is_gone:
            self.mailbox.reader_gone()
        elif stream is self.out:
            self.mailbox.output_lost()

    def speaks_of(self, manifest: str, flags: Sequence[str], of_runs: Sequence[str] = ()) -> None:
        """What is advised from now on is about this manifest, and with the flags that say where its things are;
        `of_runs`: those that say which of its items are meant, for the commands that take them."""
        self.state_is_apart = False
        pattern = re.compile(rf"{_COMMAND}(?:MANIFEST|{re.escape(manifest)})(?![\w.…/])(?P<rest>[^`\n]*)")
        self._advice = pattern, [manifest], [*flags], [*of_runs]

    def advised(self, text: str) -> str:
        """`text` with every command that it names as it can be typed. What a command says itself counts."""
        if self._advice is None or "hume-runner" not in text:
            return text
        pattern, manifest, flags, of_runs = self._advice

        def typed(found: re.Match[str]) -> str:
            more = flags + of_runs if found[1].endswith((" run", " plan")) else flags
            own = found["rest"].split()
            if found[1].endswith(" merge") and "--shard" in flags:
                # A merge is into the whole, which has a state of its own: in a store it is above the shard's.
                elsewhere = "--state" in flags and "://" in flags[flags.index("--state") + 1]
                own += ["--shard"] if elsewhere else ["--shard", "--state"]
            pairs = list(zip(more[::2], more[1::2], strict=True))
            words = [word for flag, value in pairs if flag not in own for word in (flag, value)]
            if "--output-dir" in own and "--state" not in own and (self.state_is_apart or "--state" in flags):
                # Another place is one with a state of its own.
                place = own[own.index("--output-dir") + 1]
                words = [word for pair in pairs if pair[0] not in (*own, "--state") for word in pair]
                words += ["--state", f"{place}/state.sqlite3"]
            return f"{found[1]} {shlex.join([*manifest, *words])}{found['rest']}"

        return pattern.sub(typed, text)

    def result(self, text: str) -> None:
        """A line of the command's result, for stdout."""
        text = self.advised(text)
        self.record("result", text)
        if self.out.isatty():
            self._over_echo(self.out)
        self.write(text + "\n")
        if self.out.isatty():
            self.out.flush()

    def write(self, text: str, /) -> int:
        """A piece of the result for people: like `out.write`, with signs that the terminal has."""
        return self.out.write(self.for_people(text, self.out))

    def writelines(self, lines: Iterable[str], /) -> None:
        for line in lines:
            self.write(line)

    # -- what a terminal shows

    def for_people(self, text: str, stream: SafeStream) -> str:
        """`text` with signs that whoever reads the stream has, and on a terminal as broad as that is."""
        text = in_ascii(text) if self.shows_ascii(stream) else text
        return fitted(text, stream.columns) if stream.isatty() else text

    def shows_ascii(self, stream: SafeStream) -> bool:
        return only_ascii(self.environ, stream.encoding, terminal=stream.isatty())

    def can_draw(self, stream: SafeStream) -> bool:
        """Whether lines can be drawn over."""
        return stream.isatty() and moves_cursor(self.environ)

    def draw(self, lines: Callable[[int], Sequence[str]], stream: SafeStream) -> None:
        """Draw what `lines` gives for a width, below whatever is said, until `stop_drawing`."""
        from hume_runner.cli.drawing import Drawing

        self._drawing = Drawing(stream, lines)
        self._drawing.start()

    def stop_drawing(self) -> None:
        if self._drawing is not None:
            drawing, self._drawing = self._drawing, None
            drawing.stop()

    def _over_echo(self, stream: SafeStream) -> None:
        """What a terminal echoes of a Ctrl-C stands at the beginning of the line: every line of ours is longer."""
        if self.mailbox.signals:
            stream.draw("\r")

    # -- what a machine reads

    def begin(self, command: str, /, *, manifests: Sequence[str], places: Sequence[str] | None = None) -> None:
        """A command begins, and was given this: the first line of `--json`."""
        self.record("begin", f"hume-runner {__version__}: {command}")
        if self.json and not self._begun:
            from hume_runner.cli.lines import ABSENT, Launch

            self._begun, self._begun_with = True, self.manifest
            given = ABSENT if places is None else places
            self.event(Launch(command=command, version=__version__, manifests=manifests, places=given))

    def end(self, exit_code: int) -> None:
        """The last line of `--json`: where it is missing, the command broke off."""
        self.record("end", f"exit code {exit_code}")
        if not self._begun:
            return
        from hume_runner.cli.lines import ABSENT, Done

        self.event(
            Done(
                manifest=self._begun_with,
                exit_code=exit_code,
                counts=dict(self.counts),
                path=self.ending.get("path", ABSENT),
                errors=self._errors or ABSENT,
            )
        )
        self._begun = False

    def event(self, told: Line | Event) -> None:
        """One line of `--json`: an object with the members that every line has first."""
        self.out.write(self._line(told) + "\n")
        self.out.flush()

    @contextmanager
    def streamed_event(self, told: Line) -> Iterator[Writer]:
        """A line that is too long to be held: the block writes the rest of its members, each as `, "name": value`."""
        self.out.write(self._line(told)[:-1])
        whole = ""
        try:
            yield self.out
            whole = "}"
        finally:  # what broke off ends its line: `done` comes on one of its own
            self.out.write(f"{whole}\n")
            self.out.flush()

    def _line(self, told: Line | Event) -> str:
        from hume_runner.cli.lines import named

        name, members = named(told)
        trace = {"traceparent": self.traceparent} if self.traceparent else {}
        first = {"schema": SCHEMA, "event": name, "at": _now(), "manifest": self.manifest, **trace}
        return json.dumps(self._typed({**first, **members}), ensure_ascii=False)

    def _typed(self, members: Mapping[str, Any]) -> dict[str, Any]:
        """The same with the commands that it names as they can be typed."""
        return {
            name: self.advised(value) if name in _WORDS and isinstance(value, str) else value
            for name, value in members.items()
        }

    def failed(self, error: Mapping[str, Any]) -> None:
        """What `done` tells of an error that was said."""
        if len(self._errors) < _MOST_ERRORS:
            told = self._typed({"manifest": self.manifest, **error})
            if "problems" in told:
                told["problems"] = [self._typed(problem) for problem in told["problems"]]
            self._errors.append(told)

    # -- what a person reads

    def note(self, text: str) -> None:
        """A line for the person who watches; nothing depends on it."""
        self._heard("note", text, said=not self.quiet)

    def detail(self, text: str) -> None:
        """A line for `-v`."""
        self._heard("detail", text, said=bool(self.verbose))

    def request(self, text: str) -> None:
        """A line for `-vv`: a request and its answer. From any thread."""
        self._heard("request", text, said=self.verbose > 1)

    def error(self, text: str) -> None:
        self._heard("error", text, said=True)

    def warning(self, text: str) -> None:
        """What is worth knowing and ends nothing; programs are told as well."""
        self.error(text)
        if self._begun:
            from hume_runner.events import Warned

            self.event(Warned(message=self.masked(text)))

    def record(self, level: str, text: str) -> None:
        """A line for the log file alone."""
        if self.log is not None:
            self.log.write(level, text)

    def _heard(self, level: str, text: str, *, said: bool) -> None:
        self.record(level, text)
        if said:
            self._say(text)

    def _say(self, text: str) -> None:
        from hume_runner.settings import mask_secrets  # a moment's work that `--version` does without

        at = f"{datetime.now().astimezone():%H:%M:%S} " if self.verbose else ""
        # In the order in which it was said, where both streams go to one place.
        self.out.flush()
        line = self.for_people(f"{at}{mask_secrets(self.advised(text))}", self.err)
        if (drawing := self._drawing) is not None:
            drawing.above(line)
            return
        if self.err.isatty():
            self._over_echo(self.err)
        self.err.write(f"{line}\n")
        self.err.flush()

    def ask(self, question: str) -> bool | None:
        """What the person at the terminal says to a question that `yes` answers; None where nobody can be asked."""
        if self._answers is None or not self._answers.isatty() or not self.err.isatty():
            return None
        self.out.flush()
        self.err.write(f"{question} [y/N] ")
        self.err.flush()
        return self._answers.readline().strip().lower() in ("y", "yes")

    def close(self) -> None:
        """Hand on what is left; tell on stderr if the result got lost. Call it once, at the very end."""
        self.out.flush()
        lost = self.out.broken
        if lost is not None and not self.out.reader_is_gone:
            self.error(f"standard output cannot be written: {lost.strerror or lost}")
            self.error("next: send it to another place, and run the same command again")
        self.err.flush()
        if self.log is not None:
            broken = self.log.broken
            self.log.close()
            if broken is not None:
                self.log = None
                self.error(f"the log could not be written to its end: {broken.strerror or broken}")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
