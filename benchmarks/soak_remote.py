"""Attacks on remote states, and what they lost or paid for twice.

    python -m benchmarks.soak_remote [--rounds 500] [--minutes N] [--seed N] [--without-conditions] [--keep]

Each round is a study of its own whose state lies in a real S3 server behind a proxy that has bad days: errors, answers
that are lost after the write, writes that land seconds later. Two to four machines run it at one time and one after
another; they are killed between any two requests to the store, with their disks or without, stopped and woken after
their lease, and their wall clocks are set. The service loses answers and takes requests late. At its end a round is run
until it is finished.

Prints rounds, submissions twice, ids lost, rounds with two writers: exits 1 unless all are 0. `--without-conditions` is
the null control: the proxy drops the conditions from every write, and it exits 0 only if something broke.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from hume_runner.emulator.server import Emulator
from tests.object_stores import serving
from tests.state.remote.attack import KEY, Round
from tests.state.remote.proxies import host_proxy
from tests.state.remote.zygote import Zygote


def main() -> int:
    parser = argparse.ArgumentParser(description="attacks on remote states")
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--seed", type=int, default=1126)
    parser.add_argument("--without-conditions", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the folders of rounds that broke something")
    args = parser.parse_args()
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    until = time.monotonic() + 60 * args.minutes if args.minutes else None
    did: Counter[str] = Counter()
    rounds = twice = lost = writers = odd = 0
    with tempfile.TemporaryDirectory() as top, serving() as s3, Zygote() as zygote:
        os.environ.update(s3.environ)
        emulator = Emulator(data=Path(top) / "host", api_keys=[KEY], processing_time_s=0.05)
        emulator.start()
        try:
            with host_proxy(emulator.url) as host:
                for seed in range(args.seed, args.seed + args.rounds):
                    if until is not None and time.monotonic() > until:
                        break
                    folder = Path(tempfile.mkdtemp(prefix=f"round-{seed}-"))
                    attack = Round(seed, folder, s3, host, zygote, conditions=not args.without_conditions)
                    outcome = attack.run()
                    rounds += 1
                    did += outcome.did
                    twice += outcome.twice
                    lost += outcome.lost
                    writers += outcome.writers > 0
                    odd += bool(outcome.odd)
                    if outcome.red:
                        print(f"round {seed}: {outcome}", flush=True)
                        if args.keep:
                            print(f"  kept in {folder}", flush=True)
                            continue
                    shutil.rmtree(folder, ignore_errors=True)
        finally:
            emulator.stop()
    print(", ".join(f"{number} {what}" for what, number in sorted(did.items())))
    print(
        f"{rounds} rounds: {twice} submissions twice, {lost} ids lost, {writers} rounds with two writers, "
        f"{odd} rounds with an odd end"
    )
    red = bool(twice or lost or writers or odd)
    return int(red != args.without_conditions)


if __name__ == "__main__":
    sys.exit(main())
