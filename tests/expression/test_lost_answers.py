"""An answer that is lost was paid for if the list of runs says so: it is counted, and asked for again or not."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.durability.children import Nursery
from tests.expression.runs import (
    AUDIO,
    RUNS,
    VIDEO,
    Folder,
    from_service,
    measured_runs,
    metered,
    upload_still,
)
from tests.media_files import picture, picture_bytes, speech, write_wav
from tests.tiers import sampled

LOST = {"drop": "after"}


def write_media(folder: Folder, recordings: int = 1, stills: int = 1) -> list[str]:
    folder.path.mkdir(parents=True)
    for number in range(recordings):
        write_wav(folder.path / f"{number}.wav", speech([("speech", 1.5), ("pause", 1)], seed=number))
    for number in range(stills):
        (folder.path / f"{number}.jpg").write_bytes(picture_bytes(picture(seed=number)))
    return [f"{n}.wav" for n in range(recordings)] + [f"{n}.jpg" for n in range(stills)]


def counted(folder: Folder) -> Counter[str]:
    """Every run that the state knows of, its jobs' own and those that were paid for in vain."""
    found = folder.ask(
        "SELECT remote_id FROM jobs WHERE remote_id IS NOT NULL UNION ALL SELECT remote_id FROM duplicates"
    )
    return Counter(remote_id for (remote_id,) in found)


def assert_all_is_counted(folder: Folder, emulator: Emulator) -> list[dict[str, Any]]:
    """The state's bill and the service's are the same, run by run."""
    runs = measured_runs(emulator.url)
    assert counted(folder) == Counter(run["run_id"] for run in runs)
    bill = folder.summary()["bill"]["billable_seconds"]
    assert bill == pytest.approx(metered(runs), abs=0.01 * len(runs))
    return runs


@pytest.mark.parametrize("route", [AUDIO, VIDEO])
def test_a_lost_answer_is_found_in_the_list_counted_and_asked_for_again(
    folder: Folder, emulator: Emulator, route: str
) -> None:
    emulator.inject([{"route": route, "nth": [1], "action": LOST}])
    folder.write({"files": write_media(folder)})
    assert folder.run().code == 0
    runs = assert_all_is_counted(folder, emulator)
    assert len(runs) == 3
    [twice] = folder.summary()["paid_twice"]
    endpoint = "audio" if route == AUDIO else "video"
    assert next(run["run_id"] for run in runs if run["endpoint"] == endpoint) == twice
    said = folder.command("status").out
    assert f"paid twice: {twice}" in said


@pytest.mark.sweep
@pytest.mark.parametrize("route", [AUDIO, VIDEO])
def test_the_manifest_may_ask_to_stop_at_a_lost_answer(folder: Folder, emulator: Emulator, route: str) -> None:
    emulator.inject([{"route": route, "nth": [1], "action": LOST}])
    folder.write({"files": write_media(folder)}, execution={"on_lost_answer": "stop"})
    ran = folder.run()
    assert ran.code == 9
    assert "10 s billed" in ran.err
    assert "next: " in ran.err
    assert emulator.requests()["by_route"][route] == 1
    # What was measured is in the bill, whether its answer came or not.
    bill = folder.summary()["bill"]["billable_seconds"]
    assert bill == pytest.approx(metered(measured_runs(emulator.url)), abs=0.05)
    # A second look finds the same, and pays nothing.
    assert folder.run().code == 9
    assert emulator.requests()["by_route"][route] == 1
    assert folder.run("--pay-again").code == 0
    assert len(assert_all_is_counted(folder, emulator)) == 3
    assert {line["status"] for line in folder.results().values()} == {"done"}


@pytest.mark.sweep
@pytest.mark.parametrize("route", [AUDIO, VIDEO])
def test_what_never_arrived_is_sent_again_once_that_is_sure(folder: Folder, emulator: Emulator, route: str) -> None:
    media = write_media(folder, recordings=2)
    folder.write({"files": media[:1]})
    assert folder.run().code == 0
    emulator.inject([{"route": route, "nth": [1], "action": {"drop": "before"}}])
    folder.write({"files": media}, execution={"on_lost_answer": "stop"})
    assert folder.run().code == 0
    assert len(assert_all_is_counted(folder, emulator)) == 3
    assert folder.summary()["paid_twice"] == []
    assert emulator.requests()["by_route"][route] == (3 if route == AUDIO else 2)


@pytest.mark.sweep
def test_what_never_arrived_alone_is_asked_about(folder: Folder, emulator: Emulator) -> None:
    """Strangers' runs do not show that the list would show ours: it may be their oldest or newest."""
    upload_still(folder.url, folder.key, picture_bytes(picture(200, 200, seed=7)))
    emulator.inject([{"route": AUDIO, "nth": [1], "action": {"drop": "before"}}])
    folder.write({"files": write_media(folder, stills=0)})
    ran = folder.run()
    assert ran.code == 9
    assert "shows no other job of this state" in ran.err
    assert folder.jobs() == {"ambiguous": 1}
    assert folder.run("--pay-again").code == 0
    assert len(measured_runs(emulator.url)) == 2


