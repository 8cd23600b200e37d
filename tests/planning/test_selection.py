from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import UsageError
from hume_runner.planning.fingerprint import text_content
from hume_runner.planning.selection import EVERYTHING, Selection, Shard

CONTENTS = st.lists(st.tuples(st.sampled_from(["url", "file", "text"]), st.binary(min_size=32, max_size=32)))


@given(CONTENTS, st.integers(min_value=1, max_value=50))
def test_the_shards_of_any_set_are_a_partition(items: list[tuple[str, bytes]], number: int) -> None:
    shards = [Shard(index, number) for index in range(1, number + 1)]
    for kind, content in items:
        assert [shard.takes(kind, content) for shard in shards].count(True) == 1


def test_which_shard_an_item_belongs_to_never_changes() -> None:
    # Another assignment would have every shard of every array in use pay again.
    chosen = [
        next(i for i in range(1, 8) if Shard(i, 7).takes("text", text_content(f"text {number}")))
        for number in range(12)
    ]
    assert chosen == [4, 3, 5, 3, 1, 5, 6, 4, 6, 7, 7, 2]


def test_shards_are_about_equally_large() -> None:
    sizes = Counter(
        next(i for i in range(1, 5) if Shard(i, 4).takes("text", text_content(str(number)))) for number in range(4000)
    )
    assert all(900 < sizes[index] < 1100 for index in range(1, 5)), sizes


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "1", "a/b", "1/4/2", "-1/4", "1.5/4", "", "1/99999999"])
def test_what_is_no_part_of_a_whole_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a part of a whole"):
        Shard.parse(text)


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_is_one_or_more(limit: int) -> None:
    with pytest.raises(UsageError, match="must be 1 or more"):
        Selection.of(limit=limit)


def test_a_selection_comes_back_from_what_was_written_of_it() -> None:
    one = Selection.of(shard="2/4", limit=10, select="label.wave == 2")
    assert one.document() == {"shard": "2/4", "limit": 10, "select": "label.wave == 2"}
    assert Selection.from_document(one.document()) == one
    assert one.flags == ["--shard", "2/4", "--limit", "10", "--select", "label.wave == 2"]
    assert Selection.from_document({}) == EVERYTHING
    assert Selection.of(select="label.wave == 3") != Selection.of(select="label.wave == 2")
