"""Where words go: stdout carries the result, stderr what a person wants to see meanwhile."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from hume_runner.cli.signals import Mailbox
from hume_runner.cli.streams import SafeStream

if TYPE_CHECKING:
    from hume_runner.settings import Masker

SCHEMA = 1
_COMMAND = r"(hume-runner (?:run|plan|status|verify|tables|report|adopt|state \w+|models pull --manifest)) "


class Console:
    """The two streams, how much to say on them, and the signals that come back.

    Nothing here ever raises because of a stream: see `streams`. `json` turns stdout into JSON Lines only. `masker`
    keeps what is secret out of both streams.
    """

    def __init__(self, *, out: TextIO | None, err: TextIO | None, answers: TextIO | None = None) -> None:
        self.json = False
        self.quiet = False
        self.verbose = 0
        self.progress = True
        self.masker: Masker | None = None
        self._advice: tuple[re.Pattern[str], str] | None = None
        self.mailbox = Mailbox()
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

    def _broke(self, stream: SafeStream) -> None:
        """A stream failed: the command is told as if by a signal. A full disk behind stderr costs only the words."""
        if stream is self.out or stream.reader_is_gone:
            self.mailbox.reader_gone()

    def speaks_of(self, manifest: str, flags: Sequence[str]) -> None:
        """What is advised from now on is about this manifest, and with the flags that say where its things are."""
        pattern = re.compile(rf"{_COMMAND}(?:MANIFEST|{re.escape(manifest)})(?![\w.…/])")
        self._advice = pattern, shlex.join([manifest, *flags])

    def _advised(self, text: str) -> str:
        """`text` with every command that it names as it can be typed."""
        if self._advice is None or "hume-runner" not in text:
            return text
        pattern, words = self._advice
        return pattern.sub(lambda found: f"{found[1]} {words}", text)

    def result(self, text: str) -> None:
        """A line of the command's result, for stdout."""
        self.out.write(text + "\n")
        if self.out.isatty():
            self.out.flush()

    def document(self, value: Mapping[str, Any]) -> None:
        """One JSON object on one line of stdout, with the schema number first."""
        self.out.write(json.dumps({"schema": SCHEMA, **value}, ensure_ascii=False) + "\n")
        self.out.flush()

    def note(self, text: str) -> None:
        """A line for the person who watches; nothing depends on it."""
        if not self.quiet:
            self._say(text)

    def detail(self, text: str) -> None:
        """A line for `-v`."""
        if self.verbose:
            self._say(text)

    def error(self, text: str) -> None:
        self._say(text)

    def _say(self, text: str) -> None:
        from hume_runner.settings import mask_secrets  # a moment's work that `--version` does without

        # In the order in which it was said, where both streams go to one place.
        self.out.flush()
        self.err.write(mask_secrets(self._advised(text)) + "\n")
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