@sampled(1)
@pytest.mark.parametrize("status", [400, 404, 405, 410, 501])
def test_without_a_list_nothing_is_sent_until_somebody_agrees(folder: Folder, emulator: Emulator, status: int) -> None:
    emulator.make_difficult({"runs": {"status": status}})
    folder.write({"files": write_media(folder)})
    ran = folder.run()
    assert ran.code == 9
    assert "lists no runs" in ran.err
    assert "--pay-again" in ran.err
    assert measured_runs(emulator.url) == []
    ran = folder.run("--pay-again")
    assert ran.code == 0, ran.err
    assert "cannot be seen" in ran.err
    assert len(measured_runs(emulator.url)) == 2
    # What is measured already is nothing to agree to; and who never asks is not asked.
    assert folder.run().code == 0
    write_wav(folder.path / "new.wav", speech([("speech", 2.5), ("pause", 1)], seed=9))
    folder.write({"files": ["new.wav"]}, execution={"look_back": 0})
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 3


@pytest.mark.sweep
def test_a_run_that_is_listed_late_is_waited_for(folder: Folder, emulator: Emulator) -> None:
    from_service(emulator.url, "/_emulator/expression", {"run_visible_after_s": "400ms"})
    emulator.inject([{"route": AUDIO, "nth": [1], "action": LOST}])
    folder.settle_s = 1.0
    folder.write({"files": write_media(folder)})
    assert folder.run().code == 0
    assert len(assert_all_is_counted(folder, emulator)) == 3


@pytest.mark.sweep
def test_requests_under_way_are_not_taken_for_the_lost_one(folder: Folder, emulator: Emulator) -> None:
    """Many requests with the same bill at one time, of which some never arrive: none of the others is theirs."""
    media = write_media(folder, recordings=7)
    folder.write({"files": media[-1:]})
    assert folder.run().code == 0
    emulator.inject(
        [
            {"route": AUDIO, "nth": [1, 4], "action": {"drop": "before"}},
            {"route": AUDIO, "nth": [2], "action": LOST},
            {"route": AUDIO, "action": {"slow": "4KB/s"}},
        ]
    )
    folder.write({"files": media}, execution={"transfer_workers": 4})
    assert folder.run().code == 0
    runs = assert_all_is_counted(folder, emulator)
    assert len(runs) == 9
    assert len(folder.summary()["paid_twice"]) == 1


@pytest.mark.sweep
def test_a_list_that_cannot_be_had_leaves_the_question_open(folder: Folder, emulator: Emulator) -> None:
    emulator.inject(
        [{"route": AUDIO, "nth": [1], "action": LOST}, {"route": RUNS, "nth": [3, 4, 5], "action": {"status": 503}}]
    )
    retry = {"retry": {"attempts": 1, "max_wait": "100ms"}}
    folder.write({"files": write_media(folder, stills=0)}, execution=retry)
    assert folder.run().code == 5
    assert folder.jobs() == {"ambiguous": 1}
    emulator.inject([])
    assert folder.run().code == 0
    assert len(assert_all_is_counted(folder, emulator)) == 2


@pytest.mark.sweep
@pytest.mark.parametrize("cap", [30, 1000])
def test_everything_lost_ends_the_run_with_every_payment_counted(folder: Folder, emulator: Emulator, cap: int) -> None:
    emulator.inject([{"route": AUDIO, "action": LOST}])
    folder.write({"files": write_media(folder, stills=0)}, execution={"max_billable_seconds": cap})
    ran = folder.run()
    assert ran.code == 5
    # As many tries as the manifest allows, and no more: each was paid for.
    assert len(assert_all_is_counted(folder, emulator)) == 3
    assert len(folder.summary()["paid_twice"]) == 3


@pytest.mark.sweep
@pytest.mark.parametrize("by_s", [-20_000, -7200, -600, 600, 7200, 20_000])
@pytest.mark.parametrize("ends", ["lost", "killed"])
def test_an_answer_is_found_out_although_the_machine_s_time_was_set_meanwhile(
    folder: Folder, emulator: Emulator, nursery: Nursery, by_s: int, ends: str
) -> None:
    folder.write({"files": write_media(folder, recordings=0, stills=2)}, batching={"max_sources": 1})
    folder.manifest.write_text(folder.manifest.read_text().replace("execution:", "execution:\n  on_lost_answer: stop"))
    child = {"argv": ["run", str(folder.manifest), "--no-progress"], "key": "", "out": str(folder.path / "run")}
    emulator.inject([{"route": VIDEO, "nth": [2], "action": LOST}])
    if ends == "lost":
        assert nursery.run([{**child, "clock": [["commit accepted", by_s]]}]) == [9]
    else:
        died = {"kind": "kill", "at": {"name": "commit lost"}, "moment": "before"}
        assert nursery.run([{**child, "disk": died}]) == [-9]
        assert nursery.run([{**child, "clock": [[0.0, by_s]]}]) == [9]
    assert "its answer is lost" in (folder.path / "run.stderr").read_text()
    assert len(measured_runs(emulator.url)) == 2


