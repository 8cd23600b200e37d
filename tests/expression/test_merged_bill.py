"""What shards paid twice stands in the bill of the whole, whatever became of the jobs it was paid for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.commands import call
from tests.expression.runs import AUDIO, Folder, measured_runs, metered
from tests.media_files import speech, write_wav


def record(folder: Folder, count: int) -> list[str]:
    """So many recordings; each is billed by the least that is billed, ten seconds."""
    names = []
    for number in range(count):
        names.append(f"{number}.wav")
        if not (folder.path / names[-1]).exists():
            folder.path.mkdir(parents=True, exist_ok=True)
            write_wav(folder.path / names[-1], speech([("speech", 1.0 + number / 10)]))
    return names


def bill(outputs: Path) -> float:
    told = json.loads((outputs / "run.json").read_text(encoding="utf-8"))["bill"]
    return float(told["billable_seconds"])


@pytest.mark.sweep
@pytest.mark.parametrize("then", ["nothing", "the same", "another list", "a shorter list"])
def test_what_was_paid_twice_is_in_the_bill_of_the_whole(folder: Folder, emulator: Emulator, then: str) -> None:
    def listed(*names: str) -> None:
        folder.write({"files": [*names]}, models={"audio": {}}, execution={"look_back": 0})

    names = record(folder, 7)
    listed(*names[:3])
    for index in (1, 2):
        assert folder.run("--shard", f"{index}/2").code == 0
    listed(*names[:6])
    emulator.inject([{"route": AUDIO, "action": {"drop": "after"}}])
    for index in (1, 2):
        folder.run("--shard", f"{index}/2")
    emulator.inject([])
    if then == "another list":
        listed(names[6], *names[:6])
    elif then == "a shorter list":
        listed(*names[:4])
    if then != "nothing":
        for index in (1, 2):
            assert folder.run("--shard", f"{index}/2").code == 0
    paid = metered(measured_runs(emulator.url))
    shards = [folder.outputs / "shards" / f"{index}-of-2" for index in (1, 2)]
    assert sum(bill(one) for one in shards) == pytest.approx(paid)
    assert call("state", "merge", str(folder.manifest), *map(str, shards)).code == 0
    ran = folder.run()
    assert ran.code == 0, ran.err
    assert bill(folder.outputs) == pytest.approx(metered(measured_runs(emulator.url)))
