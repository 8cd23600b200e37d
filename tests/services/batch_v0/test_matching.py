"""Whether a job at the service is the lost one, and what a list would have shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hume_runner.services.batch_v0.matching import (
    Verdict,
    contradicts,
    echo_mark,
    familiar,
    in_doubt,
    judge,
    names_in,
    one_text,
    one_url,
    other_bytes,
    position_in,
    sent_by,
)
from hume_runner.services.batch_v0.reading import JobView
from hume_runner.services.jobs import Job
from tests.fakes import plan_item
from tests.services.batch_v0.echoes import (
    FILES,
    FOREIGN,
    LINKS,
    MAYBE,
    MIXED,
    NONCE,
    OURS,
    SETTINGS,
    TEXTS,
    UNHASHED,
    URL,
    A,
    B,
    file,
    job,
    view,
)


@pytest.mark.parametrize(
    ("sent", "seen", "verdict"),
    [
        (FILES, view(files=[(f"{NONCE}-000-b.wav", None), (f"{NONCE}-001-c.wav", None)]), OURS),
        (FILES, view(files=[(f"{NONCE.upper()}-000-B.WAV", None), (f"{NONCE.upper()}-001-C.WAV", None)]), OURS),
        (FILES, view(files=[(f"/srv/in/{NONCE}-000-b.wav", None), ("x", None)]), OURS),
        (FILES, view(files=[(f"{NONCE}%2D000%2Db.wav", None)]), OURS),
        (FILES, view(files=[(f"{NONCE}-000-b.wav", A)]), OURS),
        # Another history of this state gave the number to other files.
        (FILES, view(files=[(f"{NONCE}-000-b.wav", "c" * 32), (f"{NONCE}-001-c.wav", B)]), FOREIGN),
        # The host calls them as it likes.
        (FILES, view(files=[("1.wav", A.upper()), ("2.wav", B)]), OURS),
        (FILES, view(files=[("1.wav", A), ("2.wav", "c" * 32)]), FOREIGN),
        (FILES, view(files=[("1.wav", A)]), MAYBE),
        (FILES, view(files=[(None, None), (None, None)]), MAYBE),
        (FILES, view(files=[("b.wav", None), ("c.wav", None)]), MAYBE),
        (FILES, view(files=[("holiday.wav", None), ("c.wav", None)]), MAYBE),
        (FILES, view(files=[("holiday.wav", None), ("rain.wav", None)]), FOREIGN),
        (FILES, view(files=[("1.wav", A), ("2.wav", B), ("3.wav", None)]), FOREIGN),
        (UNHASHED, view(files=[("1.wav", A), ("2.wav", B)]), MAYBE),
        (LINKS, view(urls=(URL,)), OURS),
        (LINKS, view(urls=("https://EXAMPLE.org/a clip.mp4?take=2",)), OURS),
        (LINKS, view(urls=("https://example.org/a%2520clip.mp4?take=2",)), OURS),
        (LINKS, view(urls=("https://example.org/another.mp4",)), FOREIGN),
        (LINKS, view(urls=(URL, "https://example.org/another.mp4")), FOREIGN),
        (LINKS, view(urls=(URL, URL)), FOREIGN),
        (TEXTS, view(text=("Caf\u00e9 ", "two")), OURS),
        (TEXTS, view(text=("Cafe\u0301", "  two\n")), OURS),
        (TEXTS, view(text=("two",)), MAYBE),
        (TEXTS, view(text=("Caf\u00e9 ", "three")), FOREIGN),
        (MIXED, view(urls=(URL,), text=("two",)), OURS),
        (MIXED, view(urls=(URL,)), OURS),  # an early echo has no text
        (MIXED, view(text=("two",)), MAYBE),
        (MIXED, view(), MAYBE),
        (MIXED, view(models={}), MAYBE),
        (MIXED, view(urls=(URL,), text=("two",), models={}), MAYBE),
        (FILES, view(files=[(f"{NONCE}-000-b.wav", None)], models={}), OURS),
        (MIXED, view(models={"ner": {}}), FOREIGN),
        (MIXED, view(urls=(URL,), text=("two",), models={"face": {}, "ner": {}}), FOREIGN),
    ],
)
def test_what_is_ours_what_may_be_and_what_is_not(
    sent: tuple[Job, Mapping[int, str]], seen: JobView, verdict: Verdict
) -> None:
    assert judge(sent_by(sent[0], sent[1], SETTINGS), seen) is verdict


def test_a_text_that_left_the_manifest_is_told_by_its_digest_and_a_mangled_one_is_not_excluded() -> None:
    from hashlib import sha256

    gone = replace(plan_item("x"), id="", value="", content_sha256=sha256(b"Hello. ").hexdigest())
    sent = sent_by(job(gone, plan_item("two")), {0: "1", 1: "2"}, SETTINGS)
    assert judge(sent, view(text=("Hello. ", "two"))) is OURS
    assert judge(sent, view(text=("Hello.", "two"))) is MAYBE
    assert judge(sent, view(text=("Hello.", "three"))) is FOREIGN


NER = {"models": {"ner": {}}}
THREE, UP = ("mice", "zebra crossing", "apples"), ("apples", "mice", "zebra crossing")


def texts(*said: str, settings: Any = NER) -> Any:
    return sent_by(job(*(plan_item(one) for one in said)), {at: str(at + 1) for at in range(len(said))}, settings)


@pytest.mark.parametrize(
    ("sent", "echoed", "controls", "doubt"),
    [
        (texts(*THREE), THREE, (), False),
        (texts(*THREE), tuple(f" {one} " for one in THREE), (), False),
        (texts(*THREE), THREE[::-1], (), True),  # somebody sent the same ones in another order
        (texts(*UP), UP, (), True),  # it may be the host that sorted them
        (texts(*UP[::-1]), UP[::-1], (), True),
        (texts(*UP), UP, ((texts(*THREE), view(text=THREE)),), False),  # it is seen to keep what was sent
        (texts(*UP), UP, ((texts(*THREE), view(text=sorted(THREE))),), True),
        (texts(*UP), UP, ((texts(*UP), view(text=UP)),), True),  # which tells nothing
        (texts(*THREE), THREE[::-1], ((texts(*THREE), view(text=THREE)),), True),
        (texts("one"), ("one",), (), False),
        (texts(*THREE, settings={"models": {"language": {}, "ner": {}}}), THREE[::-1], (), False),  # words tell
    ],
)
def test_texts_whose_answers_tell_no_words_are_ours_in_the_order_in_which_they_were_sent_alone(
    sent: Any, echoed: Sequence[str], controls: Any, doubt: bool
) -> None:
    assert in_doubt(sent, view(text=tuple(echoed), models=sent.settings["models"]), controls) is doubt


def test_texts_beside_an_upload_of_ours_are_ours() -> None:
    both = job(plan_item("one"), plan_item("two"), file("a.wav", A))
    sent = sent_by(both, {0: "1", 1: "2", 2: f"{NONCE}-002-a.wav"}, NER)
    assert not in_doubt(sent, view(text=("two", "one"), files=[(f"{NONCE}-002-a.wav", A)]), ())


def test_the_names_of_an_answer_are_the_host_s() -> None:
    sent = sent_by(FILES[0], FILES[1], SETTINGS)
    seen = view(files=[(f"IN/{NONCE}-001-C.WAV", None), (f"IN/{NONCE}-000-B.WAV", None)])
    assert names_in(FILES[0], sent, seen, FILES[1]) == {
        0: f"IN/{NONCE}-000-B.WAV",
        1: f"IN/{NONCE}-001-C.WAV",
    }
    renamed = view(files=[("2.wav", B), ("1.wav", A)])
    assert names_in(FILES[0], sent, renamed, FILES[1]) == {0: "1.wav", 1: "2.wav"}


def test_a_position_is_read_in_any_spelling_and_only_behind_the_nonce() -> None:
    assert position_in(f"X/{NONCE.upper()}-012-a.wav", NONCE) == 12
    assert position_in("fedcba3210-012-a.wav", NONCE) is None
    assert position_in(f"{NONCE}-012-a.wav", "") is None


def test_one_form_is_the_same_however_often_it_is_taken() -> None:
    for value in ("https://example.org/%25252f", "HTTP://A/B#c", "nothing at all", "https://example.org/"):
        assert one_url(one_url(value)) == one_url(value)
    assert one_text("  a\n") == "a"


@pytest.mark.parametrize(
    ("sent", "seen", "surely"),
    [
        # An id that belongs to another job of this key: nothing of what was sent is in its echo.
        (TEXTS, view(text=("three", "four")), True),
        (LINKS, view(urls=("https://example.org/another.mp4",)), True),
        (FILES, view(files=[("b.wav", "c" * 32), ("c.wav", "d" * 32)]), True),
        (MIXED, view(urls=("https://example.org/another.mp4",), text=("three",)), True),
        (TEXTS, view(urls=(URL,)), True),
        (LINKS, view(files=[("a.mp4", A)]), True),
        (LINKS, view(files=[("a.mp4", A)], says=frozenset(("files", "models"))), False),
        # The same, measured in another way: an older job of these texts.
        (TEXTS, view(text=("Caf\u00e9 ", "two"), models={"face": None, "ner": {}}), True),
        # Something agrees, or tells nothing, or is told as another host would tell it.
        (TEXTS, view(text=("three", "two")), False),
        (TEXTS, view(text=()), False),
        (TEXTS, view(text=("CAF\u00c9", "TWO")), False),
        (TEXTS, view(text=("t\u2026", "three")), False),
        (LINKS, view(urls=("https://example.org/a clip.mp4",)), False),
        (LINKS, view(urls=("https://example.org/a+clip.mp4?take=2",)), False),
        (LINKS, view(urls=("//EXAMPLE.org/a%20clip.mp4",)), False),
        (TEXTS, view(text=("Caf\u00e9 ", "two"), models={"face": {"fps_pred": 5}, "new": {}}), False),
        (TEXTS, view(text=("Caf\u00e9 ", "two"), models={}), False),
        (LINKS, view(urls=("https://example.org/***",)), False),
        (FILES, view(files=[(f"{NONCE}-000-b.wav", "c" * 32)]), False),
        (FILES, view(files=[("file", "c" * 32), ("file", "c" * 32)]), False),
        (FILES, view(files=[("b.wav", "bm90IGhleA=="), ("c.wav", None)]), False),
        (MIXED, view(urls=(URL,), text=("three",)), False),
    ],
)
def test_only_what_surely_speaks_of_something_else_contradicts(sent: Any, seen: Any, surely: bool) -> None:
    lost, names = sent
    assert contradicts(sent_by(lost, names, SETTINGS), seen) is surely


def test_an_echo_that_tells_anything_else_is_looked_at_again() -> None:
    echoes = [
        view(),
        view(urls=(URL,)),
        view(text=(URL,)),
        view(text=("one",)),
        view(text=("one", "two")),
        view(files=[("a.wav", A)]),
        view(files=[("a.wav", B)]),
        view(files=[("b.wav", A)]),
        view(models={"language": {}}),
        view(models={"language": None}),
        replace(view(), says=frozenset()),
        replace(view(), job_id="another"),
    ]
    assert len({echo_mark(one) for one in echoes}) == len(echoes)
    assert echo_mark(view(files=[("a.wav", A)])) == echo_mark(replace(view(files=[("a.wav", A)]), status="COMPLETED"))


@pytest.mark.parametrize(
    ("asked", "told", "surely"),
    [
        ({"granularity": "word"}, {"granularity": "sentence"}, True),
        ({"granularity": "word"}, {"granularity": "WORD"}, False),
        ({"granularity": "word"}, {}, False),
        ({}, {"granularity": "sentence"}, False),
        ({"toxicity": {}}, {"toxicity": None}, True),
        ({"toxicity": {}}, {"toxicity": {"new": 1}}, False),
        # A host may allow no more, or spell a number or a yes in its way.
        ({"fps_pred": 30, "identify_speakers": True}, {"fps_pred": 5, "identify_speakers": "true"}, False),
        ({"granularity": "word"}, None, True),
        ({"granularity": "word"}, [], False),
    ],
)
def test_another_way_of_measuring_contradicts_where_it_was_asked_for_in_a_word(
    asked: Any, told: Any, surely: bool
) -> None:
    sent = sent_by(*TEXTS, {"models": {"language": asked}})
    assert contradicts(sent, view(text=("Caf\u00e9 ", "two"), models={"language": told})) is surely


@pytest.mark.parametrize(
    ("seen", "strange"),
    [
        (view(urls=(URL,), text=("one",), files=[("a.wav", A), ("b.wav", B)]), set()),
        (view(urls=("https://example.org/a.mp4?token=***",)), {"url"}),
        (view(text=("A long te\u2026",)), {"text"}),
        (view(text=("A long te...",)), {"text"}),
        (view(files=[("a.wav", "bm90IGhleA==")]), {"file"}),
        (view(files=[("a.wav", A), ("b.wav", A)]), {"file"}),
    ],
)
def test_what_is_masked_cut_or_written_another_way_tells_only_that_there_is_something(seen: Any, strange: Any) -> None:
    assert {"url", "text", "file"} - familiar(seen) == strange


def test_only_md5s_that_can_be_read_are_those_of_other_bytes() -> None:
    assert other_bytes(A, B)
    assert not other_bytes(A, A.upper())
    assert not any(other_bytes(one, two) for one, two in ((A, None), (None, B), (A, "bm90IGhleA=="), ("", B)))
