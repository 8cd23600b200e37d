"""What is kept of JSON that is damaged inside."""

from __future__ import annotations

import pytest

from hume_runner.http.json_lenient import kept_of
from hume_runner.http.json_stream import whole


@pytest.mark.parametrize(
    "names",
    [
        (b'"a"', b'"a"'),
        (b'"\x00"', b'"\x00"'),  # a control character
        (b'"\xff"', b'"\xff"'),  # not UTF-8
        (b'"\\x"', b'"\\x"'),
        (b'""', b'""'),
        (b'"\xff"', b'"\x00"'),
    ],
)
def test_damaged_names_do_not_hide_the_member_beside_them(names: tuple[bytes, bytes]) -> None:
    first, second = names
    document = b"{" + first + b': 1, "source": {"type": "url"}, ' + second + b": 2}"
    assert kept_of(document, {"source": whole}) == {"source": {"type": "url"}}


@pytest.mark.parametrize("rest", [b"{}", b"\n[]", b" notes"])
def test_nothing_is_kept_of_a_document_that_goes_on(rest: bytes) -> None:
    assert kept_of(b'{"source": 1}\n ', {"source": whole}) == {"source": 1}
    assert kept_of(b'{"source": 1}' + rest, {"source": whole}) is None
