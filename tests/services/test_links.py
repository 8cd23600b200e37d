from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.services.links import expiry, refuse_expired

NOON = 1_795_176_000.0  # 2026-11-20 12:00:00 UTC


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("a=1", None),
        ("X-Amz-Date=20261120T110000Z&X-Amz-Expires=3600", NOON),
        ("X-Goog-Date=20261120T110000Z&X-Goog-Expires=3600", NOON),
        ("Expires=1795176000&Signature=s", NOON),
        ("Expires=1795176000&Signature=s&Key-Pair-Id=K", NOON),
        ("Expires=1795176000", None),
        ("se=2026-11-20T12%3A00%3A00Z&sig=s", NOON),
        ("se=2026-11-20T14%3A00%3A00%2B02%3A00&sig=s", NOON),
        ("se=2026-11-20&sig=s", NOON - 43_200),
        ("se=2026-11-20T12%3A00%3A00Z", None),
        ("X-Amz-Date=yesterday&X-Amz-Expires=3600", None),
        ("X-Amz-Date=20261120T110000Z&X-Amz-Expires=soon", None),
        ("Expires=-5&Signature=s", None),
        ("Expires=1e30&Signature=s", None),
        ("Expires=nan&Signature=s", None),
        ("se=tomorrow&sig=s", None),
    ],
)
def test_a_signed_link_says_when_it_ends(query: str, expected: float | None) -> None:
    assert expiry(f"https://example.org/a.mp4?{query}#t=1") == expected


def test_an_expired_link_is_refused_without_showing_its_signature() -> None:
    link = "https://example.org/a.mp4?Expires=1795176000&Signature=canary"
    assert refuse_expired(link, NOON - 1) is None
    refused = refuse_expired(link, NOON)
    assert refused is not None
    assert "expired at 2026-11-20 12:00:00 UTC" in refused[0]
    assert "canary" not in refused[0]
    assert "same item" in refused[1]


@given(
    st.text(max_size=30), st.sampled_from(["Expires={}&Signature=s", "se={}&sig=s", "X-Amz-Date={}&X-Amz-Expires=1"])
)
def test_no_query_breaks_the_reading(value: str, query: str) -> None:
    refused = refuse_expired("https://example.org/?" + query.format(value), 2e9)
    assert refused is None or "expired" in refused[0]
