from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.planning.fingerprint import (
    canonical,
    changed_settings,
    former_key,
    item_key,
    job_key,
    settings_digest,
    text_content,
    url_content,
    url_identity,
)

KINDS = st.sampled_from(["url", "file", "text"])
DIGESTS = st.binary(min_size=32, max_size=32)
TRIPLES = st.tuples(KINDS, DIGESTS, DIGESTS)
SCALARS = st.none() | st.booleans() | st.integers(-1000, 1000) | st.text(max_size=5)
SETTINGS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.text(max_size=4),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner)),
    max_size=4,
)

AWS_V4 = (
    "https://bucket.s3.amazonaws.com/clip.mp4?versionId=7&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA%2F20261120"
    "&X-Amz-Date={date}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature={signature}"
)
AWS_V2 = "https://bucket.s3.amazonaws.com/clip.mp4?AWSAccessKeyId=AKIA&Expires={date}&Signature={signature}"
CLOUDFRONT = "https://d1.cloudfront.net/clip.mp4?lang=en&Expires={date}&Signature={signature}&Key-Pair-Id=K{date}"
CLOUDFRONT_POLICY = "https://d1.cloudfront.net/clip.mp4?Policy=p{date}&Signature={signature}&Key-Pair-Id=K"
GOOGLE_V4 = (
    "https://storage.googleapis.com/bucket/clip.mp4?generation=5&X-Goog-Algorithm=GOOG4-RSA-SHA256"
    "&X-Goog-Credential=c&X-Goog-Date={date}&X-Goog-Expires=900&X-Goog-SignedHeaders=host&x-goog-signature={signature}"
)
GOOGLE_V2 = "https://storage.googleapis.com/b/clip.mp4?GoogleAccessId=me&Expires={date}&Signature={signature}"
AZURE = (
    "https://acct.blob.core.windows.net/c/clip.mp4?sv=2024-11-04&st={date}&se=9{date}&sr=b&sp=r&spr=https"
    "&skoid=1&sktid=2&skt={date}&ske=3&sks=b&skv=2024&sig={signature}&rscd=inline"
)


@pytest.mark.parametrize(
    ("link", "identity"),
    [
        (AWS_V4, "https://bucket.s3.amazonaws.com/clip.mp4?versionId=7"),
        (AWS_V2, "https://bucket.s3.amazonaws.com/clip.mp4"),
        (CLOUDFRONT, "https://d1.cloudfront.net/clip.mp4?lang=en"),
        (CLOUDFRONT_POLICY, "https://d1.cloudfront.net/clip.mp4"),
        (GOOGLE_V4, "https://storage.googleapis.com/bucket/clip.mp4?generation=5"),
        (GOOGLE_V2, "https://storage.googleapis.com/b/clip.mp4"),
        (AZURE, "https://acct.blob.core.windows.net/c/clip.mp4?rscd=inline"),
    ],
    ids=["aws4", "aws2", "cloudfront", "cloudfront-policy", "google4", "google2", "azure"],
)
def test_a_link_that_is_signed_again_is_the_same_item(link: str, identity: str) -> None:
    once = link.format(date="20261120T100000Z", signature="aaa")
    again = link.format(date="20261121T120000Z", signature="bbb")
    assert url_identity(once) == url_identity(again) == identity
    assert url_content(once) == url_content(again)


@pytest.mark.parametrize(
    ("url", "identity"),
    [
        ("HTTPS://Example.ORG:8443/A?x=1#part", "https://example.org:8443/A?x=1"),
        ("https://User@Example.org/a", "https://User@example.org/a"),
        ("https://example.org/a?", "https://example.org/a?"),
        ("https://example.org/a?b=1&a=2", "https://example.org/a?b=1&a=2"),
        # Without their signature, these belong to the page itself.
        ("https://example.org/a?policy=2&expires=3", "https://example.org/a?policy=2&expires=3"),
        ("https://example.org/a?se=north&sp=1&sr=x", "https://example.org/a?se=north&sp=1&sr=x"),
    ],
)
def test_only_what_cannot_matter_is_left_out_of_a_url(url: str, identity: str) -> None:
    assert url_identity(url) == identity


def test_the_order_of_query_members_matters() -> None:
    assert url_content("https://example.org/?a=1&b=2") != url_content("https://example.org/?b=2&a=1")


@given(TRIPLES, TRIPLES)
def test_a_key_stands_for_one_kind_content_and_settings(one: Any, other: Any) -> None:
    assert (item_key(*one) == item_key(*other)) == (one == other)
    assert len(item_key(*one)) == 32


@given(st.text(), st.text())
def test_texts_are_told_apart_by_every_character(one: str, other: str) -> None:
    assert (text_content(one) == text_content(other)) == (one == other)


@given(st.lists(DIGESTS, max_size=4), st.lists(DIGESTS, max_size=4))
def test_a_job_is_its_members_in_order(one: list[bytes], other: list[bytes]) -> None:
    assert (job_key(one) == job_key(other)) == (one == other)


