"""Each request is one log record, for whoever listens."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from hume_runner.errors import TransportError
from hume_runner.http.exchanges import Exchanged
from hume_runner.http.messages import ApiRequest

PATH = "/things"


@pytest.fixture(autouse=True)
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that configure logging switch off whoever was there before."""
    monkeypatch.setattr(logging.getLogger("hume_runner.http"), "disabled", False)


def told(caplog: pytest.LogCaptureFixture) -> list[Exchanged]:
    return [record.__dict__["exchange"] for record in caplog.records if record.name == "hume_runner.http"]


def test_an_exchange_is_told_when_its_answer_was_read(serve: Any, connect: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "hume_runner.http")
    server = serve(lambda talk: (talk.read_request(), talk.answer(b'{"ok": true}')))
    request = ApiRequest(method="POST", path=PATH, params=(("token", "secret"),), json={"a": 1})
    response = connect(server.url).send(request)
    assert told(caplog) == []
    response.json()
    (one,) = told(caplog)
    assert (one.method, one.path, one.status, one.sent_bytes, one.received_bytes) == ("POST", PATH, 200, 8, 12)
    assert one.took_s > 0
    assert "secret" not in str(one)
    assert str(one).startswith(f"POST {PATH} at {one.host}: 200, ")


def test_an_exchange_without_an_answer_is_told_at_once(serve: Any, connect: Any, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG, "hume_runner.http")
    server = serve(lambda talk: talk.read_request())
    with pytest.raises(TransportError):
        connect(server.url).send(ApiRequest(method="GET", path=PATH))
    (one,) = told(caplog)
    assert one.status is None
    assert ": no answer, " in str(one)


def test_nobody_is_told_who_did_not_ask(serve: Any, connect: Any, caplog: Any) -> None:
    server = serve(lambda talk: (talk.read_request(), talk.answer(b"{}")))
    connect(server.url).send(ApiRequest(method="GET", path=PATH)).json()
    assert told(caplog) == []
