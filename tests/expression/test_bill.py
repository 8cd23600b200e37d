"""The bill before, while and after: planned exactly, never beyond the cap, compared with what the service metered."""

from __future__ import annotations

import io
import json
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hume_runner.amounts import seconds_text
from hume_runner.emulator.server import Emulator
from tests.expression.runs import Folder, from_service, measured_runs, metered
from tests.media_files import packed_gsm, picture, picture_bytes, speech, write_video, write_wav
from tests.tiers import sampled


def write_recordings(folder: Folder, number: int, seconds: float = 2.0) -> dict[str, list[str]]:
    folder.path.mkdir(parents=True, exist_ok=True)
    for n in range(number):
        write_wav(folder.path / f"{n:02d}.wav", speech([("speech", seconds - 0.5), ("pause", 0.5)], seed=n))
    return {"files": ["*.wav"]}


def test_the_plan_is_the_bill(folder: Folder, emulator: Emulator) -> None:
    sources = write_recordings(folder, 2, seconds=12.5)
    for n in range(3):
        (folder.path / f"{n}.png").write_bytes(picture_bytes(picture(seed=n), "PNG"))
    write_video(folder.path / "film.mp4", seconds=2, fps=3, sound=speech([("speech", 1.5), ("pause", 0.5)]))
    folder.write({"files": [*sources["files"], "*.png", "film.mp4"]})
    plan = json.loads(folder.command("plan", "--format", "json").out)
    shown = folder.command("plan").out
    ran = folder.run()
    assert ran.code == 0
    # A film is sound and frames, two jobs in the end: who plans, begins and ends speaks of the same number.
    assert "  jobs   5 to submit, " in shown
    assert "6 items to submit in 5 jobs" in ran.err
    assert "  jobs     5 done" in ran.out
    runs = measured_runs(emulator.url)
    # Two recordings, one request of stills, sound and frames of the video.
    assert len(runs) == 5
    assert metered(runs) == pytest.approx(55, abs=0.05)
    assert plan["summary"]["billable_seconds"] == pytest.approx(metered(runs), abs=0.2)
    assert folder.summary()["bill"]["billable_seconds"] == pytest.approx(metered(runs), abs=0.05)


@sampled(3)
@pytest.mark.parametrize(("cap", "expected"), [(9.9, 0), (10, 1), (45, 4), (49.99, 4), (50, 5)])
def test_no_number_of_workers_goes_beyond_the_cap(
    folder: Folder, emulator: Emulator, cap: float, expected: int
) -> None:
    sources = write_recordings(folder, 10)
    folder.write(sources, execution={"max_billable_seconds": cap, "transfer_workers": 16})
    ran = folder.run()
    assert ran.code == 8
    assert "max_billable_seconds" in ran.err
    assert metered(measured_runs(emulator.url)) == 10 * expected <= cap
    assert folder.jobs().get("done", 0) == expected


@pytest.mark.sweep
def test_a_run_goes_on_once_the_cap_is_raised(folder: Folder, emulator: Emulator) -> None:
    sources = write_recordings(folder, 6)
    folder.write(sources, execution={"max_billable_seconds": 30, "transfer_workers": 8})
    assert folder.run().code == 8
    assert folder.run().code == 8
    assert metered(measured_runs(emulator.url)) == 30
    assert folder.run("--max-billable-seconds", "60").code == 0
    assert metered(measured_runs(emulator.url)) == 60
    assert {line["status"] for line in folder.results().values()} == {"done"}


def test_media_are_sent_as_they_are_prepared_and_not_when_all_are(folder: Folder) -> None:
    sources = write_recordings(folder, 60, seconds=0.6)
    folder.write(sources, execution={"max_billable_seconds": 10, "transfer_workers": 2})
    assert folder.run().code == 8
    [(unprepared,)] = folder.ask("SELECT count(*) FROM jobs WHERE prepare")
    assert unprepared >= 30


@pytest.mark.sweep
def test_refused_uploads_are_free_and_give_their_room_back(folder: Folder, emulator: Emulator) -> None:
    busy = {"type": "error", "code": "server_busy", "message": "later", "request_id": "0" * 32}
    action = {"status": 503, "body": busy, "headers": {"Retry-After": "0.01"}}
    emulator.inject([{"route": "POST /v1/expression/audio/file", "every": 2, "action": action}])
    sources = write_recordings(folder, 6)
    folder.write(sources, execution={"max_billable_seconds": 60, "retry": {"attempts": 8, "max_wait": "50ms"}})
    assert folder.run().code == 0
    assert metered(measured_runs(emulator.url)) == 60


