"""Shards whose states lie in a store are merged into the whole, whose state lies there as well."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests import warm
from tests.commands import Ran, call
from tests.object_stores import S3Server
from tests.state.remote.machines import KEY, Study, accepted, written

pytestmark = pytest.mark.usefixtures("quick_environment")


def parts(study: Study, machine: str) -> list[str]:
    return [str(study.folder / machine / "shards" / f"{index}-of-2") for index in (1, 2)]


def run_parts(study: Study, machine: str) -> str:
    manifest = written(study, machine)
    for index in (1, 2):
        ran = call("run", manifest, "--shard", f"{index}/2")
        assert ran.code == 0, ran.err
    return manifest


def done(ran: Ran) -> int:
    counted: int = ran.json["items"]["done"]
    return counted


@pytest.mark.sweep
def test_parts_are_merged_into_the_store_and_any_machine_goes_on(study: Study, emulator: Emulator) -> None:
    manifest = run_parts(study, "a")
    assert call("run", manifest).code == 64  # the parts are not merged yet
    merged = call("state", "merge", manifest, *parts(study, "a"))
    assert merged.code == 0, merged.err
    assert "6 of 6 items measured" in merged.out
    ran = call("run", manifest)
    assert ran.code == 0, ran.err
    assert "nothing to do" in ran.err
    other = written(study, "b")
    assert done(call("status", "--json", other)) == 6
    assert call("run", other).code == 0
    assert accepted(emulator) == 6
    again = call("state", "merge", manifest, *parts(study, "a"))
    assert (again.code, again.out.count("nothing new")) == (0, 2), again.err


@pytest.mark.sweep
def test_what_a_refused_run_advises_is_what_helps(study: Study) -> None:
    manifest = run_parts(study, "a")
    refused = call("run", manifest).err
    command = refused.split("hume-runner state merge ")[1].strip().replace("*-of-2", "1-of-2")
    assert call("state", "merge", *command.split(), parts(study, "a")[1]).code == 0
    assert call("run", manifest).code == 0


@pytest.mark.sweep
def test_a_part_that_went_on_elsewhere_is_merged_as_it_is_by_now(study: Study, emulator: Emulator) -> None:
    study.texts = 4
    run_parts(study, "a")
    study.texts = 8
    manifest = written(study, "a")
    for index in (1, 2):  # on another machine, with a disk of its own
        assert call("run", written(study, "b"), "--shard", f"{index}/2").code == 0
    short = call("state", "merge", manifest, *parts(study, "a"))
    assert short.code == 10  # what the other machine measured is not on this disk
    (hint,) = [line for line in short.err.splitlines() if line.startswith("next:")]
    assert f"hume-runner run {manifest} --shard" in hint
    for index in (1, 2):
        assert call("run", manifest, "--shard", f"{index}/2").code == 0
    merged = call("state", "merge", manifest, *parts(study, "a"))
    assert "8 of 8 items measured" in merged.out, merged.err
    assert call("run", manifest).code == 0
    assert accepted(emulator) == 8


@pytest.mark.sweep
def test_a_whole_that_another_machine_went_on_with_is_merged_into(study: Study, emulator: Emulator) -> None:
    """The history in the store counts, whatever lies here."""
    assert call("run", written(study, "b"), "--limit", "1").code == 0
    manifest = run_parts(study, "a")
    merged = call("state", "merge", manifest, *parts(study, "a"))
    assert merged.code == 0, merged.err
    ran = call("run", manifest)
    assert (ran.code, "nothing to do" in ran.err) == (0, True), ran.err
    assert call("run", written(study, "b")).code == 0
    assert accepted(emulator) == 6  # what the other machine had measured was found at the service by the part


@pytest.mark.sweep
def test_a_part_that_another_machine_runs_is_not_merged(study: Study, s3: S3Server) -> None:
    manifest = run_parts(study, "a")
    bucket = study.place.split("/")[2]
    lock = json.loads(s3.body(bucket, "study/shards/1-of-2/lock"))
    s3.put(bucket, "study/shards/1-of-2/lock", json.dumps({**lock, "released": False}).encode())
    ran = call("state", "merge", manifest, *parts(study, "a"))
    assert ran.code == 6
    assert "another run holds the state" in ran.err
    assert f"hume-runner state unlock {manifest} --shard 1/2" in ran.err
    assert not (study.folder / "a" / "state.sqlite3").exists()
    assert call("state", "unlock", manifest, "--shard", "1/2").code == 0
    assert call("state", "merge", manifest, *parts(study, "a")).code == 0


@pytest.fixture
def slow(study: Study) -> Iterator[Emulator]:
    with Emulator(api_keys=[KEY], processing_time_s=1.5) as emulator:
        study.url = emulator.url
        yield emulator


@pytest.mark.sweep
def test_a_part_that_is_taken_over_is_closed_for_every_machine(study: Study, slow: Emulator) -> None:
    manifest = written(study, "a")
    for index in (1, 2):
        assert call("run", manifest, "--shard", f"{index}/2", "--detach").code == 0
    assert call("state", "merge", manifest, *parts(study, "a")).code == 64
    assert call("state", "merge", manifest, *parts(study, "a"), "--take-over").code == 0
    for machine in ("a", "b"):
        refused = call("run", written(study, machine), "--shard", "1/2")
        assert (refused.code, "was taken over by the whole" in refused.err) == (64, True), refused.err
    assert call("run", written(study, "b")).code == 0
    assert accepted(slow) == 6


@pytest.mark.sweep
def test_answers_that_nobody_gives_again_are_the_wholes_for_every_machine(study: Study) -> None:
    study.api = "local"
    study.sections = {"service": {"api": "local"}, "batching": {}, "execution": {}}
    manifest = run_parts(study, "a")
    assert call("state", "merge", manifest, *parts(study, "a")).code == 0
    shutil.rmtree(study.folder / "a")
    ran = call("run", written(study, "b"))
    assert (ran.code, "nothing to do, 6 items" in ran.err) == (0, True), ran.err
    assert len(list(Path(study.folder / "b" / "raw").iterdir())) >= 1


@pytest.mark.sweep
def test_no_part_pays_for_what_the_whole_has_on_another_machine(study: Study, emulator: Emulator) -> None:
    study.sections = {"execution": {"requests_per_second": 500, "look_back": 0}}  # nobody asks the service
    assert call("run", written(study, "b"), "--limit", "3").code == 0
    manifest = written(study, "a")
    planned = [call("plan", manifest, "--shard", f"{index}/2", "--format", "json").json for index in (1, 2)]
    assert sum(one["summary"]["new"] for one in planned) == 3
    run_parts(study, "a")
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_a_part_waits_for_a_run_of_everything_on_another_machine(study: Study, s3: S3Server) -> None:
    assert call("run", written(study, "b"), "--limit", "3").code == 0
    bucket = study.place.split("/")[2]
    lock = json.loads(s3.body(bucket, "study/lock"))
    s3.put(bucket, "study/lock", json.dumps({**lock, "released": False}).encode())
    manifest = written(study, "a")
    refused = call("run", manifest, "--shard", "1/2")
    assert (refused.code, "a run of everything is on" in refused.err) == (6, True), refused.err
    assert f"hume-runner state unlock {manifest}, without --shard" in refused.err
    assert call("plan", manifest, "--shard", "1/2").code == 0
    assert call("state", "unlock", manifest).code == 0
    assert call("run", manifest, "--shard", "1/2").code == 0


_KILLED = """
import sys
from hume_runner.api import Project
from hume_runner.api.merging import merge_shards
from hume_runner.settings import Settings
from hume_runner.machine import Machine
from tests.durability.disks import KillingDisk
from tests.state.remote.machines import QUICK

manifest, at, *parts = sys.argv[1:]
machine = Machine(disk=KillingDisk(int(at), "after"), environ={}, settings=QUICK)
merge_shards(Project.open(manifest, machine=machine), parts, take_over=False, on_event=print)
"""


@pytest.mark.sweep
@pytest.mark.parametrize("at", [2, 5, 8, 11, 14])
def test_a_merge_that_is_killed_is_repeated_by_the_same_command(study: Study, emulator: Emulator, at: int) -> None:
    manifest = run_parts(study, "a")
    killed = warm.run(
        [sys.executable, "-c", _KILLED, manifest, str(at), *parts(study, "a")],
        cwd=Path(__file__).parents[3],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    merged = call("state", "merge", manifest, *parts(study, "a"))
    assert (merged.code, "6 of 6 items measured" in merged.out) == (0, True), merged.err
    for machine in ("a", "b"):
        assert call("run", written(study, machine)).code == 0
    assert accepted(emulator) == 6
