"""What a run writes is no source of the next run, wherever the output directory lies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.project import Project


@pytest.fixture
def study(project: Project) -> Project:
    """Two texts as files, in a folder that takes outputs as well."""
    for name in ("a", "b"):
        path = project.folder / "study" / f"{name}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"I am {name}.", encoding="utf-8")
    return project


def listed(study: Project, pattern: str, directory: str, **outputs: Any) -> None:
    study.manifest["sources"] = {"files": [pattern]}
    study.manifest["models"] = {"language": {}}
    study.manifest["outputs"] = {"directory": directory, **outputs}


FINDS: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "the folder itself": ("study/*", "study", {}, "state.sqlite3"),
    "all below it": ("study/**/*", "study", {}, "raw/0/request.json"),
    "the manifest's folder": ("**/*", ".", {}, "raw/0/request.json"),
    "tables that are due": ("**/*.csv", ".", {"tables": ["csv"]}, "tables/items.csv"),
    "a report that is due": ("study/*.html", "study", {"report": True}, "report.html"),
    "answers by their folder": ("study/raw/*/*.json", "study", {}, "raw/0/request.json"),
    "by a link": ("link/*.jsonl", "study", {}, "results.jsonl"),
    "outputs by a link": ("study/*.jsonl", "link", {}, "results.jsonl"),
    "what is prepared": ("**/*.wav", ".", {}, "prepared/0/sound.wav"),
}


@pytest.mark.parametrize(("pattern", "directory", "outputs", "name"), FINDS.values(), ids=list(FINDS))
def test_a_pattern_that_finds_what_a_run_writes_is_a_fault_of_the_manifest(
    study: Project, pattern: str, directory: str, outputs: dict[str, Any], name: str
) -> None:
    (study.folder / "link").symlink_to("study")
    listed(study, pattern, directory, **outputs)
    for command in ("validate", "run"):
        ran = study.call(command)
        assert ran.code == 65, ran.err
        said = ran.out + ran.err
        assert f"'{pattern}' finds what a run writes, such as {name} (outputs.directory, " in said
        assert "next: give outputs.directory a folder of its own" in said
    assert sorted(path.name for path in (study.folder / "study").iterdir()) == ["a.txt", "b.txt"]


PASSES_BY: dict[str, tuple[str, str]] = {
    "only what is a person's": ("study/*.txt", "study"),
    "a folder below": ("study/**/*", "study/results"),
    "a folder below by a link": ("link/**/*", "study/results"),
    "outputs by a link": ("study/**/*", "link/results"),
    "beside": ("study/*", "results"),
}


@pytest.mark.parametrize(("pattern", "directory"), PASSES_BY.values(), ids=list(PASSES_BY))
def test_a_second_run_finds_what_the_first_found(study: Project, pattern: str, directory: str) -> None:
    (study.folder / "link").symlink_to("study")
    listed(study, pattern, directory, tables=["csv"], report=True)
    assert study.run().code == 0
    planned = study.call("plan")
    assert planned.code == 0
    assert "items  2 done\n" in planned.out
    assert "a run would do nothing" in planned.out
