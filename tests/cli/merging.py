"""Shards of a project, and what a merge made of them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.cli.project import Project
from tests.commands import Ran


def shard(project: Project, index: int, of: int = 3) -> Path:
    return project.out / "shards" / f"{index}-of-{of}"


def merge(project: Project, *words: str) -> Ran:
    project.write()
    return project.plain_call("state", "merge", str(project.path), *words)


def run_all(project: Project, of: int = 3) -> list[str]:
    for index in range(1, of + 1):
        ran = project.run("--shard", f"{index}/{of}")
        assert ran.code == 0, ran.err
    return [str(shard(project, index, of)) for index in range(1, of + 1)]


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "tables" / f"{table}.jsonl").read_text().splitlines()]
    aside = {"job", "remote_id", "raw", "file"}  # `file` is the place of a text in its job
    return [{name: value for name, value in row.items() if name not in aside} for row in found]


def change(state: Path, *statements: str) -> None:
    """What a person or another version did to a state."""
    (state.parent / "state.sqlite3.seal").unlink(missing_ok=True)
    with closing(sqlite3.connect(state, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


def status_of(project: Project) -> dict[str, Any]:
    status = project.call("status", "--json", "--jobs").json
    return {name: value for name, value in status.items() if name != "at"}


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
