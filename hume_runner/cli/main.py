"""Parse, call, and turn an exception into text and an exit code. The only place that catches everything."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

from hume_runner._version import __version__
from hume_runner.cli import entry
from hume_runner.cli.console import Console
from hume_runner.cli.signals import Interrupted, delivered_to, interrupted_before
from hume_runner.guests import GUESTS, of_guest

if TYPE_CHECKING:
    from hume_runner.api import Machine

# Name as typed -> one line for the overview. Each command is the module of that name in this package, imported only
# when it is asked for, with configure(parser) and run(args, console) -> exit code.
COMMANDS = {
    "run": "validate, plan, submit, poll, fetch and write outputs; resumes by itself",
    "validate": "report every problem of a manifest at once",
    "plan": "show what a run would do, and why; sends nothing that costs",
    "status": "show where a manifest stands, from its state file alone",
    "verify": "compare outputs with the hashes in the state",
    "tables": "rebuild the tables from raw answers, without network",
    "report": "rebuild the HTML report from raw answers, without network",
    "compare": "show two results of the same sources side by side, without network",
    "adopt": "bring jobs that were started elsewhere under this state",
    "init": "write a commented manifest from a folder, a list of URLs or a text file",
    "migrate": "turn a batch-v0 manifest into one for expression-v1 or local",
    "emulate": "serve a local stand-in for the measurement APIs",
    "schema": "print the manifest's JSON Schema",
    "ctl": "talk to a run that goes on: pause it, slow it down, have it end in good order",
    "state": "export, merge, pull or push the state, or release a lock whose owner is dead",
    "models": "list, download and check the models that measure on this machine",
    "completion": "print a script that completes commands, flags and manifests in a shell",
    "doctor": "check the environment: versions, key, clock, disk, endpoint, extras",
}


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [
        "usage: hume-runner [COMMAND] MANIFEST… [OPTIONS]",
        "",
        "Measures expression in the media that a YAML manifest lists. `hume-runner MANIFEST` means `run MANIFEST`.",
        "",
        "commands:",
        *(f"  {name:<{width}}  {summary}" for name, summary in COMMANDS.items()),
        "",
        "`hume-runner COMMAND --help` lists a command's options; `hume-runner --version` prints the version.",
    ]
    return "\n".join(lines)


_UNREAD = re.compile(r"\binvalid (\w+) value: ")


class _Shown(SystemExit):
    """argparse's way to end after --help and --version. Any other SystemExit is somebody else's."""


class _Parser(argparse.ArgumentParser):
    """argparse exits with 2 on bad usage, and prints by itself; 2 means something else here, and streams may fail."""

    def __init__(self, console: Console, meant: Mapping[str, str], **how: str) -> None:
        """`meant`: words that look like none of the command's, and which of them they mean."""
        super().__init__(**how)  # type: ignore[arg-type]
        self._console = console
        self._other_words = meant

    def error(self, message: str) -> None:  # type: ignore[override]
        from hume_runner.errors import UsageError

        # argparse names the function that reads a value. What ours cannot read and do not say why is no number.
        message = _UNREAD.sub(lambda found: "no whole number: " if found[1] == "int" else "no number: ", message)
        raise UsageError(f"{self.prog}: {message}", hint=self._meant(message) or f"{self.prog} --help")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        if message:
            self._print_message(message)
        raise _Shown(status)

    def _meant(self, message: str) -> str:
        """The flag or the word that somebody meant, where one is like it."""
        from difflib import get_close_matches

        flags = [name for action in self._actions for name in action.option_strings]
        unknown = message.removeprefix("unrecognized arguments: ")
        for word in unknown.split() if unknown != message else ():
            name, sign, value = word.partition("=")
            if name.startswith("-") and (close := get_close_matches(name, flags, n=1)):
                return f"did you mean {close[0]}{sign}{value}?"
        if "invalid choice: '" in message:
            word = message.partition("invalid choice: '")[2].partition("'")[0]
            choices = [str(one) for action in self._actions for one in action.choices or ()]
            if word in self._other_words:
                return f"did you mean {self._other_words[word]}?"
            if close := get_close_matches(word, choices, n=1):
                return f"did you mean {close[0]}?"
        return ""

    def _print_message(self, message: str, file: object = None) -> None:
        del file
        self._console.write(message)


