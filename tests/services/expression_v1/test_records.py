"""What the list of runs tells of a lost upload, and of what was measured before."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from hume_runner.engine.reconcile import Ask, Gone, NotThere, Wait, settle
from hume_runner.services.base import NotSettled
from hume_runner.services.expression_v1.limits import PART_OVERHEAD_BYTES
from hume_runner.services.expression_v1.reading import RunView
from hume_runner.services.jobs import Job, Member
from hume_runner.services.lost import LostJob
from tests.services.expression_v1.cases import recording, service


@dataclass(frozen=True, slots=True)
class Listing:
    """The runs that a service shows; `unfiltered` are those that it shows only when it is asked for all."""

    runs: Sequence[RunView]
    unfiltered: Sequence[RunView] = ()

    def list_runs(
        self,
        *,
        started_after: float = -math.inf,
        started_before: float = math.inf,
        mode: str | None = None,
        on_date: Any = None,
    ) -> Iterator[RunView]:
        shown = [*self.runs, *(self.unfiltered if mode is None else ())]
        return iter([run for run in shown if started_after <= (run.started_at or 0) < started_before])


SENT_AT = 1_700_000_000.0
SAMPLES = 16_000 * 12


def a_run(name: str, **members: Any) -> RunView:
    usual = {
        "user_id": "me",
        "status": "ended",
        "endpoint": "audio",
        "mode": "file",
        "started_at": SENT_AT + 1,
        "bytes_received": 44 + 2 * SAMPLES,
        "metered_seconds": 12.0,
    }
    return RunView(run_id=name, **(usual | members))


def lost(number: int = 1, *, samples: int = SAMPLES, before: Collection[str] = ("control",), **after: float) -> LostJob:
    detail = {"part": 0, "parts": 1, "first": 0, "samples": samples, "start_ms": 0}
    job = Job(
        number=number,
        key="0" * 64,
        nonce="n",
        members=(Member(item=recording(number, samples / 16_000), detail=detail),),
        size_bytes=44 + 2 * samples,
        billable_seconds=max(10.0, samples / 16_000),
    )
    return LostJob(job=job, sent_at=SENT_AT, ended_at=SENT_AT + 2, before=tuple(before), after=after)


def lost_frames(number: int, *, images: int, media: int, carried: bool = False) -> LostJob:
    """`carried`: with the state of the faces in the request before."""
    one = lost(number)
    still = Member(item=recording(number, 1.0), detail={})
    frames = Member(item=still.item, detail={"first_frame": 4, "times_ms": list(range(images))})
    members = (frames,) if carried else (still,) * images
    job = replace(one.job, members=members, size_bytes=media + images * PART_OVERHEAD_BYTES, billable_seconds=10.0)
    return replace(one, job=job)


def settled(
    folder: Path, listing: Listing, *jobs: LostJob, ours: Mapping[str, float] | None = None, waited_s: float = 1000
) -> list[Any]:
    asked = service(folder)
    asked._account._connect = lambda: listing  # type: ignore[assignment, return-value]
    looks = asked.look_for(jobs, ours or {})
    taken: set[str] = set()
    found = []
    for one in jobs:
        what = settle(looks[one.job.number], taken, waited_s=waited_s, wait_s=20)
        if isinstance(what, Gone):
            taken.add(what.chosen.remote_id)
        found.append(what)
    return found


CONTROL = a_run("control", started_at=SENT_AT - 30, metered_seconds=99.0, bytes_received=2 * 99 * 16_000)
SINGLE = [
    # what the list shows beside a run of ours, and what it means
    ((), NotThere),
    ((a_run("x"),), Gone),
    ((a_run("x", bytes_received=2 * SAMPLES),), Gone),  # whether a header counts is not known
    ((a_run("x", bytes_received=44 + 2 * SAMPLES + 700),), Gone),  # nor whether the form does
    ((a_run("x", bytes_received=None),), Gone),  # the seconds alone
    ((a_run("x", bytes_received=2 * SAMPLES + 32_000),), Ask),  # billed alike: who knows how bytes are counted
    ((a_run("x", bytes_received=9),), Ask),
    ((a_run("x", bytes_received=9, metered_seconds=11.0),), Ask),  # seconds that are cut off
    ((a_run("x", bytes_received=2 * SAMPLES + 32_000, metered_seconds=13.1),), NotThere),  # another recording
    ((a_run("x", bytes_received=2 * SAMPLES + 32_000, metered_seconds=None),), NotThere),
    ((a_run("x", bytes_received=2 * SAMPLES + 4000, metered_seconds=None),), Ask),  # as counted on the wire
    ((a_run("x"), a_run("y", bytes_received=9)), Gone),  # of two that are billed alike it is the one of its size
    ((a_run("x", metered_seconds=14.0),), Gone),  # how seconds are rounded, and the least that is billed, is not known
    ((a_run("x", metered_seconds=60.0),), Gone),
    ((a_run("x", metered_seconds=14.0, bytes_received=None),), NotThere),
    ((a_run("x", endpoint="video"),), NotThere),
    ((a_run("x", endpoint="VIDEO/file"),), NotThere),
    ((a_run("x", endpoint="audio/file"),), Gone),
    ((a_run("x", endpoint="Audio"),), Gone),
    ((a_run("x", endpoint="expression"),), Gone),  # a name that speaks of neither tells nothing
    ((a_run("x", started_at=SENT_AT - 3 * 3600),), NotThere),
    ((a_run("x", user_id="colleague"),), NotThere),  # our own run says who we are
    ((a_run("x"), a_run("y")), Ask),  # two of the same size cannot be told apart
    ((a_run("x", status="live", metered_seconds=None, bytes_received=None),), Wait),
    ((a_run("x", status="errored", metered_seconds=0.0, bytes_received=500),), NotThere),  # refused, and not billed
    ((a_run("x", status="errored", metered_seconds=0.0, bytes_received=None),), Ask),  # it may come back
]


@pytest.mark.parametrize(("runs", "meaning"), SINGLE)
def test_what_a_run_in_the_list_means_to_a_lost_upload(
    tmp_path: Path, runs: tuple[RunView, ...], meaning: type
) -> None:
    [what] = settled(tmp_path, Listing([CONTROL, *runs]), lost(), ours={"control": SENT_AT - 30})
    assert type(what) is meaning


def test_a_silent_run_is_looked_at_again_before_anybody_is_asked(tmp_path: Path) -> None:
    silent = a_run("x", status="errored", metered_seconds=0.0, bytes_received=None)
    [what] = settled(tmp_path, Listing([CONTROL, silent]), lost(), ours={"control": SENT_AT - 30}, waited_s=1)
    assert type(what) is Wait


@pytest.mark.parametrize(
    ("listing", "ours"),
    [
        (Listing([]), {"control": SENT_AT - 30}),  # it must show what it surely took
        (Listing([], unfiltered=[CONTROL, a_run("x", bytes_received=9)]), {}),  # it shows less than there is
    ],
)
def test_a_list_that_does_not_show_what_it_must_proves_nothing(
    tmp_path: Path, listing: Listing, ours: Mapping[str, float]
) -> None:
    [what] = settled(tmp_path, listing, lost(), ours=ours)
    assert type(what) is Ask


def test_a_run_that_begins_between_two_lists_was_not_left_out(tmp_path: Path) -> None:
    class Growing:
        """Another upload of ours begins after the first list was given."""

        asked = 0

        def list_runs(self, *, mode: str | None = None, **asked: Any) -> Iterator[RunView]:
            self.asked += 1
            begun = [a_run("x", started_at=SENT_AT + 60, metered_seconds=30.0, bytes_received=9)] * (self.asked > 1)
            return iter([*begun, *([] if mode else [replace(CONTROL, started_at=SENT_AT - 30_000)])])

    [what] = settled(tmp_path, Growing(), lost())  # type: ignore[arg-type]
    assert type(what) is NotThere


def test_a_list_that_shows_no_run_at_all_proves_nothing(tmp_path: Path) -> None:
    [what] = settled(tmp_path, Listing([]), lost())
    assert type(what) is Ask


def test_a_run_whose_seconds_are_not_told_may_have_been_billed(tmp_path: Path) -> None:
    [what] = settled(
        tmp_path, Listing([CONTROL, a_run("x", metered_seconds=None)]), lost(), ours={"control": SENT_AT - 30}
    )
    assert type(what) is Ask
    assert "does not say whether" in what.why
    asked = service(tmp_path)
    asked._account._connect = lambda: Listing([a_run("x", metered_seconds=None)])  # type: ignore[assignment, return-value]
    assert list(asked.survey(SENT_AT - 100, set[str]().__contains__, {})) == []
    assert [one.remote_id for one in asked.witness.suspects(lost().job)] == ["x"]


def test_of_our_runs_from_before_none_may_be_missing_whatever_our_clock_says(tmp_path: Path) -> None:
    """The times of ours are by our clock, which may be ahead of the service's."""
    ours = {"control": SENT_AT + 500, "later": SENT_AT + 510}
    [what] = settled(tmp_path, Listing([CONTROL]), lost(), ours=ours)
    assert type(what) is Ask
    assert "does not show later" in what.why


