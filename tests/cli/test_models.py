from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import hume_runner
from hume_runner.cli.console import Console
from hume_runner.cli.main import main
from hume_runner.errors import UsageError
from hume_runner.machine import Machine
from hume_runner.settings import Settings
from hume_runner.state.disk import Disk
from tests import warm
from tests.commands import Ran
from tests.services.local.mirror import CONTENT, WEIGHTS, Mirror, command, environ, package_of_models, serving, sha256


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@dataclass
class Here:
    """A machine with a mirror and the tiny model of another package in its catalogue."""

    root: Path
    mirror: Mirror

    @property
    def machine(self) -> Machine:
        environ = {"HUME_RUNNER_MODELS": str(self.root), "HUME_RUNNER_MODELS_MIRROR": self.mirror.url}
        return Machine(disk=Disk(), environ=environ, settings=Settings())

    def call(self, *words: str, answer: str | None = None) -> Ran:
        """`models …`; with `answer` at a terminal where somebody types that."""
        out, err = io.StringIO(), io.StringIO() if answer is None else Terminal()
        answers = None if answer is None else Terminal(answer)
        code = main(["models", *words], Console(out=out, err=err, answers=answers), machine=self.machine)
        return Ran(code=code, out=out.getvalue(), err=err.getvalue())


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    monkeypatch.syspath_prepend(package_of_models(tmp_path / "others"))
    monkeypatch.delitem(sys.modules, "tiny_models", raising=False)
    with serving() as mirror:
        yield Here(root=tmp_path / "models", mirror=mirror)


LICENCE = "tiny (0.3 MB): licence MIT; https://example.org/licence"


# -- licences ----------------------------------------------------------------------------------------------------------


def test_where_nobody_can_be_asked_nothing_is_downloaded(here: Here) -> None:
    ran = here.call("pull", "tiny")
    assert ran.code == 64
    assert ran.err.splitlines() == [
        LICENCE,
        "nothing was downloaded: nobody agreed to the licences of tiny",
        "next: read them, then add --yes to the same command",
    ]
    assert here.mirror.requests == []


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_at_a_terminal_a_yes_is_enough(here: Here, answer: str) -> None:
    ran = here.call("pull", "tiny", "--no-progress", answer=answer)
    assert (ran.code, ran.out) == (0, "2 pulled, 0 here already\n")
    assert ran.err.startswith(f"{LICENCE}\nAgree to these licences, and download 0.3 MB? [y/N] ")


@pytest.mark.parametrize("answer", ["\n", "n\n", "", "yesterday\n"])
def test_at_a_terminal_anything_else_is_a_no(here: Here, answer: str) -> None:
    ran = here.call("pull", "tiny", "-q", answer=answer)
    assert ran.code == 64
    assert LICENCE in ran.err  # also with -q
    assert here.mirror.requests == []


def test_a_terminal_shows_a_bar_and_leaves_lines(here: Here) -> None:
    ran = here.call("pull", "tiny", answer="y\n")
    assert ran.code == 0
    assert f"tiny: 2 files, 0.3 MB, from the mirror {here.mirror.url}" in ran.err


def test_yes_agrees_and_the_licence_is_shown_all_the_same(here: Here) -> None:
    ran = here.call("pull", "tiny", "--yes")
    assert ran.code == 0
    assert ran.err.splitlines() == [LICENCE, f"tiny: 2 files, 0.3 MB, from the mirror {here.mirror.url}"]


def test_what_was_agreed_to_is_not_asked_again(here: Here) -> None:
    here.call("pull", "tiny", "--yes")
    (here.root / "tiny/model.bin").unlink()
    ran = here.call("pull", "tiny")
    assert (ran.code, ran.out) == (0, "1 pulled, 1 here already\n")
    assert "licence" not in ran.err


