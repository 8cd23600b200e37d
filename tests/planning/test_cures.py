from __future__ import annotations

from collections.abc import Mapping

import pytest

from hume_runner.planning.cures import Cure, advice, advices, cure


@pytest.mark.parametrize(
    ("reason", "helps"),
    [
        *((reason, Cure.FILE) for reason in ("empty", "unknown_format", "not_media", "archive", "corrupt", "no_audio")),
        ("no_model", Cure.MODELS),
        ("measurer_failed", Cure.MEASURER),
        *((reason, Cure.AGAIN) for reason in ("timed_out", "source_unreadable", "whatever a service says", None)),
    ],
)
def test_each_reason_has_what_helps_against_it(reason: str | None, helps: Cure) -> None:
    assert cure(reason) is helps
    assert ("--retry-failed" in advice(reason)) == (helps is Cure.AGAIN)


def test_a_link_is_tried_again_since_what_it_leads_to_may_be_another_file_by_now() -> None:
    assert cure("empty", link=True) is Cure.AGAIN
    assert cure("no_model", link=True) is Cure.MODELS


@pytest.mark.parametrize(
    ("failures", "links", "told"),
    [
        ({"empty": 2, "unknown_format": 1}, {}, ["replace the files"]),
        (
            {"empty": 1, "timed_out": 1},
            {},
            ["empty: replace the files", "timed_out: `hume-runner run MANIFEST --retry"],
        ),
        ({"no_model": 1}, {}, ["name a model that measures them"]),
        ({"no_model": 1, "empty": 1}, {}, ["empty: replace the files", "no_model: name a model"]),
        ({"empty": 2}, {"empty": 2}, ["`hume-runner run MANIFEST --retry-failed` tries them again"]),
        ({"empty": 2}, {"empty": 1}, ["empty: replace the files", "empty: `hume-runner run MANIFEST --retry-failed`"]),
    ],
)
def test_each_kind_of_failure_keeps_its_own_advice_beside_others(
    failures: Mapping[str, int], links: Mapping[str, int], told: list[str]
) -> None:
    found = list(advices(failures, links))
    assert len(found) == len(told)
    for line, begins in zip(found, told, strict=True):
        assert line.startswith(begins)
