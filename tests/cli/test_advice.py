"""What a command advises can be typed as it stands: it looks where this command looked, and it helps."""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import re
import shlex
import subprocess
import time
from pathlib import Path

import pytest

import hume_runner
from hume_runner.cli.main import COMMANDS, common_flags
from hume_runner.cli.progress import RunProgress
from hume_runner.emulator.server import Emulator
from hume_runner.results.summary import summary_text
from tests.cli.project import Project

PACKAGE = Path(hume_runner.__file__).parent
# What init writes into a manifest speaks of commands by name, and so does who says that one cannot work.
NAMES_ALONE = ("beginning.py", "commanding.py", "manifest.py")


pytestmark = pytest.mark.usefixtures("keyed_environment")


def advised(text: str) -> list[list[str]]:
    return [shlex.split(found)[1:] for found in re.findall(r"`(hume-runner [^`]+)`", text)]


def small(project: Project) -> None:
    project.manifest["sources"] = {"text": ["Hello."]}
    project.manifest["models"] = {"language": {}}


@pytest.mark.sweep
def test_an_advised_command_repeats_the_place_that_was_named(project: Project) -> None:
    small(project)
    place = str(project.folder / "an other place")
    assert project.run("--output-dir", place).code == 0
    next((project.folder / "an other place" / "raw").glob("*/predictions.json")).unlink()
    ran = project.call("verify", "--output-dir", place)
    assert ran.code == 3
    (words,) = advised(ran.err)
    assert words == ["verify", str(project.path), "--output-dir", place, "--repair"]
    assert project.plain_call(*words).code == 0
    assert project.call("verify", "--output-dir", place).code == 0


