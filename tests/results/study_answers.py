"""A study as people make them: twelve people before and after, recordings with faces, bursts and speech, and texts with
named entities. One recording failed, one is empty, one is short and one was heard badly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hume_runner.results.read import DirectoryResults
from hume_runner.services.batch_v0 import names
from tests.results.sample_answers import (
    NAMES_48,
    NAMES_53,
    Outputs,
    face_rows,
    file_element,
    language_rows,
    model,
    prosody_rows,
    score_list,
    text_element,
)

PEOPLE = 12
DESCRIPTION = "Twelve people before and after a walk"
TEXTS = {
    "t2": "Ada Lovelace wrote to Charles Babbage, and Ada Lovelace waited.",
    "t10": "A long letter that goes on " + "and on " * 30,
    "t1": "I could not be happier.",
}


def joy(person: int, wave: str) -> float:
    """What every row of a recording has: 0.3 by and large, and after the walk 0.1 more."""
    return round(0.3 + 0.01 * (person % 5) + (0.1 + 0.002 * (person % 3) if wave == "post" else 0.0), 4)


def study(directory: Path) -> DirectoryResults:
    outputs = Outputs(directory=directory, name="walk")
    outputs.run = {"description": DESCRIPTION}
    outputs.settings = {
        "models": {"face": {"facs": {}, "descriptions": {}}, "burst": {}, "prosody": {}, "language": {}}
    }
    answer: list[Any] = []
    members: list[tuple[str, str, list[str]]] = []
    for person in range(1, PEOPLE + 1):
        for wave in ("pre", "post"):
            item = f"p{person}-{wave}"
            failed = item == "p5-pre"
            more = {"status": "failed", "error": "no audio in it", "reason": "no_audio"} if failed else {}
            outputs.item(item, "file", f"media/{item}.mp4", labels={"time": wave, "group": person % 2}, **more)
            models = {} if failed or item == "p6-pre" else _models(person, wave)
            errors = [{"message": "no audio in it", "file": f"{item}.mp4"}] if failed else ()
            answer.append(file_element(f"{item}.mp4", models, errors))
            members.append(("file", f"{item}.mp4", [item]))
    texts = {}
    for position, (item, text) in enumerate(TEXTS.items(), start=1):
        outputs.item(item, "text", f"sources.text[{position - 1}] (walk.yaml:{position + 9})")
        members.append(("text", str(position), [item]))
        texts[str(position)] = {"language": model({"": language_rows(text.split(), position)}), "ner": _entities(text)}
    outputs.job("job-000001", "r1", [*answer, text_element(texts)], members)
    return outputs.write()


def _models(person: int, wave: str) -> dict[str, Any]:
    seed = person + (0.5 if wave == "post" else 0.0)
    rows = face_rows(
        2 if (person, wave) == (7, "pre") else 20,
        seed,
        facs=score_list(names.FACS, seed),
        descriptions=score_list(names.FACE_DESCRIPTIONS, seed + 1),
    )
    for row in rows:
        row["emotions"][NAMES_48.index("Joy")]["score"] = joy(person, wave)
    bursts = [
        {
            "time": {"begin": 0.5 + 2 * number, "end": 1.1 + 2 * number},
            "emotions": score_list(NAMES_48, seed + number),
            "descriptions": score_list(names.BURST_DESCRIPTIONS, seed),
        }
        for number in range(4)
    ]
    spoken = prosody_rows(["Well.", "That is that.", "And so we went."], seed)
    for row in spoken:
        row["confidence"] = 0.2 if (person, wave) == (8, "post") else 0.9
    groups = {"face": {"face_0": rows}, "burst": {"unknown": bursts}, "prosody": {"spk_0": spoken}}
    return {name: model(of) for name, of in groups.items()}


def _entities(text: str) -> dict[str, Any]:
    found = [name for name in ("Ada Lovelace", "Charles Babbage", "Ada Lovelace") if name in text]
    rows = [
        {
            "entity": name,
            "position": {"begin": 3 * place, "end": 3 * place + len(name)},
            "entity_confidence": 0.9,
            "support": 2.0,
            "uri": "http://example.org/" + name.replace(" ", "_"),
            "link_word": "wrote",
            "time": None,
            "confidence": None,
            "speaker_confidence": None,
            "emotions": score_list(NAMES_53, place),
        }
        for place, name in enumerate(found)
    ]
    return model({"": rows})
