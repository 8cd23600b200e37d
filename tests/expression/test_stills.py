"""Three hundred stills: packed to the bill, three bad ones among them found, and nothing measured twice."""

from __future__ import annotations

import io
import sqlite3
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hume_runner.emulator.server import Emulator
from hume_runner.state.disk import Disk
from tests.expression.picky import PickyService
from tests.expression.runs import VIDEO, Folder, measured_runs, metered, times_measured
from tests.media_files import picture, picture_bytes

STILLS = 300


@lru_cache(maxsize=1)
def stills() -> tuple[bytes, ...]:
    """Different pictures of about 40 KB each."""
    base = np.random.default_rng(7).integers(0, 255, (240, 320, 3), np.uint8)
    found = []
    for number in range(STILLS):
        image = base.copy()
        image[: 8 * (number % 30 + 1), : 8 * (number // 30 + 1)] = 128
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=70)
        found.append(buffer.getvalue())
    return tuple(found)


def write_stills(folder: Folder, most: int = STILLS) -> list[Path]:
    media = folder.path / "media"
    media.mkdir(parents=True)
    paths = []
    for number, still in enumerate(stills()[:most]):
        path = media / f"{number:03d}.jpg"
        path.write_bytes(still)
        paths.append(path)
    return paths


@pytest.mark.sweep
def test_the_stills_are_what_the_figures_speak_of() -> None:
    sizes = [len(still) for still in stills()]
    assert len({sha256(still).digest() for still in stills()}) == STILLS
    assert 35_000 < sum(sizes) / STILLS < 45_000


def test_a_picture_that_moves_is_measured_by_its_first_and_the_run_says_so_once(folder: Folder) -> None:
    media = folder.path / "media"
    media.mkdir(parents=True)
    picture(seed=1).save(media / "a.gif", save_all=True, append_images=[picture(seed=2)])
    picture(seed=3).save(media / "b.png")
    folder.write({"files": ["media/*"]})
    ran = folder.run()
    assert ran.code == 0
    assert ran.err.count("media/a.gif: it moves, and its first picture is measured") == 1
    assert "b.png" not in ran.err


@pytest.mark.sweep
def test_three_hundred_stills_go_in_few_requests_and_cost_what_the_plan_says(
    folder: Folder, emulator: Emulator
) -> None:
    write_stills(folder)
    folder.write({"files": ["media/*.jpg"]}, execution={"max_billable_seconds": 100})
    plan = folder.command("plan", "--json")
    assert '"billable_seconds": 100' in plan.out
    assert '"billable_seconds_unpacked": 3000' in plan.out

    assert folder.run().code == 0
    runs = measured_runs(emulator.url)
    assert len(runs) <= 4
    assert metered(runs) == 100
    assert emulator.requests()["by_route"][VIDEO] == len(runs)
    assert set(times_measured(runs).values()) == {1}
    assert {line["status"] for line in folder.results().values()} == {"done"}
    assert folder.summary()["bill"]["billable_seconds"] == 100
    assert len(folder.results()) == STILLS


def test_each_result_belongs_to_the_still_that_it_names(folder: Folder, emulator: Emulator) -> None:
    write_stills(folder, 40)
    folder.write({"files": ["media/*.jpg"]}, batching={"max_sources": 15})
    assert folder.run().code == 0
    by_run = {run["run_id"]: [file["sha256"] for file in run["files"]] for run in measured_runs(emulator.url)}
    seen = 0
    for request, answer in folder.raw():
        ids = [source["ids"][0] for source in request["sources"]]
        sent = [sha256((folder.path / name).read_bytes()).hexdigest() for name in ids]
        assert sent == by_run[answer["run_id"]]
        assert [one["frame_id"] for one in answer["measurements"]] == [s["position"] for s in request["sources"]]
        seen += len(ids)
    assert seen == 40


@pytest.mark.sweep
def test_three_undecodable_stills_fail_alone(folder: Folder, emulator: Emulator) -> None:
    paths = write_stills(folder)
    paths[17].write_bytes(stills()[17][:20_000])
    paths[150].write_bytes(b"\xff\xd8\xff\xe0 not a picture at all")
    paths[299].write_bytes(b"")
    folder.write({"files": ["media/*.jpg"]})
    ran = folder.run()
    assert ran.code == 3
    bad = {name: line for name, line in folder.results().items() if line["status"] == "failed"}
    assert sorted(bad) == ["media/017.jpg", "media/150.jpg", "media/299.jpg"]
    assert all(line["error"] for line in bad.values())
    runs = measured_runs(emulator.url)
    counts = times_measured(runs)
    assert len(runs) == 1
    assert len(counts) == 297
    assert set(counts.values()) == {1}
    assert metered(runs) == 99
    assert folder.summary()["bill"]["billable_seconds"] == 99


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("stills_in_all", "where"), [pytest.param(STILLS, (17, 150, 299), marks=pytest.mark.sweep), (40, (0, 1, 2))]
)
def test_three_stills_that_the_service_refuses_are_found_and_fail_alone(
    folder: Folder, emulator: Emulator, stills_in_all: int, where: tuple[int, ...]
) -> None:
    write_stills(folder, stills_in_all)
    with PickyService(emulator.url, [stills()[number] for number in where]) as service:
        folder.url = service.url
        folder.write({"files": ["media/*.jpg"]})
        assert folder.run().code == 3
    bad = {name: line for name, line in folder.results().items() if line["status"] == "failed"}
    assert sorted(bad) == [f"media/{number:03d}.jpg" for number in where]
    assert all("no picture" in line["error"] for line in bad.values())
    counts = times_measured(measured_runs(emulator.url))
    assert len(counts) == stills_in_all - 3
    assert set(counts.values()) == {1}
    assert folder.summary()["paid_twice"] == []
    assert folder.summary()["bill"]["billable_seconds"] == pytest.approx(metered(measured_runs(emulator.url)), abs=0.1)