@pytest.mark.parametrize("ahead_s", [0, 3600])
@pytest.mark.parametrize("ended_s", [50, 3000])
def test_the_time_that_answers_tell_counts_only_where_runs_of_ours_show_it(
    tmp_path: Path, ahead_s: float, ended_s: float
) -> None:
    """A `Date` that is an hour ahead makes nobody look an hour away from where the lost run is."""
    asked = service(tmp_path)
    control = a_run("control", started_at=SENT_AT - 30, ended_at=SENT_AT - 20, metered_seconds=99.0)
    asked._account.told["control"] = asked._account.server_time_s = SENT_AT - 20 + ahead_s
    asked._account.lost_here["n"] = True
    run = a_run("x", started_at=SENT_AT + ended_s, ended_at=SENT_AT + ended_s + 1)
    asked._account._connect = lambda: Listing([control, run])  # type: ignore[assignment, return-value]
    one = lost()
    told = replace(one, sent_at=one.sent_at + ahead_s, ended_at=one.ended_at + ahead_s)
    look = asked.look_for([told], {"control": SENT_AT - 30})[one.job.number]
    near = ahead_s > 0 or ended_s == 50  # only with one clock for both, what is far off is another
    assert [(c.remote_id, c.gone) for c in look.candidates] == ([("x", True)] if near else [])


