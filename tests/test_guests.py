"""Others' code in a process: what is put back when it was asked, and what comes of an end that it wanted."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading

import pytest

from hume_runner.cli.signals import Interrupted
from hume_runner.guests import GUESTS, WantedToLeave, of_guest, others_code


@pytest.mark.parametrize(
    "handler", [signal.SIG_IGN, signal.SIG_DFL, lambda *_: None], ids=["ignored", "default", "own"]
)
def test_signals_are_whose_they_were_after_others_code_was_asked(handler: signal._HANDLER) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with others_code():
        signal.signal(signal.SIGTERM, handler)
    assert signal.getsignal(signal.SIGTERM) is before


def test_another_programs_process_may_be_ended_once_others_code_was_asked() -> None:
    before = os._exit
    with others_code(), pytest.raises(WantedToLeave, match="with exit code 7"):
        os._exit(7)
    assert os._exit is before


def test_a_child_of_others_code_may_end() -> None:
    """Asked of an interpreter without threads, as a process that forks should be."""
    code = (
        "import os\nfrom hume_runner.guests import others_code\n"
        "with others_code():\n    child = os.fork() or os._exit(7)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("then", ["pass", "raise SystemExit(3)", "raise ValueError"])
def test_a_child_that_others_code_forks_does_not_come_back(then: str) -> None:
    code = (
        "import os\nfrom hume_runner.guests import others_code\n"
        f"with others_code():\n    child = os.fork()\n    if not child: {then}\n"
        "print('here'); os.waitpid(child, 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("here\n", "")


class Own(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(0), "SystemExit: 0"),
        (GeneratorExit(), "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError"),
        (Own("two\nlines"), "Own: two lines"),
        (ValueError("a bug of ours"), None),
        (Interrupted(130), None),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_end_that_others_code_wanted_is_told_as_theirs(
    error: BaseException, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GUESTS, "came", True)
    told = of_guest(error)
    assert (None if told is None else (str(told), told.exit_code)) == (
        None if said is None else (f"code of another package ended the command: {said}", 64)
    )


def test_without_others_code_it_is_a_bug_and_no_success() -> None:
    """Asked of an interpreter that nobody else's code was in."""
    code = (
        "import io\nfrom hume_runner.cli.console import Console\nfrom hume_runner.cli.main import main\n"
        "class Leaves(io.StringIO):\n    def write(self, text): raise SystemExit(0)\n"
        "err = io.StringIO()\nassert main(['schema'], Console(out=Leaves(), err=err)) == 1\n"
        "assert err.getvalue().startswith('unexpected error: SystemExit: 0')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_handler_of_others_is_left_for_the_last_words() -> None:
    """Asked of an interpreter that is the command's own."""
    code = (
        "import signal, sys\nfrom hume_runner.cli.signals import Mailbox\nfrom hume_runner.guests import GUESTS\n"
        "GUESTS.copied_output(); GUESTS.let_in(); ours = Mailbox().deliver\n"
        "signal.signal(signal.SIGALRM, lambda *_: sys.exit(0)); signal.signal(signal.SIGTERM, ours)\n"
        "GUESTS.unset_handlers(); signal.raise_signal(signal.SIGALRM)\n"
        "assert signal.getsignal(signal.SIGTERM) is ours\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler; print('here', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "here\n")


def test_a_thread_that_asks_leaves_signals_alone() -> None:
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            with others_code():
                pass
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert not failed
