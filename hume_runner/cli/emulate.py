"""`hume-runner emulate`: the stand-in service as a process of its own."""

from __future__ import annotations

import argparse
import json
import signal
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import ClassVar

from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.frozen import frozen

# A signal that the system hands to another thread wakes nobody who waits for good.
_LOOK_S = 1.0


@frozen
class Listening(Line):
    """The stand-in accepts connections."""

    event: ClassVar[str] = "emulate"
    url: str
    api_key: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: 0, a free one)")
    parser.add_argument("--data", metavar="DIR", help="keep jobs here over restarts (default: nothing is kept)")
    parser.add_argument("--api-key", metavar="KEY", action="append", default=[], help="accept this key; repeatable")
    parser.add_argument("--processing-time", metavar="TIME", default="200ms", help="how long a job runs: 200ms, 2s, 1m")
    parser.add_argument("--max-concurrent-jobs", metavar="N", type=int, default=50, help="jobs that run at once")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="other seeds give other scores")
    parser.add_argument("--faults", metavar="FILE", help="a list of faults, JSON or YAML")
    parser.add_argument("--difficulties", metavar="FILE", help="how the host is difficult to deal with, JSON or YAML")


def run(args: argparse.Namespace, console: Console) -> int:
    """Serve until SIGTERM or SIGINT; the one line on stdout says where."""
    from hume_runner.api.emulating import stand_in

    emulator = stand_in(
        host=args.host,
        port=args.port,
        data=Path(args.data) if args.data else None,
        api_keys=args.api_key,
        processing_time=args.processing_time,
        max_concurrent_jobs=args.max_concurrent_jobs,
        seed=args.seed,
        faults=args.faults,
        difficulties=args.difficulties,
    )
    ended: SimpleQueue[int] = SimpleQueue()
    before = {one: signal.signal(one, lambda number, _: ended.put(number)) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        with emulator:
            # This line is a contract of its own, so it carries no schema number.
            if console.json:
                console.event(Listening(url=emulator.url, api_key=emulator.api_key))
            else:
                console.out.write(json.dumps({"url": emulator.url, "api_key": emulator.api_key}) + "\n")
                console.out.flush()
            if console.out.broken is None or console.out.reader_is_gone:  # else nobody will ever know where it is
                _wait_for(ended)
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
    return 0


def _wait_for(ended: SimpleQueue[int]) -> None:
    # A queue that a handler may fill while its own thread looks into it: an event would be locked by the one who waits.
    while True:
        try:
            ended.get(timeout=_LOOK_S)
        except Empty:
            continue
        return
