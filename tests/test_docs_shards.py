"""docs/shards.md: what it says is run, what it shows is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from hume_runner.cli.main import COMMANDS
from hume_runner.errors import HumeRunnerError
from tests import warm

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "shards.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)

STUDY = """\
version: 1
name: study
service: {api: local}
sources:
  text:
    - {from: texts.csv, column: text}
models: {language: {}}
outputs: {tables: [jsonl]}
"""


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of its own, and `hume-runner` on the path."""
    (tmp_path / "study.yaml").write_text(STUDY)
    rows = [
        f"I feel number {n}.,{n % 2 + 1},{('Bern', 'Chur')[n % 2]},{20 + n},{str(n == 0).lower()}" for n in range(12)
    ]
    (tmp_path / "texts.csv").write_text("\n".join(["text,wave,site,age,pilot", *rows]) + "\n")
    command = tmp_path / "bin" / "hume-runner"
    command.parent.mkdir()
    warm.program(command)
    return tmp_path


def shell(text: str, study: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": f"{study / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        ["bash", "-e", "-c", text], cwd=study, env=environ, capture_output=True, text=True, check=False
    )


def done(study: Path, place: str = "") -> int:
    lines = (study / "results" / "study" / place / "results.jsonl").read_text().splitlines()
    return sum(json.loads(line)["status"] == "done" for line in lines)


@pytest.mark.sweep
def test_the_ways_to_run_a_part_run_as_they_are_written(study: Path) -> None:
    few, selections = (text for text in blocks("sh") if "--limit" in text or "--select" in text)
    assert "--limit 5" in few
    ran = shell(few.splitlines()[1], study)
    assert (ran.returncode, done(study)) == (0, 5), ran.stderr
    for line in selections.splitlines():
        ran = shell(line, study)
        assert ran.returncode == 0, ran.stderr
    ran = shell(few, study)
    assert (ran.returncode, done(study)) == (0, 12), ran.stderr


@pytest.mark.sweep
def test_the_slurm_array_and_its_merge_run_as_they_are_written(study: Path) -> None:
    (script,) = blocks("bash")
    assert script.startswith("#!/bin/bash\n#SBATCH")
    tasks = re.search(r"--array=1-(\d+)$", script, flags=re.MULTILINE)
    assert tasks is not None
    for task in range(1, int(tasks[1]) + 1):
        ran = shell(script, study, SLURM_ARRAY_TASK_ID=str(task), SLURM_ARRAY_TASK_COUNT=tasks[1])
        assert ran.returncode == 0, ran.stderr
    assert sum(done(study, f"shards/{task}-of-2") for task in (1, 2)) == 12
    (wrapped,) = re.findall(r"^sbatch .*--wrap '(.*)'$", PAGE, flags=re.MULTILINE)
    ran = shell(wrapped, study)
    assert (ran.returncode, done(study)) == (0, 12), ran.stderr
    assert "nothing to do, 12 items are measured" in ran.stderr
    merge = next(text for text in blocks("sh") if text.startswith("hume-runner state merge"))
    assert shell(merge, study).returncode == 0
    (status,) = (text.splitlines()[0] for text in blocks("sh") if "ctl study.yaml" in text)
    assert shell(status, study).returncode == 0


@pytest.mark.sweep
def test_the_kubernetes_job_is_one_and_its_pods_do_what_they_say(study: Path) -> None:
    job, merge = (yaml.safe_load(text) for text in blocks("yaml"))
    assert (job["apiVersion"], job["kind"]) == (merge["apiVersion"], merge["kind"]) == ("batch/v1", "Job")
    spec = job["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["completionMode"] == "Indexed"
    assert pod["restartPolicy"] == "Never"  # a pod failure policy asks for it
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in pod["volumes"]}
    rule = next(rule for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule)
    assert rule["action"] == "FailIndex"
    assert rule["onExitCodes"]["containerName"] == container["name"]
    known = {kind.exit_code for kind in all_errors(HumeRunnerError)} | {0, 2, 3, 130, 143}
    assert set(rule["onExitCodes"]["values"]) <= known
    assert not {0, 3, 5, 6, 130, 143} & set(rule["onExitCodes"]["values"])
    (script,) = container["args"]
    of = spec["completions"]
    assert f"/{of}" in script
    for index in range(of):
        ran = shell("set +e\n" + script, study, JOB_COMPLETION_INDEX=str(index))
        assert ran.returncode == 0, ran.stderr
        assert (study / "results" / "study" / "shards" / f"{index + 1}-of-{of}" / "run.json").exists()
    (together,) = merge["spec"]["template"]["spec"]["containers"]
    assert together["volumeMounts"] == container["volumeMounts"]
    ran = shell(together["args"][0], study)
    assert (ran.returncode, done(study)) == (0, 12), ran.stderr


def test_a_pod_that_finished_with_failed_items_is_done(study: Path) -> None:
    (script,) = yaml.safe_load(blocks("yaml")[0])["spec"]["template"]["spec"]["containers"][0]["args"]
    command = study / "bin" / "hume-runner"
    for given, expected in ((3, 0), (0, 0), (5, 5), (9, 9)):
        command.write_text(f"#!/bin/sh\nexit {given}\n")
        ran = subprocess.run(
            ["sh", "-c", script],
            env={**os.environ, "PATH": f"{study / 'bin'}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": "0"},
            check=False,
        )
        assert ran.returncode == expected


def all_errors(kind: type[HumeRunnerError]) -> list[type[HumeRunnerError]]:
    return [kind, *(deeper for one in kind.__subclasses__() for deeper in all_errors(one))]


def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"hume-runner (\w+)", PAGE))
    assert named <= set(COMMANDS), named - set(COMMANDS)
