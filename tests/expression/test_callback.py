"""`notify.callback_url`: the service of this API tells nobody, so the runner does, once."""

from __future__ import annotations

import json

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