def test_another_licence_is_asked_for_again(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here.call("pull", "tiny", "--yes")
    (here.root / "tiny/model.bin").unlink()
    monkeypatch.syspath_prepend(package_of_models(tmp_path / "newer", licence="CC-BY-4.0"))
    monkeypatch.delitem(sys.modules, "tiny_models", raising=False)
    ran = here.call("pull", "tiny")
    assert ran.code == 64
    assert "licence CC-BY-4.0" in ran.err


# -- pull --------------------------------------------------------------------------------------------------------------


def test_the_json_form_is_lines_from_launch_to_done(here: Here) -> None:
    here.mirror.content.pop("tiny/config.json")
    ran = here.call("pull", "tiny", "--yes", "--json")
    lines = ran.lines
    assert ran.code == 5
    launch = {"schema": 1, "event": "launch", "command": "models pull", "manifests": []}
    assert launch.items() <= lines[0].items()
    licence = {"event": "licence", "model": "tiny", "licence": "MIT", "url": "https://example.org/licence"}
    assert licence.items() <= lines[1].items()
    done = {"schema": 1, "event": "done", "exit_code": 5, "counts": {"pulled": 1, "failed": 1}}
    assert done.items() <= lines[-1].items()
    assert lines[-1]["errors"][0]["reason"] == "service_unavailable"
    assert {line["event"] for line in lines[2:-1]} == {"trying", "pulled", "failed"}
    (failed,) = [line for line in lines if line["event"] == "failed"]
    assert failed["file"] == "tiny/config.json"
    assert "404" in failed["why"]


def test_what_no_place_has_is_one_line_with_the_next_step(here: Here) -> None:
    here.mirror.content.clear()
    ran = here.call("pull", "tiny", "--yes", "-q")
    assert ran.code == 5
    first, second = ran.err.splitlines()
    assert first.startswith("tiny/model.bin: no place has it (and 1 more files). the mirror http://127.0.0.1:")
    assert second.startswith("next: run the same command again: it resumes; or name a place")


def test_a_folder_is_looked_into_first(here: Here, tmp_path: Path) -> None:
    for name, content in CONTENT.items():
        (tmp_path / Path(name).name).write_bytes(content)
    ran = here.call("pull", "tiny", "--yes", "--from", str(tmp_path))
    assert ran.code == 0
    assert here.mirror.requests == []


def test_a_folder_that_the_disk_spells_otherwise_is_looked_into(here: Here, tmp_path: Path) -> None:
    there, typed = (tmp_path / unicodedata.normalize(kind, "Größe") for kind in ("NFD", "NFC"))
    there.mkdir()
    for name, content in CONTENT.items():
        (there / Path(name).name).write_bytes(content)
    assert here.call("pull", "tiny", "--yes", "--from", str(typed)).code == 0
    assert here.mirror.requests == []


def test_an_unknown_name_is_told_with_the_nearest(here: Here) -> None:
    ran = here.call("pull", "tinny", "--yes")
    assert (ran.code, ran.err) == (64, "there is no model 'tinny'\nnext: did you mean tiny?\n")


def test_a_name_is_never_a_path(here: Here) -> None:
    for name in ("../tiny", "tiny/..", "/etc", "own"):
        assert here.call("pull", name, "--yes").code == 64
    assert here.mirror.requests == []


def test_a_manifest_that_measures_elsewhere_needs_nothing_here(here: Here, tmp_path: Path) -> None:
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "version: 1\nname: m\nservice: {api: batch-v0, endpoint: emulator}\n"
        "sources: {text: [Hello.]}\nmodels: {language: {}}\n",
        encoding="utf-8",
    )
    ran = here.call("pull", "--manifest", str(manifest), "--yes")
    assert ran.code == 64
    assert "measures nothing on this machine: service.api is batch-v0" in ran.err


MEASURER = """
from hume_runner.services.local.measurers.base import Card, Row, WeightFile
from hume_runner.services.table_shapes import Column, Layout

class Sizes:
    model, reads, modules = "sizes", "text", ()
    layouts = (Layout(name="sizes", row="one text", columns=(Column(name="size", type="integer", meaning="of all"),)),)
    schema = {"type": "object", "additionalProperties": False, "description": "Sizes.", "properties": {
        "own": {"type": "object", "description": "a file"}}}
    def card(self, options):
        tiny = WeightFile(name="tiny/model.bin", sha256=TINY)
        own = WeightFile(name="own/" + options["own"]["sha256"], sha256=options["own"]["sha256"])
        return Card(name="sizes", version="1", licence="MIT", trained_on="", scale="", limits="", files=(tiny, own))
    def open(self, options, files):
        self.size = sum(path.stat().st_size for path in files.values())
        return self
    def measure(self, passages):
        for number, passage in enumerate(passages):
            yield number, Row(layout="sizes", values={"size": self.size})

SIZES = Sizes()
"""


