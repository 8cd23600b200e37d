"""Every way of losing the answer to a submission, at every difficult host: nothing is paid twice or forgotten.

The table says for each host what becomes of a submission that it took, and of one that it did not: by whether the lost
one stands between jobs of the same run that the list can show (controls), before or after them, or alone in an account
that had no job before.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.request import Request, urlopen

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
    hosts,
    outcomes_of,
)
from tests.tiers import Tier, only_swept, sampled


class Way(NamedTuple):
    """How an answer is lost. `taken`: whether the host has the job; `wait`: how long to wait for it at the most."""

    knobs: Mapping[str, Any]
    taken: bool
    wait: Waited
    killed: bool = False


NEVER = {"accepted": "never"}
LOST: dict[str, Way] = {
    "cut before": Way({"answer": "cut", **NEVER}, taken=False, wait="short"),
    "cut after": Way({"answer": "cut"}, taken=True, wait="short"),
    "cut, accepted soon": Way({"answer": "cut", "accepted": 0.1}, taken=True, wait="short"),
    "truncated": Way({"answer": "truncated"}, taken=True, wait="short"),
    "500 before": Way({"answer": 500, **NEVER}, taken=False, wait="short"),
    "500 after": Way({"answer": 500}, taken=True, wait="short"),
    "502 after": Way({"answer": 502}, taken=True, wait="short"),
    "504 before": Way({"answer": 504, **NEVER}, taken=False, wait="long"),
    "504 after": Way({"answer": 504}, taken=True, wait="long"),
    "time-out before": Way({"answer": "hang", **NEVER}, taken=False, wait="long"),
    "time-out after": Way({"answer": "hang"}, taken=True, wait="long"),
    "killed before": Way({"answer": "cut", **NEVER}, taken=False, wait="short", killed=True),
    "killed after": Way({"answer": "cut"}, taken=True, wait="short", killed=True),
}

SOURCES = {
    "link": ("urls", ["https://example.org/one.txt", "https://example.org/two.txt?page=2"]),
    "file": ("files", ["media/*.txt"]),
    "text": ("text", ["Nothing is lost.", "Nothing is paid twice."]),
}
WORDS = {"link": "one.txt", "file": "first.txt", "text": "Nothing is lost."}
# Which of the jobs is lost. They are sent in this order, one after the other: links, files, texts.
FIRST, BETWEEN, LAST = "link, others after", "file, others around", "text, others before"
ALONE, AMONG = "file alone", "file alone, somebody's job before"
PLACES: dict[str, tuple[str, Sequence[str]]] = {
    FIRST: ("link", ("link", "file", "text")),
    BETWEEN: ("file", ("link", "file", "text")),
    LAST: ("text", ("link", "file", "text")),
    ALONE: ("file", ("file",)),
    AMONG: ("file", ("file",)),
}


FOUND = Outcome(accepted=1, found=True, waits=False, asked=False)
SENT_AGAIN = Outcome(accepted=1, found=False, waits=True, asked=False)
# Nothing tells: a person is asked. What the host has then is one job, or none.
ASKED_HAVING_IT = Outcome(accepted=1, found=False, waits=True, asked=True)
ASKED = Outcome(accepted=0, found=False, waits=True, asked=True)
ASKED_AT_ONCE_HAVING_IT = Outcome(accepted=1, found=False, waits=False, asked=True)
ASKED_AT_ONCE = Outcome(accepted=0, found=False, waits=False, asked=True)
# A list that shows one job depends on the moment: whether another came after the lost one by then.
FOUND_OR_ASKED = (ASKED_HAVING_IT, Outcome(accepted=1, found=True, waits=None, asked=False))
SENT_OR_ASKED = (ASKED, SENT_AGAIN)


class Host(NamedTuple):
    """A difficult host. `has`, `has_not`: what becomes of a job that it took and of one that it did not; `but`: the
    same of the job in one place, where that differs; `advance_s`: what ends the difficulty is time; `ours_s`: our clock
    is ahead by so much."""

    knobs: Mapping[str, Any]
    has: May = FOUND
    has_not: May = SENT_AGAIN
    but: Mapping[str, tuple[May, May]] = {}
    advance_s: float | None = None
    ours_s: float = 0.0

    def outcomes(self, way: Way, place: str) -> tuple[Outcome, ...]:
        has, has_not = self.but.get(place, (self.has, self.has_not))
        return outcomes_of(has if way.taken else has_not)


# Without another job of ours, a list may be one that never shows anything, or the oldest or newest of strangers.
LONELY: dict[str, tuple[May, May]] = {ALONE: (FOUND, ASKED), AMONG: (FOUND, ASKED)}
NEWEST: dict[str, tuple[May, May]] = {
    FIRST: (FOUND_OR_ASKED, ASKED),  # it shows nothing from before
    BETWEEN: (FOUND_OR_ASKED, SENT_OR_ASKED),
    LAST: (FOUND, SENT_OR_ASKED),  # shown one from just before as the newest, there is none after it
    **LONELY,
}
NEWEST_TWO: dict[str, tuple[May, May]] = {
    FIRST: (FOUND_OR_ASKED, SENT_OR_ASKED),  # just as many came after it, once all have come
    BETWEEN: (FOUND_OR_ASKED, SENT_OR_ASKED),
    **LONELY,
}
DIFFICULT: dict[str, Host] = {
    "easy": Host({}, but=LONELY),
    "late": Host({"jobs": {"late": 0.15}}, but=LONELY),
    "later than the wait": Host({"jobs": {"late": "15m"}}, ASKED_HAVING_IT, ASKED, advance_s=901),
    "capped, newest": Host({"jobs": {"cap": 1, "cap_keeps": "newest"}}, but=NEWEST),
    "capped, newest two": Host({"jobs": {"cap": 2, "cap_keeps": "newest"}}, but=NEWEST_TWO),
    "capped, oldest": Host(
        {"jobs": {"cap": 1, "cap_keeps": "oldest"}}, ASKED_HAVING_IT, ASKED, but={ALONE: (FOUND, ASKED)}
    ),
    "pages of three": Host({"jobs": {"cap": 3}}, but=LONELY),
    # In no order, nothing tells whether a list is whole.
    "shuffled": Host({"jobs": {"order": "shuffled"}}, FOUND, SENT_OR_ASKED, but=LONELY),
    "filters ignored": Host(
        {"jobs": {"ignores": ["when", "status", "limit", "direction"]}}, FOUND, SENT_OR_ASKED, but=LONELY
    ),
    "no request": Host({"jobs": {"leaves_out": "request"}}, but=LONELY),
    "no request anywhere": Host(
        {"jobs": {"leaves_out": "request", "details_leave_out": "request"}}, ASKED_HAVING_IT, ASKED
    ),
    "no files": Host({"jobs": {"leaves_out": "request.files"}}, but=LONELY),
    "no urls, no texts": Host({"jobs": {"leaves_out": ["request.urls", "request.text"]}}, but=LONELY),
    "no settings": Host({"jobs": {"leaves_out": ["request.models", "request.transcription"]}}, but=LONELY),
    "names in capitals": Host({"jobs": {"filenames": "upper"}}, but=LONELY),
    "names percent-encoded": Host({"jobs": {"filenames": "percent"}}, but=LONELY),
    "names without a prefix": Host({"jobs": {"filenames": {"without": r"^[0-9a-f]+-\d+-"}}}, but=LONELY),
    "capitals everywhere": Host({"jobs": {"filenames": "upper", "predictions_spell": True}}, but=LONELY),
    "texts and links normalised": Host({"jobs": {"texts": ["strip", "collapse"], "urls": "decode"}}, but=LONELY),
    "numbers for ids": Host({"jobs": {"integer_ids": True}}, but=LONELY),
    "numbers for ids in lists": Host({"jobs": {"integer_ids": "list"}}, FOUND, ASKED),
    "numbers for ids in details": Host({"jobs": {"integer_ids": "details"}}, but=LONELY),
    "entries without ids": Host({"jobs": {"nameless_every": 1}}, ASKED_HAVING_IT, ASKED),
    "no time stamps": Host({"jobs": {"leaves_out": "state.created_timestamp_ms"}}, FOUND, ASKED),
    "empty": Host({"jobs": {"empty": True}}, ASKED_HAVING_IT, ASKED),
    "no list: 400": Host({"jobs": {"status": 400}}, ASKED_AT_ONCE_HAVING_IT, ASKED_AT_ONCE),
    "no list: 404": Host({"jobs": {"status": 404}}, ASKED_AT_ONCE_HAVING_IT, ASKED_AT_ONCE),
    "no list: 405": Host({"jobs": {"status": 405}}, ASKED_AT_ONCE_HAVING_IT, ASKED_AT_ONCE),
    "no list: 501": Host({"jobs": {"status": 501}}, ASKED_AT_ONCE_HAVING_IT, ASKED_AT_ONCE),
    "Date an hour ahead": Host({"date": {"off": "1h"}}, but=LONELY),
    "Date three hours ahead": Host({"date": {"off": "3h"}}, but=LONELY),
    "Date three hours behind": Host({"date": {"off": "-3h"}}, but=LONELY),
    "no Date": Host({"date": {"missing": True}}, but=LONELY),
    "ours three hours ahead": Host({}, but=LONELY, ours_s=10_800),
    "ours three hours behind": Host({}, but=LONELY, ours_s=-10_800),
    "ours three hours ahead, no Date": Host({"date": {"missing": True}}, but=LONELY, ours_s=10_800),
    "ours three hours behind, no Date": Host({"date": {"missing": True}}, but=LONELY, ours_s=-10_800),
}


class Cell(NamedTuple):
    difficulty: str
    lost: str
    place: str

    @property
    def expected(self) -> tuple[Became, ...]:
        way = LOST[self.lost]
        outcomes = DIFFICULT[self.difficulty].outcomes(way, self.place)
        return tuple(became for one in outcomes for became in one.became([way.wait]))


def everything() -> list[Cell]:
    return [Cell(difficulty, lost, place) for difficulty in DIFFICULT for lost in LOST for place in PLACES]


MANIFEST = """\
version: 1
name: lost
service: {{api: batch-v0, endpoint: "{endpoint}", timeout: {timeout}}}
sources: {sources}
models: {{language: {{granularity: sentence}}}}
batching: {{max_sources: 2}}
execution:
  requests_per_second: 1000
  transfer_workers: 1
  retry: {{attempts: 3, max_wait: 100ms}}
  look_back: 0  # what a host has before anything is sent is asked about elsewhere