@pytest.mark.sweep
@given(SETTINGS, st.randoms(use_true_random=False))
def test_the_same_settings_in_any_order_are_the_same_text(settings: dict[str, Any], chance: Any) -> None:
    shuffled = list(settings.items())
    chance.shuffle(shuffled)
    assert canonical(dict(shuffled)) == canonical(settings)
    assert json.loads(canonical(settings)) == settings


@given(SETTINGS, SETTINGS)
def test_different_settings_are_different_texts(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (canonical(one) == canonical(other)) == same


def test_a_whole_float_is_the_integer() -> None:
    assert canonical({"fps_pred": 3.0, "list": [1.0, 1.5]}) == '{"fps_pred":3,"list":[1,1.5]}'


def test_the_api_is_part_of_the_settings() -> None:
    assert settings_digest("batch-v0", {}) != settings_digest("expression-v1", {})


def test_keys_stay_what_they_are() -> None:
    """Every state file in use holds keys made like this: another value here means that everybody pays again."""
    settings = settings_digest("batch-v0", {"models": {"face": {"fps_pred": 3}}})
    assert settings.hex() == "3e328e24359047c18f1dc5750512218558d8eeeb236102629329be1ad3b1f19e"
    assert (
        item_key("url", url_content("https://example.org/a.mp4"), settings).hex()
        == "c0c9114db8a78d7a8f74394fbc4ea1ee488037dc050ffd1bc5d3b023901ac8e2"
    )
    assert (
        item_key("text", text_content("Grüße."), settings).hex()
        == "dca8fb82ac3ca21ebe4e1c79ed64f351bcbccac9852dfb7882d26e68f37c6183"
    )


def test_keys_of_schema_1_are_found_as_they_were_made() -> None:
    settings = settings_digest("batch-v0", {"models": {"face": {"fps_pred": 3}}})
    assert (
        former_key("url", url_content("https://example.org/a.mp4"), settings).hex()
        == "9cc1c9241aad106d6b9d379f138f4d7e92311fd0567bc608bc50ec120e716d65"
    )
    assert (
        former_key("text", text_content("Grüße."), settings).hex()
        == "34cb635470712876d6e12e2098183765556384bc742e9e626f0b815c15e869f1"
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (
            {"models": {"face": {"fps_pred": 3}}},
            {"models": {"face": {"fps_pred": 5}}},
            ["models.face.fps_pred: 3 -> 5"],
        ),
        ({"models": {"face": {}}}, {"models": {}}, ["models.face: {} -> absent"]),
        ({"models": {}}, {"models": {"ner": {}}}, ["models.ner: absent -> {}"]),
        ({}, {"transcription": None}, ["transcription: absent -> null"]),
        ({"a": 1.0, "b": "ü"}, {"a": 1, "b": "ö"}, ['b: "ü" -> "ö"']),
    ],
)
def test_what_changed_is_named_with_both_values(before: Any, after: Any, said: list[str]) -> None:
    assert changed_settings(before, after) == said


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"face": {}}, {"face": {"fps": 5}}, ["face.fps: 3 -> 5"]),
        ({"face": {"fps": 5}}, {"face": {}}, ["face.fps: 5 -> 3"]),
        ({"face": {}}, {"face": {"fps": 3}}, ["face.fps: absent -> 3"]),
        ({"face": {}}, {"face": {"other": 3}}, ["face.other: absent -> 3"]),
    ],
)
def test_a_default_stands_for_what_is_not_written(before: Any, after: Any, said: list[str]) -> None:
    assert changed_settings(before, after, default_of={"face.fps": 3}.get) == said


@st.composite
def edited(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings beside themselves with one member set, replaced, dropped or put back as it was, at any depth."""
    one = draw(SETTINGS)
    other = json.loads(json.dumps(one))
    where = other
    while inner := [value for value in where.values() if isinstance(value, dict)]:
        if draw(st.booleans()):
            break
        where = draw(st.sampled_from(inner))
    name = draw(st.sampled_from(sorted(where)) if where and draw(st.booleans()) else st.text(max_size=4))
    match draw(st.sampled_from(["set", "drop", "again"])):
        case "set":
            where[name] = draw(SCALARS | SETTINGS | st.sampled_from([0, 1, 0.0, 1.0, False, True]))
        case "drop":
            where.pop(name, None)
    return one, other


@pytest.mark.sweep
@given(edited())
def test_something_is_named_exactly_when_something_changed(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    one, other = pair
    assert (changed_settings(one, other) != []) == (canonical(one) != canonical(other))
    assert (changed_settings(other, one) != []) == (canonical(one) != canonical(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [({"a": True}, {"a": 1}), ({"a": [0]}, {"a": [False]}), ({"a": {}}, {"a": {"b": None}}), ({"a": {}}, {"a": []})],
)
def test_what_python_takes_for_equal_is_named_all_the_same(one: Any, other: Any) -> None:
    assert len(changed_settings(one, other)) == 1
    assert canonical(one) != canonical(other)
