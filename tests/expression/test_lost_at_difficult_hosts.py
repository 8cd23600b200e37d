"""Every way of losing the answer to an upload, at every difficult host. What was measured is billed, and its answer
cannot be had again: it is paid for once more only where the manifest says so, and then it is told.

The table says for each host what becomes of an upload that was measured, of one that was not, and of one whose run has
gone silent, so that nobody knows.
"""

from __future__ import annotations

import functools
import io
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pytest

from hume_runner.emulator.server import Emulator
from tests.durability.children import Nursery
from tests.durability.lost import (
    KEY,
    Became,
    May,
    Outcome,
    Trial,
    Waited,
    broken,
    broken_anywhere,
    covering,
    outcomes_of,
)
from tests.expression.runs import RUNS, Folder, measured_runs, upload_still
from tests.media_files import picture, picture_bytes, speech
from tests.tiers import Tier, only_swept, sampled

Fate = Literal["measured", "refused", "not", "silent"]


class Way(NamedTuple):
    """How an answer is lost. `fate`: whether it was measured, refused without being billed, never taken in, or nobody
    knows; `wait`: how long to wait for it at the most."""

    knobs: Mapping[str, Any]
    fate: Fate
    wait: Waited
    killed: bool = False


NEVER: dict[str, Any] = {"accepted": "never"}
REFUSED: dict[str, Any] = {"billed": False}
SILENT: dict[str, Any] = {"billed": False, "says_bytes": False}
LOST: dict[str, Way] = {
    "cut, never arrived": Way({"answer": "cut", **NEVER}, "not", "short"),
    "cut, measured": Way({"answer": "cut"}, "measured", "short"),
    "cut, not billed": Way({"answer": "cut", **REFUSED}, "refused", "short"),
    "cut, silent": Way({"answer": "cut", **SILENT}, "silent", "short"),
    "cut, silent, then live, then measured": Way({"answer": "cut", "silent": 0.3, "live": 0.3}, "measured", "short"),
    "truncated": Way({"answer": "truncated"}, "measured", "short"),
    "500, measured": Way({"answer": 500}, "measured", "short"),
    "502, not billed": Way({"answer": 502, **REFUSED}, "refused", "short"),
    "504, measured": Way({"answer": 504}, "measured", "long"),
    "504, never arrived": Way({"answer": 504, **NEVER}, "not", "long"),
    "504, not billed": Way({"answer": 504, **REFUSED}, "refused", "long"),
    "504, silent": Way({"answer": 504, **SILENT}, "silent", "long"),
    "killed, measured": Way({"answer": "cut"}, "measured", "short", killed=True),
    "killed, never arrived": Way({"answer": "cut", **NEVER}, "not", "short", killed=True),
    "killed, not billed": Way({"answer": "cut", **REFUSED}, "refused", "short", killed=True),
    "killed, silent": Way({"answer": "cut", **SILENT}, "silent", "short", killed=True),
}

# Files in the order in which they are sent, one after the other, and how many pass before one is lost.
FIRST, LAST, STILL, ALONE, AMONG, STOP = (
    "recording, others after",
    "recording, others before",
    "still, recordings before",
    "recording alone",
    "recording alone, somebody's before",
    "recording, others before, and the manifest says stop",
)
PLACES: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    FIRST: (("0.wav", "1.wav", "2.wav"), {}),
    LAST: (("0.wav", "1.wav", "2.wav"), {"skip": 2}),
    STILL: (("0.wav", "1.wav", "0.jpg"), {"holding": "video"}),
    ALONE: (("0.wav",), {}),
    AMONG: (("0.wav",), {}),
    STOP: (("0.wav", "1.wav", "2.wav"), {"skip": 2}),
}


