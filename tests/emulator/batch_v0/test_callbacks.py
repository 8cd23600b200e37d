"""Callbacks: delivered to this machine only, with what the answer holds, tried again, remembered over a restart."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.batch_v0.callbacks import is_loopback
from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api
from tests.servers import Quiet, Server


class Receiver(Server):
    """Keeps what is posted to it; answers with the statuses given, the last one for ever."""

    def __init__(self, statuses: list[int]) -> None:
        super().__init__(_Handler)
        self.statuses = statuses
        self.posts: list[tuple[str, dict[str, str], Any]] = []
        self.arrived = threading.Event()

    @property
    def url(self) -> str:
        return f"{super().url}/hook?token=a%20b"


class _Handler(Quiet):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, dict(self.headers), json.loads(body)))
        statuses = self.server.statuses
        self.send_response(statuses.pop(0) if len(statuses) > 1 else statuses[0])
        self.send_header("Location", "http://127.0.0.1:9/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.arrived.set()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver([204]) as server:
        yield server


def settled(api: Api, job_id: str) -> Any:
    """What became of the job's callback."""
    deadline = time.monotonic() + 20
    while True:
        job = next(job for job in api.call("GET", "/_emulator/jobs").json() if job["job_id"] == job_id)
        if job["callback"] is not None and job["callback"]["state"] != "pending":
            return job["callback"]
        assert time.monotonic() < deadline, job
        time.sleep(0.02)


def test_a_completed_job_posts_its_predictions_once(own_api: Api, receiver: Receiver) -> None:
    job_id = own_api.submit({"text": ["hello you"], "callback_url": receiver.url, "models": {"language": {}}})
    assert settled(own_api, job_id) == {"state": "delivered", "attempts": 1, "detail": "204"}
    ((path, headers, body),) = receiver.posts
    assert path == "/hook?token=a%20b"
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Hume-Emulator"] == "simulated"
    assert body == {"job_id": job_id, "status": "COMPLETED", "predictions": own_api.predictions(job_id)}


def test_a_failed_job_posts_its_message(own_api: Api, receiver: Receiver) -> None:
    job_id = own_api.submit({"text": ["[emulator:fail no luck]"], "callback_url": receiver.url})
    settled(own_api, job_id)
    assert receiver.posts[0][2] == {"job_id": job_id, "status": "FAILED", "message": "no luck"}


def test_a_receiver_that_fails_at_first_is_tried_again(own_api: Api, receiver: Receiver) -> None:
    receiver.statuses = [500, 200]
    job_id = own_api.submit({"callback_url": receiver.url})
    assert settled(own_api, job_id) == {"state": "delivered", "attempts": 2, "detail": "200"}


@pytest.mark.sweep
def test_a_redirect_is_not_followed(own_api: Api, receiver: Receiver) -> None:
    receiver.statuses = [307]
    job_id = own_api.submit({"callback_url": receiver.url})
    assert settled(own_api, job_id) == {"state": "failed", "attempts": 3, "detail": "307"}


def test_other_addresses_are_never_contacted(own_api: Api) -> None:
    job_id = own_api.submit({"callback_url": "https://example.org/hook"})
    assert settled(own_api, job_id) == {"state": "not_delivered", "attempts": 0, "detail": "not a loopback address"}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True), ("LOCALHOST.", True), ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True),
        ("10.0.0.1", False), ("0.0.0.0", False), ("localhost.example.org", False),
        ("127.0.0.1.nip.io", False), ("", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_a_callback_that_is_still_owed_is_delivered_by_the_next_server(tmp_path: Path, receiver: Receiver) -> None:
    with Emulator(data=tmp_path, processing_time_s=60) as emulator, Api(emulator.url, emulator.api_key) as api:
        job_id = api.submit({"callback_url": receiver.url})
    assert receiver.posts == []
    with Emulator(data=tmp_path, processing_time_s=0) as emulator, Api(emulator.url, emulator.api_key) as api:
        assert settled(api, job_id)["state"] == "delivered"
    assert len(receiver.posts) == 1
