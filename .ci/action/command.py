"""What `action.yml` does: one command of hume-runner, its outputs for the workflow, its problems beside their lines.

Everything comes from the environment: INPUT_* as the action names them, and what a runner sets (GITHUB_OUTPUT,
GITHUB_STEP_SUMMARY, RUNNER_TEMP). Ends with the exit code of the command; 2 (a plan has something to do) is no failure.
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hume_runner.cli.validate import github_line
from hume_runner.errors import Problem

COMMANDS = ("validate", "plan", "run")
# Where no error was told: what the exit code means.
REASONS = {3: "items_failed", 65: "manifest_error", 66: "source_error", 130: "interrupted", 143: "interrupted"}
UNFINISHED = ("new", "changed", "retry", "in_flight", "ambiguous")
_BILLED = re.compile(r"^hume_runner_billed_seconds\{.*\} (\S+)$", re.MULTILINE)


def lines(name: str) -> list[str]:
    return [line.strip() for line in os.environ.get(name, "").splitlines() if line.strip()]


def manifests() -> list[str]:
    """The manifests; a pattern that matches nothing stays, and is told as a file that is not there."""
    found: dict[str, None] = {}
    for line in lines("INPUT_MANIFESTS"):
        matches = sorted(glob.glob(line, recursive=True)) if glob.has_magic(line) else []  # noqa: PTH207 - may be absolute
        found.update(dict.fromkeys(matches or [line]))
    return list(found)


class Command:
    """One call, and what it told."""

    def __init__(self, command: str, named: list[str], temporary: Path) -> None:
        self.command = command
        self.named = named
        self.plan = temporary / "plan.json" if command == "plan" and len(named) == 1 else None
        self.markdown = temporary / "plan.md" if command == "plan" else None
        self.metrics = temporary / "run.prom"
        self.events: list[dict[str, Any]] = []
        self.code = 1

    def words(self) -> Iterator[str]:
        """The command line: flags first, so that no manifest is taken for one."""
        environ = os.environ
        yield from (sys.executable, "-m", "hume_runner", self.command, "--json", "--no-progress")
        for flag, name in (("--endpoint", "INPUT_ENDPOINT"), ("--output-dir", "INPUT_OUTPUT_DIR")):
            if environ.get(name):
                yield f"{flag}={environ[name]}"
        if self.command == "validate" and environ.get("INPUT_NO_FILES") != "false":
            yield "--no-files"
        if self.markdown is not None:
            yield from ("--detailed-exitcode", f"--markdown={self.markdown}")
        if self.plan is not None:
            yield f"--out={self.plan}"
        if self.command == "run":
            yield f"--metrics-file={self.metrics}"
            if environ.get("INPUT_PLAN"):
                yield f"--plan={environ['INPUT_PLAN']}"
        yield from lines("INPUT_ARGUMENTS")
        yield "--"
        yield from self.named

    def run(self) -> None:
        """Call it; what it says to people goes to the log as it comes."""
        process = subprocess.Popen([*self.words()], stdout=subprocess.PIPE, text=True, encoding="utf-8")
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line)
            self.events.append(_without_lists(event))
            if event["event"] == "problem":
                members = {name: event[name] for name in ("file", "line", "column", "path", "message", "hint")}
                print(github_line(Problem(**members)), flush=True)
        self.code = process.wait()

    # -- what the workflow gets

    def outputs(self) -> Mapping[str, str]:
        told = {
            "plan": (self._planned, self._bill_at_most),
            "run": (self._measured, self._billed),
            "validate": (self._listed, lambda: None),
        }
        (items, changes), bill = told[self.command][0](), told[self.command][1]()
        return {
            "changes": "true" if changes else "false",
            "items": str(items),
            "billable_seconds": "" if bill is None else f"{bill:g}",
            "plan_path": str(self.plan) if self.plan is not None and self.plan.exists() else "",
            "markdown_path": str(self.markdown) if self.markdown is not None and self.markdown.exists() else "",
            "failure_reason": self.reason(),
            "exit_code": str(self.code),
        }

    def reason(self) -> str:
        if self.code in (0, 2):
            return ""
        done = self.events[-1] if self.events else {}
        if done.get("event") != "done":
            return "crashed"
        errors = done.get("errors")
        return str(errors[0]["reason"]) if errors else REASONS.get(self.code, "failed")

    def _of(self, name: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == name]

    def _planned(self) -> tuple[int, bool]:
        items = sum(event["summary"][name] for event in self._of("plan") for name in UNFINISHED)
        return items, items > 0

    def _measured(self) -> tuple[int, bool]:
        counts = self._of("done")[-1]["counts"] if self._of("done") else {}
        return counts.get("done", 0), bool(self._of("submitted") or self._of("finished"))

    def _listed(self) -> tuple[int, bool]:
        counts = self._of("done")[-1]["counts"] if self._of("done") else {}
        return counts.get("items", 0), False

    def _bill_at_most(self) -> float | None:
        bills = [event["summary"]["billable_seconds"] for event in self._of("plan")]
        known = [bill for bill in bills if bill is not None]
        return sum(known) if known else None

    def _billed(self) -> float | None:
        if not self.metrics.exists():
            return None
        known = [float(number) for number in _BILLED.findall(self.metrics.read_text(encoding="utf-8"))]
        return sum(known) if known else None


def _without_lists(event: dict[str, Any]) -> dict[str, Any]:
    """Jobs and items may be millions, and nobody asks for them here."""
    return {name: value for name, value in event.items() if name not in ("jobs", "items")}


def append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)


def main() -> int:
    command = os.environ.get("INPUT_COMMAND", "plan")
    named = manifests()
    if command not in COMMANDS or not named:
        wrong = "manifests: name at least one" if command in COMMANDS else f"command: one of {', '.join(COMMANDS)}"
        print(f"::error::{wrong}")
        append("GITHUB_OUTPUT", "failure_reason=usage_error\nexit_code=64\n")
        return 64
    temporary = Path(os.environ["RUNNER_TEMP"]) / f"hume-runner-{command}-{os.getpid()}"
    temporary.mkdir(parents=True)
    called = Command(command, named, temporary)
    called.run()
    outputs = called.outputs()
    # No value has a line break: numbers, words, and paths below RUNNER_TEMP.
    append("GITHUB_OUTPUT", "".join(f"{name}={value}\n" for name, value in outputs.items()))
    if outputs["markdown_path"]:
        append("GITHUB_STEP_SUMMARY", Path(outputs["markdown_path"]).read_text(encoding="utf-8"))
    print(", ".join(f"{name}: {value}" for name, value in outputs.items() if value))
    if called.code == 2 or (called.code == 3 and os.environ.get("INPUT_ALLOW_FAILED_ITEMS") == "true"):
        return 0
    return called.code


if __name__ == "__main__":
    sys.exit(main())
