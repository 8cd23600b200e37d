"""The cache of prepared media: bounded, whole or absent, made once."""

from __future__ import annotations

import json
import shutil
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner import aside
from hume_runner.media.cache import MediaCache, cache_key

Make = Callable[[Path], Mapping[str, Any]]


def making(size: int, facts: Mapping[str, Any] | None = None, log: list[int] | None = None) -> Make:
    def make(folder: Path) -> Mapping[str, Any]:
        if log is not None:
            log.append(size)
        (folder / "data").write_bytes(bytes(size))
        return facts or {"size": size}

    return make


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def test_an_entry_is_made_once_and_found_again_also_by_the_next_run(tmp_path: Path) -> None:
    log: list[int] = []
    for _ in range(2):
        cache = MediaCache(tmp_path / "c", max_bytes=10_000)
        for _ in range(2):
            with cache.lease("k", making(100, {"samples": 5}, log)) as entry:
                assert (entry.folder / "data").stat().st_size == 100
                assert entry.facts == {"samples": 5}
    assert log == [100]


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path, max_bytes=1000)
    for key in ("a", "b", "a", "c"):
        with cache.lease(key, making(400)):
            pass
    assert names(tmp_path) == {"a", "c"}
    assert cache.size_bytes <= 1000


def test_an_entry_that_is_held_stays_although_there_is_no_room(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path, max_bytes=100)
    with cache.lease("a", making(400)) as held:
        with cache.lease("b", making(400)):
            assert names(tmp_path) == {"a", "b"}
        cache.remove("a")
        cache.clear()
        assert (held.folder / "data").exists()
    assert names(tmp_path) == set()


def test_what_a_failed_making_wrote_is_gone(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path, max_bytes=1000)

    def fail(folder: Path) -> Mapping[str, Any]:
        (folder / "half").write_bytes(b"x")
        raise ValueError("no sound")

    with pytest.raises(ValueError, match="no sound"), cache.lease("a", fail):
        pass
    assert names(tmp_path) == set()
    with cache.lease("a", making(10)) as entry:
        assert entry.facts == {"size": 10}


class Killed(BaseException):
    """What ends a process in the middle of something."""


@pytest.mark.parametrize("moment", ["while it is made", "while it is removed"])
def test_what_a_dead_run_left_is_no_entry_and_goes(tmp_path: Path, moment: str) -> None:
    key, left = cache_key("a", {}), tmp_path / "left"
    folder = tmp_path / "c"
    if moment == "while it is made":

        def killed(part: Path) -> Mapping[str, Any]:
            (part / "data").write_bytes(b"x")
            shutil.copytree(part, left / part.name)  # as it lies there at this moment
            raise Killed

        with pytest.raises(Killed), MediaCache(folder, max_bytes=1000).lease(key, killed):
            pass
    else:
        with MediaCache(folder, max_bytes=1000).lease(key, making(10)) as entry:
            shutil.copytree(entry.folder, left / aside.part_path(entry.folder).name)
        (next(left.iterdir()) / "data").unlink()
    shutil.rmtree(folder)
    left.rename(folder)
    assert names(folder) != set()
    cache = MediaCache(folder, max_bytes=1000)
    assert names(folder) == set()
    with cache.lease(key, making(10)) as entry:
        assert entry.facts == {"size": 10}


KEY = "a" * 64
OTHERS = {
    "the output directory of another study": ("state.sqlite3", "raw/0123456789/response.json", "tables/letters.csv"),
    "endings": ("ab.part/x", "c.gone/x", f"{KEY}.part/x", f"{KEY}.gone/x"),
    "the name of an entry": (f"{KEY}/photo.jpg",),
    "the name of one that is made": (".holiday.0123456789abcdef.part/x", f".{KEY}.0123456789abcdef.part/x"),
    "an object of the same name": (f"{KEY}/photo.jpg", f"{KEY}/entry.json", "holiday/entry.json", "holiday/photo.jpg"),
}


@pytest.mark.parametrize("others", OTHERS.values(), ids=list(OTHERS))
def test_what_does_not_say_that_it_is_an_entry_stays_whatever_it_is_called(
    tmp_path: Path, others: tuple[str, ...]
) -> None:
    for name in others:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('{"title": "theirs"}')
    for name in ("link", "b" * 64):
        (tmp_path / name).symlink_to("raw")
    cache = MediaCache(tmp_path, max_bytes=1000)
    with cache.lease(cache_key("a", {}), making(10)):
        pass
    cache.clear()
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(others)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / ("b" * 64)).is_symlink()