def common_flags(parser: argparse.ArgumentParser) -> None:
    """The flags that every command takes."""
    group = parser.add_argument_group("common")
    group.add_argument(
        "--state",
        metavar="FILE",
        help="state file, or s3://bucket/name (default: state.sqlite3 in the output directory)",
    )
    group.add_argument(
        "--output-dir", metavar="DIR", help="use this directory instead of the manifest's outputs.directory"
    )
    group.add_argument("--endpoint", metavar="URL", help="send to this URL instead; 'emulator' starts one for the run")
    group.add_argument("--json", action="store_true", help="JSON Lines on stdout and nothing else")
    group.add_argument("--no-progress", action="store_true", help="plain lines instead of progress bars")
    group.add_argument("-q", "--quiet", action="store_true", help="say only errors")
    group.add_argument(
        "-v", "--verbose", action="count", default=0, help="say more, with the time; twice for every request"
    )
    group.add_argument("--log-file", metavar="FILE", help="append everything to this file, with every request")
    group.add_argument("--version", action="version", version=f"hume-runner {__version__}")


def _split(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The command and its arguments; a first word that is no command is a manifest of `run`."""
    for index, word in enumerate(argv):
        if word in COMMANDS:
            # Only flags may stand before the command; `hume-runner a.yaml run` has a manifest called run.
            if all(earlier.startswith("-") for earlier in argv[:index]):
                return word, [*argv[:index], *argv[index + 1 :]]
            break
    return "run", list(argv)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def main(argv: Sequence[str], console: Console | None = None, machine: Machine | None = None) -> int:
    """Run one command and return its exit code. Expected errors are printed, never raised.

    `machine`: what `run` takes from the machine instead of this one's disk, environment and clock.
    """
    console = console or Console.standard()
    console.environ = _environ(machine)
    try:
        with delivered_to(console.mailbox):
            try:
                code = _command(argv, console, machine)
            except _Shown:
                console.close()
                raise
            except (Interrupted, KeyboardInterrupt) as left:
                console.mailbox.over = True
                code = getattr(left, "exit_code", 130)
                console.error("interrupted; nothing is lost, run the same command again")
            GUESTS.unset_handlers()
            console.mailbox.over = True
            code = console.mailbox.signalled or code
            console.end(code)
            return _closed(console, code)
    except Interrupted as left:  # before there was anything to interrupt
        return left.exit_code
    except (SystemExit, GeneratorExit) as error:
        if isinstance(error, _Shown) or (known := of_guest(error)) is None:
            raise
        return known.exit_code  # it came between the last line of the work and the first of the last words


def _closed(console: Console, code: int) -> int:
    """The exit code, once all words are out. A result that got lost is told of and is no success; a reader who has seen
    enough (`status | head`) is no error."""
    console.close()
    lost = console.out.broken is not None and not console.out.reader_is_gone
    return 64 if lost and code == 0 else code


def _command(argv: Sequence[str], console: Console, machine: Machine | None) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        console.result(_overview())
        return 0 if argv else 64
    if argv[0] == "--version":
        console.result(f"hume-runner {__version__}")
        return 0
    from hume_runner.errors import HumeRunnerError, of_system

    command = "run"
    try:
        command, rest = _split(argv)
        if command == "run" and command not in argv:
            _check_word(rest)
        module = _load(command)
        meant = getattr(module, "MEANT", {})
        parser = _Parser(console, meant, prog=f"hume-runner {command}", description=_sentence(COMMANDS[command]))
        common_flags(parser)
        module.configure(parser)
        # Flags between words as well; but what follows `--` are words, which that way of reading forgets.
        args = parser.parse_args(rest) if "--" in rest else parser.parse_intermixed_args(rest)
        console.json = args.json
        console.quiet = args.quiet
        console.verbose = args.verbose
        console.progress = not args.no_progress
        if not all(map(str.isascii, rest)):
            from hume_runner.cli.named_paths import spell

            spell(args)
        manifests = _manifests(args)
        _advise(args, manifests, console)
        console.manifest = manifests[0] if len(manifests) == 1 else None
        if args.log_file:
            _open_log(args, manifests, console)
        console.traceparent = _trace(machine)
        given: dict[str, list[str]] = module.given(args) if hasattr(module, "given") else {}
        console.begin(_named(command, args), manifests=manifests, **given)
        if console.traceparent is None and _environ(machine).get("TRACEPARENT"):
            console.warning("TRACEPARENT is not valid and is ignored: it has to be as W3C Trace Context writes it")
        with_machine = {"machine": machine} if machine is not None else {}
        with _requests_told(console):
            return int(module.run(args, console, **with_machine))
    except HumeRunnerError as error:
        if "--json" in argv:  # before the words were understood, as well
            console.json = True
            console.begin(command, manifests=[])
        print_error(error, console)
        return error.exit_code
    except (KeyboardInterrupt, _Shown):
        raise
    except BaseException as error:  # also what breaks off inside a library, and is no Exception
        if (left := interrupted_before(error)) is not None:
            raise left from None
        known = of_system(error) or of_guest(error)
        if known is None:
            return _report_bug(error, console)
        print_error(known, console)
        return known.exit_code


def _environ(machine: Machine | None) -> Mapping[str, str]:
    return os.environ if machine is None else machine.environ


def _trace(machine: Machine | None) -> str | None:
    from hume_runner.settings import traceparent

    return traceparent(_environ(machine))


def _open_log(args: argparse.Namespace, manifests: Sequence[str], console: Console) -> None:
    """Raises: UsageError."""
    from hume_runner.api.kept_files import refuse_log
    from hume_runner.cli.log_file import LogFile

    refuse_log(args.log_file, manifests, output_dir=getattr(args, "output_dir", None))
    console.log = LogFile(args.log_file, console.masked)


@contextlib.contextmanager
def _requests_told(console: Console) -> Iterator[None]:
    """Requests are told where somebody wants to know of each, and long waits for another try to whoever watches."""
    from hume_runner.cli.requests_told import listening, waits_told

    each = console.verbose > 1 or console.log is not None
    with waits_told(console.note), listening(console.request) if each else contextlib.nullcontext():
        yield


def _manifests(args: argparse.Namespace) -> list[str]:
    """The manifests that a command is about."""
    one = getattr(args, "manifest", None)
    return [str(path) for path in ([one] if one else getattr(args, "manifests", None) or ())]


def _named(command: str, args: argparse.Namespace) -> str:
    """A command as `--json` names it: with what it does, where it does several things."""
    action = getattr(args, "action", None)
    return command if action is None else f"{command} {action}"


def _advise(args: argparse.Namespace, manifests: Sequence[str], console: Console) -> None:
    """The commands that messages name repeat where this one looks."""
    if manifests:
        from hume_runner.cli.manifests import selection_words

        places = (
            ("--state", args.state),
            ("--output-dir", args.output_dir),
            ("--endpoint", args.endpoint),
            ("--shard", getattr(args, "shard", None)),
        )
        flags = [word for flag, value in places if value for word in (flag, value)]
        console.speaks_of(manifests[0], flags, selection_words(args))


def _check_word(words: Sequence[str]) -> None:
    """A first word that is neither a command nor a file, and looks like a command. Raises: UsageError."""
    from difflib import get_close_matches
    from pathlib import Path

    from hume_runner.errors import UsageError

    first = next((word for word in words if not word.startswith("-")), "")
    if first.isalpha() and not Path(first).exists() and (close := get_close_matches(first, COMMANDS, n=1)):
        rest = " ".join(word if word != first else close[0] for word in words)
        raise UsageError(f"{first!r} is neither a command nor a file", hint=f"did you mean `hume-runner {rest}`?")


def _load(command: str) -> ModuleType:
    return importlib.import_module(f"hume_runner.cli.{command}")


def print_error(error: Exception, console: Console, *, told: bool = False) -> None:
    """An expected error: what happened and where, then the next step on a line of its own. `told`: what happened was
    said already, when it did."""
    from hume_runner.cli.told_errors import facts

    problems = getattr(error, "problems", ())
    console.failed(facts(error))
    if problems:
        for problem in problems:
            console.error(str(problem))
            if problem.hint:
                console.error(f"  next: {problem.hint}")
    elif not told:
        console.error(str(error))
    hint = getattr(error, "hint", "")
    if hint:
        console.error(f"next: {hint}")


def _report_bug(error: BaseException, console: Console) -> int:
    import traceback

    console.failed({"reason": "bug", "message": f"{type(error).__name__}: {error}", "hint": "", "exit_code": 1})
    console.error(f"unexpected error: {type(error).__name__}: {error}")
    console.error("".join(traceback.format_exception(error)))
    console.error("next: this is a bug; please report it with the lines above. The state is safe, a re-run continues.")
    return 1


def entry_point() -> None:
    """What the script of an installation calls that is older than `entry`."""
    entry.entry_point()
