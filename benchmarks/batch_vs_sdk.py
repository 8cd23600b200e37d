"""The batch API's figures from one run, beside the official SDK: time, status requests, memory of a large upload.

    python benchmarks/batch_vs_sdk.py

Installs the SDK's two last generations and the runner, as a user would, into environments of their own below the cache
directory. Everything talks to `hume-runner emulate` in a process of its own, over loopback. Takes about three minutes.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from environments import python_of_a_user, python_with
from figures import Figure, report
from processes import KEY, Ended, emulator, runner, timed

JOBS, SLOTS, JOB_S = 200, 50, 3
FEW_JOBS = 20
UPLOAD_BYTES = 2_000_000_000
# What the newer SDK's loop takes for a job makes twenty of them long; its figures are per job.
NEW_SDK_JOBS = 8


def manifest(path: Path, url: str, sources: str, *, execution: str = "{}", service: str = "", batching: str) -> Path:
    path.write_text(
        f"version: 1\nname: {path.stem}\n"
        f"service: {{api: batch-v0, endpoint: '{url}'{service}}}\n"
        f"sources: {sources}\n"
        "models: {burst: {}}\n"
        f"batching: {batching}\n"
        f"execution: {execution}\n"
        f"outputs: {{directory: results-{path.stem}}}\n",
        encoding="utf-8",
    )
    return path


def urls(folder: Path, name: str, number: int) -> str:
    """A list of that many URLs as the `sources` of a manifest beside it."""
    listing = folder / f"{name}.txt"
    listing.write_text("".join(f"https://example.org/{name}-{n}.mp4\n" for n in range(number)), encoding="utf-8")
    return f"{{urls: [{{from: {listing.name}}}]}}"


class Measured:
    """One run of the runner against an emulator of its own: seconds in all, and status requests per finished job."""

    def __init__(self, folder: Path, name: str, jobs: int, execution: str) -> None:
        with emulator(
            folder / f"{name}-data", "--processing-time", f"{JOB_S}s", "--max-concurrent-jobs", SLOTS
        ) as served:
            path = manifest(
                folder / f"{name}.yaml",
                served.url,
                urls(folder, name, jobs),
                execution=execution,
                batching="{max_sources: 1}",
            )
            ended: Ended = runner(path, "--no-progress", limit_s=180, python=python_of_a_user())
            self.seconds = ended.seconds
            self.status_per_job = served.status_requests() / jobs
            done = json.loads((folder / f"results-{name}" / "run.json").read_text())["counts"]["jobs"]["done"]
            if done != jobs:
                raise RuntimeError(f"{name}: {done} of {jobs} jobs are done")


class MeasuredSdk:
    """The SDK's loop against an emulator of its own: seconds in all, and status requests per job."""

    def __init__(self, folder: Path, version: str, jobs: int) -> None:
        python = python_with(f"hume=={version}")
        answers = folder / f"sdk-{version}"
        answers.mkdir()
        with emulator(folder / f"sdk-{version}-data", "--processing-time", f"{JOB_S}s") as served:
            script = str(Path(__file__).with_name("sdk_loop.py"))
            ended = timed([python, script, version, served.url, KEY, str(jobs), str(answers)], limit_s=300)
            self.seconds = float(json.loads(ended.out)["seconds"])
            self.status_per_job = served.status_requests() / jobs
        if len(list(answers.iterdir())) != jobs:
            raise RuntimeError(f"hume {version}: not every job was downloaded")


def large_upload(folder: Path) -> Ended:
    """One recording of 2 GB to a host that takes it. The file is sparse; what is sent is not."""
    media = folder / "large.wav"
    with media.open("wb") as file:
        samples = UPLOAD_BYTES - 44
        layout = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 48_000, 192_000, 4, 16)
        file.write(
            struct.pack("<4sI4s", b"RIFF", samples + 36, b"WAVE") + layout + struct.pack("<4sI", b"data", samples)
        )
        file.truncate(UPLOAD_BYTES)
    with emulator(folder / "large-data", "--processing-time", "0s") as served:
        served.allow(upload_bytes=3_000_000_000, body_bytes=3_000_000_000)
        path = manifest(
            folder / "large.yaml",
            served.url,
            "{files: [large.wav]}",
            service=", limits: {upload_bytes: 3GB}",
            batching="{max_bytes: 3GB}",
        )
        return runner(path, "--no-progress", limit_s=180, python=python_of_a_user())


def main() -> int:
    for version in ("0.3.7", "0.13.13"):
        python_with(f"hume=={version}")
    python_of_a_user()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        quick = "{requests_per_second: 500, max_jobs_in_flight: 100}"
        many = Measured(folder, "many", JOBS, quick)
        usual = Measured(folder, "usual", JOBS, "{}")
        few = Measured(folder, "few", FEW_JOBS, quick)
        # Both loops mostly sleep, so they do not disturb each other.
        with ThreadPoolExecutor() as pool:
            waiting = pool.submit(MeasuredSdk, folder, "0.3.7", FEW_JOBS)
            newer_waiting = pool.submit(MeasuredSdk, folder, "0.13.13", NEW_SDK_JOBS)
            older, newer = waiting.result(), newer_waiting.result()
        large = large_upload(folder)
    bound = JOBS * JOB_S / SLOTS
    return report(
        f"batch-v0: {JOBS} jobs x {JOB_S} s on {SLOTS} slots",
        [
            Figure(what=f"{JOBS} jobs, wall ÷ lower bound of {bound:.0f} s", value=many.seconds / bound, hold=1.05),
            Figure(what="status requests per finished job, same run", value=many.status_per_job, hold=0.20),
            Figure(what="  official SDK 0.3.7, await_complete", value=older.status_per_job),
            Figure(what="  official SDK 0.13.13, its documented loop", value=newer.status_per_job),
            Figure(
                what=f"{FEW_JOBS} jobs, wall ÷ official SDK's loop of {older.seconds:.0f} s",
                value=few.seconds / older.seconds,
                hold=0.07,
            ),
            Figure(
                what="  the same against SDK 0.13.13, per job",
                value=(few.seconds / FEW_JOBS) / (newer.seconds / NEW_SDK_JOBS),
            ),
            Figure(what="peak memory, one upload of 2 GB", value=large.peak_mb, hold=80, unit="MB"),
            Figure(what="  its time", value=large.seconds, unit="s"),
            Figure(
                what=f"{JOBS} jobs with default settings, wall ÷ lower bound", value=usual.seconds / bound, hold=1.10
            ),
            Figure(what="  status requests per finished job", value=usual.status_per_job),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
