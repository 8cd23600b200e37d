"""The key in the one answer that comes with a submission: it is in no file, record or message either."""

from __future__ import annotations

import json

import pytest

from tests.cli.quoting import quoting, with_members
from tests.expression.runs import Folder
from tests.media_files import speech, write_wav
from tests.spellings import SPELLINGS, quotes


@pytest.mark.sweep
@pytest.mark.parametrize("spelling", ["plain", "json", "base64, shifted", "percent"])
def test_a_key_in_every_member_of_an_answer_reaches_nothing(folder: Folder, spelling: str) -> None:
    words = SPELLINGS[spelling](folder.key)

    def rewrite(method: str, path: str, status: int, body: bytes, key: str) -> tuple[int, str, bytes]:
        return status, "", with_members(body, words) if body[:1] in (b"[", b"{") else body

    folder.path.mkdir()
    write_wav(folder.path / "one.wav", speech([("speech", 1)], seed=1))
    with quoting(folder.url, rewrite) as url:
        folder.url = url
        folder.write({"files": ["*.wav"]}, outputs={"tables": ["jsonl"]})
        ran = folder.run("-v", "-v")
    assert ran.code == 0, ran.err
    (raw,) = folder.outputs.glob("raw/*/response.json")
    assert b"quoted_member" in raw.read_bytes()
    json.loads(raw.read_bytes())
    for path in folder.outputs.rglob("*"):
        assert path.is_dir() or not quotes(path.read_bytes(), folder.key), path
    assert not quotes((ran.out + ran.err).encode(), folder.key)
