"""The small language model that comes with the package: its table, what it tells, and what it refuses to tell."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest

from hume_runner.services.local.measurers.base import Passage, Word
from hume_runner.services.local.measurers.emotion_table import MAGIC, Model, read_table, write_table
from hume_runner.services.local.measurers.hashed_text import read_token
from hume_runner.services.local.measurers.language import (
    LABELS,
    LANGUAGE,
    LEAST_KNOWN,
    TABLE,
    LanguageSession,
)
from hume_runner.services.local.measurers.segments import sentences, stretches

# Sentences of our own, each with the label that any reader would give it.
CLEAR = {
    "Thank you so much for your help!": "gratitude",
    "I love this song.": "love",
    "I'm so sorry, please forgive me.": "remorse",
    "Congratulations, that is an amazing picture!": "admiration",
    "Haha, that was hilarious": "amusement",
    "I'm scared of the dark.": "fear",
    "This is disgusting.": "disgust",
    "I'm curious, how does it work?": "curiosity",
    "The bus leaves at nine.": "neutral",
    "Wow, I did not expect that!": "surprise",
}
# Other languages say the same, in words and in other scripts.
FOREIGN = (
    "Das ist wirklich ein sehr schöner Tag, ich freue mich auf das Wochenende.",
    "Je ne comprends pas pourquoi tu es toujours en retard.",
    "No me gusta nada esta comida, la verdad es muy mala.",
    "Questa canzone mi piace tantissimo, grazie mille!",
    "Ik vind het heel jammer dat jullie niet konden komen.",
    "Bu şarkıyı çok seviyorum, teşekkür ederim.",
    "Я очень рад тебя видеть.",
    "とても嬉しいです。ありがとうございます。",
    "我今天非常高兴。",
    "أنا سعيد جدا بلقائك",
    "Jestem bardzo zmęczony i chcę iść do domu.",
    "Tack så mycket för hjälpen, det var snällt av dig.",
)


# Measures the texts of standard input, and prints the rows.
_MEASURE = """
import json, sys

if sys.argv[1] == "without":
    sys.modules["numpy"] = None

from hume_runner.services.local.measurers.base import Passage
from hume_runner.services.local.measurers.language import LANGUAGE, TABLE