PAID_AGAIN = Outcome(accepted=2, found=True, waits=False, asked=False)
SENT_AGAIN = Outcome(accepted=1, found=False, waits=True, asked=False)
ASKED_MEASURED = Outcome(accepted=1, found=False, waits=True, asked=True)
ASKED = Outcome(accepted=0, found=False, waits=True, asked=True)
ASKED_AT_ONCE_MEASURED = Outcome(accepted=1, found=False, waits=False, asked=True)
ASKED_AT_ONCE = Outcome(accepted=0, found=False, waits=False, asked=True)
# Where the list depends on the moment: whether another came after the lost one by then.
SENT_OR_ASKED = (ASKED, SENT_AGAIN)
PAID_OR_ASKED = (ASKED_MEASURED, Outcome(accepted=2, found=True, waits=None, asked=False))


class Host(NamedTuple):
    """A difficult host: what becomes of an upload by its fate; `but`: of some in one place; `advance_s`: what ends the
    difficulty is time; `no_list`: how the list is refused once something was sent; `ours_s`: our clock is ahead by so
    much."""

    knobs: Mapping[str, Any]
    measured: May = PAID_AGAIN
    refused: May = SENT_AGAIN
    never: May = SENT_AGAIN
    silent: May = ASKED
    but: Mapping[tuple[str, Fate], May] = {}
    advance_s: float | None = None
    no_list: int | None = None
    ours_s: float = 0.0

    def outcomes(self, fate: Fate, place: str) -> tuple[Outcome, ...]:
        usual = {"measured": self.measured, "refused": self.refused, "not": self.never, "silent": self.silent}[fate]
        may = self.but.get((place, fate), usual)
        return tuple(
            one._replace(accepted=1, asked=True) if place == STOP and one.accepted > 1 else one
            for one in outcomes_of(may)
        )


# Without another upload of ours, a list may be one that never shows anything, or the oldest or newest of strangers.
UNBILLED: tuple[Fate, Fate] = ("not", "refused")
LONELY: dict[tuple[str, Fate], May] = {(place, fate): ASKED for place in (ALONE, AMONG) for fate in UNBILLED}
NOTHING = (ASKED_MEASURED, ASKED, ASKED, ASKED)
AT_ONCE = (ASKED_AT_ONCE_MEASURED, ASKED_AT_ONCE, ASKED_AT_ONCE, ASKED_AT_ONCE)
ENDED = (LAST, STILL, STOP)


def no_list(status: int) -> Host:
    """The list was there when the run began."""
    return Host({}, *AT_ONCE, no_list=status)