def test_as_many_runs_as_lost_uploads_of_a_size_are_theirs(tmp_path: Path) -> None:
    runs = [a_run("x"), a_run("y")]
    found = settled(tmp_path, Listing([CONTROL, *runs]), lost(1), lost(2), ours={"control": SENT_AT - 30})
    assert {what.chosen.remote_id for what in found} == {"x", "y"}
    one, other = settled(tmp_path, Listing([CONTROL, runs[0]]), lost(1), lost(2), ours={"control": SENT_AT - 30})
    assert (type(one), type(other)) == (Gone, NotThere)


def test_unknown_runs_of_a_size_are_suspects_and_known_ones_are_not(tmp_path: Path) -> None:
    asked = service(tmp_path)
    other = a_run("y", bytes_received=9, metered_seconds=20.0)
    asked._account._connect = lambda: Listing([a_run("x"), a_run("ours"), other])  # type: ignore[assignment, return-value]
    assert list(asked.survey(SENT_AT - 100, {"ours"}.__contains__, {})) == []
    assert [one.remote_id for one in asked.witness.suspects(lost().job)] == ["x"]
    assert asked.witness.suspects(lost(samples=SAMPLES + 32_000).job) == ()


@pytest.mark.parametrize("told", [{"endpoint": "audio/file"}, {"endpoint": "speech"}, {"metered_seconds": 60.0}])
def test_a_run_that_is_told_in_other_words_or_billed_otherwise_is_a_suspect(
    tmp_path: Path, told: Mapping[str, Any]
) -> None:
    asked = service(tmp_path)
    asked._account._connect = lambda: Listing([a_run("x", **told)])  # type: ignore[assignment, return-value]
    assert list(asked.survey(SENT_AT - 100, frozenset().__contains__, {})) == []
    assert [one.remote_id for one in asked.witness.suspects(lost().job)] == ["x"]


