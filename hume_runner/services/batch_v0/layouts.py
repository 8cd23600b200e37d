"""The tables of batch-v0: one layout a model, with columns in our words."""

from __future__ import annotations

from hume_runner.services.batch_v0 import names
from hume_runner.services.table_shapes import Column, Family, Layout

# Typically, says the service's FAQ, and a score may lie outside.
_BOUNDS = (0.0, 1.0)
_EMOTIONS = Family(prefix="emotion", words="expressions", names=names.EXPRESSIONS_48, bounds=_BOUNDS)
_EMOTIONS_53 = Family(prefix="emotion", words="expressions", names=names.EXPRESSIONS_53, bounds=_BOUNDS)

_BEGIN = Column(name="begin_s", type="number", meaning="start, in seconds from the start of the source; null for text")
_END = Column(name="end_s", type="number", meaning="end, in seconds from the start of the source; null for text")
_TEXT = Column(name="text", type="string", meaning="the words of this segment; null if nothing was transcribed")
_POSITION = (
    Column(name="position_begin", type="integer", meaning="first character of the segment in the whole text, from 0"),
    Column(name="position_end", type="integer", meaning="one past the last character of the segment"),
)
_CONFIDENCE = (
    Column(name="confidence", type="number", meaning="confidence of the transcript of this row, 0 to 1"),
    Column(name="speaker_confidence", type="number", meaning="confidence that this is the speaker, 0 to 1"),
)
_TRANSCRIPT = (
    Column(name="transcript_confidence", type="number", meaning="confidence of the whole file's transcript, 0 to 1"),
    Column(name="detected_language", type="string", meaning="language found in the whole file, as a BCP 47 tag"),
)

FACE = Layout(
    name="face",
    row="one face in one frame",
    time=("time_s", "time_s"),
    confidence=("prob",),
    columns=(
        Column(name="frame", type="integer", meaning="number of the frame in the video, from 0; 0 for an image"),
        Column(name="time_s", type="number", meaning="moment of the frame, in seconds from the start of the source"),
        Column(name="prob", type="number", meaning="probability that this is a face"),
        Column(name="box_x", type="number", meaning="left edge of the face, in pixels"),
        Column(name="box_y", type="number", meaning="top edge of the face, in pixels"),
        Column(name="box_w", type="number", meaning="width of the face, in pixels"),
        Column(name="box_h", type="number", meaning="height of the face, in pixels"),
    ),
    families=(
        _EMOTIONS,
        Family(prefix="facs", words="FACS", names=names.FACS, bounds=_BOUNDS),
        Family(prefix="description", words="descriptions", names=names.FACE_DESCRIPTIONS, bounds=_BOUNDS),
    ),
)
BURST = Layout(
    name="burst",
    row="one vocal burst",
    time=("begin_s", "end_s"),
    columns=(_BEGIN, _END),
    families=(
        _EMOTIONS,
        Family(prefix="description", words="descriptions", names=names.BURST_DESCRIPTIONS, bounds=_BOUNDS),
    ),
)
PROSODY = Layout(
    name="prosody",
    row="one stretch of speech: a word, sentence, utterance, turn or window, as the settings say",
    time=("begin_s", "end_s"),
    text="text",
    confidence=("confidence", "transcript_confidence"),
    columns=(_TEXT, _BEGIN, _END, *_CONFIDENCE, *_TRANSCRIPT),
    families=(_EMOTIONS,),
)
LANGUAGE = Layout(
    name="language",
    row="one stretch of text: a word, sentence, utterance or turn, as the settings say",
    time=("begin_s", "end_s"),
    text="text",
    confidence=("confidence", "transcript_confidence"),
    columns=(_TEXT, *_POSITION, _BEGIN, _END, *_CONFIDENCE, *_TRANSCRIPT),
    families=(
        _EMOTIONS_53,
        Family(prefix="sentiment", tells="mean level", names=names.SENTIMENT, bounds=_BOUNDS),
        Family(prefix="toxicity", tells="strongest kind", names=names.TOXICITY, bounds=_BOUNDS),
    ),
)
NER = Layout(
    name="ner",
    row="one mention of a named entity",
    time=("begin_s", "end_s"),
    text="entity",
    named=("entity", "entities"),
    confidence=("entity_confidence",),
    columns=(
        Column(name="entity", type="string", meaning="the entity, as it was recognised"),
        *_POSITION,
        Column(name="entity_confidence", type="number", meaning="confidence that this is the entity"),
        Column(name="support", type="number", meaning="how often other entities link to this one"),
        Column(name="uri", type="string", meaning="address of a page about the entity"),
        Column(name="link_word", type="string", meaning="the word that the scores belong to"),
        _BEGIN,
        _END,
        *_CONFIDENCE,
        *_TRANSCRIPT,
    ),
    families=(_EMOTIONS_53,),
)
FACEMESH = Layout(
    name="facemesh", row="one set of 478 face landmarks, as it was submitted", columns=(), families=(_EMOTIONS,)
)

LAYOUTS = (FACE, BURST, PROSODY, LANGUAGE, NER, FACEMESH)
