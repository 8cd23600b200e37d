"""A host counts bytes in its own way: what it measured and billed is never paid for a second time unasked for that.

Runs of ours that are small do not show it, where what is added grows with the upload.
"""

from __future__ import annotations

from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import AUDIO, Folder, measured_runs, times_measured
from tests.media_files import speech, write_wav
from tests.tiers import sampled

COUNTS = ["media", "form", "headers", "tls", "http2", "packets", "kib", "blocks", "base64", "packed"]
# What the host does to the lost one, and how long the recordings are. The one that is lost is the third.
LOST: dict[str, tuple[dict[str, Any], tuple[float, float, float]]] = {
    "a large one after small ones": ({}, (0.5, 1.0, 30.0)),
    "a small one after others": ({}, (0.5, 30.0, 1.0)),
    "one of which less is counted": ({"uncounted_bytes": 1000}, (0.5, 1.0, 1.5)),
    "a large one of which less is counted": ({"uncounted_bytes": 100_000}, (0.5, 1.0, 30.0)),
    "one of several of one length, of which less is counted": ({"uncounted_bytes": 1000}, (1.0, 1.0, 1.0)),
}


def write_recordings(folder: Folder, *seconds: float) -> list[str]:
    folder.path.mkdir(parents=True, exist_ok=True)
    for number, length in enumerate(seconds):
        write_wav(folder.path / f"{number}.wav", speech([("speech", length), ("pause", 0.5)], seed=number))
    return [f"{number}.wav" for number in range(len(seconds))]


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("which", LOST)
@pytest.mark.parametrize("counts", COUNTS)
def test_a_lost_upload_is_never_proven_not_to_be_there_by_bytes(
    folder: Folder, emulator: Emulator, counts: str, which: str
) -> None:
    knobs, lengths = LOST[which]
    usual = {"on_lost_answer": "stop", "transfer_workers": 1}
    folder.write({"files": write_recordings(folder, *lengths)}, execution=usual)
    emulator.make_difficult(
        {"runs": {"counts": counts}, "uploads": {"skip": 2, "times": 1, "answer": "cut", **knobs}},
    )
    ran = folder.run()
    assert (ran.code, emulator.requests()["by_route"][AUDIO]) == (9, 3), ran.err
    assert "its answer is lost" in ran.err or "may be this one" in ran.err, ran.err
    assert folder.run().code == 9
    assert max(times_measured(measured_runs(emulator.url)).values()) == 1
    ran = folder.run("--pay-again")
    assert ran.code == 0, ran.err
    assert sorted(times_measured(measured_runs(emulator.url)).values()) == [1, 1, 2]
    # What was only perhaps the lost one is not told as if it surely was.
    assert len(folder.summary()["paid_twice"]) + len(folder.summary()["perhaps_paid_twice"]) == 1


@sampled(1)
@pytest.mark.parametrize("counts", [one for one in COUNTS if one not in ("base64", "packed")])
def test_without_a_state_it_is_asked_about_however_the_host_counts(
    folder: Folder, emulator: Emulator, counts: str
) -> None:
    emulator.make_difficult({"runs": {"counts": counts}})
    files = write_recordings(folder, 0.5, 12.0, 30.0)
    folder.write({"files": files})
    assert folder.run().code == 0
    for name in files:
        folder.write({"files": [name]}, outputs={"directory": f"out-{name}"})
        ran = folder.run()
        assert (ran.code, "measured something of this size already" in ran.err) == (9, True), ran.err
    assert len(measured_runs(emulator.url)) == 3


def test_a_lost_upload_that_fits_to_the_byte_is_nothing_to_ask_about(folder: Folder, emulator: Emulator) -> None:
    """Though others of ours were billed as much."""
    folder.write({"files": write_recordings(folder, 0.5, 1.0, 1.5, 2.0)}, execution={"transfer_workers": 1})
    emulator.make_difficult({"uploads": {"skip": 2, "times": 1, "answer": "cut"}})
    ran = folder.run()
    assert ran.code == 0, ran.err
    assert (len(folder.summary()["paid_twice"]), folder.summary()["bill"]["possible_seconds"]) == (1, 0)