@pytest.mark.sweep
def test_a_run_names_the_command_that_gets_what_it_needs_and_then_runs(here: Here, tmp_path: Path) -> None:
    others, own = tmp_path / "others", b'{"a": "model"}'
    (others / "sizes.py").write_text(f"TINY = {sha256(WEIGHTS)!r}\n{MEASURER}", encoding="utf-8")
    with (others / "tiny_models-1.dist-info/entry_points.txt").open("a") as entries:
        entries.write("[hume_runner.measurers]\nsizes = sizes:SIZES\n")
    here.mirror.content[f"own/{sha256(own)}"] = own
    named = f"{{url: 'https://example.org/own.json', sha256: {sha256(own)}}}"
    manifest = tmp_path / "m.yaml"
    manifest.write_text(
        "version: 1\nname: m\nservice: {api: local}\nsources: {text: [Hello.]}\n"
        f"models: {{sizes: {{own: {named}}}}}\noutputs: {{directory: out}}\n",
        encoding="utf-8",
    )

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        started = [sys.executable, "-m", "hume_runner", *words]
        variables = environ(here.root, here.mirror, others)
        return warm.run(started, env=variables, cwd=tmp_path, capture_output=True, text=True, check=False)

    refused = call("run", "m.yaml")
    assert refused.returncode == 64
    assert f"tiny/model.bin, own/{sha256(own)}: not on this machine" in refused.stderr
    assert "next: hume-runner models pull --manifest m.yaml" in refused.stderr
    assert here.mirror.requests == []
    pulled = call("models", "pull", "--manifest", "m.yaml", "--yes")
    assert (pulled.returncode, pulled.stdout) == (0, "2 pulled, 0 here already\n"), pulled.stderr
    assert f"own/{sha256(own)}: licence not known here" in pulled.stderr
    ran = call("run", "m.yaml")
    assert ran.returncode == 0, ran.stderr
    (answer,) = (tmp_path / "out/raw").rglob("response.json")
    assert str(len(WEIGHTS) + len(own)) in answer.read_text()


@pytest.mark.parametrize("flag", [["--yes"], ["--from", "x"], ["--manifest", "x"]])
def test_what_is_for_pull_is_not_for_list(here: Here, flag: list[str]) -> None:
    assert here.call("list", *flag).code == 64


# -- list, verify ------------------------------------------------------------------------------------------------------


def test_the_list_says_what_is_ready_and_what_is_not(here: Here) -> None:
    assert re.match(r"tiny  missing +0\.3 MB  two layers of nothing\n$", here.call("list", "tiny").out)
    here.call("pull", "tiny", "--yes")
    assert re.match(r"tiny  ready ", here.call("list", "tiny").out)
    (here.root / "tiny/model.bin").write_bytes(b"x")
    assert re.match(r"tiny  incomplete ", here.call("list", "tiny").out)
    names = [line.split()[0] for line in here.call("list").out.splitlines()]
    assert {"whisper-tiny.en", "en_core_web_sm", "tiny"} <= set(names)


def test_the_list_as_json_names_each_file_with_its_hash(here: Here) -> None:
    launch, model, done = here.call("list", "tiny", "--json").lines
    assert (launch["event"], done["counts"]) == ("launch", {"missing": 1})
    assert (model["event"], model["name"], model["state"]) == ("model", "tiny", "missing")
    assert model["files"][0] == {
        "name": "tiny/model.bin",
        "size_bytes": len(WEIGHTS),
        "sha256": sha256(WEIGHTS),
        "path": str(here.root / "tiny/model.bin"),
        "verdict": "missing",
    }