@pytest.mark.sweep
def test_answers_lost_on_the_way_count_against_the_cap(folder: Folder, emulator: Emulator) -> None:
    lost = {"route": "POST /v1/expression/audio/file", "nth": [1, 3], "action": {"drop": "after"}}
    emulator.inject([lost])
    sources = write_recordings(folder, 4)
    folder.write(sources, execution={"max_billable_seconds": 45, "transfer_workers": 1})
    assert folder.run().code == 8
    assert metered(measured_runs(emulator.url)) == 40
    assert folder.run("--max-billable-seconds", "60").code == 0
    assert metered(measured_runs(emulator.url)) == 60
    assert len(folder.summary()["paid_twice"]) == 2
    assert folder.summary()["bill"]["billable_seconds"] == 60


@pytest.mark.sweep
def test_no_upload_that_was_never_recorded_takes_a_run_beyond_its_cap(folder: Folder, emulator: Emulator) -> None:
    """It was measured and its answer lost; the list shows all others, so it counts as not there, and is not free."""
    sources = write_recordings(folder, 3)
    folder.write({"files": ["00.wav"]}, execution={"transfer_workers": 1})
    assert folder.run().code == 0
    from_service(emulator.url, "/_emulator/expression", {"unrecorded_runs": 1})
    emulator.make_difficult({"uploads": [{"times": 1, "answer": "cut"}]})
    folder.write(sources, execution={"max_billable_seconds": 30, "transfer_workers": 1})
    ran = folder.run()
    assert metered(measured_runs(emulator.url)) == 30
    assert ran.code == 8
    assert "10 of them by submissions whose answers were lost" in ran.err
    assert folder.summary()["bill"] == {"billable_seconds": 20.0, "possible_seconds": 10.0}
    assert "up to 10 more for answers that were lost" in ran.out
    assert folder.run().code == 8
    assert folder.run("--max-billable-seconds", "40").code == 0
    assert metered(measured_runs(emulator.url)) == 40
    assert folder.summary()["bill"] == {"billable_seconds": 30.0, "possible_seconds": 10.0}
    # An edited manifest plans anew, and what was lost is reserved all the same.
    write_recordings(folder, 4)
    folder.write(sources, execution={"max_billable_seconds": 49})
    assert folder.run().code == 8


@pytest.mark.sweep
def test_who_pays_again_pays_within_the_cap(folder: Folder, emulator: Emulator) -> None:
    emulator.make_difficult({"runs": {"empty": True}, "uploads": [{"times": 1, "answer": "cut"}]})
    folder.write(write_recordings(folder, 1), execution={"max_billable_seconds": 19})
    assert folder.run().code == 9
    assert folder.summary()["bill"]["possible_seconds"] == 10
    for _ in range(2):
        assert folder.run("--pay-again").code == 8
        assert metered(measured_runs(emulator.url)) == 10
    assert folder.run("--max-billable-seconds", "20").code == 9, "what was agreed to was not sent"
    assert metered(measured_runs(emulator.url)) == 10
    assert folder.run("--max-billable-seconds", "20", "--pay-again").code == 0
    assert metered(measured_runs(emulator.url)) == 20
    assert folder.summary()["bill"] == {"billable_seconds": 10.0, "possible_seconds": 10.0}


@pytest.mark.sweep
def test_a_large_pack_is_reserved_as_a_whole(folder: Folder, emulator: Emulator) -> None:
    folder.path.mkdir(parents=True)
    for n in range(70):
        image = Image.fromarray(np.full((80, 80, 3), n, np.uint8))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        (folder.path / f"{n:02d}.jpg").write_bytes(buffer.getvalue())
    folder.write({"files": ["*.jpg"]}, batching={"max_sources": 35}, execution={"max_billable_seconds": 23.2})
    assert folder.run().code == 8
    assert metered(measured_runs(emulator.url)) == pytest.approx(35 / 3, abs=0.001)
    assert folder.run("--max-billable-seconds", "23.34").code == 0
    assert metered(measured_runs(emulator.url)) == pytest.approx(70 / 3, abs=0.001)


@pytest.mark.sweep
def test_verify_remote_finds_what_the_service_metered(folder: Folder) -> None:
    sources = write_recordings(folder, 2, seconds=12.5)
    folder.write(sources)
    assert folder.run().code == 0
    verified = folder.command("verify", "--remote", "-v")
    assert verified.code == 0
    assert verified.out.count("12.5 s metered") == 2


