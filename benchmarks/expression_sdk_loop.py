"""The official async SDK over a folder of recordings. Runs in an environment with that SDK, and nothing of ours.

python expression_sdk_loop.py URL KEY MEDIA ANSWERS CONCURRENCY
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from hume_expression_measurement import AsyncExpressionMeasurementClient, ExpressionMeasurementClientEnvironment


async def measure_all(url: str, key: str, media: Path, answers: Path, concurrency: int) -> float:
    environment = ExpressionMeasurementClientEnvironment(base=url, production=url.replace("http", "ws"))
    client = AsyncExpressionMeasurementClient(environment=environment, api_key=key)
    room = asyncio.Semaphore(concurrency)

    async def one(path: Path) -> None:
        async with room:
            answer = await client.audio.measure(file=path.read_bytes())
            (answers / f"{path.stem}.json").write_text(answer.model_dump_json(), encoding="utf-8")

    started = time.perf_counter()
    await asyncio.gather(*(one(path) for path in sorted(media.iterdir())))
    return time.perf_counter() - started


def main() -> None:
    url, key, media, answers, concurrency = sys.argv[1:]
    seconds = asyncio.run(measure_all(url, key, Path(media), Path(answers), int(concurrency)))
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
