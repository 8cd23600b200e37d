"""Two Dask workers against one, each with one thread: preparation of recordings, and their measurement with `local`.

Real workers over loopback get what a run gives them, by the way that a run gives it; what a run does besides (planning,
state, uploads) is not in the figures. One recording stands for all: what is made of it is made anew each time. The two
clusters take turns, and only one is there at a time: a scheduler that waits takes a thirtieth of a core. Where others
use the processor, two workers cannot have twice as much of it: how much they had of it, in cores, stands beside each
figure; below 0.9 for one and 1.8 for two the ratio says nothing about the software.

    python benchmarks/cluster.py [RECORDINGS] [SECONDS] [ROUNDS]
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from figures import Figure, report

from hume_runner.computing.base import Needs
from hume_runner.computing.dask import DaskCluster
from hume_runner.computing.remote import RemotePool
from hume_runner.media.audio import prepare_audio
from hume_runner.services.expression_v1.media import sound_of
from hume_runner.services.local.measuring import measure_elsewhere
from hume_runner.services.local.task import SoundPart, Task, Wanted
from hume_runner.services.making import Order, make, media_reader, prepares_media

BODY = 24_900_000


@dataclass(slots=True)
class Cluster:
    """A pool, and the processes that work for it."""

    pool: RemotePool
    workers: list[subprocess.Popen[bytes]]

    def processor_s(self) -> float:
        """What the workers and their children have used so far."""
        used = 0.0
        for worker in self.workers:
            process = psutil.Process(worker.pid)
            for one in (process, *process.children(recursive=True)):
                times = one.cpu_times()
                used += times.user + times.system
        return used


def dask(what: str, *arguments: object, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *map(str, arguments)]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, cwd=log.parent)


@contextmanager
def cluster(folder: Path, number: int) -> Iterator[Cluster]:
    """A scheduler and so many workers for the length of the block."""
    folder.mkdir()
    told = folder / "scheduler.json"
    plain = ("--host", "127.0.0.1", "--no-dashboard")
    processes = [dask("scheduler", *plain, "--port", 0, "--scheduler-file", told, log=folder / "scheduler.log")]
    try:
        while not told.exists() or not told.read_text():
            time.sleep(0.05)
        workers = [
            dask("worker", "--scheduler-file", told, *plain, "--no-nanny", "--nthreads", 1, log=folder / f"{one}.log")
            for one in range(number)
        ]
        processes += workers
        time.sleep(0.2)
        address = json.loads(told.read_bytes())["address"]
        place = DaskCluster(address, wait_s=60, warn=print)
        needs = Needs(function=prepares_media, arguments=(), told=media_reader())
        pool = RemotePool(place, folder, needs, timeout_s=600)
        while True:
            pool.open()
            if pool.width >= number:
                break
            time.sleep(0.2)
        yield Cluster(pool, workers)
        pool.close()
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait()


def timed(there: Cluster, calls: list[Callable[[], object]]) -> tuple[float, float]:
    """(seconds, processor seconds of the workers) of these calls, as many at a time as a run has there."""
    with ThreadPoolExecutor(16) as threads:
        used, began = there.processor_s(), time.perf_counter()
        for done in [threads.submit(call) for call in calls]:
            done.result()
        return time.perf_counter() - began, there.processor_s() - used


def preparing(there: Cluster, source: Path, cache: Path, number: int) -> list[Callable[[], object]]:
    shutil.rmtree(cache, ignore_errors=True)
    orders = [
        Order(
            cache=str(cache),
            key=f"{one:064}",
            source=str(source),
            name=source.name,
            sha256=None,
            size_bytes=source.stat().st_size,
            maker=sound_of,
            options={"track": None, "channel": None, "max_body_bytes": BODY},
        )
        for one in range(number)
    ]
    return [lambda order=order: there.pool.call(make, order) for order in orders]  # type: ignore[misc]


def measuring(there: Cluster, wav: Path, samples: int, number: int) -> list[Callable[[], object]]:
    part = SoundPart(path=str(wav), name=wav.name, detail={"first": 0, "samples": samples, "part": 0, "parts": 1})
    task = Task(wanted=(Wanted(model="acoustics", options="{}", files=None),), material=part)
    files = ((str(wav), wav.stat().st_size),)
    return [lambda: there.pool.call(measure_elsewhere, task, files)] * number


def main() -> int:
    number, seconds, rounds = (int(text) for text in (*sys.argv[1:], *("200", "60", "2")[len(sys.argv) - 1 :]))
    if shutil.which("ffmpeg") is None:
        print("ffmpeg is not installed: nothing to prepare")
        return 0
    best: dict[tuple[str, int], tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "a.m4a"
        noise = f"anoisesrc=d={seconds}:c=pink:r=48000:a=0.3,tremolo=f=0.7:d=0.9,aformat=channel_layouts=stereo"
        command = ["ffmpeg", "-v", "error", "-nostdin", "-f", "lavfi", "-i", noise, "-c:a", "aac", str(source)]
        subprocess.run(command, check=True)
        wav = prepare_audio(source, folder, name="a.wav")
        for turn, workers in itertools.product(range(rounds), (1, 2)):
            with cluster(folder / f"{workers}-{turn}", workers) as there:
                for many in (2 * workers, number):  # the first few load what has to be loaded
                    work = {
                        "preparation": preparing(there, source, folder / "cache", many),
                        "measurement": measuring(there, wav.path, wav.samples, many),
                    }
                    took = {what: timed(there, calls) for what, calls in work.items()}
                for what, one in took.items():
                    best[what, workers] = min(one, best.get((what, workers), one))
    figures = []
    for what in ("preparation", "measurement"):
        (one_s, one_cpu), (two_s, two_cpu) = best[what, 1], best[what, 2]
        title = f"{what} of {number} recordings of {seconds} s"
        figures += [
            Figure(what=f"{title}: one worker ({one_cpu / one_s:.2f} cores)", value=one_s, unit="s"),
            Figure(what=f"{title}: two workers ({two_cpu / two_s:.2f} cores)", value=two_s, unit="s"),
            Figure(what=f"{title}: processor time, two ÷ one", value=two_cpu / one_cpu, hold=1.15),
            Figure(what=f"{title}: 1.8 ÷ (one ÷ two)", value=1.8 * two_s / one_s, hold=1.0),
        ]
    return report("Dask workers", figures)


if __name__ == "__main__":
    sys.exit(main())