passages = [Passage(text=text) for text in json.load(sys.stdin)]
rows = LANGUAGE.open({}, {TABLE.name: TABLE.lies}).measure(passages)
print(json.dumps([[number, dict(row.values)] for number, row in rows]))
"""


def session(granularity: str = "sentence") -> LanguageSession:
    return LANGUAGE.open({"granularity": granularity}, {TABLE.name: table_path()})


def table_path() -> Path:
    path = TABLE.lies
    assert path is not None
    return path


@pytest.fixture(scope="module")
def data() -> bytes:
    return table_path().read_bytes()


@pytest.fixture(scope="module", params=["numpy", "plain"])
def model(request: pytest.FixtureRequest, data: bytes) -> Model:
    if request.param == "numpy":
        pytest.importorskip("numpy")
    return Model(read_table(data), plain=request.param == "plain")


def rows(opened: LanguageSession, *passages: Passage) -> list[tuple[int, Mapping[str, Any]]]:
    return [(number, row.values) for number, row in opened.measure(passages)]


def only(opened: LanguageSession, text: str) -> Mapping[str, Any]:
    [(_, values)] = rows(opened, Passage(text=text))
    return values


def heard(text: str, begin_s: float, language: str | None = "en") -> Passage:
    """An utterance with a second for each word."""
    places = []
    at = 0
    for word in text.split():
        begin = text.index(word, at)
        at = begin + len(word)
        places.append((begin, at))
    words = tuple(
        Word(begin_s=begin_s + number, end_s=begin_s + number + 0.5, begin=begin, end=end)
        for number, (begin, end) in enumerate(places)
    )
    return Passage(text=text, begin_s=begin_s, end_s=begin_s + len(words), words=words, language=language)


def test_the_table_is_the_one_that_was_pinned_and_fits_two_megabytes(data: bytes) -> None:
    assert hashlib.sha256(data).hexdigest() == TABLE.sha256 == LANGUAGE.card({}).sha256
    assert len(data) <= 2_000_000
    assert LANGUAGE.card({}).measured_by == f"goemotions-small@1#{TABLE.sha256[:8]}"


def test_the_table_holds_what_was_written(data: bytes) -> None:
    table = read_table(data)
    assert table.labels == LABELS
    assert write_table(table) == data
    assert all(0 < one < 1 for one in table.thresholds)


@pytest.mark.parametrize(("text", "label"), CLEAR.items(), ids=list(CLEAR.values()))
def test_a_plain_sentence_has_the_label_that_a_reader_gives_it(text: str, label: str) -> None:
    scores = only(session(), text)["goemotions"]
    assert max(scores, key=scores.get) == label
    assert tuple(scores) == LABELS
    assert all(0 <= one <= 1 and one == round(one, 4) for one in scores.values())


def test_numpy_and_plain_python_tell_the_same(data: bytes) -> None:
    pytest.importorskip("numpy")
    table = read_table(data)
    by_numpy, by_hand = Model(table), Model(table, plain=True)
    texts = [*CLEAR, *FOREIGN, "", "?!", "no " * 500, "AAAAARGH why!!! 😂😂 :) <3", "\ud800 lone", *read_me()]
    read = [by_numpy.read(text) for text in texts]
    assert read == [by_hand.read(text) for text in texts]
    pairs = list(zip(by_numpy.probabilities(read), by_hand.probabilities(read), strict=True))
    assert len(pairs) > 100
    assert max(abs(a - b) for one, other in pairs for a, b in zip(one, other, strict=True)) < 1e-12
    assert [[round(a, 4) for a in one] for one, _ in pairs] == [[round(b, 4) for b in other] for _, other in pairs]


def read_me() -> list[str]:
    """Some hundred lines of English that are at hand."""
    return [line for line in (Path(__file__).parents[4] / "README.md").read_text("utf-8").splitlines() if line.strip()]


def test_what_is_measured_together_does_not_matter(model: Model) -> None:
    read = [model.read(text) for text in CLEAR]
    together = model.probabilities(read)
    apart = [model.probabilities([one])[0] for one in read]
    assert [[round(a, 9) for a in one] for one in together] == [[round(b, 9) for b in one] for one in apart]


def test_nothing_heavy_is_imported_before_something_is_opened() -> None:
    code = (
        "import sys; from hume_runner.services.local.measurers.language import LANGUAGE as m; m.card({}); m.schema; "
        "print('numpy' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "False"


@pytest.mark.sweep
def test_two_processes_without_and_with_numpy_tell_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    script = tmp_path / "measure.py"
    script.write_text(_MEASURE, encoding="utf-8")
    told = [
        subprocess.run(
            [sys.executable, str(script), how],
            input=json.dumps([*CLEAR, *FOREIGN]),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for how, seed in (("with", "1"), ("without", "2"))
    ]
    assert told[0] == told[1]
    assert len(json.loads(told[0])) >= len(CLEAR) + len(FOREIGN)


@pytest.mark.parametrize("text", FOREIGN)
def test_another_language_is_null_and_says_how_little_is_known(text: str) -> None:
    values = only(session("utterance"), text)
    assert values["known"] < LEAST_KNOWN
    assert set(values["goemotions"].values()) == {None}


def test_english_is_known(data: bytes) -> None:
    assert [only(session("utterance"), text)["known"] for text in CLEAR] == [1.0] * len(CLEAR)


def test_speech_in_another_language_is_null_even_if_its_words_look_known() -> None:
    spoken = heard("Come here and see me.", 0.0, language="it")
    [(_, values)] = rows(session(), spoken)
    assert values["known"] == 1.0
    assert set(values["goemotions"].values()) == {None}
    [(_, values)] = rows(session(), heard("Come here and see me.", 0.0))
    assert None not in values["goemotions"].values()


@pytest.mark.parametrize("text", ["?!", "...", "1234", " — "])
def test_what_has_no_words_is_null(text: str) -> None:
    values = only(session(), text)
    assert (values["words"], values["known"]) == (0, None)
    assert set(values["goemotions"].values()) == {None}


def test_an_empty_text_has_no_rows_by_sentence() -> None:
    assert rows(session(), Passage(text=""), Passage(text=" \n ")) == []


def test_sentences_say_where_they_lie_in_their_text() -> None:
    text = "I love it.  Dr. Lee hates it! Why?\nNobody knows"
    found = rows(session(), Passage(text="Hello."), Passage(text=text))
    assert [number for number, _ in found] == [0, 1, 1, 1, 1]
    assert [values["text"] for _, values in found[1:]] == ["I love it.", "Dr. Lee hates it!", "Why?", "Nobody knows"]
    assert all(text[one["position_begin"] : one["position_end"]] == one["text"] for _, one in found[1:])
    assert {(one["begin_s"], one["end_s"]) for _, one in found} == {(None, None)}


def test_sentences_that_were_heard_last_from_their_first_word_to_their_last() -> None:
    found = rows(session(), heard("I love it. Why do you ask?", 10.0))
    assert [(one["text"], one["begin_s"], one["end_s"]) for _, one in found] == [
        ("I love it.", 10.0, 12.5),
        ("Why do you ask?", 13.0, 16.5),
    ]


def test_without_word_times_only_a_whole_utterance_has_a_time() -> None:
    whole = Passage(text=" I love it. ", begin_s=1.0, end_s=2.0)
    halves = Passage(text="I love it. Why?", begin_s=1.0, end_s=2.0)
    assert [(one["begin_s"], one["end_s"]) for _, one in rows(session(), whole, halves)] == [
        (1.0, 2.0),
        (None, None),
        (None, None),
    ]


def test_an_utterance_is_one_row() -> None:
    found = rows(session("utterance"), heard("I love it. Why?", 3.0), Passage(text="So. Much. Fun."))
    assert [(number, one["text"], one["begin_s"], one["end_s"]) for number, one in found] == [
        (0, "I love it. Why?", 3.0, 7.0),
        (1, "So. Much. Fun.", None, None),
    ]


def test_the_whole_text_is_one_row_and_utterances_that_follow_each_other_are_one_text() -> None:
    found = rows(session("text"), Passage(text="One. Two."), heard("I love it.", 3.0), heard("Why?", 8.0))
    assert [(number, one["text"], one["begin_s"], one["end_s"]) for number, one in found] == [
        (0, "One. Two.", None, None),
        (1, "I love it.\nWhy?", 3.0, 9.0),
    ]


def test_a_long_text_is_the_mean_of_its_sentences_and_not_louder_for_being_long() -> None:
    opened = session("text")
    once = "Thank you so much for all of your kind help today."
    short, long = only(opened, once)["goemotions"], only(opened, " ".join([once] * 200))["goemotions"]
    assert long == short
    unbroken = only(opened, "thank you " * 5000)["goemotions"]
    assert all(0 <= one <= 1 for one in unbroken.values())


@pytest.mark.sweep
def test_many_passages_come_back_in_order() -> None:
    texts = [f"Number {number} is fine. Really." for number in range(1500)]
    found = rows(session(), *(Passage(text=text) for text in texts))
    assert [number for number, _ in found] == [number for number in range(1500) for _ in range(2)]
    assert all(a[0] <= b[0] for a, b in pairwise(found))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He said 3.5 is enough. OK", ["He said 3.5 is enough.", "OK"]),
        ("“Stop!” she said. (Really?) Yes", ["“Stop!”", "she said.", "(Really?)", "Yes"]),
        ("Wait... what?! No", ["Wait...", "what?!", "No"]),
        ("J. K. met Mr. Poe, i.e. him.", ["J. K. met Mr. Poe, i.e. him."]),
        ("はい。そうです", ["はい。", "そうです"]),
        ("", []),
    ],
)
def test_sentences_end_where_a_reader_ends_them(text: str, expected: list[str]) -> None:
    assert [text[begin:end] for begin, end in sentences(text)] == expected


def test_long_sentences_are_cut_between_words() -> None:
    text = "a " * 130
    assert [len(text[begin:end].split()) for begin, end in stretches(text, 60)] == [60, 60, 10]


def test_upper_case_and_drawn_out_letters_are_kept_beside_the_word() -> None:
    assert read_token("SOOOO").key == read_token("soo").key
    assert set(read_token("SOOOO").features) - set(read_token("soo").features) == {"s upper", "s long"}
    assert read_token("[NAME]").features == ()


def damaged(data: bytes) -> Iterator[tuple[str, bytes]]:
    yield "empty", b""
    yield "magic alone", data[:8]
    yield "cut short", data[: len(data) // 2]
    yield "one byte more", data + b"\0"
    yield "one bit", data[:500_000] + bytes([data[500_000] ^ 1]) + data[500_001:]
    yield "another format", b"hr-emo99" + data[8:]
    yield "something else", b"PK\x03\x04" + data
    for name, header in (
        ("no labels", b"{}"),
        ("not JSON", b"\xff{"),
        ("a list", b"[]"),
        ("other sizes", b'{"labels":["a"],"width":-1,"hidden":1e9,"features":"x"}'),
    ):
        body = struct.pack("<I", len(header)) + header
        yield name, MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def test_a_damaged_table_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "table.bin"
    refused = []
    for name, wrong in damaged(data):
        path.write_bytes(wrong)
        with pytest.raises(ValueError, match="small language model") as caught:
            LANGUAGE.open({}, {TABLE.name: path})
        assert "\n" not in str(caught.value), name
        refused.append(name)
    assert len(refused) == 11


def test_its_options_are_described() -> None:
    jsonschema.Draft202012Validator.check_schema(LANGUAGE.schema)
    validator = jsonschema.Draft202012Validator(LANGUAGE.schema)
    assert [validator.is_valid(one) for one in ({}, {"granularity": "text"}, {"granularity": "word"}, {"x": 1})] == [
        True,
        True,
        False,
        False,
    ]
    members = cast(dict[str, dict[str, object]], LANGUAGE.schema["properties"]).values()
    assert all("description" in one for one in members)


def test_a_row_has_the_columns_of_its_table() -> None:
    [layout] = LANGUAGE.layouts
    values = only(session(), "Fine.")
    assert set(values) == {column.name for column in layout.columns} | {"goemotions"}
    assert layout.families[0].names == LABELS == LANGUAGE.card({}).labels


def test_a_manifest_names_a_table_of_its_own_by_its_hash(data: bytes, tmp_path: Path) -> None:
    changed = data[:-1] + bytes([data[-1] ^ 1])
    for content, name in ((data, "same.bin"), (changed, "other.bin")):
        (tmp_path / name).write_bytes(content)
    digest = hashlib.sha256(data).hexdigest()
    options = {"table": {"url": "https://example.org/same.bin", "sha256": digest}}
    assert jsonschema.Draft202012Validator(LANGUAGE.schema).is_valid(options)
    card = LANGUAGE.card(options)
    assert card.measured_by == f"goemotions-own@1#{digest[:8]}"
    [file] = card.files
    assert (file.name, file.lies) == (f"own/{digest}", None)
    own = LANGUAGE.open(options, {file.name: tmp_path / "same.bin"})
    assert only(own, "Thank you so much!") == only(session(), "Thank you so much!")
