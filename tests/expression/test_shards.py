"""Shards of one key: what the others have had measured is no stranger's, whatever its size."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import Project, tone

UPLOADS = "POST /v1/expression/audio/file"


@pytest.fixture
def recordings(tmp_path: Path) -> Any:
    """Eight recordings of one length, so that their sizes tell nothing apart."""
    with Emulator() as emulator:
        project = Project(tmp_path / "project", emulator)
        for number in range(2, 9):
            project.add_file(f"{number}.wav", tone(number))
        project.manifest["service"]["api"] = "expression-v1"
        project.manifest["sources"] = {"files": ["media/*.wav"]}
        project.manifest["models"] = {"audio": {}}
        yield project


@pytest.mark.sweep
def test_shards_one_after_another_pay_for_each_recording_once(recordings: Project) -> None:
    for index in (1, 2, 3):
        ran = recordings.run("--shard", f"{index}/3")
        assert ran.code == 0, ran.err
    assert recordings.requests()[UPLOADS] == 8
    states = [str(recordings.out / "shards" / f"{index}-of-3") for index in (1, 2, 3)]
    merged = recordings.plain_call("state", "merge", str(recordings.path), *states)
    assert merged.code == 0, merged.err
    before = recordings.requests()
    assert recordings.run().code == 0
    assert recordings.requests() == before
    lines = [json.loads(line) for line in (recordings.out / "results.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["done"] * 8
    assert len({tuple(line["raw"]) for line in lines}) == 8


@pytest.mark.sweep
def test_shards_at_the_same_time_pay_for_each_recording_once(recordings: Project) -> None:
    processes: list[subprocess.Popen[str]] = [
        recordings.start("run", "manifest.yaml", "--shard", f"{index}/3", "--no-progress") for index in (1, 2, 3)
    ]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert recordings.requests()[UPLOADS] <= 8
    for index, process in enumerate(processes, start=1):
        # Another's answer may be on its way in the moment in which this one looks: then it asks, and pays for nothing.
        assert process.returncode in (0, 9), errors
        if process.returncode == 9:
            assert recordings.run("--shard", f"{index}/3").code == 0
    assert recordings.requests()[UPLOADS] == 8


@pytest.mark.sweep
def test_what_is_a_strangers_is_asked_about_all_the_same(recordings: Project) -> None:
    recordings.manifest["outputs"]["directory"] = "elsewhere"
    assert recordings.run("--shard", "1/3").code == 0
    recordings.manifest["outputs"]["directory"] = "out"
    before = recordings.requests()[UPLOADS]
    assert recordings.run("--shard", "2/3").code == 9
    assert recordings.requests()[UPLOADS] == before


@pytest.mark.sweep
def test_a_copy_of_a_shard_with_a_lost_answer_does_not_send_what_the_whole_has_measured_since(
    recordings: Project,
) -> None:
    shard = recordings.out / "shards" / "1-of-3"
    recordings.manifest["execution"]["on_lost_answer"] = "stop"
    recordings.manifest["execution"]["transfer_workers"] = 1
    recordings.emulator.inject([{"route": UPLOADS, "nth": [2], "action": {"drop": "after"}}])
    assert recordings.run("--shard", "1/3").code == 9
    recordings.emulator.inject([])
    copy = recordings.folder / "copy"
    shutil.copytree(shard, copy)
    recordings.manifest["execution"]["on_lost_answer"] = "resubmit"
    merged = recordings.plain_call("state", "merge", str(recordings.write()), str(shard), "--take-over")
    assert merged.code == 0, merged.err
    whole = recordings.run()
    assert whole.code == 0, whole.err
    sent = recordings.requests()[UPLOADS]
    assert sent == 9  # the lost one twice, and counted
    shutil.rmtree(shard)
    shutil.copytree(copy, shard)
    ran = recordings.run("--shard", "1/3")
    assert ran.code == 0, ran.err
    assert recordings.requests()[UPLOADS] == sent
    assert recordings.run().code == 0
    assert recordings.requests()[UPLOADS] == sent
