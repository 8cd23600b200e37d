from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.hosts import is_loopback
from hume_runner.manifest.addresses import endpoint_fault, origin_fault, url_fault
from hume_runner.sources.urls import url_id


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org",
        "HTTPS://Example.org/A%20b.mp4?x=1&y=/../2#t",
        "http://127.0.0.1:8000/a",
        "https://[2001:db8::1]:443/a",
        "https://bücher.example/ä.wav",
        "https://example.org/..hidden/a",
    ],
)
def test_urls_that_a_service_can_fetch_pass(url: str) -> None:
    assert url_fault(url) is None
    assert url_id(url)


@pytest.mark.parametrize(
    "url",
    [
        *"example.org/a file:///a ftp://h/a https:// https:///a https://:80/ https://a@h/ https://h:99999/".split(),
        *"https://h:x/ https://h/../a https://h/a\\b https://h\\@evil/ https://./a javascript:alert(1)".split(),
        *["https://[::1", "https://h/a b", "https://h/\n", "https://h/a\x00", "", "data:text/plain,a"],
    ],
)
def test_urls_that_cannot_be_are_refused_with_a_next_step(url: str) -> None:
    fault = url_fault(url)
    assert fault is not None
    assert all(fault)


def test_secrets_go_to_https_or_to_this_machine() -> None:
    assert origin_fault("https://example.org/hook") is None
    assert origin_fault("http://localhost:9/hook") is None
    assert origin_fault("http://[::1]/hook") is None
    assert origin_fault("http://localhost.example.org/hook") is not None
    assert origin_fault("http://10.0.0.1/hook") is not None
    assert endpoint_fault("emulator") is None
    assert endpoint_fault("https://api.example.org/base") is None
    assert endpoint_fault("https://api.example.org/?a=1") is not None
    assert endpoint_fault("Emulator") is not None


def test_loopback_is_this_machine_and_nothing_that_looks_like_it() -> None:
    assert all(map(is_loopback, ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "LOCALHOST."]))
    assert not any(map(is_loopback, ["127.0.0.1.example.org", "example.org", "0.0.0.0", "", "169.254.0.1"]))


@given(st.text(alphabet="ahtps:/?#@.[]\\ -%é0", max_size=30))
def test_any_text_is_judged_without_an_exception(text: str) -> None:
    fault = url_fault(text)
    if fault is None:
        assert url_id(text)
    endpoint_fault(text)


@pytest.mark.parametrize(
    "url", ["ftp://h/a", "h/a", "file:///a", "https://user:secret@h/a", "https://", "https://h/a b"]
)
def test_a_callback_and_an_endpoint_are_not_told_what_to_do_with_a_source(url: str) -> None:
    for fault in (origin_fault(url), endpoint_fault(url)):
        assert fault is not None
        assert not re.search("download|sources|signed", fault[1])
