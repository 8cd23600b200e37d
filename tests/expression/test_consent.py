"""`--pay-again` is about what that run sends: what it leaves over is asked about again, however it ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import AUDIO, Folder, measured_runs
from tests.media_files import speech, write_wav
from tests.tiers import sampled


def write_clips(folder: Folder, number: int, *, alike: bool = False, **sections: Any) -> list[str]:
    """Clips of different content, of one length if `alike`."""
    folder.path.mkdir(parents=True, exist_ok=True)
    names = [f"{one}.wav" for one in range(number)]
    for one, name in enumerate(names):
        length = 1.5 if alike else 1.5 + one / 4
        write_wav(folder.path / name, speech([("speech", length), ("pause", 1)], seed=one))
    folder.write({"files": names}, **sections)
    return names


def paid(emulator: Emulator) -> int:
    return len(measured_runs(emulator.url))


def put_away(raw: Path) -> Path:
    """As a disk that is not mounted."""
    away = raw.with_name("away")
    shutil.copytree(raw, away)
    for answer in raw.glob("*/response.json"):
        answer.unlink()
    return away


# What a run is called with that agrees to pay again, how it ends, and how many uploads it sends.
PARTS = {
    "a limit": (("--limit", "1"), 0, 1),
    "a selection": (("--select", 'id == "0.wav"'), 0, 1),
    "a cap": (("--max-billable-seconds", "1"), 8, 0),
    "no service": (("--endpoint", "http://127.0.0.1:9"), 5, 0),
}


@sampled(2)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("back", [False, True], ids=["away", "back"])
def test_lost_answers_that_a_run_with_consent_did_not_pay_for_are_asked_about_again(
    folder: Folder, emulator: Emulator, part: str, back: bool
) -> None:
    flags, code, sent = PARTS[part]
    write_clips(folder, 3)
    assert folder.run().code == 0
    away = put_away(folder.outputs / "raw")
    assert folder.run().code == 9
    assert folder.run(*flags, "--pay-again").code == code
    assert paid(emulator) == 3 + sent
    if back:
        shutil.copytree(away, folder.outputs / "raw", dirs_exist_ok=True)
    ran = folder.run()
    assert (ran.code, paid(emulator)) == (0 if back else 9, 3 + sent), ran.err
    assert "--pay-again" in ran.err or back
    if back:
        assert {line["status"] for line in folder.results().values()} == {"done"}
        assert folder.command("verify").code == 0
    else:
        assert f"{3 - sent} items may have been paid for already" in folder.command("plan").err
        assert folder.run("--pay-again").code == 0
        assert paid(emulator) == 6
    assert folder.run().code == 0
    assert paid(emulator) == (3 + sent if back else 6)


@pytest.mark.sweep
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("doubt", ["a lost upload", "a lost answer", "a lost state", "a lost folder"])
def test_consent_is_not_used_up_by_an_upload_that_was_refused(
    folder: Folder, emulator: Emulator, doubt: str, status: int
) -> None:
    write_clips(folder, 1, execution={"on_lost_answer": "stop"})
    if doubt == "a lost upload":
        emulator.make_difficult({"uploads": {"times": 1, "answer": "cut"}})
    assert folder.run().code == (9 if doubt == "a lost upload" else 0)
    away = folder.path / "away"
    if doubt == "a lost answer":
        away = put_away(folder.outputs / "raw")
    elif doubt == "a lost state":
        for state in folder.outputs.glob("state.sqlite3*"):
            state.unlink()
    elif doubt == "a lost folder":
        shutil.rmtree(folder.outputs)
    assert folder.run().code == 9
    emulator.inject([{"route": AUDIO, "action": {"status": status}}])
    assert folder.run("--pay-again").code == 5
    emulator.inject([])
    for _ in range(2):
        ran = folder.run()
        assert (ran.code, paid(emulator)) == (9, 1), ran.err
    if doubt == "a lost answer":
        shutil.copytree(away, folder.outputs / "raw", dirs_exist_ok=True)
        assert (folder.run().code, paid(emulator)) == (0, 1)
        return
    assert (folder.run("--pay-again").code, paid(emulator)) == (0, 2)
    assert (folder.run().code, paid(emulator)) == (0, 2)


@pytest.mark.sweep
def test_what_is_beyond_doubt_goes_although_it_is_packed_with_what_is_not(folder: Folder, emulator: Emulator) -> None:
    packed = {"pack_short_audio": True}
    write_clips(folder, 2, batching=packed)
    assert folder.run().code == 0
    put_away(folder.outputs / "raw")
    assert folder.run("--max-billable-seconds", "1", "--pay-again").code == 8
    write_clips(folder, 4, batching=packed)
    ran = folder.run()
    assert ran.code == 9, ran.err
    assert {name: line["status"] for name, line in folder.results().items()} == {
        "0.wav": "pending",
        "1.wav": "pending",
        "2.wav": "done",
        "3.wav": "done",
    }


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("taken", ["now", "never"])
@pytest.mark.parametrize("flags", [("--limit", "1"), ("--select", 'id == "0.wav"')], ids=["limit", "select"])
def test_lost_uploads_that_a_run_with_consent_did_not_send_are_asked_about_again(
    folder: Folder, emulator: Emulator, taken: str, flags: tuple[str, ...]
) -> None:
    write_clips(folder, 3, execution={"on_lost_answer": "stop"})
    emulator.make_difficult({"uploads": {"times": 3, "answer": "cut", "accepted": taken}})
    assert folder.run().code == 9
    before = paid(emulator)
    assert folder.run(*flags, "--pay-again").code == 0
    assert paid(emulator) == before + 1
    ran = folder.run()
    assert (ran.code, paid(emulator)) == (9, before + 1), ran.err


@pytest.mark.sweep
@pytest.mark.parametrize("flags", [("--limit", "1"), ()], ids=["of a part", "of a manifest that was trimmed"])
def test_consent_for_one_of_many_clips_of_one_length_is_for_that_one(
    folder: Folder, emulator: Emulator, flags: tuple[str, ...]
) -> None:
    names = write_clips(folder, 3, alike=True)
    assert folder.run().code == 0
    shutil.rmtree(folder.outputs)
    if not flags:
        folder.write({"files": names[:1]})
    assert folder.run(*flags).code == 9
    assert folder.run(*flags, "--pay-again").code == 0
    assert paid(emulator) == 4
    folder.write({"files": names})
    ran = folder.run()
    assert (ran.code, paid(emulator)) == (9, 4), ran.err


@sampled(1)
@pytest.mark.parametrize("look_back", ["1s", "7d"])
def test_consent_covers_no_source_that_was_not_listed_then(folder: Folder, emulator: Emulator, look_back: str) -> None:
    names = write_clips(folder, 2, execution={"look_back": look_back})
    assert folder.run().code == 0
    for state in folder.outputs.glob("state.sqlite3*"):
        state.unlink()
    emulator.advance(5)
    folder.write({"files": names[:1]}, execution={"look_back": look_back})
    assert folder.run().code == 9
    assert folder.run("--pay-again").code == 0
    assert (folder.run().code, paid(emulator)) == (0, 3)
    folder.write({"files": names}, execution={"look_back": look_back})
    ran = folder.run()
    assert (ran.code, paid(emulator)) == (9, 3), ran.err


@pytest.mark.sweep
def test_an_answer_of_a_lost_state_is_known_by_its_content_whatever_its_source_is_called_and_packed_with(
    folder: Folder, emulator: Emulator
) -> None:
    write_clips(folder, 3, batching={"pack_short_audio": True})
    assert folder.run().code == 0
    before = paid(emulator)
    for state in folder.outputs.glob("state.sqlite3*"):
        state.unlink()
    for number in range(3):
        (folder.path / f"{number}.wav").rename(folder.path / f"renamed-{number}.wav")
    folder.write({"files": ["renamed-*.wav"]}, batching={"pack_short_audio": False})
    ran = folder.run()
    assert (ran.code, paid(emulator)) == (9, before), ran.err
    assert "knows nothing of, about 'renamed-0.wav'" in ran.err


def test_a_copy_of_an_answer_that_the_state_knows_is_nobodys_question(folder: Folder, emulator: Emulator) -> None:
    write_clips(folder, 1)
    assert folder.run().code == 0
    [answer] = (folder.outputs / "raw").iterdir()
    shutil.copytree(answer, answer.with_name(f"{answer.name}.bak"))
    write_clips(folder, 2)
    assert (folder.run().code, paid(emulator)) == (0, 2)
