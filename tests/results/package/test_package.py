"""What a run says of its tables, read by the programs that such descriptions are for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import hume_runner
from tests.cli.project import Project


@pytest.fixture
def described(project: Project) -> Path:
    project.manifest["description"] = "Two people | three waves\nof talk"
    project.manifest["sources"] = {
        "text": [
            {"text": "=1+1 I could not be happier.", "id": "a", "labels": {"wave": 2}},
            {"text": "Leave me alone, said Ann.", "id": "b", "labels": {"wave": None}},
        ]
    }
    project.manifest["models"] = {"language": {"granularity": "sentence"}}
    project.manifest["outputs"] = {"directory": "out", "tables": ["csv"]}
    assert project.run().code == 0
    return project.out


def package(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "datapackage.json").read_text(encoding="utf-8"))


@pytest.mark.sweep
def test_the_package_is_valid_to_the_last_cell_for_frictionless(described: Path) -> None:
    from frictionless import Package, system

    with system.use_context(trusted=True):
        report = Package(str(described / "datapackage.json")).validate()

    assert report.valid, report.flatten(["name", "rowNumber", "fieldName", "message"])
    assert {task.name for task in report.tasks} >= {"items", "errors", "sources", "language"}


@pytest.mark.sweep
def test_the_package_is_valid_whatever_the_format_and_a_changed_byte_is_seen(tmp_path: Path) -> None:
    from frictionless import Package, system

    manifest = {
        "version": 1,
        "name": "all",
        "service": {"api": "local"},
        "sources": {"text": [{"text": "I am happy.", "labels": {"wave": 1}}, "Leave me alone."]},
        "models": {"language": {}},
        "outputs": {"directory": "out", "tables": ["parquet", "csv", "jsonl", "xlsx"]},
    }
    (tmp_path / "all.yaml").write_text(json.dumps(manifest), encoding="utf-8")
    assert hume_runner.run(tmp_path / "all.yaml").exit_code == 0

    with system.use_context(trusted=True):
        report = Package(str(tmp_path / "out" / "datapackage.json")).validate()
        assert report.valid, report.flatten(["name", "rowNumber", "fieldName", "message"])
        assert {"items-parquet", "items-csv", "items-jsonl", "items-xlsx"} <= {task.name for task in report.tasks}
        for name in ("items.parquet", "items.jsonl"):
            path = tmp_path / "out" / "tables" / name
            kept = path.read_bytes()
            path.write_bytes(kept[:-1] + b"!")
            assert not Package(str(tmp_path / "out" / "datapackage.json")).validate().valid, name
            path.write_bytes(kept)


@pytest.mark.sweep
def test_a_changed_cell_does_not_pass(described: Path) -> None:
    from frictionless import Package, system

    path = described / "tables" / "items.csv"
    path.write_bytes(path.read_bytes().replace(b"text", b"tent"))

    with system.use_context(trusted=True):
        assert not Package(str(described / "datapackage.json")).validate().valid


def test_every_table_and_column_is_described_with_size_and_hash(described: Path) -> None:
    found = package(described)

    tables = {path.name for path in (described / "tables").iterdir()}
    assert {Path(one["path"]).name for one in found["resources"]} == tables
    for one in found["resources"]:
        content = (described / one["path"]).read_bytes()
        assert one["bytes"] == len(content)
        assert one["hash"] == "sha256:" + hashlib.sha256(content).hexdigest()
        assert one["description"].startswith("A row is one ")
        assert all(field["description"] for field in one["schema"]["fields"])
    assert found["simulated"] is True
    assert "Simulated" in found["citation"]
    assert found["about"].startswith("Simulated")


@pytest.mark.sweep
def test_the_crate_can_be_read_and_leads_to_the_files(described: Path) -> None:
    from rocrate.rocrate import ROCrate

    crate = ROCrate(str(described))

    assert crate.name == "trial"
    files = [one.id for one in crate.get_by_type("File")]
    assert all((described / name).exists() for name in files)
    (action,) = crate.get_by_type("CreateAction")
    assert action["instrument"]["name"] == "hume_runner"
    assert action["startTime"] <= action["endTime"]


@pytest.mark.sweep
def test_the_codebook_has_a_line_for_each_column(described: Path) -> None:
    text = (described / "codebook.md").read_text(encoding="utf-8")

    header = (described / "tables" / "language.csv").read_text(encoding="utf-8").splitlines()[0]
    for column in header.split(","):
        assert f"| `{column}` |" in text
    assert "Two people | three waves" in text


@pytest.mark.sweep
def test_descriptions_follow_the_tables_and_only_them(project: Project, described: Path) -> None:
    before = {name: (described / name).stat().st_mtime_ns for name in ("datapackage.json", "codebook.md")}
    assert project.run().code == 0
    assert {name: (described / name).stat().st_mtime_ns for name in before} == before

    assert project.call("tables", "--format", "parquet", "--long").code == 0
    names = {one["name"] for one in package(described)["resources"]}
    assert {"items-csv", "items-parquet", "language-long"} <= names

    (described / "codebook.md").unlink()
    assert project.run().code == 0
    assert (described / "codebook.md").is_file()
    verified = project.call("verify")
    assert (verified.code, "0 not ours" in verified.out) == (0, True)


def test_without_tables_there_is_nothing_to_describe(project: Project) -> None:
    project.manifest["outputs"] = {"directory": "out"}
    assert project.run().code == 0

    assert not (project.out / "datapackage.json").exists()


@pytest.mark.sweep
def test_a_psych_ds_dataset_names_every_column(project: Project, described: Path, tmp_path: Path) -> None:
    assert project.call("tables", "--psych-ds").code == 64
    folder = tmp_path / "dataset"
    assert project.call("tables", "--psych-ds", "--out", str(folder)).code == 0

    document = json.loads((folder / "dataset_description.json").read_text(encoding="utf-8"))
    named = {one["name"] for one in document["variableMeasured"]}
    files = sorted(path.name for path in (folder / "data").iterdir())
    assert "study-trial_table-language_data.csv" in files
    for name in files:
        assert set((folder / "data" / name).read_text(encoding="utf-8").splitlines()[0].split(",")) <= named
    assert (document["@context"], document["@type"]) == ("https://schema.org/", "Dataset")
