"""Output directories as a run of `local` leaves them, with rows that are made up and whose places are known."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hume_runner.results.read import DirectoryResults
from hume_runner.services.local.measurers.acoustics import ACOUSTICS
from hume_runner.services.local.measurers.face import FACE
from hume_runner.services.local.measurers.language import LANGUAGE
from hume_runner.services.local.measurers.ner import NER
from hume_runner.services.local.measurers.speech import SPEECH

Tables = Mapping[str, Sequence[Mapping[str, Any]]]
MEASURERS = (ACOUSTICS, FACE, LANGUAGE, NER, SPEECH)
MODELS: Mapping[str, Mapping[str, Any]] = {one.model: {} for one in MEASURERS}
BY = {layout.name: one.card({}).measured_by for one in MEASURERS for layout in one.layouts}
SENTENCES = ("It was the best of times.", "It was the worst of times.", "We had everything before us.")


def spoken(seconds: float, said: Sequence[str] = SENTENCES) -> dict[str, list[dict[str, Any]]]:
    """An utterance every four seconds, three of them speech: `speech`, `words`, `language`."""
    labels = LANGUAGE.layouts[0].families[0].names
    tables: dict[str, list[dict[str, Any]]] = {"speech": [], "words": [], "language": []}
    for number in range(int(seconds // 4)):
        begin, text = number * 4.0 + 0.5, said[number % len(said)]
        words = text.split()
        place = {"utterance": number, "begin_s": begin, "end_s": begin + 3, "text": text}
        tables["speech"].append(place | {"speech_rate": 2.0, "mean_word_probability": 0.9})
        for i, word in enumerate(words):
            at = {"begin_s": begin + 3 * i / len(words), "end_s": begin + 3 * (i + 0.9) / len(words)}
            tables["words"].append({"utterance": number, "text": word, "probability": 0.8} | at)
        scores = {label: round(0.02 + 0.5 * (i == number % 3), 3) for i, label in enumerate(labels)}
        tables["language"].append({"text": text, "begin_s": begin, "end_s": begin + 3, "goemotions": scores})
    return tables


def sounding(seconds: float) -> list[dict[str, Any]]:
    """A window a second; every fourth has no pitch."""
    return [
        {
            "begin_s": float(t),
            "end_s": t + 1.0,
            "momentary_lufs": -30 + 5 * math.sin(t / 3),
            **({f"pitch_{what}_hz": 120.0 + shift for what, shift in PITCH} if t % 4 < 3 else {}),
        }
        for t in range(int(seconds))
    ]


PITCH = (("min", -10), ("median", 0), ("max", 30))


def faces(seconds: float, tracks: int = 2, fps: int = 3) -> list[dict[str, Any]]:
    """So many faces side by side in each picture; in the middle third there is none."""
    return [
        {
            "time_s": picture / fps, "picture": picture, "track": track, "box_x": 100.0 * track + 10, "box_y": 40.0,
            "box_w": 80.0, "box_h": 80.0, "score": 0.9, "yaw": 5.0, "pitch": 1.0, "roll": 0.0,
        }
        for picture in range(int(seconds * fps))
        if not seconds / 3 <= picture / fps < seconds * 2 / 3
        for track in range(tracks)
    ]  # fmt: skip


def results(
    directory: Path,
    sources: Mapping[str, Tables],
    models: Mapping[str, Any] = MODELS,
    *,
    kind: str = "file",
    labels: Mapping[str, Mapping[str, Any]] | None = None,
    simulated: bool = False,
) -> DirectoryResults:
    """A run with a job for each source."""
    lines = []
    for number, (name, tables) in enumerate(sources.items(), start=1):
        folder = directory / "raw" / f"{number:08x}"
        folder.mkdir(parents=True)
        rows = {table: [{"measured_by": BY.get(table)} | dict(row) for row in of] for table, of in tables.items()}
        source = {"measured": True, "tables": rows, "errors": []}
        answer = {"format": "hume_runner local-answer-v1", "measurers": {}, "sources": [source]}
        (folder / "response.json").write_text(json.dumps(answer))
        member = {"position": 0, "kind": kind, "match": "0", "url_sha256": None, "ids": [name]}
        request = {"schema": 1, "api": "local", "job": f"job-{number:06d}", "sources": [member]}
        (folder / "request.json").write_text(json.dumps(request))
        lines.append(
            {
                "schema": 1, "id": name, "kind": kind, "source": name, "status": "done", "error": None,
                "labels": dict((labels or {}).get(name, {})),
                "job": f"job-{number:06d}", "remote_id": folder.name, "raw": [], "simulated": simulated,
            }
        )  # fmt: skip
    (directory / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    service = {"api": "local", "endpoint": None}
    run = {
        "schema": 1,
        "name": "here",
        "service": service,
        "simulated": simulated,
        "settings": {"models": dict(models)},
    }
    (directory / "run.json").write_text(json.dumps(run))
    return DirectoryResults(directory)
