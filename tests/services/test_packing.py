from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hume_runner.services.jobs import Draft, Member
from hume_runner.services.packing import PlainJobs, pack, pack_plain
from tests.fakes import plan_item

SIZES = st.lists(st.integers(0, 60), max_size=80)


def members(sizes: list[int]) -> list[Member]:
    return [Member(item=plan_item(f"item-{n}", size_bytes=size)) for n, size in enumerate(sizes)]


def packed(sizes: list[int], *, most: int = 10, most_bytes: int = 100) -> list[Draft]:
    return list(pack(members(sizes), most=most, most_bytes=most_bytes))


@given(SIZES, st.integers(1, 12), st.integers(1, 120))
def test_order_is_kept_and_nothing_is_lost(sizes: list[int], most: int, most_bytes: int) -> None:
    drafts = packed(sizes, most=most, most_bytes=most_bytes)
    assert [member for draft in drafts for member in draft.members] == members(sizes)


@given(SIZES, st.integers(1, 12), st.integers(1, 120))
def test_no_job_is_over_the_limits_but_one_large_member_alone(sizes: list[int], most: int, most_bytes: int) -> None:
    for draft in packed(sizes, most=most, most_bytes=most_bytes):
        assert 1 <= len(draft.members) <= most
        assert draft.size_bytes == sum(member.item.size_bytes for member in draft.members)
        assert draft.size_bytes <= most_bytes or len(draft.members) == 1


@given(SIZES, st.integers(1, 12), st.integers(1, 120))
def test_two_neighbours_would_never_fit_into_one(sizes: list[int], most: int, most_bytes: int) -> None:
    drafts = packed(sizes, most=most, most_bytes=most_bytes)
    for one, next_one in pairwise(drafts):
        first = next_one.members[0].item.size_bytes
        assert len(one.members) == most or one.size_bytes + first > most_bytes


@given(SIZES, st.integers(0, 60))
def test_a_member_at_the_end_changes_the_last_job_at_most(sizes: list[int], added: int) -> None:
    before, after = packed(sizes), packed([*sizes, added])
    assert after[: len(before) - 1] == before[:-1]
    assert len(after) - len(before) in (0, 1)


def test_packing_is_lazy() -> None:
    def endless() -> object:
        while True:
            yield Member(item=plan_item("same"))

    drafts = pack(endless(), most=3, most_bytes=100)  # type: ignore[arg-type]
    assert [len(next(drafts).members) for _ in range(2)] == [3, 3]


@given(SIZES, st.integers(1, 12), st.integers(1, 120))
def test_jobs_of_which_only_sizes_are_known_are_the_same(sizes: list[int], most: int, most_bytes: int) -> None:
    known = [(member.item.key, member.item.size_bytes) for member in members(sizes)]
    drafts = packed(sizes, most=most, most_bytes=most_bytes)
    expected = [([member.item.key for member in draft.members], draft.size_bytes) for draft in drafts]
    assert list(pack_plain(known, PlainJobs(most=most, most_bytes=most_bytes))) == expected
