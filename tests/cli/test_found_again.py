"""What a run writes is no source of the next run, wherever the output directory lies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.project import Project
from tests.sources.trees import found
from tests.tiers import sampled


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


@sampled(2)
@pytest.mark.parametrize(("pattern", "directory"), PASSES_BY.values(), ids=list(PASSES_BY))
def test_a_second_run_finds_what_the_first_found(study: Project, pattern: str, directory: str) -> None:
    (study.folder / "link").symlink_to("study")
    listed(study, pattern, directory, tables=["csv"], report=True)
    assert study.run().code == 0
    planned = study.call("plan")
    assert planned.code == 0
    assert "items  2 done\n" in planned.out
    assert "a run would do nothing" in planned.out


def test_what_another_run_wrote_is_no_source_either(study: Project) -> None:
    """A rehearsal with a directory of its own, and a second manifest whose pattern spans the first one's outputs."""
    listed(study, "study/**/*", "results", tables=["csv"], report=True)
    for name in ("study/rehearsal", "study/deep/below/rehearsal"):
        assert study.run("--output-dir", str(study.folder / name)).code == 0
    written = {path.name for path in (study.folder / "study" / "rehearsal").iterdir()}
    assert {"state.sqlite3", "raw", "tables", "report.html", "run.json", "results.jsonl"} <= written
    planned = study.call("plan")
    assert planned.code == 0
    assert "items  2 new\n" in planned.out
    # What a person lays beside it is theirs.
    (study.folder / "study" / "rehearsal" / "mine.txt").write_text("Mine.", encoding="utf-8")
    assert "items  3 new\n" in study.call("plan").out
    # Nor does a pattern that begins there find it.
    listed(study, "study/rehearsal/*", "results")
    assert "items  1 new\n" in study.call("plan").out


FORMS = ["csv", "jsonl", "parquet", "xlsx"]


@sampled(1)
@pytest.mark.parametrize("form", FORMS)
def test_all_that_a_run_writes_is_known(study: Project, form: str) -> None:
    listed(study, "study/*", "results", tables=[form], report=True)
    study.manifest["sources"]["text"] = [{"text": "I am so glad.", "labels": {"wave": 1}}]
    assert study.run().code == 0
    written = [path for path in (study.folder / "results").rglob("*") if path.is_file()]
    assert len(written) > 10
    for pattern in ("results/**/*", "results/*", "results/tables/*", "results/raw/*/*"):
        assert found(pattern, study.folder) == []


WRITES: dict[str, tuple[str, ...]] = {
    "a state": ("run", "--state", "study/st.sqlite3"),
    "a state that is planned with": ("plan", "--state", "study/st.sqlite3"),
    "metrics": ("run", "--metrics-file", "study/x.prom"),
    "a log": ("run", "--log-file", "study/run.log"),
    "a log by a link": ("run", "--log-file", "link/run.log"),
    "a plan": ("plan", "--out", "study/plan.json"),
    "a plan's page": ("plan", "--markdown", "study/plan.md"),
    "tables": ("tables", "--out", "study/", "--format", "csv"),
    "a report": ("report", "--out", "study/r.html"),
    "figures": ("report", "--figures", "study/"),
}


@sampled(2)
@pytest.mark.parametrize("words", WRITES.values(), ids=list(WRITES))
def test_nothing_is_written_where_a_pattern_would_find_it(study: Project, words: tuple[str, ...]) -> None:
    (study.folder / "link").symlink_to("study")
    command, *flags = (word if "/" not in word else str(study.folder / word) for word in words)
    listed(study, "study/*.txt", "results")
    if command in ("tables", "report"):
        assert study.run().code == 0
    listed(study, "study/*", "results")
    ran = study.call(command, *flags)
    assert ran.code == 64, ran.err
    assert "'study/*' (" in ran.err
    assert "finds it, and a run would measure it" in ran.err
    assert sorted(path.name for path in (study.folder / "study").iterdir()) == ["a.txt", "b.txt"]
    assert study.job_requests() == [] or command in ("tables", "report")
    listed(study, "study/*.txt", "results")
    assert study.call(command, *flags).code == 0
