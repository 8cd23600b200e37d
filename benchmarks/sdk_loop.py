"""The official SDK's documented loop, one job after another. Runs in an environment with that SDK, and nothing of ours.

    python sdk_loop.py {0.3.7|0.13.13} URL KEY JOBS FOLDER

0.3.7 is the last release that waits by itself: submit_job, await_complete, download_predictions. 0.13.13 leaves waiting
to its user; the loop here is the one of its documentation: sleep 1 s, ask, and double the sleep up to 16 s.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path


def old(url: str, key: str) -> Callable[[str, Path], None]:
    from hume import HumeBatchClient
    from hume.models.config import BurstConfig

    client = HumeBatchClient(key, _api_http_base_url=url)

    def one(media: str, target: Path) -> None:
        job = client.submit_job([media], [BurstConfig()])
        job.await_complete()
        job.download_predictions(str(target))

    return one


def new(url: str, key: str) -> Callable[[str, Path], None]:
    from hume.client import HumeClient
    from hume.expression_measurement.batch.types import Models

    batch = HumeClient(api_key=key, base_url=url).expression_measurement.batch

    def one(media: str, target: Path) -> None:
        job = batch.start_inference_job(urls=[media], models=Models(burst={}))
        delay = 1.0
        while True:
            time.sleep(delay)
            status = batch.get_job_details(job).state.status
            if status in ("COMPLETED", "FAILED"):
                break
            delay = min(delay * 2, 16.0)
        predictions = batch.get_job_predictions(job)
        target.write_text(json.dumps([one.dict() for one in predictions], default=str), encoding="utf-8")

    return one


def main() -> None:
    version, url, key, jobs, folder = sys.argv[1:]
    one = {"0.3.7": old, "0.13.13": new}[version](url, key)
    started = time.perf_counter()
    for number in range(int(jobs)):
        one(f"https://example.org/sdk-{number}.mp4", Path(folder) / f"{number}.json")
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
