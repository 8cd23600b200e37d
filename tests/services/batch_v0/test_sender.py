"""What is sent under which name, and what a failed submission means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    TransportError,
    UnexpectedResponse,
)
from hume_runner.services.batch_v0.sender import judge_submission, upload_name
from hume_runner.services.jobs import Refused, Unknown
from tests.services.batch_v0.cases import NONCE


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("media/clip.wav", "clip.wav"),
        ("media\\clip.WAV", "clip.WAV"),
        ("two words.mp4", "two_words.mp4"),
        ("Grüße.mp3", "Gr_e.mp3"),
        ("日本.mp3", "file.mp3"),
        (".wav", "wav"),
        ("a.tar.gz", "a.tar.gz"),
        ("no-ending", "no-ending"),
        ("x.日本", "x"),
        ("../../etc/passwd", "passwd"),
    ],
)
def test_an_upload_keeps_what_is_safe_of_its_name_and_its_ending(name: str, end: str) -> None:
    assert upload_name(NONCE, 7, name) == f"{NONCE}-007-{end}"


@given(st.text(max_size=200), st.integers(0, 2000), st.text(max_size=50), st.integers(0, 2000))
def test_names_of_uploads_are_safe_everywhere_and_different_within_a_job(
    name: str, position: int, other: str, place: int
) -> None:
    made = upload_name(NONCE, position, name)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,100}", made)
    assert made.startswith(f"{NONCE}-")
    assert (made == upload_name(NONCE, place, other)) <= (position == place)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransportError("refused", sent=False), {"temporary": True, "divisible": False}),
        (RateLimited("slow", status=429, retry_after_s=3.0), {"temporary": True, "retry_after_s": 3.0}),
        (ServerError("busy", status=503), {"temporary": True}),
        (RequestRejected("odd", status=400), {"temporary": False, "divisible": True, "stops_run": False}),
        (RequestRejected("large", status=413), {"temporary": False, "divisible": True}),
        (RequestRejected("early", status=425, code="too_early"), {"temporary": True}),
        (RequestRejected("gone", status=499, code="client_closed"), {"temporary": True}),
        (RequestRejected("pay", status=402), {"stops_run": True}),
        (AuthError("key", status=401, hint="another"), {"stops_run": True, "hint": "another"}),
        (Discontinued("closed", status=403), {"stops_run": True}),
        (NotFound("where", status=404), {"stops_run": True}),
    ],
)
def test_what_was_surely_not_accepted(error: ApiError, expected: Mapping[str, Any]) -> None:
    result = judge_submission(error)
    assert isinstance(result, Refused)
    assert {name: getattr(result, name) for name in expected} == expected


@pytest.mark.parametrize(
    "error",
    [
        TransportError("broke", sent=True),
        ServerError("failed", status=500),
        ServerError("failed", status=502),
        ServerError("failed", status=504),
        RequestRejected("a proxy's", status=408),
        RequestRejected("a proxy's", status=460),
        RequestRejected("a proxy's", status=499),
        UnexpectedResponse("a web page", status=200),
    ],
)
def test_what_nobody_knows(error: ApiError) -> None:
    assert isinstance(judge_submission(error), Unknown)
