"""A misspelt id names the one that was meant."""

from __future__ import annotations

import pytest

from hume_runner.manifest.near_ids import did_you_mean, near_ids

IDS = ["Köln study/P01_pre.wav", "Köln study/P01_post.wav", "Köln study/P05_pre.wav", "hello", "https://a.org/x.mp4"]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("P05_pre", ["Köln study/P05_pre.wav"]),
        ("p05_pre.wav", ["Köln study/P05_pre.wav"]),
        ("köln study/p05_pre", ["Köln study/P05_pre.wav"]),
        ("P01", ["Köln study/P01_pre.wav", "Köln study/P01_post.wav"]),
        ("P05_per", ["Köln study/P05_pre.wav"]),
        ("Koln study/P01_pre.wav", ["Köln study/P01_pre.wav"]),
        ("helo", ["hello"]),
        ("zebra", []),
    ],
)
def test_what_somebody_wrote_for_an_id_is_taken_for_the_nearest(wanted: str, meant: list[str]) -> None:
    assert near_ids(wanted, IDS) == meant


def test_several_that_may_be_meant_are_all_offered() -> None:
    assert did_you_mean("P01", IDS) == "did you mean 'Köln study/P01_pre.wav' or 'Köln study/P01_post.wav'?"
    assert did_you_mean("zebra", IDS) == ""


def test_names_that_are_no_paths_are_near_by_their_spelling_too() -> None:
    assert near_ids("a/b/c", ["", "x"]) == []
    assert near_ids("", IDS) == []