def named_in_code() -> list[tuple[str, str]]:
    """(file, command) of every command that a text of the package names; what is put into it is `x`."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "`hume-runner" not in text:
            continue
        tree = ast.parse(text)
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if id(node) in docs | inner:
                continue
            text = ""
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            elif isinstance(node, ast.JoinedStr):
                text = "".join(part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
            found += [(path.name, command) for command in re.findall(r"`(hume-runner [^`]+)`", text)]
    return found


@pytest.mark.sweep
def test_every_command_that_a_message_names_can_be_typed_once_the_manifest_is_in_it() -> None:
    """`status --watch` was advised without a manifest, and refused."""
    wrong = []
    named = named_in_code()
    for file, command in named:
        words = shlex.split(command.replace("REMOTE_ID", "id").replace("FILE", "f.csv"))[1:]
        module = importlib.import_module(f"hume_runner.cli.{words[0]}") if words[0] in COMMANDS else None
        if module is None or (len(words) == 1 and file in NAMES_ALONE):
            continue
        parser = argparse.ArgumentParser(exit_on_error=False)
        common_flags(parser)
        module.configure(parser)
        try:
            parser.parse_intermixed_args(words[1:])
        except (argparse.ArgumentError, SystemExit, TypeError) as error:
            if "invalid choice: 'x'" not in str(error):
                wrong.append(f"{file}: {command}: {error}")
        # Elsewhere it would be printed as it stands, and not as the manifest that the command is about.
        if "MANIFEST" in words and not re.match(r"hume-runner (?:state |models )?\S+ MANIFEST", command):
            wrong.append(f"{file}: {command}: the manifest comes first")
    assert not wrong
    assert len(named) > 30


@pytest.mark.sweep
@pytest.mark.parametrize("command", ["tables", "report"])
def test_what_tables_and_report_advise_can_be_typed_as_it_stands(project: Project, command: str) -> None:
    small(project)
    assert project.run().code == 0
    next((project.out / "raw").glob("*/predictions.json")).unlink()
    ran = project.call(command)
    assert ran.code == 3
    assert "MANIFEST" not in ran.err
    (words,) = advised(ran.err)
    assert project.plain_call(*words).code == 0
    assert project.call(command).code == 0


def test_a_mistyped_command_is_told_by_its_right_name(project: Project) -> None:
    ran = project.plain_call("runn", str(project.write()))
    assert ran.code == 64
    (words,) = advised(ran.err)
    assert words == ["run", str(project.path)]
    # What is there is a manifest, however it is called; and what looks like no command is a missing file.
    assert "did you mean" not in project.plain_call("study.yaml").err


def test_before_the_first_run_status_says_that_nothing_ran(project: Project) -> None:
    ran = project.call("status")
    assert (ran.code, ran.err) == (0, "")
    assert "nothing ran yet" in ran.out
    assert "0 of 0" not in ran.out
    assert project.call("status", "--json").json["items"]["total"] == 0


def test_an_empty_file_is_named_once_and_advised_to_be_replaced(project: Project) -> None:
    project.manifest["sources"] = {"files": ["media/*"], "text": ["Hello."]}
    project.add_file("empty.wav", b"")
    ran = project.run()
    assert ran.code == 3
    (line,) = [line for line in ran.out.splitlines() if "empty.wav" in line]
    assert line.count("empty.wav") == 1
    assert "--retry-failed" not in ran.out
    assert "replace the files" in ran.out


def _summary(**more: object) -> str:
    items = {"done": 0, "total": 3, "failed": 0, "in_flight": 3, "ambiguous": 0, "pending": 0}
    jobs = {"done": 0, "failed": 0, "submitted": 2, "submitting": 0, "ambiguous": 0, "planned": 0}
    run = {
        "name": "study", "simulated": False, "exit_code": 130, "duration_s": 1.0, "failures": {}, "paid_twice": [],
        "counts": {"items": items, "jobs": jobs}, "bill": {"billable_seconds": None}, "outputs": {"directory": "out"},
    }  # fmt: skip
    return summary_text(run | more)


def test_an_interrupted_run_says_that_its_jobs_go_on() -> None:
    assert "2 jobs at the service, which works on; `hume-runner run MANIFEST` fetches the answers" in _summary()
    done = {"items": {"done": 3, "total": 3}, "jobs": {"done": 2, "submitted": 0}}
    assert "at the service" not in _summary(exit_code=0, counts=done)


def test_what_was_said_of_each_lost_answer_is_not_said_again_as_their_sum(project: Project) -> None:
    from hume_runner import events
    from hume_runner.cli.console import Console

    progress = RunProgress(Console(out=None, err=None), "study")
    progress(events.AnswerLost(job="job-000001", message="job-000001: it is gone"))
    progress(events.AnswerLost(job="job-000002", message="job-000002: it is gone"))
    assert progress.has_said("job-000001: it is gone; and the answers of 1 more jobs")
    assert not progress.has_said("job-000003: it is gone; and the answers of 1 more jobs")


# -- what verify finds -----------------------------------------------------------------------------------------------


@pytest.mark.sweep
@pytest.mark.parametrize("harm", ["missing", "changed"])
def test_repair_puts_back_what_the_last_run_told_of_itself(project: Project, harm: str) -> None:
    small(project)
    assert project.run().code == 0
    before = (project.out / "run.json").read_bytes()
    if harm == "missing":
        (project.out / "run.json").unlink()
    else:
        (project.out / "run.json").write_bytes(before[:-9])
    assert project.call("verify").code == 3
    assert project.call("verify", "--repair").code == 0
    assert (project.out / "run.json").read_bytes() == before
    assert project.call("verify").code == 0


@pytest.mark.sweep
def test_tables_of_a_format_that_is_not_asked_for_any_more_stay_current(project: Project) -> None:
    small(project)
    project.manifest["outputs"] = {"directory": "out", "tables": ["csv", "jsonl"]}
    assert project.run().code == 0
    project.manifest["outputs"]["tables"] = ["jsonl"]
    project.manifest["sources"]["text"].append("Goodbye.")
    assert project.run().code == 0
    assert len((project.out / "tables" / "items.csv").read_text().splitlines()) == 3
    assert "made before" not in project.call("verify").err


@pytest.mark.sweep
def test_a_run_names_the_commands_that_show_what_it_measured_where_it_lies(project: Project) -> None:
    small(project)
    place = str(project.folder / "an other place")
    ran = project.run("--output-dir", place, "--limit", "1")
    shown, tables = advised(ran.err)
    assert shown == ["report", str(project.path), "--output-dir", place, "--open"]
    assert tables == ["tables", str(project.path), "--output-dir", place, "--format", "csv"]
    assert project.plain_call(*tables).code == 0
    assert advised(project.run("--output-dir", place, "-q").err) == []


def test_an_advised_run_is_about_the_same_items(project: Project) -> None:
    project.manifest["sources"] = {"text": ["Hello.", "Goodbye."]}
    project.manifest["models"] = {"language": {}}
    project.environ.clear()
    ran = project.run("--limit", "1", "--output-dir", str(project.folder / "there"))
    assert ran.code == 7
    (words,) = advised(ran.err)
    assert words[:4] == ["run", str(project.path), "--limit", "1"]
    assert words[4:] == ["--endpoint", "emulator", "--output-dir", "rehearsal"]


def test_want_of_a_key_is_not_called_a_refusal_and_says_how_to_set_it(project: Project) -> None:
    small(project)
    project.environ.clear()
    ran = project.run()
    assert ran.code == 7
    assert "refuses" not in ran.out + ran.err
    assert "not begun: there is no key for the service\n" in ran.out
    assert "export HUME_API_KEY=" in ran.err
    assert "service.api_key: {file: key.txt}" in ran.err
    assert project.requests() == {}


def test_a_host_that_nobody_knows_is_told_at_once(project: Project) -> None:
    small(project)
    project.manifest["service"]["endpoint"] = "https://no-such-host.invalid"
    project.manifest["execution"]["retry"] = {"attempts": 9, "max_wait": "60s"}
    began = time.monotonic()
    ran = project.run()
    assert time.monotonic() - began < 20  # nine tries would take minutes
    assert ran.code == 5
    assert "GET /v0/batch/jobs at no-such-host.invalid: there is no host of that name" in ran.err
    assert "next: check the spelling of service.endpoint, and the network; nothing was sent" in ran.err


@pytest.mark.sweep
def test_leaving_jobs_at_the_service_is_not_called_done(project: Project) -> None:
    small(project)
    with Emulator(processing_time_s=1.5) as slow:
        project.manifest["service"]["endpoint"] = slow.url
        project.environ["HUME_API_KEY"] = slow.api_key
        ran = project.run("--detach")
        assert ran.code == 0
        first = ran.out.splitlines()[0]
        assert "done" not in first
        assert re.match(r"trial: all submitted in .* s, not measured yet  ", first)
        (words,) = advised(ran.out)
        assert words == ["run", str(project.path)]
        assert "done in" in project.plain_call(*words).out.splitlines()[0]


def test_failed_items_are_tried_again_by_the_command_that_is_printed(project: Project) -> None:
    small(project)
    project.emulator.inject([{"route": "POST /v0/batch/jobs", "action": {"status": 400, "body": {"message": "no"}}}])
    ran = project.run()
    assert ran.code == 3
    (words,) = advised(ran.out)
    assert words == ["run", str(project.path), "--retry-failed"]
    project.emulator.inject([])
    assert project.plain_call(*words).code == 0


@pytest.mark.sweep
def test_the_merge_that_is_advised_to_a_shard_can_be_typed_and_helps(project: Project) -> None:
    small(project)
    project.manifest["sources"]["text"] = [f"Number {number}." for number in range(6)]
    place = str(project.folder / "an other place")
    for index in (1, 2, 3):
        assert project.run("--shard", f"{index}/3", "--output-dir", place).code == 0
    sent = project.requests()
    ran = project.run("--shard", "1/2", "--output-dir", place)
    assert ran.code == 64
    line = ran.err.partition("bring the shards together first: hume-runner ")[2]
    typed = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True)
    words = typed.stdout.splitlines()
    assert len(words) == 8  # `state merge`, the manifest, its flag and the folders of three shards
    merged = project.plain_call(*words)
    assert merged.code == 0, merged.err
    assert project.run("--shard", "1/2", "--output-dir", place).code == 0
    assert project.requests() == sent


# -- as they are typed -------------------------------------------------------------------------------------------------


def test_a_budget_that_is_exceeded_names_the_command_with_the_reasons(project: Project) -> None:
    project.manifest["sources"] = {"files": ["media/*"]}
    for number in range(3):
        project.add_file(f"empty-{number}.wav", b"")
    project.manifest["execution"] = {"max_failures": 0, "requests_per_second": 500}
    ran = project.run("--json")
    assert ran.code == 4
    (words,) = advised(ran.err)
    assert words == ["status", str(project.path), "--jobs"]
    assert project.plain_call(*words).code == 0
    (told,) = json.loads(ran.out.splitlines()[-1])["errors"]
    assert f"`hume-runner status {project.path} --jobs`" in told["hint"]


def test_without_a_key_the_rehearsal_that_is_named_is_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    small(project)
    project.environ.clear()
    monkeypatch.delenv("HUME_API_KEY")
    monkeypatch.chdir(project.folder)
    ran = project.run("--state", str(project.folder / "kept.sqlite3"), "--json")
    assert ran.code == 7
    (told,) = json.loads(ran.out.splitlines()[-1])["errors"]
    for said in (ran.err, told["hint"]):
        (words,) = advised(said)
        assert words[:2] == ["run", str(project.path)]
        assert "kept.sqlite3" not in " ".join(words)  # a state of the real study is none of a rehearsal
    assert project.plain_call(*words).code == 0
    assert (project.folder / "rehearsal" / "results.jsonl").exists()
    assert (
        project.call("status", "--state", str(project.folder / "kept.sqlite3"), "--json").json["simulated"] is not True
    )


def test_a_rehearsal_of_a_state_in_a_store_is_kept_here(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from hume_runner.cli.console import Console

    console = Console(out=None, err=None)
    console.speaks_of("study.yaml", [])
    console.state_is_apart = True
    text = "`hume-runner run MANIFEST --endpoint emulator --output-dir rehearsal` rehearses"
    (words,) = advised(console.advised(text))
    assert {"--state", "rehearsal/state.sqlite3"} <= {*words}
    assert console.advised(console.advised(text)) == console.advised(text)


def test_a_stale_plan_is_made_again_by_the_command_that_is_named(project: Project) -> None:
    small(project)
    saved = project.folder / "a plan.json"
    assert project.call("plan", "--out", str(saved)).code == 0
    project.manifest["sources"]["text"].append("More.")
    stale = project.run("--plan", str(saved))
    assert (stale.code, "stale" in stale.err) == (64, True)
    (words,) = advised(stale.err)
    assert project.plain_call(*words).code == 0
    assert project.run("--plan", str(saved)).code == 0
    (project.folder / "none.json").write_text("{}")
    (words,) = advised(project.run("--plan", str(project.folder / "none.json")).err)
    assert words == ["plan", str(project.path), "--out", str(project.folder / "none.json")]


def test_a_merge_of_nothing_is_told_where_the_parts_are(project: Project) -> None:
    small(project)
    ran = project.plain_call("state", "merge", str(project.write()))
    assert ran.code == 64
    (words,) = advised(ran.err)
    assert words == ["state", "merge", str(project.path), f"{project.out}/shards/*"]


def test_a_manifest_of_another_ending_is_told_by_its_right_name(project: Project) -> None:
    small(project)
    right = project.write()
    for wrong in (right.with_suffix(".yml"), right.with_name("manfiest.yaml")):
        ran = project.plain_call("plan", str(wrong))
        assert (ran.code, f"did you mean {right}?" in ran.err) == (65, True), ran.err
    assert "did you mean" not in project.plain_call("plan", str(right.with_name("quite-another.yaml"))).err
