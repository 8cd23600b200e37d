from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hume_runner.media.member_reader import MemberReader
from hume_runner.media.problems import MediaProblem
from tests.media.packing import FORMS, pack
from tests.tiers import sampled


def noise(count: int, size: int) -> list[tuple[str, bytes]]:
    """Members that no packing makes smaller."""
    return [(f"{number:04}.wav", random.Random(number).randbytes(size)) for number in range(count)]


def bytes_read() -> int:
    """By this process so far, from files."""
    return int(Path("/proc/self/io").read_text().split()[1])


counted = pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="needs Linux's account of reading")


@sampled(3)
@pytest.mark.parametrize("form", FORMS)
def test_members_are_read_by_name_in_any_order(form: str, tmp_path: Path) -> None:
    members = noise(30, 300)
    reader = MemberReader(pack(tmp_path / form, *members))
    order = [*members, *random.Random(1).sample(members, 30), *reversed(members)]
    for number, (name, content) in enumerate(order):
        assert reader.copy(name, tmp_path / str(number)) == len(content)
    assert [(tmp_path / str(number)).read_bytes() for number in range(len(order))] == [one for _, one in order]
    assert reader.copy("not there.wav", tmp_path / "none") is None
    assert reader.copy(members[3][0], tmp_path / "again") == 300
    reader.close()


@pytest.mark.sweep
@sampled(1)
@counted
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("workers", [1, 6])
def test_reading_all_members_takes_about_one_pass_for_each_worker(form: str, workers: int, tmp_path: Path) -> None:
    members = noise(400, 6000)
    path = pack(tmp_path / form, *members)
    reader = MemberReader(path)
    batches = [members[start : start + 20] for start in range(0, len(members), 20)]

    def prepare(batch: list[tuple[str, bytes]]) -> list[int | None]:
        return [reader.copy(name, tmp_path / f"out-{name}") for name, _ in batch]

    before = bytes_read()
    with ThreadPoolExecutor(workers) as pool:
        sizes = [size for found in pool.map(prepare, batches) for size in found]
    read = bytes_read() - before
    reader.close()
    assert sizes == [6000] * 400
    assert read < (workers + 2) * 2 * path.stat().st_size  # member by member from the start: 200 times


def test_an_archive_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar.gz", ("a.wav", b"first a"), ("b.wav", b"first b"))
    reader = MemberReader(path)
    reader.copy("a.wav", tmp_path / "1")
    other = pack(tmp_path / "b.tar.gz", ("b.wav", b"second b"), ("c.wav", b"second c"))
    other.replace(path)
    assert reader.copy("b.wav", tmp_path / "2") == 8
    assert (tmp_path / "2").read_bytes() == b"second b"
    assert reader.copy("a.wav", tmp_path / "3") is None
    path.unlink()
    with pytest.raises((MediaProblem, OSError)):
        reader.copy("b.wav", tmp_path / "4")


def test_few_places_are_kept_open_whatever_is_asked_for(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.tar", *noise(60, 50))
    reader = MemberReader(path, most_places=3)
    together = threading.Barrier(12)

    def read(number: int) -> int | None:
        together.wait()
        return reader.copy(f"{59 - number * 4:04}.wav", tmp_path / str(number))

    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(read, range(12))) == [50] * 12
    assert open_files(path) <= 3
    reader.close()
    assert open_files(path) == 0


def open_files(path: Path) -> int:
    if not Path("/proc/self/fd").exists():
        return 0
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += link.readlink() == path.resolve()
        except OSError:
            continue
    return found