@pytest.mark.sweep
@pytest.mark.parametrize("by_s", [-7200, 7200])
def test_the_first_upload_is_found_out_although_the_machine_s_time_was_set_before_the_second(
    folder: Folder, emulator: Emulator, nursery: Nursery, by_s: int
) -> None:
    """Only what was sent after it shows when it was sent, and how much later that was is no matter of our clock."""
    upload_still(folder.url, folder.key, picture_bytes(picture(200, 200, seed=7)))
    names = write_media(folder, recordings=0, stills=2)
    folder.write({"files": names[:1]})
    emulator.make_difficult({"uploads": [{"times": 1, "answer": "cut", "silent": "100h"}]})
    child = {"argv": ["run", str(folder.manifest), "--no-progress"], "key": "", "out": str(folder.path / "run")}
    died = {"kind": "kill", "at": {"name": "commit lost"}, "moment": "before"}
    assert nursery.run([{**child, "disk": died}]) == [-9]
    time.sleep(1.1)  # the list's times are compared to a tenth of a second
    folder.write({"files": names})
    assert nursery.run([{**child, "clock": [[0.0, by_s]]}]) == [9]
    assert "has gone silent" in (folder.path / "run.stderr").read_text()
    assert len(from_service(emulator.url, "/_emulator/runs")) <= 3


@pytest.mark.sweep
def test_what_a_lost_upload_asks_is_said_once_and_offers_what_helps_here(folder: Folder, emulator: Emulator) -> None:
    emulator.make_difficult({"runs": {"empty": True}})
    emulator.inject([{"route": VIDEO, "action": LOST}])
    folder.write({"files": write_media(folder, recordings=0)})
    for _ in range(2):
        ran = folder.run()
        assert ran.code == 9, ran.err
        assert ran.err.count("the answer to its submission was lost") == 1
        assert "adopt" not in ran.err
        assert "--pay-again" in ran.err
    told = folder.run("-q").err
    assert told.count("the answer to its submission was lost") == 1


def test_a_harmed_answer_that_is_given_once_is_not_said_to_be_fetched_again(folder: Folder, emulator: Emulator) -> None:
    folder.write({"files": write_media(folder, recordings=0)}, outputs={"directory": "out", "tables": ["csv"]})
    assert folder.run().code == 0
    next((folder.outputs / "tables").glob("*.csv")).unlink()
    told = folder.command("verify").err
    assert "--repair` makes again what is derived" in told
    next((folder.outputs / "raw").glob("*/response.json")).unlink()
    told = folder.command("verify").err
    assert "fetches again" not in told
    assert "from a backup" in told
    assert "--pay-again" in told
    told = folder.command("verify", "--repair").err
    assert "fetches again" not in told
    assert f"run {folder.manifest} --pay-again" in told
    assert told.count("cannot be had again") == 1


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("on_lost_answer", ["resubmit", "stop"])
def test_an_upload_that_is_measured_without_an_end_is_asked_about_and_paid_for_again_only_if_somebody_agrees(
    folder: Folder, emulator: Emulator, on_lost_answer: str
) -> None:
    """It waits for as long as a measurement takes, and encodes media."""
    names = write_media(folder, recordings=2, stills=0)
    folder.write({"files": names}, execution={"on_lost_answer": on_lost_answer})
    emulator.make_difficult({"uploads": [{"times": 1, "answer": "cut", "live": "100h"}]})
    began = time.monotonic()
    first = folder.run()
    assert first.code == 9, first.err
    assert "is being measured, as " in first.err
    assert "`--pay-again` sends it again" in first.err
    assert folder.jobs() == {"ambiguous": 1, "done": 1}
    waited_s = time.monotonic() - began
    assert waited_s >= 7.5 * folder.settle_s
    began = time.monotonic()
    again = folder.run()
    assert (again.code, "is being measured, as " in again.err) == (9, True), again.err
    assert time.monotonic() - began < waited_s
    assert len(from_service(emulator.url, "/_emulator/runs")) == 2
    agreed = folder.run("--pay-again")
    assert agreed.code == 0, agreed.err
    assert "sent again as agreed" in agreed.err
    assert len(from_service(emulator.url, "/_emulator/runs")) == 3
    assert folder.jobs() == {"done": 2}
