"""`notify.callback_url`: the service of this API tells nobody, so the runner does, once."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.http.callback import SIGNATURE_HEADER, signature
from tests.expression.receiver import Receiver
from tests.expression.runs import AUDIO, Folder
from tests.media_files import speech, write_wav


def write(folder: Folder, receiver: Receiver, recordings: int = 1, **sections: object) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    for n in range(recordings):
        write_wav(folder.path / f"{n}.wav", speech([("speech", 1), ("pause", 0.5)], seed=n))
    folder.environ = {"CALLBACK_SECRET": "s3cret"}
    notify = {"callback_url": receiver.url, "callback_secret": {"env": "CALLBACK_SECRET"}}
    folder.write({"files": ["*.wav"]}, notify=notify, **sections)


def test_a_finished_manifest_is_told_once_and_signed(folder: Folder) -> None:
    with Receiver() as receiver:
        write(folder, receiver)
        assert folder.run().code == 0
        assert folder.run().code == 0
    [told] = receiver.told
    body = json.loads(told.body)
    assert (body["schema"], body["event"], body["name"], body["exit_code"]) == (1, "finished", "expression", 0)
    assert body["counts"]["items"]["done"] == 1
    assert body["bill"]["billable_seconds"] == 10
    assert told.headers[SIGNATURE_HEADER] == signature(told.body, "s3cret")
    assert folder.key not in told.body.decode()
    assert "t0ken" not in told.body.decode()
    assert "s3cret" not in told.body.decode()


def test_a_receiver_that_is_busy_is_told_until_it_listens(folder: Folder) -> None:
    with Receiver(503, 503) as receiver:
        write(folder, receiver)
        assert folder.run().code == 0
    assert len(receiver.told) == 3
    assert len({told.body for told in receiver.told}) == 1


def test_a_receiver_that_never_listens_spoils_nothing_and_the_next_run_tries_again(folder: Folder) -> None:
    with Receiver(503, 503, 503) as receiver:
        write(folder, receiver)
        ran = folder.run()
        assert ran.code == 0
        assert "callback_url" in ran.err
        assert "t0ken" not in ran.err
        assert len(receiver.told) == 3
        assert folder.run().code == 0
        assert len(receiver.told) == 4
        assert folder.run().code == 0
    assert len(receiver.told) == 4


@pytest.mark.sweep
def test_an_unfinished_manifest_is_not_told(folder: Folder) -> None:
    with Receiver() as receiver:
        write(folder, receiver, recordings=2, execution={"max_billable_seconds": 10})
        assert folder.run().code == 8
        assert receiver.told == []
        assert folder.run("--max-billable-seconds", "20").code == 0
    assert [json.loads(told.body)["counts"]["items"]["done"] for told in receiver.told] == [2]


def test_failures_are_told_and_what_mends_them_is_told_again(folder: Folder, emulator: Emulator) -> None:
    error = {"type": "error", "code": "audio_decode_failed", "message": "no", "request_id": "0" * 32}
    emulator.inject([{"route": AUDIO, "nth": [1], "action": {"status": 400, "body": error}}])
    with Receiver() as receiver:
        write(folder, receiver, recordings=2)
        assert folder.run().code == 3
        assert folder.run("--retry-failed").code == 0
    first, second = (json.loads(told.body) for told in receiver.told)
    assert (first["exit_code"], first["counts"]["items"]["failed"]) == (3, 1)
    assert first["failures"] == {"audio_decode_failed": 1}
    assert (second["exit_code"], second["counts"]["items"]["done"]) == (0, 2)


def test_a_rehearsal_asks_nobody_elsewhere_and_tells_it_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = socket.getaddrinfo, []

    def resolve(host: str, *rest: Any, **more: Any) -> Any:
        asked.append(host)
        return found(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with Receiver() as receiver:
        write(folder, receiver)
        elsewhere = receiver.url.replace("http://127.0.0.1", "https://hooks.example.org")
        folder.manifest.write_text(folder.manifest.read_text().replace(receiver.url, elsewhere))
        ran = folder.run()
        assert ran.code == 0
        assert "hooks.example.org is not told" in ran.err
        assert f"curl -H 'Content-Type: application/json' --data-binary @{folder.outputs}/run.json" in ran.err
        assert "t0ken" not in ran.err
        assert "is not told" not in folder.run().err
        assert receiver.told == []
        assert "hooks.example.org" not in asked
        # What was held back is told as soon as the address is one of this machine.
        folder.manifest.write_text(folder.manifest.read_text().replace(elsewhere, receiver.url))
        assert folder.run().code == 0
    assert [json.loads(told.body)["simulated"] for told in receiver.told] == [True]


@pytest.mark.skipif(which("curl") is None or which("openssl") is None, reason="curl and openssl send it")
def test_what_the_page_shows_to_send_by_hand_arrives_signed(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
    section = page.partition("## Callbacks")[2]
    answer, summary = re.findall(r"^```console\n\$ (.*?)^```", section, flags=re.MULTILINE | re.DOTALL)[:2]
    (tmp_path / "out" / "raw" / "j1").mkdir(parents=True)
    (tmp_path / "out" / "run.json").write_text('{"schema": 1}')
    (tmp_path / "out" / "raw" / "j1" / "predictions.json").write_text("[1]")
    with Receiver() as receiver:
        env = {**os.environ, "URL": receiver.url, "SECRET": "s3cret", "ID": "j1", "NO_PROXY": "*"}
        for command in (answer, summary):
            subprocess.run(["sh", "-c", command], cwd=tmp_path, env=env, check=True, capture_output=True)
    by_service, by_runner = receiver.told
    assert json.loads(by_service.body) == {"job_id": "j1", "status": "COMPLETED", "predictions": [1]}
    assert json.loads(by_runner.body) == {"schema": 1}
    assert by_runner.headers[SIGNATURE_HEADER] == signature(by_runner.body, "s3cret")
