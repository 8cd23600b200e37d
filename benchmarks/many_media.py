"""What many media cost beside their bytes: a cache of prepared media with many entries, members of a packed archive.

python benchmarks/many_media.py [ENTRIES] [MEMBERS]
"""

from __future__ import annotations

import io
import random
import statistics
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from figures import Figure, report

from hume_runner.media.archives import iter_members
from hume_runner.media.cache import MediaCache, write_entry
from hume_runner.media.member_reader import MemberReader


def release_ms(folder: Path, entries: int) -> float:
    """Letting one of so many entries go: the slowest of a hundred medians."""
    for number in range(entries):
        write_entry(folder, f"{number:06}", lambda _: {}, durable=False)
    cache = MediaCache(folder, max_bytes=10**12)
    medians = []
    for _ in range(100):
        seconds = []
        for number in range(20):
            with cache.lease(f"{number:06}", lambda _: {}):
                begin = time.perf_counter()
            seconds.append(time.perf_counter() - begin)
        medians.append(statistics.median(seconds))
    return 1000 * max(medians)


def passes(folder: Path, members: int) -> float:
    """Reading all members of a packed archive one by one, by name, as a multiple of one pass over it."""
    path = folder / "a.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for number in range(members):
            info = tarfile.TarInfo(f"{number}.wav")
            info.size = 20_000
            archive.addfile(info, io.BytesIO(random.Random(number).randbytes(20_000)))
    target = folder / "member"
    begin = time.process_time()
    for member in iter_members(path):
        member.copy_to(target)
    one_pass = time.process_time() - begin
    reader = MemberReader(path)
    begin = time.process_time()
    for number in range(members):
        reader.copy(f"{number}.wav", target)
    by_name = time.process_time() - begin
    reader.close()
    return by_name / one_pass


def main() -> int:
    entries, members = (int(text) for text in (*sys.argv[1:], *("100000", "3000")[len(sys.argv) - 1 :]))
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        cost = release_ms(Path(folder), entries)
        figures.append(Figure(what=f"one release of {entries:,} entries", value=cost, hold=1.0, unit="ms"))
    with tempfile.TemporaryDirectory() as folder:
        ratio = passes(Path(folder), members)
        figures.append(Figure(what=f"{members:,} members of a .tar.gz by name ÷ one pass", value=ratio, hold=1.5))
    return report("Many media", figures)


if __name__ == "__main__":
    sys.exit(main())