DIFFICULT: dict[str, Host] = {
    "easy": Host({}, but=LONELY),
    "late": Host({"runs": {"late": 0.2}}, but=LONELY),
    "later than the wait": Host({"runs": {"late": "15m"}}, *NOTHING, advance_s=901),
    # The lost one is the newest where it is the last; then the others are not shown.
    "capped, newest": Host(
        {"runs": {"cap": 1, "cap_keeps": "newest"}},
        but={(place, "not"): SENT_OR_ASKED for place in ENDED}
        | {(place, "refused"): ASKED for place in ENDED}
        | {(FIRST, "measured"): PAID_OR_ASKED, (FIRST, "not"): ASKED, (FIRST, "refused"): ASKED}
        | LONELY,
    ),
    # Just as many as come after the first one.
    "capped, newest two": Host(
        {"runs": {"cap": 2, "cap_keeps": "newest"}},
        but={(FIRST, "measured"): PAID_OR_ASKED, (FIRST, "not"): SENT_OR_ASKED, (FIRST, "refused"): SENT_OR_ASKED}
        | {(place, "not"): SENT_OR_ASKED for place in ENDED}
        | {(place, "refused"): SENT_OR_ASKED for place in ENDED}
        | LONELY,
    ),
    # That is somebody's from before, or the account's first.
    "capped, oldest": Host(
        {"runs": {"cap": 1, "cap_keeps": "oldest"}},
        *NOTHING,
        but={(ALONE, "measured"): PAID_AGAIN},
    ),
    # Somebody's from before is the fourth where the first one is refused.
    "capped to three": Host({"runs": {"cap": 3}}, but={(FIRST, "refused"): SENT_OR_ASKED} | LONELY),
    "oldest first": Host({"runs": {"order": "oldest"}}, but=LONELY),
    "shuffled": Host({"runs": {"order": "shuffled"}}, but=LONELY),
    "filters ignored": Host(
        {"runs": {"ignores": ["status", "endpoint", "mode", "started_after", "page_size"]}}, but=LONELY
    ),
    "no seconds": Host({"runs": {"leaves_out": "metered_seconds"}}, ASKED_MEASURED, but=LONELY),
    "no bytes": Host({"runs": {"leaves_out": "bytes_received"}}, refused=ASKED, but=LONELY),
    "bytes with the form, in records of TLS": Host({"runs": {"counts": "tls"}}, but=LONELY),
    # Runs of ours show that bytes tell nothing there; a lonely one is billed as much, and has other bytes.
    "bytes of packets": Host(
        {"runs": {"counts": "packets"}},
        but=LONELY
        | {
            (FIRST, "measured"): PAID_OR_ASKED,
            (ALONE, "measured"): ASKED_MEASURED,
            (AMONG, "measured"): ASKED_MEASURED,
        },
    ),
    # What came before the first one is told by its time, or by the run that saw it before.
    "no times": Host(
        {"runs": {"leaves_out": ["started_at", "ended_at"]}},
        but={(FIRST, fate): SENT_OR_ASKED for fate in UNBILLED} | LONELY,
    ),
    "no endpoint": Host({"runs": {"leaves_out": "endpoint"}}, but=LONELY),
    "no users": Host({"runs": {"leaves_out": "user_id"}}, but=LONELY),
    "entries without ids": Host({"runs": {"nameless_every": 1}}, *NOTHING),
    "some entries without ids": Host(
        {"runs": {"nameless_every": 2}},
        PAID_OR_ASKED,
        SENT_OR_ASKED,
        SENT_OR_ASKED,
        but=LONELY | {(ALONE, "measured"): PAID_AGAIN},
    ),
    "empty": Host({"runs": {"empty": True}}, *NOTHING),
    "no list: 400": no_list(400),
    "no list: 404": no_list(404),
    "no list: 405": no_list(405),
    "no list: 501": no_list(501),
    "Date an hour ahead": Host({"date": {"off": "1h"}}, but=LONELY),
    "Date three hours ahead": Host({"date": {"off": "3h"}}, but=LONELY),
    "Date three hours behind": Host({"date": {"off": "-3h"}}, but=LONELY),
    "no Date": Host({"date": {"missing": True}}, but=LONELY),
    "ours an hour ahead": Host({}, but=LONELY, ours_s=3600),
    "ours three hours ahead": Host({}, but=LONELY, ours_s=10_800),
    "ours three hours behind": Host({}, but=LONELY, ours_s=-10_800),
    "ours three hours ahead, no Date": Host({"date": {"missing": True}}, but=LONELY, ours_s=10_800),
    "ours three hours behind, no Date": Host({"date": {"missing": True}}, but=LONELY, ours_s=-10_800),
    "list three hours behind": Host({"runs": {"off": "-3h"}}, but=LONELY),
    "list three hours ahead": Host({"runs": {"off": "3h"}}, but=LONELY),
}


class Cell(NamedTuple):
    difficulty: str
    lost: str
    place: str

    @property
    def expected(self) -> tuple[Became, ...]:
        way = LOST[self.lost]
        outcomes = DIFFICULT[self.difficulty].outcomes(way.fate, self.place)
        silent_at_first = way.killed and way.fate == "silent" and self.place == FIRST
        # Before the others are sent, what went silent is waited for as what is measured is.
        waits: list[Waited] = [way.wait, "long"] if silent_at_first else [way.wait]
        became = tuple(became for one in outcomes for became in one.became(waits))
        if self.difficulty == "entries without ids" and silent_at_first:
            # Which of the nameless is ours cannot be told: it is asked before the two others are sent.
            became += tuple(one._replace(accepted=-2) for one in became if one.asked)
        return became

    @property
    def possible(self) -> bool:
        """A run that begins without a list sends nothing more, so that there are no others."""
        return not (LOST[self.lost].killed and self.place == FIRST and self.difficulty.startswith("no list"))