@pytest.mark.sweep
def test_verify_reads_every_file(here: Here) -> None:
    here.call("pull", "tiny", "--yes")
    assert here.call("verify").out == "2 same, 0 missing, 0 changed, 0 unreadable\n"
    path = here.root / "tiny/model.bin"
    path.write_bytes(b"x" + WEIGHTS[1:])
    (here.root / "tiny/config.json").unlink()
    ran = here.call("verify", "tiny")
    assert ran.code == 3
    assert ran.out == "* tiny/model.bin\n- tiny/config.json\n0 same, 1 missing, 1 changed, 0 unreadable\n"
    assert ran.err == "next: hume-runner models pull tiny\n"
    assert here.call("pull", "tiny").code == 0
    assert here.call("verify", "tiny", "--json").lines[-1]["counts"] == {"same": 2}


def test_verify_says_nothing_of_models_that_were_never_pulled(here: Here) -> None:
    here.call("pull", "tiny", "--yes")
    ran = here.call("verify")
    assert (ran.code, ran.out) == (0, "2 same, 0 missing, 0 changed, 0 unreadable\n")


def test_verify_of_an_empty_folder_is_no_success_and_says_what_is_missing_and_how_to_get_it(here: Here) -> None:
    for _ in range(2):
        ran = here.call("verify")
        assert ran.code == 3
        missing = [line.split(":")[0].removeprefix("- ") for line in ran.out.splitlines()[:-1]]
        assert {"whisper-tiny.en", "silero-vad-v6", "face-short-range", "face-landmarks"} <= set(missing)
        assert "whisper-small" not in ran.out  # nobody asked for it
        assert ran.out.endswith(" missing, 0 changed, 0 unreadable\n")
        assert f"{here.root}: no model is here" in ran.err
        assert f"next: hume-runner models pull {' '.join(missing)}\n" in ran.err
        here.root.mkdir(exist_ok=True)  # not there, or there and empty
    lines = here.call("verify", "--json").lines
    assert (lines[-1]["exit_code"], set(lines[-1]["counts"])) == (3, {"missing"})
    assert {line["verdict"] for line in lines[1:-1]} == {"missing"}


# -- from Python -------------------------------------------------------------------------------------------------------


def test_the_same_from_python(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in here.machine.environ.items():
        monkeypatch.setenv(name, value)
    (before,) = hume_runner.models("tiny")
    assert (before.ready, before.absent) == (False, True)
    with pytest.raises(UsageError, match="nobody agreed"):
        hume_runner.pull_models("tiny", agree=False)
    hume_runner.pull_models("tiny", agree=True)
    (after,) = hume_runner.verify_models("tiny")
    assert after.ready
    assert json.loads(after.files[1].path.read_text()) == {"layers": 2}


# -- a real terminal ---------------------------------------------------------------------------------------------------


def at_a_terminal(here: Here, others: Path, typed: bytes) -> tuple[int, str]:
    """(exit code, what the terminal showed) of a pull, where somebody types that as the question stands there."""
    ours, theirs = os.openpty()
    child = subprocess.Popen(
        # Who has no terminal and opens one by name has it from then on: Ctrl-C comes from there.
        ["sh", "-c", 'exec "$@" <"$0"', os.ttyname(theirs), *command("pull", "tiny")],
        env=environ(here.root, here.mirror, others),
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # what reading gives when nobody is left at the other end
        while True:
            # Ctrl-C between the question and the wait for its answer is noticed with the next key: who sees nothing
            # happen presses it again.
            if select.select([ours], [], [], 2.0)[0]:
                chunk = os.read(ours, 4096)
                if not chunk:
                    break
                shown += chunk
                asked = b"[y/N] " in chunk
            else:
                asked = typed == b"\x03" and b"[y/N] " in shown
            if asked:
                os.write(ours, typed)
    os.close(ours)
    return child.wait(timeout=30), shown.decode()


@pytest.mark.sweep
@pytest.mark.skipif(sys.platform != "linux", reason="terminals as Linux has them")
def test_a_real_terminal_is_asked_and_may_be_left(here: Here, tmp_path: Path) -> None:
    code, shown = at_a_terminal(here, tmp_path / "others", b"\x03")
    assert code == 130
    assert "Traceback" not in shown
    assert here.mirror.requests == []
    code, shown = at_a_terminal(here, tmp_path / "others", b"y\n")
    assert code == 0
    assert "2 pulled, 0 here already" in shown
