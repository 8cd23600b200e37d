"""A cluster prepares what is sent to a service: a worker that is lost costs nothing, and nothing is paid twice."""

from __future__ import annotations

import json
import os
import signal

import pytest

from hume_runner.emulator.server import Emulator
from tests.computing.case import Case
from tests.computing.dask_processes import Dask, until
from tests.expression.runs import AUDIO, measured_runs, times_measured
from tests.media.ffmpeg_files import ffmpeg

RECORDINGS = 24


def answers(case: Case, out: str) -> list[bytes]:
    """What was sent and what came back, without what names a run or a moment."""
    found = []
    for folder in (case.folder / out / "raw").iterdir():
        request = json.loads((folder / "request.json").read_bytes())
        found.append(json.dumps([request["sources"], request["request"]], sort_keys=True).encode())
    return sorted(found)


@pytest.mark.sweep
def test_a_worker_killed_while_media_are_prepared_makes_nobody_pay_twice(
    case: Case, dask: Dask, emulator: Emulator
) -> None:
    workers = [dask.worker(name) for name in ("a", "b")]
    (case.folder / "media").mkdir()
    for number in range(RECORDINGS):
        sound = f"anoisesrc=d=40:c=pink:r=48000:a=0.3:seed={number},tremolo=f=0.7:d=0.9"
        ffmpeg("-f", "lavfi", "-i", sound, "-c:a", "aac", "-b:a", "64k", case.folder / "media" / f"{number}.m4a")
    (case.folder / "key").write_text(emulator.api_key)
    more = {
        "service": {"api": "expression-v1", "endpoint": emulator.url, "api_key": {"file": "key"}},
        "models": {"audio": {}},
        "execution": {"requests_per_second": 1000},
    }
    del_batching = {"batching": {"max_bytes": 1_000_000}}
    case.write(files=["media/*.m4a"], **more, **del_batching, outputs={"directory": "there"})
    run = case.start("--cluster", dask.address)
    until(lambda: emulator.requests()["by_route"].get(AUDIO, 0) >= 4)
    os.kill(workers[0].pid, signal.SIGKILL)
    ran = case.ended(run)
    assert ran.code == 0, ran.err
    measured = measured_runs(emulator.url)
    assert set(times_measured(measured).values()) == {1}
    assert {one["status"] for one in case.results("there")} == {"done"}
    case.write(files=["media/*.m4a"], **more, **del_batching, outputs={"directory": "here"})
    again = case.run("--pay-again")
    assert again.code == 0, again.err
    assert set(times_measured(measured_runs(emulator.url)).values()) == {2}  # the very same bytes were sent
    assert len(measured_runs(emulator.url)) == 2 * len(measured)