@pytest.mark.sweep
def test_verify_remote_names_every_difference_from_the_bill(folder: Folder) -> None:
    sources = write_recordings(folder, 2, seconds=12.5)
    folder.write(sources)
    assert folder.run().code == 0
    folder.forget_seal()
    with sqlite3.connect(folder.state) as db:
        db.execute("UPDATE jobs SET billable_seconds = 11 WHERE job = (SELECT max(job) FROM jobs)")
        [(remote,)] = db.execute("SELECT remote_id FROM jobs WHERE job = (SELECT max(job) FROM jobs)").fetchall()
    db.close()
    verified = folder.command("verify", "--remote")
    assert verified.code == 3
    [line] = [line for line in verified.out.splitlines() if line.startswith("*")]
    assert remote in line
    assert "12.5 s metered" in line
    assert "+1.5 s against the 11 s expected" in line


def test_a_run_that_the_service_does_not_know_is_named(folder: Folder, tmp_path: Path) -> None:
    folder.write(write_recordings(folder, 1))
    assert folder.run().code == 0
    with Emulator(api_keys=[folder.key]) as other:
        verified = folder.command("verify", "--remote", "--endpoint", other.url)
    assert verified.code == 3
    assert "not known under this key" in verified.out


@pytest.mark.sweep
def test_a_long_call_in_a_block_codec_is_planned_whole_and_joined_with_nothing(
    folder: Folder, emulator: Emulator
) -> None:
    write_recordings(folder, 2)
    packed_gsm(folder.path / "call.wav", 1_500)
    folder.write({"files": ["*.wav"]}, batching={"pack_short_audio": True}, models={"audio": {}})
    plan = json.loads(folder.command("plan", "--format", "json").out)["summary"]
    assert plan["billable_seconds"] == pytest.approx(1_510, abs=1)
    assert folder.run("--max-billable-seconds", str(plan["billable_seconds"])).code == 0
    assert metered(measured_runs(emulator.url)) == pytest.approx(1_510, abs=1)


@pytest.mark.sweep
def test_bills_are_shown_with_all_their_digits_and_no_more(folder: Folder) -> None:
    folder.path.mkdir(parents=True)
    packed_gsm(folder.path / "long.wav", 12_000)
    for n, seconds in enumerate((10.1, 20.2, 30.3, 10.7)):
        write_wav(folder.path / f"{n}.wav", speech([("speech", seconds)], seed=n))
    folder.write({"files": ["*.wav"]}, models={"audio": {}})
    assert "bill   12,071.3 billable seconds (12,071.3 without packing)" in folder.command("plan").out
    assert "12,071.3 billable seconds (12,071.3 without packing)." in folder.command("plan", "--format", "markdown").out
    ran = folder.run("--max-billable-seconds", "71.2")
    assert ran.code == 8
    assert "of 71.2 billable seconds are used" in ran.err
    folder.write({"files": [f"{n}.wav" for n in range(4)]}, models={"audio": {}})
    ran = folder.run()
    assert "bill     71.3 billable seconds" in ran.out
    assert folder.summary()["bill"]["billable_seconds"] == 71.3


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0"), (10, "10"), (100, "100"), (1e-9, "0"), (-1e-9, "0"), (-1.5, "-1.5")),
        *((459.959, "459.959"), (185.15200000000002, "185.152"), (0.1 + 0.2, "0.3"), (33.334, "33.334")),
        *((1_300_045, "1,300,045"), (1e9 + 0.125, "1,000,000,000.125")),
    ],
)
def test_seconds_of_a_bill_read_as_people_write_them(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


def test_what_nobody_knows_the_length_of_is_named_with_its_count(folder: Folder) -> None:
    links = [f"https://example.org/{n}.mp4" for n in range(3)]
    folder.write({"urls": links, **write_recordings(folder, 1)})
    planned = folder.command("plan").out
    assert "bill   10 billable seconds" in planned
    assert "3 links have no known length before they are fetched, and are not in the bill" in planned
    assert json.loads(folder.command("plan", "--format", "json").out)["summary"]["unmeasured"] == 3


@pytest.mark.sweep
def test_a_second_plan_measures_nothing_again(folder: Folder) -> None:
    folder.path.mkdir(parents=True)
    for n in range(3):
        write_video(folder.path / f"{n}.mp4", seconds=1 + n, sound=speech([("speech", 1.5)], seed=n))
    folder.write({"files": ["*.mp4"]}, execution={"max_billable_seconds": 1})
    assert folder.run().code == 8  # planned, and nothing is sent
    before = json.loads(folder.command("plan", "--format", "json").out)["summary"]
    # Who cannot be opened any more was measured: the file looks as it did, and its facts are told from the state.
    for n in range(3):
        path = folder.path / f"{n}.mp4"
        times, size = path.stat(), path.stat().st_size
        with path.open("r+b") as file:
            file.write(bytes(size))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    after = json.loads(folder.command("plan", "--format", "json").out)["summary"]
    assert before == after
    assert after["billable_seconds"] == 60
