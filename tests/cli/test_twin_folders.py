"""Paths with accents, typed composed over a disk that has them decomposed, or the other way: one study stays one."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.accents import form
from tests.cli.project import Project, tone
from tests.tiers import sampled

WAYS = [("NFC", "NFD"), ("NFD", "NFC")]
pytestmark = pytest.mark.usefixtures("keeps_bytes")
ways = pytest.mark.parametrize(("written", "stored"), WAYS)


def put(project: Project, name: str, content: bytes) -> None:
    path = project.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)


@pytest.fixture
def study(project: Project) -> Callable[[str, str], Project]:
    """Two recordings in a folder spelt one way, and a manifest that spells it the other way."""

    def make(written: str, stored: str) -> Project:
        for name in ("a", "b"):
            put(project, f"{form(stored)}/{name}.wav", tone(len(name)))
        project.manifest["sources"] = {"files": [f"{form(written)}/*.wav"]}
        project.manifest["models"] = {"prosody": {}}
        project.manifest["outputs"] = {"directory": f"{form(written)}/results"}
        return project

    return make


def does_nothing(project: Project, *words: str) -> None:
    sent = len(project.job_requests())
    ran = project.run(*words)
    assert ran.code == 0, ran.err
    assert len(project.job_requests()) == sent
    assert "items  2 done\n" in project.call("plan", *words).out


def folders(project: Project) -> list[str]:
    return sorted(one.name for one in project.folder.iterdir() if form("NFC", one.name) == form("NFC"))


@sampled(1)
@ways
def test_outputs_go_into_the_folder_that_is_there_and_a_second_run_does_nothing(
    written: str, stored: str, study: Callable[[str, str], Project]
) -> None:
    project = study(written, stored)
    assert project.run().code == 0
    assert folders(project) == [form(stored)]
    assert (project.folder / form(stored) / "results" / "state.sqlite3").is_file()
    does_nothing(project)
    assert project.call("status").code == 0
    assert project.call("verify").code == 0


@sampled(1)
@ways
@pytest.mark.parametrize("named", ["exactly", "in a list", "by a pattern from above"])
def test_a_study_that_an_earlier_version_began_in_two_folders_goes_on(
    written: str, stored: str, named: str, study: Callable[[str, str], Project]
) -> None:
    """Its state lies in the twin that this version would not make."""
    project = study(written, stored)
    if named == "exactly":
        project.manifest["sources"] = {"files": [f"{form(written)}/{name}.wav" for name in "ab"]}
    elif named == "in a list":
        put(project, f"{form(stored)}/list.txt", "".join(f"{form(written)}/{name}.wav\n" for name in "ab").encode())
        project.manifest["sources"] = {"files": [{"from": f"{form(written)}/list.txt"}]}
    else:
        project.manifest["sources"] = {"files": [f"./{form(written)}/**/*.wav"]}
    assert project.run().code == 0
    (project.folder / form(written)).mkdir()
    (project.folder / form(stored) / "results").rename(project.folder / form(written) / "results")
    does_nothing(project)
    assert "another state" not in project.call("validate").err
    # Nor does it matter which way the manifest spells it from now on.
    project.manifest["outputs"] = {"directory": f"{form(stored)}/results"}
    does_nothing(project)
    assert not (project.folder / form(stored) / "results").exists()


@sampled(1)
@ways
def test_output_dir_and_state_of_the_command_line_are_found_too(
    written: str, stored: str, study: Callable[[str, str], Project]
) -> None:
    project = study(written, stored)
    (project.folder / form(stored, "Läufe")).mkdir()
    where = project.folder / form(written, "Läufe")
    flags = ("--output-dir", str(where / "out"), "--state", str(where / "größe.sqlite3"))
    assert project.run(*flags).code == 0
    there = project.folder / form(stored, "Läufe")
    assert (there / "out" / "run.json").is_file()
    assert not where.exists()
    (there / "größe.sqlite3").rename(there / form(stored, "größe.sqlite3"))
    (there / "größe.sqlite3.seal").rename(there / form(stored, "größe.sqlite3.seal"))
    does_nothing(project, *flags)


@pytest.mark.sweep
def test_of_two_output_directories_the_one_with_the_study_is_taken(study: Callable[[str, str], Project]) -> None:
    """The other one is spelt as asked for, and holds nothing of a run: to begin there would pay again."""
    project = study("NFC", "NFD")
    assert project.run().code == 0
    (project.folder / form("NFC") / "results").mkdir(parents=True)
    does_nothing(project)
    assert list((project.folder / form("NFC") / "results").iterdir()) == []


@pytest.mark.sweep
def test_two_states_are_told_and_the_one_that_is_spelt_as_asked_goes_on(study: Callable[[str, str], Project]) -> None:
    project = study("NFC", "NFD")
    assert project.run().code == 0
    twin = project.folder / form("NFC") / "results"
    twin.parent.mkdir()
    (project.folder / form("NFD") / "results").rename(twin)
    project.manifest["outputs"] = {"directory": f"{form('NFD')}/second"}
    assert project.run().code == 0
    (project.folder / form("NFD") / "second").rename(project.folder / form("NFD") / "results")
    for kind in ("NFC", "NFD"):
        project.manifest["outputs"] = {"directory": f"{form(kind)}/results"}
        does_nothing(project)
        for command in ("run", "plan", "validate"):
            ran = project.call(command)
            assert "another state reads the same" in ran.err + ran.out
            assert ascii(form("NFD" if kind == "NFC" else "NFC")).strip("'") in ran.err + ran.out


def test_who_asks_for_neither_of_two_twins_is_told_both(study: Callable[[str, str], Project]) -> None:
    project = study("NFC", "NFC")
    for kind in ("NFC", "NFD"):
        (project.folder / form(kind, "äö")).mkdir()
    project.manifest["outputs"] = {"directory": f"{form('NFC', 'ä')}{form('NFD', 'ö')}/results"}
    ran = project.run()
    assert ran.code == 64
    assert "2 read so, all written differently" in ran.err
    assert "\\xe4\\xf6" in ran.err
    assert project.job_requests() == []


@sampled(1)
@ways
def test_a_manifest_a_key_and_the_events_are_found(
    written: str, stored: str, study: Callable[[str, str], Project]
) -> None:
    project = study(written, stored)
    for name, content in (("key.txt", b"rehearsal"), ("events.csv", b"name,start,end\nfirst,0,1\n")):
        put(project, f"{form(stored)}/{name}", content)
    project.manifest["events"] = [{"from": f"{form(written)}/events.csv"}]
    project.manifest["service"]["api_key"] = {"file": f"{form(written)}/key.txt"}
    project.write(project.folder / form(stored, "Plän.yaml"))
    manifest = str(project.folder / form(written, "Plän.yaml"))
    for command in ("validate", "plan", "doctor"):
        ran = project.plain_call(command, manifest)
        assert "no such file" not in (ran.out + ran.err).lower()
        assert "cannot" not in ran.out + ran.err
        assert ran.code == 0 or command == "doctor", ran.out + ran.err


@sampled(1)
@ways
def test_files_that_commands_write_and_read_lie_where_their_folder_is(
    written: str, stored: str, study: Callable[[str, str], Project]
) -> None:
    project = study(written, stored)
    there, typed = project.folder / form(stored, "Läufe"), project.folder / form(written, "Läufe")
    there.mkdir()
    assert project.call("plan", "--out", str(typed / "p.json"), "--markdown", str(typed / "p.md")).code == 0
    metrics = ("--metrics-file", str(typed / "m.prom"), "--log-file", str(typed / "l.log"))
    ran = project.run("--plan", str(typed / "p.json"), *metrics)
    assert ran.code == 0, ran.err
    assert project.call("tables", "--format", "csv", "--out", str(typed / "tables")).code == 0
    assert project.call("report", "--out", str(typed / "r.html")).code == 0
    raw = project.folder / form(stored) / "results" / "raw"
    (there / "raw").mkdir()
    for path in raw.glob("*/predictions.json"):
        (there / "raw" / f"{path.parent.name}.json").write_bytes(path.read_bytes())
    ran = project.plain_call("tables", "--from", str(typed / "raw"), "--out", str(typed / "loose"), "--format", "csv")
    assert ran.code == 0, ran.err
    outputs = project.folder / form(written) / "results"
    ran = project.plain_call("compare", str(outputs), str(outputs), "--even-simulated")
    assert ran.code == 3, ran.err  # what is there of tones is nothing to compare
    assert project.plain_call("init", str(typed.parent / form(written)), "--out", str(typed / "new.yaml")).code == 0
    assert {one.name for one in there.iterdir()} >= {
        "p.json",
        "p.md",
        "m.prom",
        "l.log",
        "tables",
        "r.html",
        "new.yaml",
    }
    assert not typed.exists()
    assert json.loads((there / "p.json").read_text(encoding="utf-8"))["basis"]
