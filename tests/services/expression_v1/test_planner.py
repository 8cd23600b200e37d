"""What expression-v1 makes of items before anything is sent: pure decisions."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.services.expression_v1.service import ExpressionV1Service
from hume_runner.services.jobs import Member
from tests.services.expression_v1.cases import STILL, ids, item, recording, service, total


def test_three_hundred_stills_are_one_request_of_a_hundred_seconds(usual: ExpressionV1Service) -> None:
    [draft] = usual.compile(item(n, STILL) for n in range(300))
    assert (draft.billable_seconds, draft.unpacked_seconds) == (100, 3000)
    assert draft.prepare


@given(sizes=st.lists(st.integers(1, 5_000_000), max_size=80), most=st.integers(1, 500))
def test_every_still_goes_once_in_order_and_within_the_limits(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], most: int
) -> None:
    packing = service(tmp_path_factory.getbasetemp() / "packing", batching=f"{{max_sources: {most}}}")
    drafts = list(packing.compile(item(n, STILL, size=size) for n, size in enumerate(sizes)))
    assert [name for names in ids(drafts) for name in names] == [str(n) for n in range(len(sizes))]
    assert all(len(draft.members) <= most and draft.size_bytes <= 24_900_000 for draft in drafts)


@given(sizes=st.lists(st.integers(1, 1_999_999), min_size=1, max_size=60))
def test_prepared_stills_are_packed_as_their_own_size_allows(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    packing = service(tmp_path_factory.getbasetemp() / "packing")
    members = [Member(item=item(n, STILL), detail={"still": True, "bytes": size}) for n, size in enumerate(sizes)]
    drafts = list(packing.recompile(members))
    assert [member for draft in drafts for member in draft.members] == members
    assert all(draft.size_bytes <= 24_900_000 and not draft.prepare for draft in drafts)
    for before, after in pairwise(drafts):
        assert before.size_bytes + int(after.members[0].detail["bytes"]) + 250 > 24_900_000


def test_every_recording_is_a_job_of_its_own(usual: ExpressionV1Service) -> None:
    drafts = list(usual.compile([recording(1, 4), item(2, STILL), recording(3, 12.5), item(4, STILL)]))
    assert sorted(ids(drafts)) == [["1"], ["2", "4"], ["3"]]
    assert total(drafts) == (10 + 12.5 + 10, 10 + 12.5 + 20)


@pytest.mark.parametrize(("seconds", "parts"), [(1, 1), (700, 1), (2400, 4)])
def test_a_long_recording_is_planned_in_parts_and_billed_for_its_time(
    usual: ExpressionV1Service, seconds: float, parts: int
) -> None:
    [draft] = usual.compile([recording(1, seconds)])
    assert draft.requests == parts
    assert draft.billable_seconds == max(10, seconds)


def test_a_video_is_billed_for_its_sound_and_its_frames(usual: ExpressionV1Service) -> None:
    [draft] = usual.compile([recording(1, 60, picture=True)])
    # 60 s of sound; three frames a second cost what a second costs.
    assert (draft.requests, draft.billable_seconds) == (2, 120)
    # With a request for each frame, each would cost ten seconds.
    assert draft.unpacked_seconds == 60 + 180 * 10


def test_links_are_fetched_in_small_groups(usual: ExpressionV1Service) -> None:
    drafts = list(usual.compile(item(n, {}, kind="url", size=0) for n in range(70)))
    assert [len(draft.members) for draft in drafts] == [30, 30, 10]
    assert all(draft.billable_seconds is None for draft in drafts)


def test_short_recordings_are_joined_only_where_the_manifest_asks(usual: ExpressionV1Service, tmp_path: Path) -> None:
    clips = [recording(n, 4) for n in range(5)]
    assert len(list(usual.compile(clips))) == 5
    [joined] = service(tmp_path, batching="{pack_short_audio: true}").compile(clips)
    assert (joined.billable_seconds, joined.unpacked_seconds) == (5 * 4 + 4, 50)
