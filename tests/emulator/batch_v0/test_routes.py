"""What holds for all operations over HTTP."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

from tests.emulator.api import JOBS, Api


def test_an_unknown_path_and_a_wrong_method_are_refused_as_json(api: Api) -> None:
    assert api.call("GET", "/v0/batch").json() == {"message": "not found"}
    answer = api.call("DELETE", JOBS)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, HEAD, POST"


def test_every_answer_says_that_it_is_simulated_and_carries_the_time(api: Api) -> None:
    for method, path in (("GET", JOBS), ("POST", JOBS), ("GET", "/nowhere"), ("GET", "/_emulator/requests")):
        headers = api.call(method, path).headers
        assert headers["X-Hume-Emulator"] == "simulated"
        assert headers["Date"].endswith("GMT")


def test_a_client_that_waits_for_100_continue_is_served(api: Api) -> None:
    body = json.dumps({"text": ["hi"]}).encode()
    parts = urlsplit(api.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        head = (
            f"POST {JOBS} HTTP/1.1\r\nHost: x\r\nX-Hume-Api-Key: {api.headers['X-Hume-Api-Key']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
