"""`speech`: where there is voice, what is said when, and from that pace, pauses and turns.

Silero VAD finds the voice and Whisper (Radford et al. 2022, https://arxiv.org/abs/2212.04356), run by faster-whisper,
hears what it found and nothing else. The same sound gives the same rows: one beam search at temperature 0, no prompt
from what came before, one thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.services.local.measurers.base import SOUND_RATE_HZ, Card, Fault, Reads, Row, Sound
from hume_runner.services.local.measurers.own_weights import LICENCE, TRAINED_ON
from hume_runner.services.local.measurers.spoken import Heard, Utterance, spoken
from hume_runner.services.local.measurers.voice import Detector, Pack, fitted, packs, voiced
from hume_runner.services.local.measurers.whisper_languages import ENGLISH_ALONE, language_caution, language_fault
from hume_runner.services.local.measurers.whisper_weights import DEFAULT, NAMES, OWN_SCHEMA, VOICE, whisper_of
from hume_runner.services.signals import Signals
from hume_runner.services.table_shapes import Column, Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TURN_PAUSE_S = 1.0
BEAM_SIZE = 5
# What the model has left to hear of a pack when it stopped early, and which is too short to be a word of its own:
# silence that was left around voice, of which Whisper makes thanks to the audience.
_REST = SOUND_RATE_HZ

_TRAINED = {"large-v3": ", and four million more that its predecessor transcribed"}

SPEECH_LAYOUT = Layout(
    name="speech",
    row="one utterance: a sentence, or what is said between two pauses",
    time=("begin_s", "end_s"),
    text="text",
    confidence=("mean_word_probability",),
    unsure="so that it was hardly said like this (noise, or another language), and what reads it goes astray",
    signals=Signals(title="speech", place=1, told=("speech_rate", "mean_word_probability")),
    columns=(
        Column(name="utterance", type="integer", meaning="number of the utterance within the source, from 0"),
        Column(
            name="begin_s",
            type="number",
            meaning="start of its first word, in seconds from the start of the source; right to about 0.2 s",
        ),
        Column(name="end_s", type="number", meaning="end of its last word, in seconds"),
        Column(name="text", type="string", meaning="what was heard"),
        Column(
            name="language",
            type="string",
            meaning="language that it was heard as, by Whisper's code (mostly ISO 639-1): one for minutes of sound; "
            "null where the model knows English only, and writes English whatever is said",
        ),
        Column(
            name="language_probability",
            type="number",
            meaning="probability of that language, 0 to 1, by the first half minute of voice; null where the language "
            "was given or the model knows one only",
        ),
        Column(
            name="words",
            type="integer",
            meaning="how many words it has; in scripts without spaces, how many parts",
            joined="sum",
        ),
        Column(
            name="speaking_s",
            type="number",
            meaning="seconds of voice from begin_s to end_s: pauses are left out",
            joined="sum",
        ),
        Column(
            name="speech_rate",
            type="number",
            meaning="words a second of voice: words / speaking_s; null where there is less than 0.1 s of voice",
        ),
        Column(
            name="pause_before_s",
            type="number",
            meaning="seconds since the end of the utterance before; null for the first, also where a long recording "
            "was cut in a pause",
            joined="first",
        ),
        Column(
            name="turn",
            type="integer",
            meaning="number of the turn, from 0: a turn ends with a pause longer than `turn_pause`. Who speaks is not "
            "told apart",
        ),
        Column(
            name="mean_word_probability",
            type="number",
            meaning="mean probability of its words as the model sees them, 0 to 1; not calibrated",
        ),
        Column(
            name="no_speech_probability",
            type="number",
            meaning="the model's probability that there is no speech in the half minute that it heard this in, 0 to 1",
        ),
        Column(
            name="mean_log_probability",
            type="number",
            meaning="mean natural logarithm of the probabilities of the tokens of that half minute, at most 0; "
            "below -1 Whisper's authors call it failed",
        ),
        Column(
            name="compression_ratio",
            type="number",
            meaning="bytes of that half minute's text / bytes of it compressed; above 2.4 it repeats itself, as it "
            "does where the model got stuck",
        ),
    ),
)
WORDS_LAYOUT = Layout(
    name="words",
    row="one word of an utterance",
    time=("begin_s", "end_s"),
    text="text",
    signals=Signals(title="words", place=2, told=("probability",), whole=True, free=True),
    columns=(
        Column(name="utterance", type="integer", meaning="number of its utterance within the source, from 0"),
        Column(name="begin_s", type="number", meaning="start, in seconds from the start of the source"),
        Column(name="end_s", type="number", meaning="end, in seconds"),
        Column(name="text", type="string", meaning="the word with its punctuation"),
        Column(name="probability", type="number", meaning="probability as the model sees it, 0 to 1; not calibrated"),
        Column(name="position_begin", type="integer", meaning="its first character in the utterance's text, from 0"),
        Column(name="position_end", type="integer", meaning="one past its last character"),
    ),
)


class _Speech:
    model = "speech"
    reads: Reads = "sound"
    layouts = (SPEECH_LAYOUT, WORDS_LAYOUT)
    modules = ("numpy", "faster_whisper", "onnxruntime")

    @property
    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "description": "Voice activity and a transcript with the times of words, pauses and rate.",
            "additionalProperties": False,
            "properties": {
                "model": {
                    "enum": list(NAMES),
                    "default": DEFAULT,
                    "description": "Which Whisper hears. `.en` knows English only; larger ones err less and cost more.",
                },
                "weights": OWN_SCHEMA,
                "language": {
                    "type": "string",
                    "pattern": "^[a-z]{2,3}$",
                    "x-says": "the code of a language",
                    "x-next": "for example de",
                    "description": "Language that is spoken, such as de. Without it, the first half minute of voice "
                    "decides. A model that ends in `.en` knows en alone.",
                },
                "beam_size": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 10,
                    "default": BEAM_SIZE,
                    "description": "How many transcripts are weighed at a time. 1 is a seventh quicker and errs more.",
                },
                "turn_pause": {
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 60,
                    "default": TURN_PAUSE_S,
                    "description": "Seconds of pause after which a new turn begins.",
                },
            },
        }

    def card(self, options: Mapping[str, Any]) -> Card:
        whisper = whisper_of(options)
        trained = (
            TRAINED_ON
            if whisper.is_own
            else "Whisper: 680,000 hours of sound from the internet with transcripts"
            + _TRAINED.get(whisper.name, ", of which the English two thirds were used" * bool(whisper.english_only))
            + "; not published"
        )
        return Card(
            name=f"whisper-{whisper.name}",
            version="1",
            licence=f"{LICENCE}; MIT (Silero VAD)"
            if whisper.is_own
            else "MIT (Whisper by OpenAI, converted by Systran; Silero VAD)",
            trained_on=f"{trained}. Silero VAD: speech and noise in many languages; not published.",
            scale="text; times in seconds; probabilities from 0 to 1, not calibrated; rate in words a second of voice",
            limits=(f"K{ENGLISH_ALONE[1:]}. " if whisper.english_only else "")
            + "Writes fluent text where it heard wrong: dialects, noise, speech of children, names and numbers suffer "
            "most. Leaves out fillers and false starts. Word times are right to about 0.2 s. Does not tell "
            "speakers apart; where two speak at once it hears one. Says nothing about what a person feels.",
            source="https://arxiv.org/abs/2212.04356",
            files=(*whisper.weights, VOICE),
        )

    def caution(self, options: Mapping[str, Any]) -> str | None:
        """See `Measurer`: a language that is taken for English."""
        return language_caution(options)

    def fault(self, options: Mapping[str, Any]) -> Fault | None:
        """See `Measurer`: a language that the model does not know."""
        return language_fault(options)

    def open(self, options: Mapping[str, Any], files: Mapping[str, Path]) -> _Session:
        """Raises: OSError, ValueError for weights that cannot be used, or a language that they do not know."""
        return _Session(options, files)


SPEECH = _Speech()


class _Session:
    """Detector and recogniser, loaded."""

    def __init__(self, options: Mapping[str, Any], files: Mapping[str, Path]) -> None:
        from faster_whisper import WhisperModel

        whisper = whisper_of(options)
        self._detector = Detector(files[VOICE.name])
        with whisper.folder(files) as folder:
            try:
                self._model = WhisperModel(
                    str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
                )
            except RuntimeError as error:  # what CTranslate2 has for a file that it cannot read
                raise ValueError(f"whisper-{whisper.name} in {folder}: {error}") from error
        english = whisper.english_only if whisper.english_only is not None else not self._model.model.is_multilingual
        self._language: str | None = options.get("language", "en" if english else None)
        if self._language is not None and self._language not in self._model.supported_languages:
            raise ValueError(f"whisper-{whisper.name} does not know the language {self._language!r}")
        self._beam_size = int(options.get("beam_size", BEAM_SIZE))
        self._turn_pause_s = float(options.get("turn_pause", TURN_PAUSE_S))

    def measure(self, sound: Sound) -> Iterator[Row]:
        """For each utterance its row, and the rows of its words."""
        import numpy as np

        samples = np.nan_to_num(sound.samples, nan=0.0, posinf=1.0, neginf=-1.0)
        probabilities = self._detector(samples)
        voice = voiced(probabilities, len(samples))
        language, likelihood = self._language, None
        words: list[Heard] = []
        for pack in packs(voice, probabilities, len(samples)):
            heard = np.concatenate([samples[span.begin : span.end] for span in pack.spans])
            if language is None:
                language, likelihood, _ = self._model.detect_language(heard)
            words += self._hear(heard, pack, language)
        times = fitted([(word.begin_s, word.end_s) for word in words], voice)
        words = [
            replace(word, begin_s=begin_s, end_s=end_s) for word, (begin_s, end_s) in zip(words, times, strict=True)
        ]
        for utterance in spoken(words, voice, self._turn_pause_s):
            yield _row(utterance, language, likelihood)
            yield from _word_rows(utterance)

    def _hear(self, heard: NDArray[np.float32], pack: Pack, language: str) -> Iterator[Heard]:
        segments, _ = self._model.transcribe(
            heard,
            language=language,
            beam_size=self._beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=False,
        )
        for segment in segments:
            if segment.seek and len(heard) - segment.seek * SOUND_RATE_HZ // 100 < _REST:
                return
            said = [word for word in segment.words or () if word.word.strip()]
            for word in said:
                begin_s, end_s = pack.placed(float(word.start), float(word.end))
                yield Heard(
                    text=word.word,
                    begin_s=begin_s,
                    end_s=end_s,
                    probability=float(word.probability),
                    no_speech=float(segment.no_speech_prob),
                    log_probability=float(segment.avg_logprob),
                    compression=float(segment.compression_ratio),
                    closes=word is said[-1],
                )


def _row(one: Utterance, language: str | None, likelihood: float | None) -> Row:
    rate, pause = one.rate, one.pause_before_s
    return Row(
        layout=SPEECH_LAYOUT.name,
        values={
            "utterance": one.number,
            "begin_s": round(one.begin_s, 3),
            "end_s": round(one.end_s, 3),
            "text": one.text,
            "language": language,
            "language_probability": None if likelihood is None else round(float(likelihood), 4),
            "words": len(one.words),
            "speaking_s": round(one.speaking_s, 3),
            "speech_rate": None if rate is None else round(rate, 3),
            "pause_before_s": None if pause is None else round(pause, 3),
            "turn": one.turn,
            "mean_word_probability": _mean([word.probability for word in one.words]),
            "no_speech_probability": _mean([word.no_speech for word in one.words]),
            "mean_log_probability": _mean([word.log_probability for word in one.words]),
            "compression_ratio": _mean([word.compression for word in one.words]),
        },
    )


def _mean(values: Sequence[float]) -> float:
    """Of an utterance that began in one window and ended in the next, as many words as each has."""
    return round(sum(values) / len(values), 4)


def _word_rows(one: Utterance) -> Iterator[Row]:
    for word, (begin, end) in zip(one.words, one.places, strict=True):
        yield Row(
            layout=WORDS_LAYOUT.name,
            values={
                "utterance": one.number,
                "begin_s": round(word.begin_s, 3),
                "end_s": round(word.end_s, 3),
                "text": word.text.strip(),
                "probability": round(word.probability, 4),
                "position_begin": begin,
                "position_end": end,
            },
        )