def test_a_list_that_says_more_without_a_filter_is_not_believed(tmp_path: Path) -> None:
    asked = service(tmp_path)
    asked._account._connect = lambda: Listing([], [a_run("x")])  # type: ignore[assignment, return-value]
    with pytest.raises(NotSettled, match="leaves out x"):
        list(asked.survey(SENT_AT - 100, set[str]().__contains__, {}))
    assert [one.remote_id for one in asked.witness.suspects(lost().job)] == ["x"]


def test_all_of_ours_in_the_window_must_be_listed(tmp_path: Path) -> None:
    asked = service(tmp_path)
    asked._account._connect = lambda: Listing([a_run("new"), CONTROL])  # type: ignore[assignment, return-value]
    ours = {"before": SENT_AT - 200, "control": SENT_AT - 30, "hidden": SENT_AT, "new": SENT_AT + 1}
    with pytest.raises(NotSettled, match="does not show hidden") as told:
        list(asked.survey(SENT_AT - 100, ours.__contains__, ours))
    assert told.value.missing == ("hidden",)


@pytest.mark.parametrize("ours_ahead_s", [-86_400 * 3, -3600, 0, 3600, 86_400 * 3])
@pytest.mark.parametrize("place", ["before", "after"])
def test_our_clock_hides_no_lost_run(tmp_path: Path, ours_ahead_s: float, place: str) -> None:
    """Sent by a run before, or before any answer told the time: the list's own times tell when that was."""
    asked = service(tmp_path)
    other = (
        replace(CONTROL, started_at=SENT_AT - 30) if place == "before" else replace(CONTROL, started_at=SENT_AT + 30)
    )
    ended_at = (other.started_at or 0) + 1
    # What was answered since shows that the service's time is that of its list.
    asked._account.told["control"] = asked._account.server_time_s = ended_at
    asked._account._connect = lambda: Listing(  # type: ignore[assignment, return-value]
        [replace(other, ended_at=ended_at)], unfiltered=[a_run("x"), replace(other, ended_at=ended_at)]
    )
    one = lost() if place == "before" else lost(before=(), control=31.0)
    here = replace(one, sent_at=SENT_AT + ours_ahead_s, ended_at=SENT_AT + 2 + ours_ahead_s)
    asked._account._connect = lambda: Listing([a_run("x"), replace(other, ended_at=ended_at)])  # type: ignore[assignment, return-value]
    look = asked.look_for([here], {"control": SENT_AT + ours_ahead_s})[1]
    assert [(c.remote_id, c.gone) for c in look.candidates] == [("x", True)]


def test_a_host_that_takes_its_time_is_not_paid_twice_within_the_wait(tmp_path: Path) -> None:
    asked = service(tmp_path)
    asked._account.lost_here["n"] = True
    control = replace(CONTROL, ended_at=SENT_AT - 20)
    asked._account.told["control"] = SENT_AT - 20
    asked._account._connect = lambda: Listing([control, a_run("x", started_at=SENT_AT + 600)])  # type: ignore[assignment, return-value]
    look = asked.look_for([lost()], {"control": SENT_AT - 30})[1]
    assert [(c.remote_id, c.maybe) for c in look.candidates] == [("x", True)]
    assert "began long after it was sent" in look.why


