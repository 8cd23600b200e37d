"""`ner` with its real model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hume_runner.services.local.measurers.base import Passage, TextSession, WeightFile, Word
from hume_runner.services.local.measurers.ner import LABELS, NER, WEIGHTS, parts
from tests.needed import lacking

MERKEL = "Angela Merkel flew from Berlin to Paris on Tuesday with $20 million from Siemens."


@pytest.fixture(scope="module")
def files(weights: Callable[[Sequence[WeightFile]], Mapping[str, Path]]) -> Mapping[str, Path]:
    try:
        import spacy  # noqa: F401
    except ImportError:
        lacking("spacy is not installed")
    return weights(WEIGHTS)


@pytest.fixture(scope="module")
def session(files: Mapping[str, Path]) -> TextSession:
    return NER.open({}, files)


def entities(session: TextSession, *passages: Passage | str) -> list[tuple[int, Mapping[str, Any]]]:
    given = [Passage(text=one) if isinstance(one, str) else one for one in passages]
    return [(number, row.values) for number, row in session.measure(given)]


def heard(text: str, *, from_s: float = 0.0, language: str | None = "en") -> Passage:
    """As if each word took half a second."""
    words, place = [], 0
    for number, word in enumerate(text.split()):
        place = text.index(word, place)
        begin_s = from_s + number / 2
        words.append(Word(begin_s=begin_s, end_s=begin_s + 0.4, begin=place, end=place + len(word)))
        place += len(word)
    return Passage(text=text, begin_s=from_s, end_s=words[-1].end_s, words=tuple(words), language=language)


# -- what is asked without measuring ----------------------------------------------------------------------------------


def test_asking_for_card_options_and_tables_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hume_runner.services.local.measurers.ner import NER as one\n"
        "one.card({}), one.schema, one.layouts, one.modules, one.model, one.reads\n"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'spacy')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_labels_of_the_model_can_be_asked_for() -> None:
    jsonschema.Draft202012Validator.check_schema(NER.schema)
    jsonschema.validate({"labels": ["PERSON", "GPE"]}, NER.schema)
    for wrong in ({"labels": ["JOY"]}, {"labels": []}, {"language": "de"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, NER.schema)


def test_the_card_says_which_language_and_how_good() -> None:
    card = NER.card({})
    assert card.labels == LABELS
    assert NER.card({"labels": ["PERSON"]}).labels == ("PERSON",)
    for words in ("English only", "0.843", "Not a means to make texts anonymous"):
        assert words in card.limits


# -- the weights ------------------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_the_labels_are_the_models_own(files: Mapping[str, Path]) -> None:
    meta = json.loads(files["en_core_web_sm/meta.json"].read_text())
    assert tuple(meta["labels"]["ner"]) == LABELS
    assert round(meta["performance"]["ents_f"], 3) == 0.843


@pytest.mark.sweep
def test_no_weight_is_a_pickle_or_a_module(files: Mapping[str, Path]) -> None:
    assert len(files) == len(WEIGHTS)
    for path in files.values():
        begin = path.read_bytes()[:8]
        # Pickle's protocol 2 and later begin with 0x80 and their number; the one file that has 0x80 is an empty map.
        assert begin == b"\x80" or begin[:1] != b"\x80", path
        assert path.suffix not in {".py", ".pkl", ".pickle", ".so", ".pyc"}


@pytest.mark.sweep
def test_files_that_are_not_listed_are_not_needed(files: Mapping[str, Path], tmp_path: Path) -> None:
    moved = {}
    for name, path in files.items():
        moved[name] = tmp_path / name
        moved[name].parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, moved[name])
    assert len(entities(NER.open({}, moved), MERKEL)) == 6


@pytest.mark.sweep
def test_files_that_lie_apart_are_refused(files: Mapping[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError) as refused:
        NER.open({}, {**files, "en_core_web_sm/tokenizer": tmp_path / "tokenizer"})
    assert "tokenizer does not lie in" in str(refused.value)


# -- entities ---------------------------------------------------------------------------------------------------------


def test_names_of_a_sentence_have_labels_and_places(session: TextSession) -> None:
    found = [values for _, values in entities(session, MERKEL)]
    assert [(one["text"], one["label"]) for one in found] == [
        ("Angela Merkel", "PERSON"),
        ("Berlin", "GPE"),
        ("Paris", "GPE"),
        ("Tuesday", "DATE"),
        ("$20 million", "MONEY"),
        ("Siemens", "ORG"),
    ]
    for one in found:
        assert MERKEL[one["begin"] : one["end"]] == one["text"]
        assert one["begin_s"] is None
        assert one["end_s"] is None
        assert list(one) == [column.name for column in NER.layouts[0].columns]


def test_places_count_characters_whatever_they_are(session: TextSession) -> None:
    text = f"🎉🎉 Café — {MERKEL}"
    found = [values for _, values in entities(session, text)]
    assert "Angela Merkel" in {text[one["begin"] : one["end"]] for one in found}


def test_what_was_heard_has_the_times_of_its_words(session: TextSession) -> None:
    found = {values["text"]: values for _, values in entities(session, heard(MERKEL, from_s=10))}
    assert (found["Angela Merkel"]["begin_s"], found["Angela Merkel"]["end_s"]) == (10.0, 10.9)
    assert (found["Berlin"]["begin_s"], found["Berlin"]["end_s"]) == (12.0, 12.4)
    # "Siemens." is one word of the recogniser, with its full stop.
    assert found["Siemens"]["end_s"] == pytest.approx(16.9)


def test_texts_in_another_language_are_not_read(session: TextSession) -> None:
    german = "Angela Merkel flog am Dienstag von Berlin nach Paris."
    found = entities(session, heard(german, language="de"), MERKEL, heard(MERKEL, language="en"))
    assert {number for number, _ in found} == {1, 2}
    assert "English" in NER.layouts[0].row


@pytest.mark.sweep
def test_only_the_labels_asked_for_are_rows(files: Mapping[str, Path]) -> None:
    found = entities(NER.open({"labels": ["GPE"]}, files), MERKEL)
    assert [values["text"] for _, values in found] == ["Berlin", "Paris"]


def test_passages_come_in_order_and_empty_ones_have_none(session: TextSession) -> None:
    found = entities(session, "", "   ", MERKEL, "\n", "Nothing here.", MERKEL, "x" * 500)
    assert [number for number, _ in found if number < 6] == [2] * 6 + [5] * 6


def test_half_a_character_is_no_trouble(session: TextSession) -> None:
    assert len(entities(session, f"\ud83d {MERKEL} \udc00")) == 6


@pytest.mark.sweep
def test_a_text_longer_than_the_model_can_take_is_read_in_parts(session: TextSession) -> None:
    text = f"{MERKEL} " * 1000  # 82,000 characters
    found = entities(session, text)
    assert len(found) == 6000
    assert all(text[values["begin"] : values["end"]] == values["text"] for _, values in found)


@pytest.mark.sweep
def test_words_that_were_met_once_are_forgotten(files: Mapping[str, Path]) -> None:
    session: Any = NER.open({}, files)
    entities(session, MERKEL)
    known = len(session._nlp.vocab.strings)
    found = entities(session, *(f"{MERKEL} Xq{number}z wrote to Yq{number}k." for number in range(300)))
    assert len(found) >= 6 * 300
    assert len(session._nlp.vocab.strings) == known


@pytest.mark.sweep
def test_a_text_alone_is_read_as_among_others(session: TextSession) -> None:
    texts = [MERKEL, "I met Bob in Rome.", "No one.", f"{MERKEL} " * 30, "It cost 20 dollars in May."]
    together = entities(session, *texts)
    for number, text in enumerate(texts):
        assert [values for _, values in entities(session, text)] == [
            values for one, values in together if one == number
        ]
    assert len(together) > 180


@pytest.mark.parametrize("text", ["", "a" * 95, "word " * 50, "One. Two! " * 30, "line\n" * 40, " " * 200])
def test_parts_are_the_whole_text_and_none_is_too_long(text: str) -> None:
    cut = list(parts(text, longest=20))
    assert "".join(text[begin:end] for begin, end in cut) == text
    assert all(0 < end - begin <= 20 for begin, end in cut)


def test_parts_end_where_lines_or_sentences_do() -> None:
    text = "One two three. Four five.\nSix seven. Eight nine ten"
    assert [text[begin:end] for begin, end in parts(text, longest=30)] == [
        "One two three. Four five.\n",
        "Six seven. Eight nine ten",
    ]


@pytest.mark.sweep
def test_two_processes_read_the_same_on_one_thread(files: Mapping[str, Path]) -> None:
    code = f"""
import os, sys
from pathlib import Path
from hume_runner.services.local.measurers.base import Passage
from hume_runner.services.local.measurers.ner import NER, WEIGHTS
session = NER.open({{}}, {{file.name: Path(sys.argv[1], file.name) for file in WEIGHTS}})
for number, row in session.measure([Passage(text={MERKEL!r} * n) for n in range(1, 20)]):
    print(number, dict(row.values))
print(len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
"""
    root = files["en_core_web_sm/config.cfg"].parent.parent
    runs = [
        subprocess.run(
            [sys.executable, "-c", code, root],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": "1"},  # numpy's own, which is not used
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].splitlines()[-1] == "1"