def everything() -> list[Cell]:
    cells = (Cell(difficulty, lost, place) for difficulty in DIFFICULT for lost in LOST for place in PLACES)
    return [cell for cell in cells if cell.possible]


@functools.cache
def media(name: str) -> bytes:
    """The recordings cost the same, and are not of one size."""
    number, _, ending = name.partition(".")
    if ending == "jpg":
        return picture_bytes(picture(seed=int(number)))
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(speech([("speech", 0.5 + int(number) / 4), ("pause", 0.5)], seed=int(number)).tobytes())
    return content.getvalue()


def prepare(path: Path, cell: Cell, host: Emulator) -> Trial:
    """A folder with a manifest, and a host that loses one upload of it."""
    way, difficulty = LOST[cell.lost], DIFFICULT[cell.difficulty]
    names, which = PLACES[cell.place]
    folder = Folder(path=path, url=host.url, key=KEY)
    path.mkdir(parents=True)
    for name in names:
        (path / name).write_bytes(media(name))
    folder.write(
        {"files": list(names)},
        execution={"transfer_workers": 1, "on_lost_answer": "stop" if cell.place == STOP else "resubmit"},
    )
    if cell.place in (FIRST, AMONG):
        upload_still(host.url, KEY, picture_bytes(picture(200, 200, seed=7)))
        host.advance(60)
    if difficulty.no_list is not None:
        # Before it sends anything a run asks in more than one way, where anything is shown.
        asked = 4 if cell.place in (FIRST, AMONG) else 2
        later = list(range(asked + 1, 100))
        host.inject([{"route": RUNS, "nth": later, "action": {"status": difficulty.no_list}}])
    host.make_difficult({**difficulty.knobs, "uploads": {"times": 1, **which, **way.knobs}})

    def cure(host: Emulator) -> None:
        if difficulty.advance_s is None:
            host.make_difficult({})
            host.inject([])
        else:
            host.advance(difficulty.advance_s)

    return Trial(
        label=str(cell),
        host=host,
        outputs=folder.outputs,
        child=lambda *, name, **how: {
            "argv": ["run", str(folder.manifest), "--no-progress"],
            "key": "",
            "out": str(path / name),
            "clock": [[0.0, difficulty.ours_s]],
            **how,
        },
        taken=lambda: [run["content_sha256"] for run in measured_runs(host.url)],
        expected=cell.expected,
        others=len(names) - (cell.place not in (FIRST, AMONG)),
        finally_accepted=2 if way.fate == "measured" else 1,
        killed=way.killed,
        consent=(way.fate, cell.place) in {("measured", STOP), *((fate, place) for place, fate in LONELY)}
        or way.fate == "silent",
        cure=cure,
    )


@only_swept
def test_no_lost_upload_is_paid_again_in_silence_at_a_difficult_host(
    tier: Tier, tmp_path: Path, nursery: Nursery
) -> None:
    cells = [Cell(*one) for one in covering(DIFFICULT, LOST, PLACES)]
    possible = [cell for cell in cells if cell.possible]
    assert broken(tier.of(possible, 8), prepare, tmp_path, nursery) == []


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("place", [LAST, STILL, STOP])
def test_a_date_that_is_not_the_time_of_the_list_hides_no_lost_upload(
    place: str, tmp_path: Path, nursery: Nursery
) -> None:
    """An answer came before, so the run believes to know the service's time."""
    assert broken([Cell("Date an hour ahead", "cut, measured", place)], prepare, tmp_path, nursery) == []


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_lost_upload_is_paid_again_in_silence_in_the_whole_table(tmp_path: Path, nursery: Nursery) -> None:
    assert broken_anywhere(everything(), prepare, tmp_path, nursery) == []