NAMELESS = [
    # an entry without an id: one that may be it, another recording, another endpoint, one that still runs
    (a_run(""), Ask),
    (a_run("", bytes_received=2 * SAMPLES + 32_000, metered_seconds=13.1), NotThere),
    (a_run("", bytes_received=2 * SAMPLES + 32_000), Ask),
    (a_run("", endpoint="video"), NotThere),
    (a_run("", status="live", metered_seconds=None, bytes_received=None), Ask),
    (a_run("", status="errored", metered_seconds=0.0, bytes_received=None), Ask),
]


@pytest.mark.parametrize(("entry", "meaning"), NAMELESS)
def test_an_entry_without_an_id_is_neither_ours_nor_excluded(tmp_path: Path, entry: RunView, meaning: type) -> None:
    [what] = settled(tmp_path, Listing([CONTROL, entry]), lost(), ours={"control": SENT_AT - 30})
    assert type(what) is meaning
    asked = service(tmp_path)
    asked._account._connect = lambda: Listing([entry])  # type: ignore[assignment, return-value]
    unsettled = entry.status == "live" or (entry.status == "errored" and entry.bytes_received is None)
    with pytest.raises(NotSettled) if unsettled else nullcontext():
        assert list(asked.survey(SENT_AT - 100, set[str]().__contains__, {})) == []
    may_be_paid = meaning is Ask or unsettled
    assert [bool(one.remote_id) for one in asked.witness.suspects(lost().job)] == [True] * may_be_paid


def test_what_was_listed_before_it_was_sent_is_not_it(tmp_path: Path) -> None:
    """The same was measured an hour ago, and paying for it again was agreed to."""
    asked = service(tmp_path)
    old = a_run("old", started_at=SENT_AT - 3600)
    asked._account._connect = lambda: Listing([CONTROL, old])  # type: ignore[assignment, return-value]
    assert list(asked.survey(SENT_AT - 7200, set[str]().__contains__, {})) == []
    asked._account.lost_here["n"] = True
    [look] = asked.look_for([lost(before=(), control=31.0)], {"control": SENT_AT + 1}).values()
    assert look.candidates == ()


def test_a_run_that_fits_one_lost_upload_to_the_byte_is_not_taken_for_another_that_it_may_be(tmp_path: Path) -> None:
    """The state of the faces that goes with some frames may have any size: the larger upload fits it as well, and was
    there earlier. Its own run would be paid and never counted."""
    frames, stills = lost_frames(1, images=2, media=7_181, carried=True), lost_frames(2, images=4, media=18_607)
    runs = [
        a_run("stills", endpoint="video", bytes_received=18_607, metered_seconds=10.0, started_at=SENT_AT + 1),
        a_run("frames", endpoint="video", bytes_received=7_181, metered_seconds=10.0, started_at=SENT_AT + 2),
    ]
    ours = {"control": SENT_AT - 30}
    first, second = settled(tmp_path, Listing([CONTROL, *runs]), frames, stills, ours=ours)
    assert (first.chosen.remote_id, second.chosen.remote_id) == ("frames", "stills")
    # Where the frames never arrived, the stills are not given up for them.
    first, second = settled(tmp_path, Listing([CONTROL, runs[0]]), frames, stills, ours=ours)
    assert isinstance(first, NotThere)
    assert second.chosen.remote_id == "stills"


