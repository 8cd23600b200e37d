"""What docs/how-it-works.md lets go may go: afterwards nothing is sent, and nothing is missing."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from hume_runner import aside
from tests.cli.project import JOBS, Project

PAGE = (Path(__file__).parents[2] / "docs" / "how-it-works.md").read_text(encoding="utf-8")
TABLE = PAGE.partition("## What lies beside the results, and what may go")[2].partition("\n## ")[0]
ROWS = [row.split(" | ") for row in re.findall(r"^\| (.*) \|$", TABLE, re.MULTILINE)][2:]


def patterns(named: str) -> list[str]:
    """As globs: what differs from one to another is anything."""
    return [re.sub(r"<random>|NAME|…", "*", name.rstrip("/")) for name in re.findall(r"`([^`]+)`", named)]


@pytest.mark.sweep
def test_what_may_go_is_missed_by_nobody(project: Project) -> None:
    project.manifest["sources"] = {"text": ["Hello.", "Goodbye."]}
    project.manifest["models"] = {"language": {}}
    project.manifest["outputs"]["tables"] = ["jsonl"]
    for index in (1, 2):
        assert project.run("--shard", f"{index}/2").code == 0
    shards = [str(project.out / "shards" / f"{index}-of-2") for index in (1, 2)]
    assert project.plain_call("state", "merge", str(project.write()), *shards).code == 0
    assert project.run().code == 0
    sent = project.requests()[JOBS]
    # What killed runs leave.
    aside.part_path(project.out / "results.jsonl").write_text("half")
    (project.out / "state.sqlite3.parted-abc123").write_text("old")
    (project.out / "prepared").mkdir(exist_ok=True)
    gone = []
    for named, _, may_go in ROWS:
        for pattern in patterns(named) if may_go.startswith("yes") else ():
            for path in project.out.glob(pattern):
                gone.append(path.name)
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    left = {path.name for path in project.out.iterdir()}
    assert {"shards", "tables", "run.json", "state.sqlite3.seal", "state.sqlite3.lock"} <= {*gone}
    kept = {"state.sqlite3", "raw", "state.sqlite3.outputs.json"}
    assert kept <= left
    described = {"datapackage.json", "codebook.md", "ro-crate-metadata.json", ".hume-runner", "CITATION.cff"}
    assert left <= kept | described, "docs/how-it-works.md says nothing of it"
    assert project.call("verify", "--repair").code == 0
    assert project.run().code == 0
    assert project.call("verify").code == 0
    assert project.requests()[JOBS] == sent
    assert [line["status"] for line in project.results()] == ["done", "done"]


def test_every_row_says_whether_it_may_go() -> None:
    assert len(ROWS) > 10
    assert all(re.match(r"(yes|no)\b", may_go) for _, _, may_go in ROWS)
