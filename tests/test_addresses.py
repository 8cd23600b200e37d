"""Which ways of writing an address are one."""

from __future__ import annotations

import pytest

from hume_runner.addresses import one_address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.com/v.mp4", "HTTPS://EXAMPLE.com/v.mp4"),
        ("https://example.com/v.mp4", "https://example.com:443/v.mp4"),
        ("http://example.com/v.mp4", "http://example.com:80/v.mp4"),
        ("http://example.com/v.mp4", "http://example.com:/v.mp4"),
        ("https://example.com", "https://example.com/"),
        ("https://example.com?a=b", "https://example.com/?a=b"),
        ("https://example.com/~v%2Dx.mp4", "https://example.com/%7ev-x.mp4"),
        ("https://example.com/a%2fb", "https://example.com/a%2Fb"),
        ("https://example.com/a?b=%7e", "https://example.com/a?b=~"),
        # What may not stand in an address is sent as octets of UTF-8.
        ("https://example.com/Müller 1.mp4", "https://example.com/M%C3%BCller%201.mp4"),
        ("https://example.com/v.mp4", "https://example.com/v.mp4#t=10"),
        ("https://[2001:DB8::1]/v.mp4", "https://[2001:db8::1]:443/v.mp4"),
        ("https://Ann@example.com/v.mp4", "https://Ann@EXAMPLE.com/v.mp4"),
    ],
)
def test_ways_of_writing_one_address_have_one_form(one: str, other: str) -> None:
    assert one_address(one) == one_address(other)
    assert one_address(one_address(one)) == one_address(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://example.com/v.mp4", "https://example.com/v.mp4?id=2"),
        ("https://example.com/v.mp4", "https://example.com/v.mp4?"),
        ("https://example.com/v.mp4", "https://example.com/V.mp4"),
        ("https://example.com/v.mp4", "http://example.com/v.mp4"),
        ("https://example.com/v.mp4", "https://example.com:8443/v.mp4"),
        ("https://example.com/v.mp4", "https://example.com:80/v.mp4"),
        ("https://example.com/v", "https://example.com/v/"),
        ("https://example.com/a/b", "https://example.com/a%2Fb"),
        ("https://example.com/a b", "https://example.com/a+b"),
        ("https://example.com/a%20b", "https://example.com/a%2520b"),
        ("https://example.com/a?b=1&c=2", "https://example.com/a?c=2&b=1"),
        ("https://example.com/a?b=A", "https://example.com/a?b=a"),
        ("https://example.com/\u00fc", "https://example.com/u\u0308"),
        ("https://Ann@example.com/v", "https://ann@example.com/v"),
        ("https://[2001:db8::1]/v", "https://[2001:db8::2]/v"),
    ],
)
def test_what_may_be_another_address_has_another_form(one: str, other: str) -> None:
    assert one_address(one) != one_address(other)
