from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hume_runner.results.rows import ItemRows, all_rows
from hume_runner.services.jobs import STRICT, Job, Member, PlanItem
from hume_runner.services.local.answers import Answers
from hume_runner.services.local.sender import taken_over
from tests.results.local_answers import results


def job(tmp_path: Path) -> Job:
    item = PlanItem(
        key=b"k", id="a.wav", kind="file", value="a.wav", path=tmp_path / "a.wav", size_bytes=1, content_sha256="00"
    )
    return Job(number=1, key="j", nonce="n", members=(Member(item=item, position=0),), size_bytes=1)


def answered(tmp_path: Path, source: dict[str, Any]) -> tuple[str, ...]:
    """The notes of one recording, `a.wav`, that was measured like this."""
    path = tmp_path / "response.json"
    measurers = {"speech": {"name": "whisper-tiny.en"}}
    answer = {"format": "hume_runner local-answer-v1", "measurers": measurers, "sources": [source]}
    path.write_text(json.dumps(answer))
    [outcome] = Answers().outcomes(job(tmp_path), "job-000001", path, {}, STRICT)
    assert outcome.ok
    return outcome.notes


HEARD = {"words": 9, "mean_word_probability": 0.41, "compression_ratio": 1.1}


def test_a_recording_that_was_hardly_understood_is_noted(tmp_path: Path) -> None:
    [note] = answered(tmp_path, {"measured": True, "tables": {"speech": [HEARD]}, "errors": []})
    assert note.startswith("a.wav: what was heard is hardly what was said")
    sure = HEARD | {"mean_word_probability": 0.9}
    assert answered(tmp_path, {"measured": True, "tables": {"speech": [sure]}, "errors": []}) == ()


def test_a_model_that_failed_beside_others_is_noted(tmp_path: Path) -> None:
    failed = {"model": "speech", "reason": "measurer_failed", "message": "a.wav: speech: it broke"}
    told = {"model": "", "reason": "partly_measured", "message": "told when it was prepared"}
    notes = answered(tmp_path, {"measured": True, "tables": {"acoustics": []}, "errors": [failed, told]})
    assert notes == ("a.wav: speech: it broke",)


def test_what_was_not_wholly_measured_is_no_answer_for_another_item(tmp_path: Path) -> None:
    good = {"measured": True, "tables": {}, "errors": []}
    failed = {"model": "speech", "reason": "measurer_failed", "message": "it broke"}
    one = job(tmp_path)
    for source, taken in ((good, True), (good | {"errors": [failed]}, False), (good | {"measured": False}, False)):
        body = json.dumps({"format": "hume_runner local-answer-v1", "measurers": {}, "sources": [source]}).encode()
        found = taken_over(one, body)
        assert (found is not None) == taken
        assert found is None or (found.remote_id, found.body) == (one.nonce, body)
    assert taken_over(one, b"no answer") is None


def test_the_language_that_a_model_knows_alone_is_not_told_as_heard(tmp_path: Path) -> None:
    """The answer names the language that the text is in, and the table the one that was heard."""
    said = {"text": "So it goes.", "language": "en", "words": 3}
    sources = {
        name: {"speech": [said | {"measured_by": f"{name}@1#00000000"}]} for name in ("whisper-tiny.en", "whisper-base")
    }
    found = results(tmp_path, sources)
    languages = {
        rows.item.id: list(rows.block.columns["language"])
        for rows in all_rows(found.answers())
        if isinstance(rows, ItemRows)
    }
    assert languages == {"whisper-tiny.en": [None], "whisper-base": ["en"]}
