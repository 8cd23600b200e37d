"""Settings, content, presence and batching change between the parts of a medium, and change back: nothing is lost by
it, and no part is paid for twice."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import AUDIO, VIDEO, Folder, measured_runs
from tests.media_files import people, speech, write_video, write_wav

PART_BYTES = 200_000  # a recording of 15 s goes in three parts or more
FRAMES = 12


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two contents for a film with sound, and two for a recording that needs no preparation."""
    folder = tmp_path_factory.mktemp("media")

    for number in (1, 2):
        sound = speech([("speech", 1.5), ("pause", 0.7), ("speech", 1.2), ("pause", 0.6)], seed=number)
        write_video(folder / f"film{number}.mp4", seconds=4, fps=3, sound=sound, draw=people(number))
        talk = speech([("speech", 4), ("pause", 1), ("speech", 4), ("pause", 1), ("speech", 5)], seed=10 + number)
        write_wav(folder / f"talk{number}.wav", talk)
    return folder


class Study:
    """A folder whose manifest and media are edited between runs that end anywhere."""

    def __init__(self, folder: Folder, media: Path) -> None:
        self.folder = folder
        self.media = media
        self.threshold = 0.9
        self.timer = 3000
        self.frames_a_request = 4
        self.part_bytes = PART_BYTES
        self.content = {"film.mp4": 1, "talk.wav": 1}
        self.listed = {"film.mp4", "talk.wav"}
        folder.path.mkdir(parents=True, exist_ok=True)

    def write(self) -> None:
        for name, number in self.content.items():
            stem, _, ending = name.partition(".")
            shutil.copyfile(self.media / f"{stem}{number}.{ending}", self.folder.path / name)
        self.folder.write(
            {"files": sorted(self.listed)},
            models={"audio": {"measurement_timer_ms": self.timer}, "video": {"face": {"threshold": self.threshold}}},
            batching={"max_sources": self.frames_a_request, "max_bytes": self.part_bytes},
        )

    def edit(self, random: random.Random) -> str:
        match random.randrange(6):
            case 0:
                self.threshold = random.choice([0.9, 0.5])
                return f"threshold {self.threshold}"
            case 1:
                self.timer = random.choice([3000, 4000])
                return f"timer {self.timer}"
            case 2:
                name = random.choice(sorted(self.content))
                self.content[name] = random.choice([1, 2])
                return f"{name} holds {self.content[name]}"
            case 3:
                self.listed = set(random.choice([("film.mp4",), ("talk.wav",), ("film.mp4", "talk.wav")]))
                return f"lists {sorted(self.listed)}"
            case 4:
                self.frames_a_request = random.choice([3, 4, 5])
                return f"{self.frames_a_request} a request"
            case _:
                self.part_bytes = random.choice([PART_BYTES, PART_BYTES * 3 // 2])
                return f"parts of {self.part_bytes}"

    def restore(self) -> None:
        self.threshold, self.timer, self.frames_a_request, self.part_bytes = 0.9, 3000, 4, PART_BYTES
        self.content = {"film.mp4": 1, "talk.wav": 1}
        self.listed = {"film.mp4", "talk.wav"}

    def spent(self) -> float:
        if not self.folder.state.exists():
            return 0.0
        [(seconds,)] = self.folder.ask("SELECT coalesce(sum(billed_seconds), 0) FROM duplicates")
        [(sent,)] = self.folder.ask(
            "SELECT coalesce(sum(coalesce(billed_seconds, billable_seconds)), 0) FROM jobs WHERE remote_id IS NOT NULL"
        )
        return float(seconds + sent)

    def run_some(self, requests: int) -> int:
        """A run that ends, at its cap, after so many requests of ten seconds."""
        self.write()
        return self.folder.run("--max-billable-seconds", str(self.spent() + 10 * requests + 0.5)).code


def units(detail: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """What a part holds: its frames, or its milliseconds of sound."""
    if "first_frame" in detail:
        yield from (("frame", detail["first_frame"] + n) for n in range(len(detail["times_ms"])))
    else:
        yield from (("ms", ms) for ms in range(detail["first"] // 16, (detail["first"] + detail["samples"]) // 16))


def assert_whole_and_paid_once(study: Study, emulator: Emulator) -> None:
    folder = study.folder
    assert {line["status"] for line in folder.results().values()} == {"done"}
    assert folder.ask("SELECT count(*) FROM jobs WHERE status NOT IN ('done', 'failed')") == [(0,)]
    assert {run["run_id"] for run in measured_runs(emulator.url)} == {
        remote_id for (remote_id,) in folder.ask("SELECT remote_id FROM jobs WHERE status = 'done'")
    }
    parts = folder.ask("SELECT key, detail FROM members WHERE outcome = 'done'")
    paid = Counter((key, unit) for key, detail in parts for unit in units(json.loads(detail)))
    assert [unit for unit, times in paid.items() if times > 1] == []
    assert len(parts) == folder.ask("SELECT count(*) FROM jobs WHERE status = 'done'")[0][0]
    # Every frame and every sample of what the manifest lists now is in the answers that its items name.
    for name, line in folder.results().items():
        details = []
        for path in line["raw"]:
            if not path.endswith("request.json"):
                continue
            request = json.loads((folder.outputs / path).read_bytes())
            [detail] = [source["detail"] for source in request["sources"]]
            details.append(detail)
        frames = sorted(
            detail["first_frame"] + n
            for detail in details
            if "first_frame" in detail
            for n in range(len(detail["times_ms"]))
        )
        assert frames == (list(range(FRAMES)) if name.startswith("film") else [])
        passages = sorted((detail["first"], detail["samples"]) for detail in details if "part" in detail)
        end = 0
        for first, samples in passages:
            assert first == end, passages
            end = first + samples
        assert end == next(detail["total"] for detail in details if "part" in detail)


@pytest.mark.sweep
def test_a_setting_that_changes_and_changes_back_leaves_no_part_behind(
    folder: Folder, emulator: Emulator, media: Path
) -> None:
    study = Study(folder, media)
    assert study.run_some(2) == 8
    study.threshold, study.timer = 0.5, 4000
    assert study.run_some(1) in (0, 8)
    study.restore()
    study.write()
    began = time.monotonic()
    assert folder.run().code == 0
    assert time.monotonic() - began < 4  # no idling for each part that was dropped
    assert_whole_and_paid_once(study, emulator)


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["film.mp4", "talk.wav"])
def test_content_that_changes_in_mid_parts_and_comes_back_is_measured_whole(
    folder: Folder, emulator: Emulator, media: Path, name: str
) -> None:
    study = Study(folder, media)
    study.listed = {name}
    assert study.run_some(2) == 8
    study.content[name] = 2
    assert study.run_some(2) in (0, 8)
    study.content[name] = 1
    study.write()
    assert folder.run().code == 0
    assert_whole_and_paid_once(study, emulator)


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["film.mp4", "talk.wav"])
def test_an_item_that_is_removed_and_listed_again_goes_on_where_it_was(
    folder: Folder, emulator: Emulator, media: Path, name: str
) -> None:
    study = Study(folder, media)
    assert study.run_some(3) == 8
    study.listed -= {name}
    assert study.run_some(1) in (0, 8)
    study.restore()
    study.write()
    assert folder.run().code == 0
    assert_whole_and_paid_once(study, emulator)


@pytest.mark.sweep
@pytest.mark.parametrize("parts", [PART_BYTES * 3 // 2, PART_BYTES * 2 // 3])
def test_what_is_left_of_a_medium_is_cut_by_the_limits_that_hold_now(
    folder: Folder, emulator: Emulator, media: Path, parts: int
) -> None:
    study = Study(folder, media)
    assert study.run_some(3) == 8
    study.frames_a_request, study.part_bytes = 5, parts
    study.write()
    assert folder.run().code == 0
    assert_whole_and_paid_once(study, emulator)
    assert folder.command("tables", "--format", "jsonl").code == 0


@pytest.mark.sweep
@pytest.mark.parametrize("route", [AUDIO, VIDEO])
def test_a_part_that_failed_is_tried_again_without_those_that_are_measured(
    folder: Folder, emulator: Emulator, media: Path, route: str
) -> None:
    refusal = {"type": "error", "code": "audio_decode_failed", "message": "no", "request_id": "0" * 32}
    emulator.inject([{"route": route, "nth": [2], "action": {"status": 400, "body": refusal}}])
    study = Study(folder, media)
    study.write()
    assert folder.run().code == 3
    study.threshold = 0.5  # and something else changes meanwhile
    assert study.run_some(1) in (0, 8)
    study.restore()
    study.write()
    assert folder.run("--retry-failed").code == 0
    assert_whole_and_paid_once(study, emulator)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", range(6))
def test_edits_back_and_forth_at_any_moment_lose_nothing_and_pay_nothing_twice(
    folder: Folder, emulator: Emulator, media: Path, seed: int
) -> None:
    chance = random.Random(seed)
    study = Study(folder, media)
    story = []
    for _ in range(chance.randint(3, 7)):
        story.append(study.edit(chance))
        requests = chance.randint(0, 3)
        story.append(f"{requests} requests: exit {(code := study.run_some(requests))}")
        assert code in (0, 8), story
    study.restore()
    study.write()
    assert folder.run().code == 0, story
    assert_whole_and_paid_once(study, emulator)
    before = emulator.requests()["uploads_measured"]
    assert folder.run().code == 0
    assert emulator.requests()["uploads_measured"] == before