def test_an_entry_that_somebody_put_a_file_into_stays(tmp_path: Path) -> None:
    with MediaCache(tmp_path, max_bytes=1000).lease("a", making(10)) as entry:
        pass
    (entry.folder / "photo.jpg").write_bytes(b"theirs")
    MediaCache(tmp_path, max_bytes=1).clear()
    assert (tmp_path / "a" / "photo.jpg").read_bytes() == b"theirs"


def test_an_entry_under_another_name_stays(tmp_path: Path) -> None:
    with MediaCache(tmp_path / "c", max_bytes=1000).lease("a", making(10)) as entry:
        entry.folder.rename(tmp_path / "c" / "kept")
    MediaCache(tmp_path / "c", max_bytes=1).clear()
    assert names(tmp_path / "c" / "kept") == {"data", "entry.json"}


def test_an_entry_that_somebody_deleted_is_made_again(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path, max_bytes=1000)
    with cache.lease("a", making(10)) as entry:
        (entry.folder / "entry.json").unlink()
    with cache.lease("a", making(20)) as entry:
        assert entry.facts == {"size": 20}


def test_a_smaller_bound_takes_effect_when_the_cache_is_opened(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path, max_bytes=5000)
    for key in "abc":
        with cache.lease(key, making(400)):
            pass
    assert MediaCache(tmp_path, max_bytes=500).size_bytes <= 500
    assert len(names(tmp_path)) == 1


def test_when_everything_is_done_the_folder_goes_too(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path / "c", max_bytes=1000)
    with cache.lease("a", making(10)):
        pass
    cache.remove("a")
    with cache.lease("b", making(10)):
        pass
    cache.clear()
    assert not (tmp_path / "c").exists()
    with cache.lease("b", making(10)) as entry:
        assert entry.folder.is_dir()


def test_threads_that_want_the_same_entry_make_it_once(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path, max_bytes=1000)
    log: list[int] = []
    sizes: list[int] = []
    together = threading.Barrier(6)

    def work() -> None:
        together.wait()
        with cache.lease("a", making(100, None, log)) as entry:
            sizes.append((entry.folder / "data").stat().st_size)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (log, sizes) == ([100], [100] * 6)


def test_an_entry_that_is_held_is_removed_when_it_is_let_go(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path, max_bytes=1000)
    with cache.lease("a", making(10)) as entry:
        cache.remove("a")
        with cache.lease("a", making(10)):
            pass
        assert (entry.folder / "data").exists()
    assert names(tmp_path) == set()
    assert cache.size_bytes == 0
    with cache.lease("a", making(20)) as entry:
        assert entry.facts == {"size": 20}
    assert names(tmp_path) == {"a"}


def test_an_entry_is_made_again_while_the_one_before_is_being_deleted(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path, max_bytes=10_000)
    for size in (10, 20, 30):
        with cache.lease("a", making(size)) as entry:
            assert entry.facts == {"size": size}
        cache.remove("a")
    assert names(tmp_path) == set()


@pytest.mark.sweep
def test_letting_an_entry_go_costs_the_same_with_many_others(tmp_path: Path) -> None:
    def cost(entries: int) -> float:
        folder = tmp_path / str(entries)
        for number in range(entries):
            (folder / f"{number:05}").mkdir(parents=True)
            told = {"schema": "hume_runner.entry.1", "key": f"{number:05}", "files": [], "facts": {}}
            (folder / f"{number:05}" / "entry.json").write_text(json.dumps(told))
        cache = MediaCache(folder, max_bytes=10**9)
        seconds = []
        for number in range(200):
            with cache.lease(f"{number % entries:05}", making(1)):
                begin = time.perf_counter()
            seconds.append(time.perf_counter() - begin)
        return statistics.median(seconds)

    assert cost(8000) < 5 * cost(20)


@pytest.mark.sweep
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 600)), max_size=20), st.integers(100, 2000))
def test_the_bound_holds_whatever_is_asked_for(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[tuple[str, int]], bound: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    cache = MediaCache(folder, max_bytes=bound)
    for key, size in wanted:
        with cache.lease(key, making(size)) as entry:
            assert (entry.folder / "data").stat().st_size == entry.facts["size"]
        on_disk = sum(file.stat().st_size for file in folder.glob("*/*"))
        assert on_disk == cache.size_bytes <= bound


def test_keys_tell_content_and_options_apart() -> None:
    keys = {
        cache_key("aa", {"fps": 3}),
        cache_key("aa", {"fps": 4}),
        cache_key("bb", {"fps": 3}),
        cache_key("aa", {}),
        cache_key("aa", {"fps": 3, "max_width": 1280}),
    }
    assert len(keys) == 5
    assert cache_key("aa", {"a": 1, "b": 2}) == cache_key("aa", {"b": 2, "a": 1})