@pytest.mark.sweep
def test_a_refusal_of_the_settings_is_not_searched_for_in_the_pictures(folder: Folder, emulator: Emulator) -> None:
    write_stills(folder, 20)
    error = {"type": "error", "code": "config_invalid", "message": "no such thing", "request_id": "0" * 32}
    emulator.inject([{"route": VIDEO, "action": {"status": 400, "body": error}}])
    folder.write({"files": ["media/*.jpg"]})
    assert folder.run().code == 3
    assert emulator.requests()["by_route"][VIDEO] == 1
    assert {line["status"] for line in folder.results().values()} == {"failed"}


@pytest.mark.sweep
def test_a_pack_whose_refusal_is_about_nothing_in_it_is_taken_apart_only_so_far(
    folder: Folder, emulator: Emulator
) -> None:
    write_stills(folder, 8)
    error = {"type": "error", "code": "image_decode_failed", "message": "all of them", "request_id": "0" * 32}
    emulator.inject([{"route": VIDEO, "action": {"status": 400, "body": error}}])
    folder.write({"files": ["media/*.jpg"]})
    assert folder.run().code == 3
    # One of eight, two of four, four of two, eight of one: refused uploads are free, and there are no more.
    assert emulator.requests()["by_route"][VIDEO] == 15
    assert measured_runs(emulator.url) == []
    assert folder.summary()["bill"]["billable_seconds"] in (None, 0)


class _Watching(Disk):
    """Counts the prepared media that lie on disk whenever something is made durable."""

    def __init__(self, prepared: Path) -> None:
        self._prepared = prepared
        self.most = 0

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        if self._prepared.exists():
            self.most = max(self.most, sum(1 for _ in self._prepared.iterdir()))
        super().commit(db, what)


@pytest.mark.sweep
def test_prepared_media_go_when_they_are_measured_and_not_at_the_end(folder: Folder, emulator: Emulator) -> None:
    folder.path.mkdir(parents=True)
    for number in range(60):
        # Not as the service takes them, so that each is made anew.
        (folder.path / f"{number}.png").write_bytes(picture_bytes(picture(40, 30, seed=number), "PNG"))
    folder.write({"files": ["*.png"]}, batching={"max_sources": 2}, execution={"transfer_workers": 1})
    disk = _Watching(folder.outputs / "prepared")
    assert folder.run(disk=disk).code == 0
    assert len({file["sha256"] for run in measured_runs(emulator.url) for file in run["files"]}) == 60
    assert 2 <= disk.most <= 30
