"""A state that was lost, put back or copied: what was measured meanwhile is not paid for a second time unasked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.test_read_only import without_privilege
from tests.durability.children import Nursery
from tests.expression.runs import AUDIO, RUNS, Folder, from_service, measured_runs, upload_still
from tests.media_files import picture, picture_bytes, speech, write_wav
from tests.tiers import sampled


def write_media(folder: Folder, *, first: int = 0, recordings: int = 2) -> list[str]:
    folder.path.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(first, first + recordings):
        write_wav(folder.path / f"{number}.wav", speech([("speech", 1.5 + number / 4), ("pause", 1)], seed=number))
        names.append(f"{number}.wav")
    (folder.path / f"{first}.jpg").write_bytes(picture_bytes(picture(seed=first)))
    return [*names, f"{first}.jpg"]


def delete_state(folder: Folder) -> None:
    for path in folder.outputs.glob("state.sqlite3*"):
        path.unlink()


def assert_asks_and_pays_once_more_only_if_told(folder: Folder, emulator: Emulator, *, twice: int) -> None:
    paid = len(measured_runs(emulator.url))
    ran = folder.run()
    assert ran.code == 9, ran.err
    assert "--pay-again" in ran.err
    assert "measured something of this size already" in ran.err or "knows nothing of, about '" in ran.err
    assert len(measured_runs(emulator.url)) == paid
    assert folder.run("--pay-again").code == 0
    assert len(measured_runs(emulator.url)) == paid + twice
    assert {line["status"] for line in folder.results().values()} == {"done"}
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == paid + twice


def test_a_deleted_state_asks(folder: Folder, emulator: Emulator) -> None:
    folder.write({"files": write_media(folder)})
    assert folder.run().code == 0
    delete_state(folder)
    assert_asks_and_pays_once_more_only_if_told(folder, emulator, twice=3)


REPACKED: dict[str, Callable[[dict[str, Any]], tuple[str, ...]]] = {
    "one still more": lambda manifest: manifest["sources"]["files"].append("new.jpg") or (),
    "fewer in an upload": lambda manifest: manifest.update(batching={"max_sources": 1}) or (),
    "a part of them": lambda manifest: ("--select", "id == 'old.jpg'"),
    "cut otherwise": lambda manifest: manifest.update(batching={"max_bytes": 60_000}) or (),
}


@pytest.mark.sweep
@pytest.mark.parametrize("how", REPACKED)
def test_a_deleted_state_asks_although_uploads_are_packed_otherwise(
    folder: Folder, emulator: Emulator, how: str
) -> None:
    """Another size than the service measured proves nothing: the answers lie here, and name their sources."""
    manifest: dict[str, Any] = {"sources": {"files": [*write_media(folder), "old.jpg"]}, "batching": {}}
    for number, name in enumerate(("new.jpg", "old.jpg")):
        (folder.path / name).write_bytes(picture_bytes(picture(200, 200, seed=72 + number)))
    folder.write(manifest["sources"], batching=manifest["batching"])
    assert folder.run().code == 0
    paid = len(measured_runs(emulator.url))
    delete_state(folder)
    flags = REPACKED[how](manifest)
    folder.write(manifest["sources"], batching=manifest["batching"])
    ran = folder.run(*flags)
    assert ran.code == 9, ran.err
    assert "knows nothing of, about '" in ran.err
    assert len(measured_runs(emulator.url)) == paid


@sampled(2)
@pytest.mark.parametrize("look_back", ["1s", "7d"])
@pytest.mark.parametrize("part", [("--limit", "1"), ("--max-billable-seconds", "1")])
def test_who_agrees_to_a_part_is_asked_about_the_rest(
    folder: Folder, emulator: Emulator, part: tuple[str, ...], look_back: str
) -> None:
    folder.write({"files": write_media(folder)}, execution={"look_back": look_back})
    assert folder.run().code == 0
    delete_state(folder)
    emulator.advance(5)
    paid = len(measured_runs(emulator.url))
    assert folder.run(*part, "--pay-again").code in (0, 8)
    again = len(measured_runs(emulator.url)) - paid
    assert again == part.count("--limit")
    assert len(folder.summary()["perhaps_paid_twice"]) == again
    assert folder.run().code == 9
    assert folder.run("--pay-again").code == 0
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 2 * paid


@pytest.mark.sweep
def test_a_folder_that_cannot_be_looked_into_hides_no_other(folder: Folder, emulator: Emulator) -> None:
    folder.write({"files": write_media(folder)}, execution={"look_back": "1s"})
    assert folder.run().code == 0
    delete_state(folder)
    emulator.advance(5)
    paid = len(measured_runs(emulator.url))
    (folder.outputs / "raw" / "a-file").write_text("")
    (folder.outputs / "raw" / "empty").mkdir()
    (folder.outputs / "raw" / "lost+found").mkdir(mode=0)
    ran = subprocess.run(
        [sys.executable, "-m", "hume_runner", "run", str(folder.manifest)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=without_privilege,
    )
    assert ran.returncode == 9, ran.stderr
    assert len(measured_runs(emulator.url)) == paid


@pytest.mark.sweep
def test_a_copied_folder_asks_for_what_its_original_measured(
    folder: Folder, emulator: Emulator, tmp_path: Path
) -> None:
    names = write_media(folder)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    copy = Folder(path=tmp_path / "copy", url=folder.url, key=folder.key)
    shutil.copytree(folder.path, copy.path, ignore=shutil.ignore_patterns("*.ctl"))  # a socket cannot be copied
    folder.write({"files": names})
    assert folder.run().code == 0
    copy.write({"files": names})
    assert_asks_and_pays_once_more_only_if_told(copy, emulator, twice=2)


def test_a_restored_backup_asks_for_what_was_measured_since(folder: Folder, emulator: Emulator, tmp_path: Path) -> None:
    names = write_media(folder)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    backup = tmp_path / "backup.sqlite3"
    shutil.copyfile(folder.state, backup)
    folder.write({"files": names})
    assert folder.run().code == 0
    delete_state(folder)
    shutil.copyfile(backup, folder.state)
    assert_asks_and_pays_once_more_only_if_told(folder, emulator, twice=2)


@pytest.mark.sweep
@pytest.mark.parametrize("flags", [(), ("--pay-again",)])
def test_runs_of_other_sizes_are_nobodys_business(
    folder: Folder, emulator: Emulator, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    folder.write({"files": write_media(folder)})
    assert folder.run().code == 0
    other = Folder(path=tmp_path / "other", url=folder.url, key=folder.key)
    other.write({"files": write_media(other, first=5)})
    assert other.run(*flags).code == 0
    assert len(measured_runs(emulator.url)) == 6


@pytest.mark.sweep
def test_a_run_that_died_leaves_no_word_after_which_nothing_is_looked_for(
    folder: Folder, emulator: Emulator, tmp_path: Path, nursery: Nursery
) -> None:
    names = write_media(folder, recordings=2)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    folder.write({"files": names[:2]})
    child = {"argv": ["run", str(folder.manifest), "--no-progress"], "key": "", "out": str(folder.path / "run")}
    died = {"kind": "kill", "at": {"name": "commit submitting"}, "moment": "after"}
    assert nursery.run([{**child, "disk": died}]) == [-9]
    copy = Folder(path=tmp_path / "copy", url=folder.url, key=folder.key)
    copy.write({"files": write_media(copy, recordings=0)})
    assert copy.run().code == 0
    folder.write({"files": names[2:]})
    assert_asks_and_pays_once_more_only_if_told(folder, emulator, twice=1)


@pytest.mark.sweep
def test_what_was_asked_about_is_asked_about_until_it_is_answered(
    folder: Folder, emulator: Emulator, tmp_path: Path
) -> None:
    names = write_media(folder, recordings=3)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    backup = tmp_path / "backup.sqlite3"
    shutil.copyfile(folder.state, backup)
    folder.write({"files": names[:3]})
    assert folder.run().code == 0
    delete_state(folder)
    shutil.copyfile(backup, folder.state)
    # Something new goes first: the state's last word is then younger than what it does not know of.
    write_wav(folder.path / "new.wav", speech([("speech", 12.0), ("pause", 1)], seed=77))
    folder.write({"files": ["new.wav", *names[:3]]}, execution={"transfer_workers": 1})
    for _ in range(3):
        assert folder.run().code == 9
        assert len(measured_runs(emulator.url)) <= 4
    assert folder.run("--pay-again").code == 0
    assert len(measured_runs(emulator.url)) == 6
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 6


@pytest.mark.sweep
@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second device here")
def test_a_folder_that_comes_to_another_device_sends_what_was_never_sent(
    folder: Folder, emulator: Emulator, tmp_path: Path, nursery: Nursery
) -> None:
    """Restored or mounted anew: the device's and the file's numbers are no history of a state."""
    folder.write({"files": write_media(folder)})
    emulator.inject([{"route": RUNS, "action": {"status": 503}}])
    assert folder.run().code == 5
    assert set(folder.jobs()) == {"planned"}
    emulator.inject([])
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        copy = Folder(path=Path(elsewhere) / "case", url=folder.url, key=folder.key)
        shutil.copytree(folder.path, copy.path, ignore=shutil.ignore_patterns("*.ctl"))  # a socket cannot be copied
        assert copy.path.stat().st_dev != folder.path.stat().st_dev
        argv = ["run", str(copy.manifest), "--no-progress"]
        assert nursery.run([{"argv": argv, "key": "", "out": str(tmp_path / "run")}]) == [0]
        assert "ask about" not in (tmp_path / "run.stderr").read_text()
        lines = [json.loads(line) for line in (copy.outputs / "results.jsonl").read_text().splitlines()]
        assert {line["status"] for line in lines} == {"done"}
        assert len(measured_runs(emulator.url)) == 3


@pytest.mark.sweep
@pytest.mark.parametrize("when", ["planned", "prepared"])
def test_bytes_that_change_before_they_are_sent_are_never_measured_as_what_was_planned(
    folder: Folder, emulator: Emulator, when: str
) -> None:
    """Of one length, and with the time of the file put back."""
    names = write_media(folder)
    one, other = (folder.path / names[0]).read_bytes(), (folder.path / names[1])
    folder.write({"files": names[:2]}, execution={"transfer_workers": 1})
    planned = other.read_bytes()
    mixed = planned[:44] + planned[44:][::-1]
    assert len(mixed) == len(planned)
    assert mixed != planned
    was = other.stat()

    def change() -> None:
        other.write_bytes(mixed)
        os.utime(other, ns=(was.st_atime_ns, was.st_mtime_ns))

    if when == "planned":
        emulator.inject([{"route": RUNS, "action": {"status": 503}}])
        assert folder.run().code == 5  # planned, and nothing sent
        emulator.inject([])
        change()
        code = folder.run().code
    else:
        emulator.inject([{"route": AUDIO, "nth": [1], "action": {"delay": "2s"}}])
        thread = threading.Thread(target=change_once_sent, args=(emulator, change))
        thread.start()
        code = folder.run().code
        thread.join()
    sent = {file["sha256"] for run in measured_runs(emulator.url) for file in run["files"]}
    told = folder.results()[names[1]]
    assert sha256(one).hexdigest() in sent
    # Seen in time, it is what it is now, or what it was then, prepared; else it fails.
    contents = {content for (content,) in folder.ask("SELECT lower(hex(content)) FROM measurements")}
    assert (code, told["status"]) in {(0, "done"), (3, "failed")}
    assert sha256(mixed).hexdigest() not in sent - contents


def change_once_sent(emulator: Emulator, change: Callable[[], None]) -> None:
    for _ in range(400):
        if emulator.requests()["by_route"].get(AUDIO):
            break
        time.sleep(0.02)
    time.sleep(0.3)
    change()


def only_a_live_run(emulator: Emulator) -> bool:
    return [run["status"] for run in from_service(emulator.url, "/_emulator/runs")] == ["live"]


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("takes_s", "told"),
    [(1.0, "measured something of this size already"), (3600.0, "is measuring something that may be this")],
)
def test_what_is_under_way_elsewhere_is_waited_for_and_asked_about(tmp_path: Path, takes_s: float, told: str) -> None:
    """A copy, a deleted state or a restored backup meets an upload whose answer somebody else gets, or nobody."""
    with Emulator(processing_time_s=takes_s) as emulator:
        one, other = (Folder(path=tmp_path / name, url=emulator.url, key=emulator.api_key) for name in ("one", "other"))
        for folder in (one, other):
            write_wav(_made(folder) / "a.wav", speech([("speech", 1.5), ("pause", 1)], seed=1))
            folder.write({"files": ["a.wav"]})
        other.runs = tmp_path / "elsewhere"
        first = threading.Thread(target=one.run, daemon=True)
        first.start()
        while not only_a_live_run(emulator):
            time.sleep(0.02)
        ran = other.run()
        assert (ran.code, told in ran.err) == (9, True), ran.err
        assert "waiting until it shows what it is" in ran.err
        assert len(from_service(emulator.url, "/_emulator/runs")) == 1
    first.join(60)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    "list_",
    [{"late": "1h"}, {"cap": 1, "cap_keeps": "oldest"}, {"cap": 1, "cap_keeps": "newest"}, {"empty": True}],
    ids=["late", "oldest", "newest", "empty"],
)
def test_a_list_that_hides_what_the_state_knows_of_is_no_proof(
    folder: Folder, emulator: Emulator, tmp_path: Path, list_: dict[str, object]
) -> None:
    upload_still(folder.url, folder.key, picture_bytes(picture(200, 200, seed=70)))
    names = write_media(folder, recordings=2)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    backup = tmp_path / "backup.sqlite3"
    shutil.copyfile(folder.state, backup)
    folder.write({"files": names[:2]})
    assert folder.run().code == 0
    upload_still(folder.url, folder.key, picture_bytes(picture(200, 200, seed=71)))
    delete_state(folder)
    shutil.copyfile(backup, folder.state)
    emulator.make_difficult({"runs": list_})
    ran = folder.run()
    assert ran.code == 9
    assert "which it must have" in ran.err
    assert len(measured_runs(emulator.url)) == 4
    emulator.make_difficult({})
    assert_asks_and_pays_once_more_only_if_told(folder, emulator, twice=1)


# What became of the upload of a run that died -> what a run of another life says before it pays for the same, or None
# where that was never billed.
UNSETTLED = {
    "live": ({"live": "1h"}, "is measuring something that may be this"),
    "live, then ended": ({"live": "5s"}, "has measured something of this size already"),
    "silent, then live": ({"silent": "700ms", "live": "1h"}, "is measuring something that may be this"),
    "silent, then ended": ({"silent": "2s", "live": "3s"}, "has measured something of this size already"),
    "silent for good": ({"silent": "100h"}, "has gone silent"),
    "errored with bytes": ({"billed": False}, None),
}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("life", ["deleted", "restored", "copied"])
@pytest.mark.parametrize("became", UNSETTLED)
def test_what_a_dead_run_s_upload_becomes_is_waited_for_and_asked_about(
    folder: Folder, emulator: Emulator, tmp_path: Path, nursery: Nursery, life: str, became: str
) -> None:
    how, told = UNSETTLED[became]
    names = write_media(folder, recordings=2)[:2]
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    backup = tmp_path / "backup"
    shutil.copytree(folder.outputs, backup, ignore=shutil.ignore_patterns("*.ctl"))
    folder.write({"files": names})
    emulator.make_difficult({"uploads": [{"times": 1, "answer": "cut", **how}]})
    child = {"argv": ["run", str(folder.manifest), "--no-progress"], "key": "", "out": str(folder.path / "run")}
    died = {"kind": "kill", "at": {"name": "commit lost"}, "moment": "before"}
    assert nursery.run([{**child, "disk": died}]) == [-9]
    sent = len(from_service(emulator.url, "/_emulator/runs"))
    assert sent == 2
    other = folder
    if life == "copied":
        other = Folder(path=tmp_path / "copy", url=folder.url, key=folder.key)
        shutil.copytree(folder.path, other.path, ignore=shutil.ignore_patterns("out"))
        other.write({"files": names[1:]})
    else:
        shutil.rmtree(folder.outputs)
        folder.write({"files": names[1:]})
        if life == "restored":
            shutil.copytree(backup, folder.outputs)
            folder.write({"files": names})
    if became.endswith("then ended"):
        other = replace(other, settle_s=2.0)  # it looks long before the end, and waits until long after it
    ran = other.run()
    runs = from_service(emulator.url, "/_emulator/runs")
    if told is None:
        assert (ran.code, len(runs)) == (0, sent + 1), ran.err
        return
    assert (ran.code, len(runs)) == (9, sent), ran.err
    assert told in ran.err
    assert "waiting until it shows what it is" in ran.err


@pytest.mark.sweep
def test_what_went_silent_long_ago_is_asked_about_at_once(folder: Folder, emulator: Emulator, tmp_path: Path) -> None:
    names = write_media(folder, recordings=1)
    emulator.make_difficult({"uploads": [{"times": 1, "answer": "cut", "silent": "100h"}]})
    folder.write({"files": names[:1]})
    assert folder.run().code == 9
    emulator.advance(7200)
    # Its own state asks about that upload alone, and sends what else there is.
    write_wav(folder.path / "more.wav", speech([("speech", 3.0), ("pause", 1)], seed=11))
    folder.write({"files": [names[0], "more.wav"]})
    assert folder.run().code == 9
    assert folder.jobs() == {"ambiguous": 1, "done": 1}
    shutil.rmtree(folder.outputs)
    ran = folder.run()
    assert ran.code == 9
    assert "waiting until it shows what it is" not in ran.err
    assert len(from_service(emulator.url, "/_emulator/runs")) == 2


@pytest.mark.sweep
def test_a_list_that_ends_before_our_oldest_run_is_no_proof(folder: Folder, emulator: Emulator, tmp_path: Path) -> None:
    """It shows the last thing that a copy sent, and neither what its original sent between nor what came before."""
    names = write_media(folder, recordings=3)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    copy = Folder(path=tmp_path / "copy", url=folder.url, key=folder.key)
    shutil.copytree(folder.path, copy.path, ignore=shutil.ignore_patterns("*.ctl"))  # a socket cannot be copied
    folder.write({"files": names[:2]})
    assert folder.run().code == 0
    copy.write({"files": [names[0], names[2]]})
    assert copy.run().code == 0
    emulator.make_difficult({"runs": {"cap": 1, "cap_keeps": "newest"}})
    copy.write({"files": names})
    ran = copy.run()
    assert (ran.code, "which it must have" in ran.err) == (9, True), ran.err
    assert len(measured_runs(emulator.url)) == 3


@pytest.mark.sweep
def test_a_list_that_is_cut_short_is_asked_for_the_rest(folder: Folder, emulator: Emulator) -> None:
    names = write_media(folder, recordings=3)
    # A list of one run tells two apart by when they began.
    folder.write({"files": names}, execution={"transfer_workers": 1})
    assert folder.run().code == 0
    emulator.make_difficult({"runs": {"cap": 1}})
    for name in names[:3]:
        shutil.rmtree(folder.outputs)
        folder.write({"files": [name]})
        assert folder.run().code == 9
    assert len(measured_runs(emulator.url)) == 4


@pytest.mark.sweep
def test_every_job_that_a_consent_covers_is_named(
    folder: Folder, emulator: Emulator, tmp_path: Path, nursery: Nursery
) -> None:
    """A copy is made after an answer was lost; its original measures both files, and the copy is told to pay again."""
    names = write_media(folder, recordings=2)[:2]
    usual = {"transfer_workers": 1, "on_lost_answer": "stop"}
    folder.write({"files": names}, execution=usual)
    emulator.make_difficult({"uploads": [{"times": 1, "answer": "cut"}]})
    child = {"argv": ["run", str(folder.manifest), "--no-progress"], "key": "", "out": str(folder.path / "run")}
    died = {"kind": "kill", "at": {"name": "commit lost"}, "moment": "before"}
    assert nursery.run([{**child, "disk": died}]) == [-9]
    copy = Folder(path=tmp_path / "copy", url=folder.url, key=folder.key)
    shutil.copytree(folder.path, copy.path, ignore=shutil.ignore_patterns("*.ctl"))  # a socket cannot be copied
    assert folder.run("--pay-again").code == 0
    theirs = {run["run_id"] for run in measured_runs(emulator.url)}
    assert len(theirs) == 3
    assert copy.run().code == 9
    ran = copy.run("--pay-again")
    assert ran.code == 0, ran.err
    assert "does not have it" not in ran.err
    assert ran.err.count("as agreed") == 2, ran.err
    jobs = {f"job-{number:06d}" for (number,) in copy.ask("SELECT job FROM jobs")}
    said = [line for line in ran.err.splitlines() if "as agreed" in line]
    assert {line.partition(":")[0] for line in said} == jobs
    [named] = copy.summary()["perhaps_paid_twice"]
    assert named in theirs
    assert f"perhaps paid twice: {named}" in ran.out
    assert f"perhaps paid twice: {named}" in copy.command("status").out
    assert copy.summary()["bill"]["possible_seconds"] == 10
    assert sum(run_id in ran.err for run_id in theirs) == 3


@pytest.mark.sweep
def test_a_consent_covers_nothing_that_was_not_named(folder: Folder, emulator: Emulator, tmp_path: Path) -> None:
    names = write_media(folder, recordings=3)
    other = Folder(path=tmp_path / "other", url=folder.url, key=folder.key)
    other.write({"files": write_media(other, recordings=3)})
    assert other.run().code == 0
    folder.write({"files": names[:1]})
    assert folder.run().code == 9
    assert folder.run("--pay-again").code == 0
    folder.write({"files": names[:2]})
    assert folder.run().code == 9
    assert len(measured_runs(emulator.url)) == 5
    assert folder.run("--pay-again").code == 0
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 6


@pytest.mark.sweep
def test_a_run_of_ours_that_is_never_listed_is_asked_about_once(folder: Folder, emulator: Emulator) -> None:
    from_service(emulator.url, "/_emulator/expression", {"unrecorded_runs": 1})
    names = write_media(folder, recordings=3)
    folder.write({"files": names[:1]})
    assert folder.run().code == 0
    folder.write({"files": names[:2]})
    assert folder.run().code == 9
    ran = folder.run("--pay-again")
    assert ran.code == 0
    assert "cannot be told for sure" in ran.err
    folder.write({"files": names[:3]})
    assert folder.run().code == 0


def _made(folder: Folder) -> Path:
    folder.path.mkdir(parents=True)
    return folder.path
