from __future__ import annotations

from collections.abc import Iterator

import pytest

from hume_runner.state.side_by_side import ListedItem, SideBySide


def items(*told: tuple[str, str, str]) -> Iterator[ListedItem]:
    """(id, content, status) of files."""
    for number, (name, content, status) in enumerate(told):
        yield ListedItem(
            number=number,
            id=name,
            kind="file",
            content=content.encode(),
            source=f"/{name}",
            status=status,
            error=None if status == "done" else "broken",
        )


@pytest.fixture
def beside() -> Iterator[SideBySide]:
    with SideBySide() as both:
        both.list_items(
            "a", items(("one", "1", "done"), ("two", "2", "done"), ("again", "1", "done"), ("three", "3", "done"))
        )
        both.list_items("b", items(("3rd", "3", "failed"), ("two", "9", "done"), ("first", "1", "done")))
        both.match()
        yield both


def test_items_of_the_same_content_are_side_by_side_once(beside: SideBySide) -> None:
    found = [(a.id, b.id, b.status, b.error) for a, b in beside.matched()]

    assert found == [("one", "first", "done", None), ("three", "3rd", "failed", "broken")]
    assert (beside.repeats("a"), beside.repeats("b")) == (1, 0)


def test_what_one_has_alone_tells_whether_the_other_has_its_name(beside: SideBySide) -> None:
    assert [(item.id, named) for item, named in beside.alone("a")] == [("two", True)]
    assert [(item.id, item.source, named) for item, named in beside.alone("b")] == [("two", "/two", True)]


def test_rows_are_wanted_of_what_both_have_measured(beside: SideBySide) -> None:
    assert [beside.wanted("a", "file", name) for name in ("one", "two", "again", "three")] == [0, None, None, None]
    assert beside.wanted("b", "file", "first") == 2
    assert beside.wanted("b", "text", "first") is None


def test_what_is_kept_comes_back_in_its_order(beside: SideBySide) -> None:
    for data in (b"x", b"y"):
        beside.keep("a", 0, data)
        beside.keep("b", 0, b"of b")
        beside.keep_paired(5, data * 2)

    assert list(beside.kept("a", 0)) == [b"x", b"y"]
    assert list(beside.paired(5)) == [b"xx", b"yy"]
    assert list(beside.kept("a", 1)) == []


def test_the_same_content_of_another_kind_is_another_item() -> None:
    with SideBySide() as both:
        both.list_items("a", items(("one", "1", "done")))
        text = ListedItem(number=0, id="one", kind="text", content=b"1", source="", status="done", error=None)
        both.list_items("b", [text])
        both.match()

        assert list(both.matched()) == []
        assert [named for _, named in both.alone("a")] == [False]