outputs: {{directory: out, artifacts: false}}
"""


def prepare(folder: Path, cell: Cell, host: Emulator) -> Trial:
    """A folder with a manifest, and a host that loses one submission of it; but for one place, it had a job before."""
    way, difficulty = LOST[cell.lost], DIFFICULT[cell.difficulty]
    kind, kinds = PLACES[cell.place]
    if cell.place != ALONE:
        post(host, "An older job.")
        host.advance(60)
    write(folder, host, kinds, timeout="3s" if way.knobs["answer"] == "hang" else "60s")
    host.make_difficult({**difficulty.knobs, "submissions": {"holding": WORDS[kind], "times": 1, **way.knobs}})

    def cure(host: Emulator) -> None:
        if difficulty.advance_s is None:
            host.make_difficult({})
        else:
            host.advance(difficulty.advance_s)

    return Trial(
        label=str(cell),
        host=host,
        outputs=folder / "out",
        child=lambda *, name, **how: {
            "argv": ["run", str(folder / "manifest.yaml"), "--no-progress"],
            "key": KEY,
            "out": str(folder / name),
            "clock": [[0.0, difficulty.ours_s]],
            **how,
        },
        taken=lambda: taken_by(host),
        expected=cell.expected,
        others=len(kinds) - (cell.place == ALONE),
        killed=way.killed,
        consent=cell.place in LONELY and not way.taken,
        cure=cure,
    )


def write(folder: Path, host: Emulator, kinds: Iterable[str], *, timeout: str = "60s") -> None:
    (folder / "media").mkdir(parents=True)
    (folder / "media" / "first.txt").write_text("The first file speaks of rain. It is short.\n")
    (folder / "media" / "second.txt").write_text("The second file is shorter.\n")
    sources = json.dumps(dict(SOURCES[kind] for kind in kinds))
    (folder / "manifest.yaml").write_text(MANIFEST.format(endpoint=host.url, sources=sources, timeout=timeout))


def post(host: Emulator, text: str) -> None:
    """A job of somebody else with the same key."""
    body = {"text": [text], "models": {"language": {"granularity": "sentence"}}}
    headers = {"X-Hume-Api-Key": KEY, "Content-Type": "application/json"}
    with urlopen(Request(host.url + "/v0/batch/jobs", json.dumps(body).encode(), headers), timeout=30) as answer:
        answer.read()


def taken_by(host: Emulator) -> list[str]:
    with urlopen(host.url + "/_emulator/jobs", timeout=30) as answer:
        return [job["content_sha256"] for job in json.loads(answer.read())]


@only_swept
def test_no_lost_answer_is_paid_twice_at_a_difficult_host(tier: Tier, tmp_path: Path, nursery: Nursery) -> None:
    cells = [Cell(*one) for one in covering(DIFFICULT, LOST, PLACES)]
    assert broken(tier.of(cells, 8), prepare, tmp_path, nursery) == []


@sampled(1)
@pytest.mark.parametrize("place", [FIRST, BETWEEN, LAST])
@pytest.mark.parametrize("difficulty", ["names in capitals", "names without a prefix", "capitals everywhere"])
def test_an_answer_is_read_however_its_files_are_spelt(
    difficulty: str, place: str, tmp_path: Path, nursery: Nursery
) -> None:
    assert broken([Cell(difficulty, "500 after", place)], prepare, tmp_path, nursery) == []


def test_what_is_accepted_later_than_any_wait_is_told_by_the_last_look(tmp_path: Path, nursery: Nursery) -> None:
    """No rule survives such a host: it is sent again, and then there are two. The run says so, and names the other."""
    with hosts(1, processing_time_s=1800) as (host,):
        post(host, "An older job.")
        host.advance(60)
        write(tmp_path, host, ("link", "file", "text"))
        lost = {"holding": WORDS["link"], "times": 1, "answer": "cut", "accepted": "15m"}
        host.make_difficult({"submissions": lost})
        clock = threading.Thread(target=accept_late, args=(host,))
        clock.start()
        child = {"argv": ["run", str(tmp_path / "manifest.yaml"), "--json"], "key": KEY, "out": str(tmp_path / "run")}
        codes = nursery.run([{**child, "settle_s": 0.3}])
        clock.join()
        said = [json.loads(line) for line in (tmp_path / "run.stdout").read_text().splitlines()]
        assert codes == [0], said
        log = taken_by(host)
        ((twice, number),) = [one for one in Counter(log).items() if one[1] > 1]
        assert number == 2
        with urlopen(host.url + "/_emulator/jobs", timeout=30) as answer:
            ids = {job["job_id"] for job in json.loads(answer.read()) if job["content_sha256"] == twice}
    summary = json.loads((tmp_path / "out" / "run.json").read_bytes())
    (told,) = summary["paid_twice"]
    assert told in ids
    assert [event["remote_id"] for event in said if event.get("event") == "paid_twice"] == [told]


def accept_late(host: Emulator) -> None:
    """Once everything was sent, and the lost one again: let the host's time pass, and then that of the jobs."""
    posted = until(lambda: len(taken_by(host)) == 4)
    host.advance(901)
    assert posted
    assert until(lambda: len(taken_by(host)) == 5)
    host.advance(1801)


def until(there: Any, *, patience_s: float = 40.0) -> bool:
    for _ in range(round(patience_s / 0.05)):
        if there():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_lost_answer_is_paid_twice_in_the_whole_table(tmp_path: Path, nursery: Nursery) -> None:
    assert broken_anywhere(everything(), prepare, tmp_path, nursery) == []
