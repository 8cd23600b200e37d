"""Media on their way: fetched by few threads, kept as long as a job needs them and no longer."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hume_runner.http.deadline import Exchange, Watchdog
from hume_runner.manifest.model import RetrySection
from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.expression_v1.media import MediaStore
from tests.fakes import plan_item
from tests.media_files import picture, picture_bytes
from tests.servers import Quiet, Server


class Pictures(Quiet):
    content = picture_bytes(picture(40, 30))

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content)


@pytest.fixture
def host() -> Iterator[str]:
    with Server(Pictures) as server:
        yield server.url


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MediaStore]:
    store = MediaStore(tmp_path / "prepared", {"video": {}}, ("127.0.0.1",), RetrySection())
    yield store
    store.close()


def our_threads() -> int:
    return sum(thread.name.startswith("hume-runner") for thread in threading.enumerate())


@pytest.mark.sweep
def test_300_downloads_by_url_leave_one_thread_behind_and_not_300(store: MediaStore, host: str) -> None:
    before = our_threads()
    items = [plan_item(f"{host}/{number}.jpg", kind="url") for number in range(300)]

    def fetch(number: int) -> int:
        with store.source(items[number]) as path:
            assert path.read_bytes() == Pictures.content
        return our_threads()

    with ThreadPoolExecutor(8) as pool:
        most = max(pool.map(fetch, range(len(items))))
    assert most <= before + 1


def test_the_watching_thread_ends_long_before_the_deadlines_of_what_is_finished() -> None:
    watchdog = Watchdog(idle_s=0.02)
    before = our_threads()
    exchanges = [Exchange(deadline_s=3600, read_timeout_s=60) for _ in range(50)]
    for exchange in exchanges:
        watchdog.watch(exchange)
    assert our_threads() == before + 1
    for exchange in exchanges:
        exchange.finish()
    ends_at = time.monotonic() + 20
    while our_threads() > before and time.monotonic() < ends_at:
        time.sleep(0.01)
    assert our_threads() == before
    late = Exchange(deadline_s=0.01, read_timeout_s=60)
    watchdog.watch(late)
    while not late.expired and time.monotonic() < ends_at:
        time.sleep(0.01)
    assert late.expired
    watchdog.close()


def still(tmp_path: Path, name: str, content: bytes | None = None) -> Any:
    path = tmp_path / name
    path.write_bytes(content or picture_bytes(picture(40, 30, seed=len(name))))
    digest = sha256(path.read_bytes()).hexdigest()
    return replace(plan_item(name, kind="file", path=path), content_sha256=digest)


def prepare(store: MediaStore, item: Any) -> Path:
    with store.still(item) as (path, _):
        return path


def test_a_medium_goes_with_the_last_job_that_carries_it(store: MediaStore, tmp_path: Path) -> None:
    shared, other = still(tmp_path, "a.jpg"), still(tmp_path, "long name.jpg")
    kept, gone = prepare(store, shared), prepare(store, other)
    store.expect([shared, shared, other])
    store.done([shared, other])
    assert kept.exists()
    assert not gone.exists()
    store.done([shared])
    assert not kept.exists()
    assert prepare(store, shared).exists()  # and is made again for whoever asks


def test_a_medium_that_a_job_holds_is_not_taken_from_it(store: MediaStore, tmp_path: Path) -> None:
    item = still(tmp_path, "a.jpg")
    with store.still(item) as (path, _):
        store.expect([item])
        store.done([item])
        assert path.exists()
    assert not path.exists()


def test_what_an_earlier_run_made_jobs_of_stays_until_the_end(store: MediaStore, tmp_path: Path) -> None:
    item = still(tmp_path, "a.jpg")
    path = prepare(store, item)
    store.done([item])  # one of its parts; nobody counted the others
    assert path.exists()
    store.close()
    assert not path.exists()


def test_what_nothing_will_be_sent_of_is_removed_unless_a_job_carries_its_content(
    store: MediaStore, tmp_path: Path
) -> None:
    item = still(tmp_path, "a.jpg")
    path = prepare(store, item)
    store.expect([item])
    store.drop(item)
    assert path.exists()
    store.done([item])
    path = prepare(store, item)
    store.drop(item)
    assert not path.exists()
    with pytest.raises(CannotPrepare):
        prepare(store, still(tmp_path, "no picture.jpg", b"no picture"))
    store.drop(item)
