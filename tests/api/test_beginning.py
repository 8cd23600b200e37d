"""A first manifest that a script has proposed to it."""

from __future__ import annotations

from pathlib import Path

import pytest

import hume_runner
from hume_runner.api.beginning import apis, begin, labels_fault, propose, usual_api
from hume_runner.errors import UsageError
from hume_runner.events import Event, Warned


def test_what_is_proposed_for_a_list_can_be_run(tmp_path: Path) -> None:
    (tmp_path / "said.csv").write_text("id;comment\n1;Good.\n2;\n", encoding="utf-8")
    proposed = propose([str(tmp_path / "said.csv")], api=usual_api(), folder=tmp_path)
    assert proposed.told  # of the row without a text
    told: list[Event] = []
    begun = begin(tmp_path / "said.yaml", proposed, on_event=told.append)
    assert (begun.verdict.problems, begun.verdict.items["text"]) == ((), 1)
    assert told == [Warned(message=message) for message in proposed.told]
    assert begun.schema is not None
    assert begun.schema.is_file()
    assert hume_runner.plan(begun.path).summary.new == 1


def test_nothing_is_left_of_a_manifest_whose_labels_do_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    proposed = propose([str(tmp_path)], api="batch-v0", folder=tmp_path, labels="{who}_{wave}")
    with pytest.raises(UsageError, match="nothing was written"):
        begin(tmp_path / "new.yaml", proposed, on_event=print)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_what_can_be_proposed_is_known() -> None:
    assert usual_api() in apis()
    assert labels_fault("{who}_{wave}.wav") is None
    assert "names no label" in (labels_fault("plain.wav") or "")
