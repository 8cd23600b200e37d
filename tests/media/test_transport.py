"""Transport streams of several parts, read as one: whatever is read in whatever pieces, it is the same."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hume_runner.media.transport import one_program
from tests.media.ffmpeg_files import ffmpeg, ramp, tone
from tests.tiers import sampled


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("parts")
    for name, ids in (("0", ()), ("1", ("-mpegts_start_pid", 0x300, "-mpegts_service_id", 7))):
        ffmpeg(*ramp(), *tone(), "-c:v", "mpeg2video", "-c:a", "mp2", *ids, folder / f"{name}.ts")
    return [(folder / f"{name}.ts").read_bytes() for name in "01"]


def pids(data: bytes) -> set[int]:
    return {(data[at + 1] & 0x1F) << 8 | data[at + 2] for at in range(0, len(data), 188)}


@pytest.mark.sweep
def test_a_file_of_one_part_is_read_as_it_is(parts: list[bytes], tmp_path: Path) -> None:
    for number, data in enumerate((parts[0], parts[1], parts[0] * 3, parts[0][188 * 50 :], b"", b"G" * 5_000)):
        (tmp_path / f"{number}.ts").write_bytes(data)
        assert one_program(tmp_path / f"{number}.ts") is None


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("seed", range(5))
def test_any_way_of_reading_gives_the_same_bytes(seed: int, parts: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "both.ts"
    path.write_bytes(parts[0] + parts[1] + parts[0])
    with one_program(path) or path.open("rb") as file:
        whole = file.read()
        rng = random.Random(seed)
        for _ in range(200):
            begin, size = rng.randrange(len(whole)), rng.randrange(1, 5_000)
            file.seek(begin)
            assert file.read(size) == whole[begin : begin + size]
            assert file.tell() == min(len(whole), begin + size)
    assert whole[: len(parts[0])] == parts[0]
    assert len(whole) == path.stat().st_size
    assert pids(whole) - {0x1FFF} == pids(parts[0]) - {0x1FFF}
