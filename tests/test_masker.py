"""`settings`: a key in every spelling that a service may quote it in, and what grants access in a URL."""

from __future__ import annotations

import base64
import html
import json
from urllib.parse import quote

import pytest

from hume_runner.settings import Masker, mask_secrets, masked_url
from tests.spellings import SPELLINGS, quotes
from tests.tiers import sampled

KEY = "Zx9-canary/KEY+47&q_secret"
MASKER = Masker([KEY])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_search_that_judges_finds_every_spelling(spelling: str) -> None:
    assert quotes(f"before {SPELLINGS[spelling](KEY)} after".encode(), KEY)
    assert not quotes(f"before {SPELLINGS[spelling]('some-other-value')} after".encode(), KEY)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_found_in_every_spelling(spelling: str) -> None:
    masked = MASKER.keys(f"before {SPELLINGS[spelling](KEY)} after")
    assert "***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert not quotes(masked.encode(), KEY)


@sampled(29)
@pytest.mark.parametrize("size", [1, 7, 1000, 65536])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_is_found_wherever_a_stream_is_cut(spelling: str, size: int) -> None:
    content = b"x" * 1500 + SPELLINGS[spelling](KEY).encode() + b"y" * 1500
    masked = b"".join(MASKER.stream(content[at : at + size] for at in range(0, len(content), size)))
    assert b"***" in masked
    assert masked.startswith(b"x" * 1500)
    assert masked.endswith(b"y" * 1500)
    assert not quotes(masked, KEY)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_was_json_is_json_afterwards(spelling: str) -> None:
    document = json.dumps({"a": [f"\n\\{SPELLINGS[spelling](KEY)}\\\n", 'say "no"'], SPELLINGS[spelling](KEY): 1})
    (masked,) = MASKER.stream([document.encode()])
    assert json.loads(masked)["a"][1] == 'say "no"'
    assert not quotes(masked, KEY)


@pytest.mark.parametrize(
    "text",
    [
        "nothing of the kind",
        "caf\\u00e9 100% a&b x=1 \\\\ \n",
        KEY[:-1],
        KEY[1:],
        quote("ein Umlaut: ä"),
        html.escape("<p>"),
        base64.b64encode(b"something else entirely").decode(),
    ],
)
def test_everything_else_stays_as_it_is(text: str) -> None:
    assert MASKER.keys(text) == text
    assert b"".join(MASKER.stream([text.encode()])) == text.encode()


def test_a_short_secret_is_hidden_as_a_word_of_its_own_and_spoils_no_other() -> None:
    masker = Masker(["abc"])
    assert masker.keys("key abc, abcd, (abc)") == "key ***, abcd, (***)"
    assert list(masker.stream([b"abc"])) == [b"abc"]


def test_without_secrets_nothing_changes_and_urls_lose_their_queries_all_the_same() -> None:
    assert Masker().keys("https://example.org/a?sig=1") == "https://example.org/a?sig=1"
    assert Masker(["", KEY]).text(f"https://example.org/a?sig={KEY} {KEY}") == "https://example.org/a?… ***"


def test_no_repr_shows_what_it_knows() -> None:
    assert KEY not in repr(MASKER)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:canary@h/a?sig=canary#canary", "https://…@h/a?…"),
        ("https://u:canary@canary@h/a", "https://…@h/a"),
        ("https://h/a@b", "https://h/a@b"),
        ("https://u:canary?canary@h/a", "https://…"),  # either a password or a query
        ("https://h?mail=canary@canary&token=canary", "https://…"),
        ("http://h#canary", "http://h?…"),
    ],
)
def test_masking_keeps_what_identifies_and_drops_what_grants(url: str, shown: str) -> None:
    assert masked_url(url) == shown
    assert mask_secrets(f"see '{url}' and <{url}>, or {url}") == f"see '{shown}' and <{shown}>, or {shown}"
