"""`ner`: named entities of English text, by spaCy's en_core_web_sm and its own 18 labels.

Of the package's parts only the recogniser is loaded, which has its own embeddings: no tagger, parser or lemmatiser.
Its files are read as data (JSON, MessagePack, one array of numpy's format without objects): none is a pickle, none is
a module, and the folder's configuration names nothing but what spaCy itself has registered. All are known by their
hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hume_runner.services.local.measurers.base import Card, Passage, Reads, Row, TextSession
from hume_runner.services.local.measurers.catalogued import catalogued
from hume_runner.services.local.measurers.own_weights import no_weights
from hume_runner.services.signals import Signals
from hume_runner.services.table_shapes import Column, Layout

_FOLDER = "en_core_web_sm"

# What the recogniser reads: the other components of the package are left out.
WEIGHTS = catalogued(_FOLDER, "config.cfg", "meta.json", "ner/", "tokenizer", "vocab/")

LABELS = tuple(
    "CARDINAL DATE EVENT FAC GPE LANGUAGE LAW LOC MONEY NORP ORDINAL ORG PERCENT PERSON PRODUCT QUANTITY TIME "
    "WORK_OF_ART".split()
)
"""As in ner/moves; test_ner.py compares."""

# Components of the package that are not loaded: their files need not be there.
_LEFT_OUT = ("tok2vec", "tagger", "parser", "senter", "attribute_ruler", "lemmatizer")

_ENGLISH = "en"
# The recogniser's memory grows with the text: spaCy's own limit of a million characters needs gigabytes.
_LONGEST = 20_000
_BATCH = 64
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ENDS = (re.compile(r"\n\s*"), re.compile(r"[.!?]\s+"), re.compile(r"\s+"))

LAYOUT = Layout(
    name="ner",
    row="one named entity of an English text; texts that are known to be in another language are not read",
    columns=(
        Column(name="text", type="string", meaning="the entity as it stands in the text"),
        Column(
            name="label",
            type="string",
            meaning=f"what it is, by the model's own labels: {', '.join(LABELS)}",
        ),
        Column(name="begin", type="integer", meaning="its first character in the text, from 0"),
        Column(name="end", type="integer", meaning="one past its last character"),
        Column(
            name="begin_s",
            type="number",
            meaning="where its first word begins, seconds from the start; null for a text that was not heard",
        ),
        Column(
            name="end_s",
            type="number",
            meaning="where its last word ends, seconds from the start; null for a text that was not heard",
        ),
    ),
    time=("begin_s", "end_s"),
    text="text",
    signals=Signals(title="names", place=3, told=("label",), free=True),
)

_LIMITS = (
    "English only: a text whose language is known and another has no rows, which does not mean that it names nobody; a "
    "text whose language nobody told is read as English. F1 0.843 on the news, broadcasts, talks and web pages of "
    "OntoNotes 5 by its own card; best for MONEY 0.91, GPE 0.90, NORP 0.90 and PERSON 0.88, poor for EVENT 0.41, "
    "WORK_OF_ART 0.39, FAC 0.35 and PRODUCT 0.31. It has no score an entity. It knows names by how they are spelt and "
    "where they stand: worse on transcripts (no capitals, misheard names), on names from outside the English-speaking "
    "news, and it tells nobody apart who shares a name. Not a means to make texts anonymous: it misses names."
)


class NerMeasurer:
    """The measurer `ner`."""

    @property
    def model(self) -> str:
        return "ner"

    @property
    def reads(self) -> Reads:
        return "text"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        return (LAYOUT,)

    @property
    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "labels": {
                    "description": "Only these of the model's 18 labels.",
                    "type": "array",
                    "items": {"enum": list(LABELS)},
                    "minItems": 1,
                    "uniqueItems": True,
                },
                "weights": no_weights(
                    "a spaCy pipeline is a folder whose configuration names code to run, so none but the known one is "
                    "loaded"
                ),
            },
        }

    @property
    def modules(self) -> tuple[str, ...]:
        return ("spacy",)

    def card(self, options: Mapping[str, Any]) -> Card:
        return Card(
            name="en_core_web_sm",
            version="3.8.0",
            licence="MIT",
            trained_on="OntoNotes 5 (licensed by Explosion): news, conversations, talks and web pages in English",
            labels=tuple(label for label in LABELS if label in _wanted(options)),
            scale="labels without scores",
            limits=_LIMITS,
            source="https://spacy.io/models/en#en_core_web_sm",
            files=WEIGHTS,
        )

    def open(self, options: Mapping[str, Any], files: Mapping[str, Path]) -> TextSession:
        return NerSession(_wanted(options), files)


def _wanted(options: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(options.get("labels", LABELS))


class NerSession:
    """The measurer `ner` with its model loaded."""

    def __init__(self, labels: frozenset[str], files: Mapping[str, Path]) -> None:
        import spacy

        folder = files[f"{_FOLDER}/config.cfg"].parent
        for name in (one.name for one in WEIGHTS):
            if files[name] != folder / name.removeprefix(f"{_FOLDER}/"):
                raise ValueError(f"{files[name]} does not lie in {folder}, as spaCy needs it")
        self._labels = labels
        self._nlp: Any = spacy.load(folder, exclude=_LEFT_OUT)

    def measure(self, passages: Sequence[Passage]) -> Iterator[tuple[int, Row]]:
        """Entities in the order of the text."""
        read = (
            (_readable(passage.text[begin:end]), (number, begin))
            for number, passage in enumerate(passages)
            if passage.language in {None, _ENGLISH}
            for begin, end in parts(passage.text)
        )
        # Words that were met once are forgotten with the zone; without it a worker grows with every text.
        with self._nlp.memory_zone():
            found = [
                (number, entity.label_, offset + entity.start_char, offset + entity.end_char)
                for document, (number, offset) in self._nlp.pipe(read, as_tuples=True, batch_size=_BATCH)
                for entity in document.ents
                if entity.label_ in self._labels
            ]
        for number, label, begin, end in found:
            yield number, _row(passages[number], label, begin, end)


def _row(passage: Passage, label: str, begin: int, end: int) -> Row:
    words = [word for word in passage.words if word.begin < end and begin < word.end]
    return Row(
        layout=LAYOUT.name,
        values={
            "text": passage.text[begin:end],
            "label": label,
            "begin": begin,
            "end": end,
            "begin_s": words[0].begin_s if words else None,
            "end_s": words[-1].end_s if words else None,
        },
    )


def parts(text: str, longest: int = _LONGEST) -> Iterator[tuple[int, int]]:
    """Where a long text is cut: in each `longest` characters at the last new line, end of a sentence or space."""
    begin = 0
    while len(text) - begin > longest:
        cut = begin + longest
        for ending in _ENDS:
            places = [match.end() for match in ending.finditer(text, begin + longest // 2, cut)]
            if places:
                cut = places[-1]
                break
        yield begin, cut
        begin = cut
    if begin < len(text):
        yield begin, len(text)


def _readable(text: str) -> str:
    """Of the same length, without halves of characters, which spaCy cannot take."""
    return _LONE_SURROGATE.sub("\ufffd", text)


NER = NerMeasurer()
