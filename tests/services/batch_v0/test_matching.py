"""Whether a job at the service is the lost one, and what a list would have shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from hume_runner.services.base import Job, Member, PlanItem
from hume_runner.services.batch_v0.client import FileView, JobView
from hume_runner.services.batch_v0.matching import (
    Listing,
    SourceFinder,
    Verdict,
    agreement,
    confirmed,
    contradicts,
    familiar,
    judge,
    lacking,
    measures,
    names_in,
    one_text,
    one_url,
    other_bytes,
    position_in,
    sent_by,
)
from tests.fakes import plan_item

NONCE = "0123abcdef"
OURS, MAYBE, FOREIGN = Verdict.OURS, Verdict.MAYBE, Verdict.FOREIGN
URL = "https://example.org/a%20clip.mp4?take=2"
SETTINGS = {"models": {"face": {}}}
A, B = "a" * 32, "b" * 32


def job(*items: PlanItem) -> Job:
    return Job(
        number=1,
        key="k",
        nonce=NONCE,
        members=tuple(Member(item=item, position=at) for at, item in enumerate(items)),
        size_bytes=1,
    )


def url(value: str = URL) -> PlanItem:
    return replace(plan_item(value, kind="url"), value=value)


def file(name: str, md5: str | None = None) -> PlanItem:
    return replace(plan_item(name, kind="file"), content_md5=md5)


def view(**facts: Any) -> JobView:
    facts["files"] = tuple(FileView(filename=name, md5sum=md5) for name, md5 in facts.get("files", ()))
    return JobView(job_id="j", status="QUEUED", **{"models": SETTINGS["models"], **facts})


FILES = (job(file("b.wav", A), file("c.wav", B)), {0: f"{NONCE}-000-b.wav", 1: f"{NONCE}-001-c.wav"})
UNHASHED = (job(file("b.wav"), file("c.wav")), FILES[1])
LINKS = (job(url()), {0: URL})
TEXTS = (job(plan_item("Caf\u00e9 "), plan_item("two")), {0: "1", 1: "2"})
MIXED = (job(url(), plan_item("two")), {0: URL, 1: "1"})


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


def at(name: str, second: float | None) -> JobView:
    return JobView(job_id=name, status="QUEUED", created_ms=None if second is None else int(second * 1000))


def listing(*views: JobView, newest: Sequence[JobView] | None = None, gap: str = "") -> Listing:
    return Listing(views=views, newest=views[::-1] if newest is None else newest, gap=gap)


GAP = "there is a gap"
SENT_AT, LOST_AT = 9.0, 10.0
BEFORE, AFTER = {"p": 5.0}, {"q": 15.0}


@pytest.mark.parametrize(
    ("shown", "ours", "why"),
    [
        # A job of ours from before, and it is the newest; one from after as well; one from after alone.
        (listing(at("p", 5)), BEFORE, ""),
        (listing(at("p", 5), at("q", 15)), {**BEFORE, **AFTER}, ""),
        (listing(at("q", 15)), AFTER, ""),
        (listing(at("x", 7)), BEFORE, "does not show p"),
        (listing(at("p", 5)), {**BEFORE, **AFTER}, "none of the jobs that the service took after"),
        (listing(at("q", 15)), {**BEFORE, **AFTER}, "does not show p"),
        (listing(), BEFORE, "does not show p"),
        # One that came a moment ago may not show yet, if another from after does.
        (listing(at("p", 5), at("q", 15)), {**BEFORE, **AFTER, "r": 17.5}, ""),
        # Too close to tell which came first: all of ours have to be there.
        (listing(at("p", 9.5)), {"p": 9.5, "q": 11.0}, "does not show q"),
        (listing(at("p", 9.5), at("q", 11)), {"p": 9.5, "q": 11.0}, ""),
        (listing(at("q", 15)), {**AFTER, "r": 16.5}, "does not show r"),
        # None of ours: nothing is missing, and the list proves nothing (services/test_evidence.py).
        (listing(), {}, ""),
        # Not shown whole: its newest page, in order, back to one of ours from before, is as good.
        (listing(at("p", 5), at("q", 15), gap=GAP), {**BEFORE, **AFTER}, ""),
        (listing(at("p", 5), newest=[at("q", 15), at("p", 5)], gap=GAP), {**BEFORE, **AFTER}, ""),
        (listing(at("p", 5), newest=[at("q", 15)], gap=GAP), {**BEFORE, **AFTER}, GAP),
        (listing(at("p", 5), newest=[at("p", 5), at("q", 15)], gap=GAP), {**BEFORE, **AFTER}, GAP),
        (listing(at("x", 7), gap=GAP), {}, GAP),
        (listing(at("q", 15), gap=GAP), AFTER, GAP),
    ],
)
def test_what_a_list_lacks_to_prove_that_a_job_is_not_there(
    shown: Listing, ours: Mapping[str, float], why: str
) -> None:
    said = lacking(shown, ours, SENT_AT, LOST_AT)
    assert said == "" if not why else why in said


# -- names in answers --------------------------------------------------------------------------------------------------

MARK = "0123456789"


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("file", f"{MARK}-000-Clip.wav", 0),
        ("file", f"{MARK}-000-CLIP.WAV", 0),
        ("file", f"uploads/{MARK}-001-Clip.wav", 1),
        ("file", f"{MARK.upper()}-002-%C3%B6.wav", 2),
        ("file", f"x-{MARK}-000-{MARK}-001-", None),  # two of ours: neither
        ("file", "clip.wav", None),  # two have that name
        ("file", "ö.wav", 2),
        ("file", "other.wav", None),
        ("url", "https://example.org/a b", 3),
        ("url", "https://example.org/a%20b", 4),
        ("url", "https://example.org/a%2520b", None),  # one of the two
        ("url", "HTTPS://EXAMPLE.org/c d", 5),
        ("text", "1", 6),
        ("text", " 01", 6),
        ("text", "3", None),
        ("file", "1", None),
    ],
)
def test_a_name_in_an_answer_finds_its_member_or_none(kind: str, name: str, found: int | None) -> None:
    finder = SourceFinder(
        [
            (0, "file", f"{MARK}-000-Clip.wav"),
            (1, "file", f"{MARK}-001-clip.wav"),
            (2, "file", f"{MARK}-002-ö.wav"),
            (3, "url", "https://example.org/a b"),
            (4, "url", "https://example.org/a%20b"),
            (5, "url", "https://example.org/c%20d"),
            (6, "text", "1"),
        ]
    )
    assert finder.find(kind, name) == found


FACE = {"models": {"face": {"fps_pred": 1}}}


@pytest.mark.parametrize(
    ("settings", "echoed", "expected"),
    [
        (FACE, {"models": {"face": {"fps_pred": 1.0}}}, True),
        (FACE, {"models": {"face": {"fps_pred": 3}}}, False),
        (FACE, {"models": {"face": {}}}, None),
        (FACE, {"models": {}}, None),
        (FACE, {}, None),
        (FACE, {"models": {"face": {"fps_pred": 1}, "ner": None}}, True),
        (FACE, {"models": {"face": {"fps_pred": 1}, "ner": {}}}, False),
        # What nobody sent is as the service fills it in, or it is another's.
        ({"models": {"face": {}}}, {"models": {"face": {"fps_pred": 3.0, "facs": None}}}, True),
        ({"models": {"face": {}}}, {"models": {"face": {"fps_pred": 5}}}, False),
        ({"models": {"face": {}}}, {"models": {"face": {"facs": {}}}}, False),
        ({"models": {"language": {}}}, {"models": {"language": {"granularity": "sentence"}}}, False),
        ({"models": {"ner": {}}}, {"models": {"ner": {}}, "transcription": {"language": "de"}}, False),
        ({"models": {"ner": {}}}, {"models": {"ner": {}}, "transcription": {"language": None}}, True),
        ({"models": {"ner": {}}, "transcription": {"language": "de"}}, {"models": {"ner": {}}}, None),
        ({"models": {"ner": {}}, "transcription": None}, {"models": {"ner": {}}, "transcription": None}, True),
        ({"models": {"ner": {}}, "transcription": None}, {"models": {"ner": {}}}, False),
    ],
)
def test_settings_agree_differ_or_are_not_told(
    settings: Mapping[str, Any], echoed: Mapping[str, Any], expected: bool | None
) -> None:
    assert agreement(settings, echoed) is expected


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


@pytest.mark.parametrize(
    ("text", "words", "same"),
    [
        ("Nothing is lost.", ["Nothing", "is", "lost"], True),
        ("Nothing is lost.", ["Nothing is lost."], True),
        ("Don't wait, Anna!", ["Do", "n't", "wait", ",", "Anna", "!"], True),
        ("\u00c9t\u00e9 2026", ["E\u0301t\u00e9", "2026"], True),
        ("?!", ["?", "!"], True),
        ("Nothing is lost.", ["Nothing", "was", "lost"], None),
        ("Nothing is lost.", ["Nothing"], None),
        ("Nothing is lost.", [], None),
        ("Nothing is lost.", ["", "."], None),
        ("Nothing is lost.", ["Nothing is paid twice."], False),
        ("Nothing is lost.", ["All", "of", "it", "is", "gone"], False),
    ],
)
def test_words_are_those_of_a_text_of_another_or_do_not_tell(text: str, words: list[str], same: bool | None) -> None:
    assert measures(text, words) is same


ONE, TWO, THREE = ["The", "one"], ["The", "two"], ["The", "three"]
THREE_TEXTS = {0: ("The one.", "1"), 1: ("The two.", "2"), 2: ("The three.", "3")}


@pytest.mark.parametrize(
    ("texts", "words", "names", "doubtful"),
    [
        (THREE_TEXTS, {"1": ONE, "2": TWO, "3": THREE}, {0: "1", 1: "2", 2: "3"}, set()),
        # The echo had them in another order than they were sent in.
        (THREE_TEXTS, {"3": ONE, "2": TWO, "1": THREE}, {0: "3", 1: "2", 2: "1"}, set()),
        (THREE_TEXTS, {"2": ONE, "1": TWO, "3": []}, {0: "2", 1: "1"}, {2}),
        # Two of three stand where they should, so the third does as well; without any words nobody knows.
        (THREE_TEXTS, {"1": ONE, "2": TWO, "3": []}, {0: "1", 1: "2", 2: "3"}, set()),
        (THREE_TEXTS, {"1": ONE, "2": TWO, "3": ["Something", "else", "altogether"]}, {0: "1", 1: "2"}, {2}),
        (THREE_TEXTS, {"1": [], "2": [], "3": []}, {}, {0, 1, 2}),
        # A job of one text has one order; what the answer does not speak of is not doubtful but missing.
        ({0: ("The one.", "1")}, {"1": []}, {0: "1"}, set()),
        ({0: ("The one.", "1")}, {"1": TWO * 3}, {}, {0}),
        ({0: ("The one.", "1")}, {}, {}, set()),
        # Texts that a tokenizer leaves alike.
        ({0: ("Ah!", "1"), 1: ("Ah?", "2")}, {"1": ["Ah"], "2": ["Ah"]}, {}, {0, 1}),
        (
            {0: ("Ah!", "1"), 1: ("Ah?", "2"), 2: ("Yes.", "3"), 3: ("No.", "4")},
            {"1": ["Ah"], "2": ["Ah"], "3": ["Yes"], "4": ["No"]},
            {0: "1", 1: "2", 2: "3", 3: "4"},
            set(),
        ),
        # In the order of the alphabet, which may be the host's: then those in place tell nothing of the others.
        (
            {0: ("Ah!", "1"), 1: ("Ah?", "2"), 2: ("No.", "3"), 3: ("Yes.", "4")},
            {"1": ["Ah"], "2": ["Ah"], "3": ["No"], "4": ["Yes"]},
            {2: "3", 3: "4"},
            {0, 1},
        ),
    ],
)
def test_texts_of_a_job_that_was_started_elsewhere_are_told_by_their_words(
    texts: Any, words: Any, names: Any, doubtful: Any
) -> None:
    told = confirmed(texts, words)
    assert (dict(told.names), set(told.doubtful)) == (names, doubtful)


def test_only_md5s_that_can_be_read_are_those_of_other_bytes() -> None:
    assert other_bytes(A, B)
    assert not other_bytes(A, A.upper())
    assert not any(other_bytes(one, two) for one, two in ((A, None), (None, B), (A, "bm90IGhleA=="), ("", B)))


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (["?", "!", "apple", "zebra"], [[], [], ["apple"], ["zebra"]]),
        (["one two three", "one two four", "x y", "z"], [["one", "two"], ["one", "two"], ["x", "y"], ["z"]]),
        (["yes sir yes", "yes sir", "yes", "no"], None),
        (["Hello?", "Hello!", "b"], None),
        (["a b", "ab", "a", "b"], None),
    ],
)
@pytest.mark.parametrize("order", [str, len, str.casefold], ids=["by letters", "by length", "by small letters"])
def test_texts_that_a_host_sorted_are_told_by_their_words_or_by_nothing(
    sent: list[str], words: list[list[str]] | None, order: Callable[[str], Any]
) -> None:
    echoed = sorted(sent, key=order)
    texts = {at: (text, str(echoed.index(text) + 1)) for at, text in enumerate(sent)}
    measured = words or [text.split() for text in sent]
    told = confirmed(texts, {str(at): one for at, one in enumerate(measured, start=1)})
    assert {at: name for at, name in told.names.items() if name != str(at + 1)} == {}
    assert told.names.keys() | told.doubtful == texts.keys()
