"""What a manifest reads, and what runs wrote, is sent by no pattern, and a person is told how much was passed over."""

from __future__ import annotations

import os

import pytest

from tests.cli.project import Project


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
    assert "6 files that the manifest reads are no sources: patterns pass over them" in ran.err
    planned = study.call("plan")
    assert planned.code == 0, planned.err
    assert planned.err.count("6 files that the manifest reads are no sources: patterns pass over them") == 1
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
    assert "2 files that the manifest reads are no sources" in ran.err


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


def test_a_list_that_is_named_as_a_source_is_one(study: Project) -> None:
    (study.folder / "list.txt").write_text("Hello.\n", encoding="utf-8")
    study.manifest["sources"] = {"text": [{"from": "list.txt"}], "files": ["list.txt"]}
    ran = study.call("validate")
    assert ran.code == 0, ran.out
    assert "ok, 2 items (1 file, 1 text)" in ran.out
