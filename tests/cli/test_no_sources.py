"""What a manifest reads, and what runs wrote, is sent by no pattern, and a person is told how much was passed over."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest

from hume_runner.manifest.load import load_manifest
from hume_runner.sources import expand
from tests.cli.project import Project
from tests.sources import trees
from tests.tiers import sampled


@pytest.fixture
def study(project: Project) -> Project:
    """A text as a file and a key beside it, on the service that takes any file as it is."""
    (project.folder / "a.txt").write_text("I am a.", encoding="utf-8")
    (project.folder / "api.key").write_text(project.emulator.api_key, encoding="utf-8")
    project.manifest["service"]["api_key"] = {"file": "api.key"}
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"files": ["**/*.*"]}
    project.manifest["outputs"] = {"directory": "results"}
    (project.folder / "media" / "one.wav").unlink()
    return project


def test_no_pattern_finds_what_the_manifest_reads(study: Project) -> None:
    (study.folder / "list.csv").write_text("text\nHello.\n", encoding="utf-8")
    (study.folder / "events.csv").write_text("item_id,event,begin_s,end_s\na.txt,e,0,1\n", encoding="utf-8")
    (study.folder / "link.key").symlink_to("api.key")
    os.link(study.folder / "api.key", study.folder / "second.key")
    study.manifest["sources"]["text"] = [{"from": "list.csv"}]
    study.manifest["events"] = [{"from": "events.csv"}]
    ran = study.call("validate")
    assert ran.code == 0, ran.out + ran.err
    assert "ok, 2 items (1 file, 1 text)" in ran.out
    assert "6 manifests, lists and keys are no sources: patterns pass over them" in ran.err
    planned = study.call("plan")
    assert planned.code == 0, planned.err
    assert planned.err.count("6 manifests, lists and keys are no sources: patterns pass over them") == 1
    assert "items  2 new\n" in planned.out


def test_the_key_does_not_leave_the_machine(study: Project) -> None:
    assert study.run().code == 0
    uploads = [one["filename"] for job in study.job_requests() for one in job["files"]]
    assert len(uploads) == 1
    assert uploads[0].endswith("a.txt")


def test_a_secret_for_callbacks_is_found_by_no_pattern_either(study: Project) -> None:
    (study.folder / "hook.key").write_text("s" * 40, encoding="utf-8")
    study.manifest["service"] = {"api": "local"}
    study.manifest["models"] = {"speech": {}}
    study.manifest["execution"] = {}
    study.manifest["notify"] = {"callback_url": "https://example.org/x", "callback_secret": {"file": "hook.key"}}
    ran = study.call("validate")
    assert ran.code == 0, ran.out
    assert "ok, 2 items (2 files)" in ran.out, "the text, and the key that is this manifest's no more"
    assert "2 manifests, lists and keys are no sources" in ran.err


def test_other_manifests_and_their_keys_are_no_sources(study: Project) -> None:
    key = study.folder / "keys" / "two.key"
    key.parent.mkdir()
    key.write_text("k" * 40, encoding="utf-8")
    other = "version: 1\nname: two\nservice:\n  api: batch-v0\n  api_key: {file: keys/two.key}\nsources: {text: [A.]}\n"
    (study.folder / "two.yml").write_text(other, encoding="utf-8")
    (study.folder / "mine.yaml").write_text("sources: none\nservice: bad\n", encoding="utf-8")
    assert found(study) == ["a.txt", "mine.yaml"]
    study.manifest["sources"] = {"files": ["keys/two.key"]}
    ran = study.call("validate")
    assert ran.code == 65
    assert f"'keys/two.key' is a secret (service.api_key.file, {study.folder}/two.yml:5:19)" in ran.out


ROOT = Path(__file__).parents[2]
_NEIGHBOUR = "name: two\nservice:\n  api: batch-v0\n  api_key: {file: keys/two.key}\nsources: {text: [A.]}\n"
_LONG = "# a comment\n" * 100_000
# A manifest that somebody works on, or that is written in another way, is one all the same.
NEIGHBOURS = {
    "without a version": ("two.yaml", _NEIGHBOUR.encode()),
    "long": ("two.yaml", f"{_NEIGHBOUR}{_LONG}".encode()),
    "long texts first": ("two.yaml", f"sources: {{text: ['{'A. ' * 500_000}']}}\n{_NEIGHBOUR[:-23]}".encode()),
    "unclosed": ("two.yaml", (_NEIGHBOUR[:-2] + "\n").encode()),
    "a tab": ("two.yaml", _NEIGHBOUR.replace("  api:", "\tapi:").encode()),
    "UTF-16": ("two.yaml", _NEIGHBOUR.encode("utf-16")),
    "JSON": (
        "two.json",
        json.dumps({"service": {"api_key": {"file": "keys/two.key"}}, "sources": {"text": ["A."]}}).encode(),
    ),
    "key in lines": ("two.YML", _NEIGHBOUR.replace("{file: keys/two.key}", "\n    file: keys/two.key").encode()),
}


@sampled(2)
@pytest.mark.parametrize(("name", "content"), NEIGHBOURS.values(), ids=list(NEIGHBOURS))
def test_whatever_state_another_manifest_is_in_it_and_its_key_are_no_sources(
    study: Project, name: str, content: bytes
) -> None:
    (study.folder / "keys").mkdir()
    (study.folder / "keys" / "two.key").write_text("k" * 40, encoding="utf-8")
    (study.folder / name).write_bytes(content)
    assert found(study) == ["a.txt"]


def test_the_schema_that_init_writes_beside_a_manifest_is_no_source(study: Project) -> None:
    shutil.copyfile(ROOT / "schemas" / "manifest-v1.schema.json", study.folder / "manifest-v1.schema.json")
    assert found(study) == ["a.txt"]


def test_a_key_of_another_manifest_is_known_however_its_name_is_spelt(study: Project) -> None:
    stored, written = (unicodedata.normalize(form, "schlüssel.key") for form in ("NFD", "NFC"))
    (study.folder / stored).write_text("k" * 40, encoding="utf-8")
    (study.folder / "two.yaml").write_text(_NEIGHBOUR.replace("keys/two.key", written), encoding="utf-8")
    assert found(study) == ["a.txt"]


@sampled(1)
@pytest.mark.parametrize("kind", ["text", "urls", "files"])
def test_a_key_that_is_named_as_a_list_refuses_the_manifest(study: Project, kind: str) -> None:
    study.path.with_name("key.txt").write_bytes((study.folder / "api.key").read_bytes())
    study.manifest["service"]["api_key"] = {"file": "key.txt"}
    study.manifest["sources"] = {kind: [{"from": "key.txt"}]}
    for command in ("validate", "plan", "run"):
        ran = study.call(command)
        assert ran.code == 65, ran.out + ran.err
        assert "is a secret (service.api_key.file" in ran.out + ran.err
    assert study.job_requests() == []


@sampled(1)
@pytest.mark.parametrize("named", ["api.key", "link.key", "list"])
def test_a_key_that_is_named_as_a_source_refuses_the_manifest(study: Project, named: str) -> None:
    (study.folder / "link.key").symlink_to("api.key")
    (study.folder / "files.txt").write_text("a.txt\napi.key\n", encoding="utf-8")
    study.manifest["sources"] = {"files": ["a.txt", {"from": "files.txt"} if named == "list" else named]}
    at = f"{study.folder}/files.txt:2:1" if named == "list" else f"{study.path}:"
    for command in ("validate", "plan", "run"):
        ran = study.call(command)
        assert ran.code == 65, ran.out + ran.err
        said = ran.out + ran.err
        assert f"is a secret (service.api_key.file, {study.path}:" in said
        assert "next: remove it from the sources" in said
        assert at in said
    assert study.job_requests() == []


def test_a_pattern_that_finds_only_what_the_manifest_reads_finds_nothing(study: Project) -> None:
    study.manifest["sources"] = {"files": ["*.key", "a.txt"]}
    ran = study.call("validate")
    assert ran.code == 66
    assert "no file matches '*.key'" in ran.out
    assert "1 manifest, list or key is no source" in ran.out


def test_a_list_that_is_named_as_a_source_is_one(study: Project) -> None:
    (study.folder / "list.txt").write_text("Hello.\n", encoding="utf-8")
    study.manifest["sources"] = {"text": [{"from": "list.txt"}], "files": ["list.txt"]}
    ran = study.call("validate")
    assert ran.code == 0, ran.out
    assert "ok, 2 items (1 file, 1 text)" in ran.out


# -- what a person keeps where runs write, and what runs wrote there


@pytest.fixture
def recorded(project: Project) -> Project:
    """An output directory with all that a run writes."""
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"text": ["I am so glad."]}
    project.manifest["outputs"] = {"directory": "study", "tables": ["csv", "parquet"], "report": True}
    assert project.run().code == 0
    project.manifest["outputs"] = {"directory": "results"}
    project.manifest["sources"] = {"files": ["study/**/*"]}
    return project


PERSONS = (
    "raw/1.wav", "raw/p07/2.wav", "tables/3.wav", "tables/mine.csv", "prepared/4.wav", "prepared/p07/5.wav",
    "cluster/6.wav", "cluster/run-1/7.wav", "emulator/8.wav", "emulator/uploads/9.wav", "shards/10.wav",
    "shards/1-of-2/11.wav", "state.sqlite3 of 12.wav", "state.sqlite3.wav", "state.sqlite3-old/13.wav",
    "codebook.old.md", "14.json", "raw/p07/notes.json", "one.lock", "seal.seal",
)  # fmt: skip


def test_what_a_person_keeps_where_runs_write_is_a_source(recorded: Project) -> None:
    for number, name in enumerate(PERSONS):
        path = recorded.folder / "study" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"[{number}]", encoding="utf-8")
    assert found(recorded) == sorted(f"study/{name}" for name in PERSONS)


def found(project: Project) -> list[str]:
    """Of the sources of the manifest as it is, the names."""
    return sorted(item.value for item in expand(load_manifest(project.write())))


@pytest.mark.sweep
def test_how_much_of_what_runs_wrote_is_passed_over_is_told_once(recorded: Project) -> None:
    (recorded.folder / "study" / "mine.txt").write_text("Mine.", encoding="utf-8")
    folder = recorded.folder / "study"
    files = sum(1 for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] != "raw") - 1
    line = f"{files} files and 1 folder that runs wrote are no sources: patterns pass over them\n"
    for command in ("validate", "plan"):
        ran = recorded.call(command)
        assert ran.code == 0, ran.err
        assert ran.err.count("that runs wrote") == 1
        assert line in ran.err
    # Where a pattern would not have found any of it, there is nothing to tell.
    recorded.manifest["sources"] = {"files": ["study/**/*.txt"]}
    assert "runs wrote" not in recorded.call("validate").err


LEFT: dict[str, str] = {
    "an answer": "raw/0a1b/request.json",
    "beside an answer": "raw/0a1b/predictions.json",
    "an answer that was edited": "raw/0a1b/predictions.json.bak",
    "an answer whose run died": "raw/0c1d/predictions.json",
    "an answer that nobody understood": "raw/not-understood-0a1b2c.bin",
    "a recording that was prepared": "prepared/0a/sound.wav",
    "what a cluster shares": "cluster/run-0123456789abcdef/calls/0.1",
    "an upload to the emulator": "emulator/uploads/0a/0",
    "the emulator's jobs": "emulator/emulator.sqlite3-wal",
    "the lock of a shard": "shards/1-of-2/state.sqlite3.lock",
    "the log of a state": "state.sqlite3-wal",
    "what a full disk left": "state.sqlite3.job-000001-0a1b.rescued",
    "a lock of the outputs": "state.sqlite3.outputs.lock",
}


@sampled(1)
@pytest.mark.parametrize("name", LEFT.values(), ids=list(LEFT))
def test_what_a_run_leaves_when_it_dies_is_no_source(recorded: Project, name: str) -> None:
    folder = recorded.folder / "study"
    beside = ("raw/0a1b/request.json", "prepared/0a/entry.json", "cluster/run-0123456789abcdef/nonce")
    for one in (*beside, "emulator/emulator.sqlite3", name):
        path = folder / one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", encoding="utf-8")
    (folder / "mine.txt").write_text("Mine.", encoding="utf-8")
    assert found(recorded) == ["study/mine.txt"]
    # Nor where a pattern begins further down, or comes by a link.
    top, slash, _ = name.partition("/")
    inside = f"study/{top}" if slash else "study"
    (recorded.folder / "link").symlink_to(inside)
    for pattern in (f"{inside}/**/*", "link/**/*"):
        names = [Path(path).name for path in trees.found(pattern, recorded.folder)]
        assert names == ([] if slash else ["mine.txt"])


# -- states and results of other studies, by whatever name


@pytest.mark.sweep
def test_states_and_results_of_other_studies_are_sent_by_no_pattern(project: Project) -> None:
    study = project.folder / "study"
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"text": [{"text": "I am so glad.", "labels": {"wave": 1}}, "I am so sad."]}
    (study / "mine").mkdir(parents=True)
    assert project.run("--state", str(study / "one.sqlite3")).code == 0
    assert project.run("--state", str(study / "plain"), "--output-dir", str(project.folder / "b")).code == 0
    commands = (
        "plan --out one.json", "plan --markdown one.md", "report --out one.html", "report --figures figs",
        "report --figures figs --figure-format csv", "report --figures figs --figure-format pdf",
        "tables --out tab --format csv --long", "tables --out tab --format parquet", "tables --out tab --format xlsx",
        "tables --out tab --format jsonl --long", "tables --psych-ds --out psych", "run --metrics-file one.prom",
    )  # fmt: skip
    for words in commands:
        places = ("tab", "figs", "psych")
        told = [str(study / word) if "one." in word or word in places else word for word in words.split()]
        ran = project.call(*told, "--state", str(study / "one.sqlite3"))
        assert ran.code == 0, ran.err
    assert sum(1 for path in study.rglob("*") if path.is_file()) > 20
    (study / "tab" / "errors.jsonl").unlink()  # nothing is in it, so that nobody can tell whose it is
    (study / "mine" / "a.txt").write_text("I am a.", encoding="utf-8")
    project.manifest["sources"] = {"files": ["study/**/*"]}
    assert found(project) == ["study/mine/a.txt"]
