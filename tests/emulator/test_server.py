"""Start, stop, counts, and the process that `hume-runner emulate` is."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from hume_runner.emulator.server import Emulator
from hume_runner.errors import UsageError
from tests.emulator.api import JOBS, Api, wav
from tests.tiers import sampled


def test_a_stopped_emulator_leaves_no_thread_no_socket_and_no_data() -> None:
    before = threading.active_count()
    emulator = Emulator()
    emulator.start()
    with Api(emulator.url, emulator.api_key) as api:
        api.submit({"models": {"prosody": {}}}, [("file", ("a.wav", wav(1)))])
        parts = urlsplit(emulator.url)
        idle = socket.create_connection((parts.hostname, parts.port))
        emulator.stop()
        with suppress(ConnectionResetError):  # one that nobody had taken yet is the system's to end
            assert idle.recv(1) == b""
        idle.close()
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((parts.hostname, parts.port))
    emulator.stop()


def test_stopping_does_not_wait_for_requests_that_are_held_up() -> None:
    with Emulator(faults=[{"action": {"delay": "1h"}}]) as emulator:
        caught: list[type[BaseException]] = []

        def ask() -> None:
            try:
                requests.get(emulator.url + JOBS, timeout=60)
            except requests.ConnectionError as error:
                caught.append(type(error))

        asking = threading.Thread(target=ask)
        asking.start()
        while not emulator.requests()["by_route"]:
            time.sleep(0.01)
    asking.join(10)
    assert caught == [requests.ConnectionError]


def test_an_emulator_may_be_started_again() -> None:
    emulator = Emulator()
    for _ in range(2):
        with emulator:
            assert requests.get(emulator.url + "/_emulator/requests", timeout=10).status_code == 200


def test_it_listens_on_loopback_unless_told_otherwise(emulator: Emulator) -> None:
    assert urlsplit(emulator.url).hostname == "127.0.0.1"


def test_a_port_that_is_taken_is_a_usage_error(emulator: Emulator) -> None:
    port = urlsplit(emulator.url).port
    assert port is not None
    with pytest.raises(UsageError, match=f"cannot listen on 127.0.0.1:{port}"):
        Emulator(port=port).start()


def test_data_that_cannot_be_kept_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="cannot keep the emulator's data"):
        Emulator(data=tmp_path / "file").start()


def test_requests_are_counted_by_route_with_what_they_carried(emulator: Emulator, own_api: Api) -> None:
    body = b'{"text": ["hello"]}'
    headers = {"Content-Type": "application/json"}
    job_id = own_api.call("POST", JOBS, data=body, headers=headers).json()["job_id"]
    own_api.ended(job_id)
    own_api.call("POST", JOBS, data=b"{", headers=headers)
    own_api.call("GET", f"{JOBS}/{job_id}/predictions")
    own_api.call("PUT", JOBS)
    own_api.call("GET", "/else")
    seen = own_api.call("GET", "/_emulator/requests").json()
    assert seen == emulator.requests()
    polls = seen["by_route"].pop(f"GET {JOBS}/{{id}}")
    assert polls >= 1
    assert seen == {
        "by_route": {
            "GET /else": 1,
            f"GET {JOBS}/{{id}}/predictions": 1,
            f"POST {JOBS}": 2,
            f"PUT {JOBS}": 1,
        },
        "jobs_accepted": 1,
        "uploads_measured": 0,
        "bytes_received": len(body) + 1,
    }


class TestProcess:
    def launch(self, *flags: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-W", "error", "-m", "hume_runner", "emulate", *flags]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_one_json_line_says_where_it_listens(self, tmp_path: Path) -> None:
        faults = tmp_path / "faults.yaml"
        faults.write_text("- {nth: [1], action: {status: 502}}\n")
        flags = ["--port", "0", "--api-key", "a", "--api-key", "b", "--processing-time", "10ms", "--seed", "3"]
        process = self.launch(
            *flags, "--max-concurrent-jobs", "2", "--data", str(tmp_path / "d"), "--faults", str(faults)
        )
        try:
            assert process.stdout is not None
            where = json.loads(process.stdout.readline())
            assert set(where) == {"url", "api_key"}
            assert where["api_key"] == "a"
            with Api(where["url"], "b") as api:
                assert api.call("GET", JOBS).status_code == 502
                api.measured({"text": ["x"]})
        finally:
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
        assert (process.returncode, out, err) == (0, "", "")

    @pytest.mark.sweep
    @sampled(1)
    @pytest.mark.parametrize("stopped_by", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_ends_it_cleanly(self, stopped_by: signal.Signals) -> None:
        process = self.launch()
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(stopped_by)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0

    @pytest.mark.sweep
    def test_a_killed_server_loses_no_job(self, tmp_path: Path) -> None:
        process = self.launch("--data", str(tmp_path), "--processing-time", "1h")
        assert process.stdout is not None
        where = json.loads(process.stdout.readline())
        with Api(where["url"], where["api_key"]) as api:
            job_id = api.submit({"text": ["precious"], "models": {"language": {}}})
        process.kill()
        process.communicate(timeout=20)
        with Emulator(data=tmp_path, processing_time_s=0) as emulator, Api(emulator.url, where["api_key"]) as api:
            assert api.ended(job_id)["state"]["status"] == "COMPLETED"

    @pytest.mark.sweep
    @sampled(1)
    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            (["--processing-time", "soon"], "not a duration"),
            (["--max-concurrent-jobs", "0"], "at least 1"),
            (["--faults", "/nowhere.yaml"], "/nowhere.yaml"),
            (["--port", "x"], "--port"),
        ],
    )
    def test_bad_flags_are_usage_errors(self, flags: list[str], words: str) -> None:
        process = self.launch(*flags)
        out, err = process.communicate(timeout=20)
        assert (process.returncode, out) == (64, "")
        assert words in err
        assert "Traceback" not in err