@pytest.mark.parametrize(
    "counted",
    [
        lambda size: size + 2000,  # with all headers
        lambda size: size * 4 // 3,  # in an alphabet of 64
        lambda size: size * 2,  # samples as floats
        lambda size: size * 6 // 10,  # packed on its way
        lambda size: size // 1024 * 1024,
    ],
)
def test_a_host_that_counts_bytes_in_its_own_way_shows_it_by_runs_of_ours(
    tmp_path: Path, counted: Callable[[int], int]
) -> None:
    """Then seconds tell; else what was measured and billed would be proven not to be there, and be paid for again."""
    ours = lost(9, samples=16_000 * 30)
    control = a_run("control", started_at=SENT_AT - 30, metered_seconds=30.0, bytes_received=counted(44 + 960_000))
    mine = a_run("x", bytes_received=counted(44 + 2 * SAMPLES))
    other = a_run("y", bytes_received=counted(44 + 2 * SAMPLES + 96_000), metered_seconds=15.0)
    asked = replace(lost(), controls={"control": ours.job})
    [what] = settled(tmp_path, Listing([control, mine, other]), asked, ours={"control": SENT_AT - 30})
    assert type(what) is Gone
    assert what.chosen.remote_id == "x"


def test_what_two_lost_uploads_fit_is_the_one_s_that_it_fits_as_runs_of_ours_are_counted(tmp_path: Path) -> None:
    """With the form, the smaller one has as many bytes as the larger one by itself. Where nothing shows whether the
    form counts, what fits to the byte comes first."""
    form = 500
    larger, smaller = lost(1, samples=SAMPLES + form // 2), lost(2)
    with_form = a_run("x", bytes_received=44 + 2 * SAMPLES + form)
    ours = {"control": SENT_AT - 30}
    first, second = settled(tmp_path, Listing([CONTROL, with_form]), larger, smaller, ours=ours)
    assert (type(first), type(second)) == (Gone, NotThere)
    known = lost(9, samples=16_000 * 30)
    control = a_run("control", started_at=SENT_AT - 30, metered_seconds=30.0, bytes_received=44 + 960_000 + form)
    told = [replace(one, controls={"control": known.job}) for one in (larger, smaller)]
    first, second = settled(tmp_path, Listing([control, with_form]), *told, ours=ours)
    assert (type(first), type(second)) == (NotThere, Gone)
    # The larger one was measured as well: each has its own.
    both = [control, with_form, a_run("y", bytes_received=44 + 2 * SAMPLES + 2 * form)]
    first, second = settled(tmp_path, Listing(both), *told, ours=ours)
    assert (first.chosen.remote_id, second.chosen.remote_id) == ("y", "x")


def test_a_run_that_is_counted_otherwise_than_ours_are_may_be_it_and_is_not_taken_for_it(tmp_path: Path) -> None:
    """Somebody's, a little longer, has as many bytes as ours would with the form; and a host has one way to count."""
    control = a_run("control", started_at=SENT_AT - 30, metered_seconds=30.0, bytes_received=44 + 960_000)
    told = replace(lost(), controls={"control": lost(9, samples=16_000 * 30).job})
    theirs = a_run("x", bytes_received=44 + 2 * SAMPLES + 480)
    [what] = settled(tmp_path, Listing([control, theirs]), told, ours={"control": SENT_AT - 30})
    assert isinstance(what, Ask)
    assert what.named == ("x",)
    assert "tells other bytes than were sent" in what.why


def test_a_run_of_ours_of_its_size_does_not_stand_for_a_lost_upload_of_which_less_is_counted(tmp_path: Path) -> None:
    """Recordings are often of one length. What is told of the lost one fits it worse than that of another before it,
    whether the look knows that one as ours or not."""
    less = a_run("x", bytes_received=44 + 2 * SAMPLES - 1000)
    alike = a_run("alike", started_at=SENT_AT - 20)
    for before in (("control",), ("alike", "control")):
        asked = service(tmp_path)
        asked._account._connect = lambda: Listing([CONTROL, alike, less])  # type: ignore[assignment, return-value]
        look = asked.look_for([lost(before=before)], {"control": SENT_AT - 30})[1]
        what = settle(look, {"alike"}, waited_s=1000, wait_s=20)
        assert isinstance(what, Ask)
        assert what.named == ("x",)
        assert what.may_be == ("x",)
