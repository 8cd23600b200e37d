"""Answers and output directories of our own making, with scores that anyone can compute again."""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hume_runner.results.base import JobRecord
from hume_runner.results.read import DirectoryResults

# Written out here as well: a mistake in the tables' own list must not pass unseen.
NAMES_48 = tuple(
    "Admiration,Adoration,Aesthetic Appreciation,Amusement,Anger,Anxiety,Awe,Awkwardness,Boredom,Calmness,"
    "Concentration,Confusion,Contemplation,Contempt,Contentment,Craving,Desire,Determination,Disappointment,Disgust,"
    "Distress,Doubt,Ecstasy,Embarrassment,Empathic Pain,Entrancement,Envy,Excitement,Fear,Guilt,Horror,Interest,Joy,"
    "Love,Nostalgia,Pain,Pride,Realization,Relief,Romance,Sadness,Satisfaction,Shame,Surprise (negative),"
    "Surprise (positive),Sympathy,Tiredness,Triumph".split(",")
)
NAMES_53 = tuple(sorted((*NAMES_48, "Annoyance", "Disapproval", "Enthusiasm", "Gratitude", "Sarcasm")))
TOXICITY = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")


def single(number: float) -> float:
    """`number` as a 32-bit float printed as a double, which is how a service writes scores."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def score_list(names: Sequence[str], seed: float) -> list[dict[str, Any]]:
    """Scores that differ by name and seed and wander smoothly."""
    return [
        {
            "name": name,
            "score": single(
                abs(math.sin(seed * (0.1 + i % 5 / 9) + i * i)) ** 2 * (0.05 + (i * 37 % 19 / 19) ** 3 * 0.8)
            ),
        }
        for i, name in enumerate(names)
    ]


def face_rows(count: int, seed: float = 0.0, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "frame": row * 10,
            "time": single(row / 3),
            "prob": 0.9990234375,
            "box": {"x": 10.5, "y": 20.25, "w": 100.0 + row, "h": 120.0},
            "emotions": score_list(NAMES_48, seed + row * 0.3),
            "facs": None,
            "descriptions": None,
            **more,
        }
        for row in range(count)
    ]


def prosody_rows(words: Sequence[str], seed: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "text": text,
            "time": {"begin": 0.5 + row * 2.5, "end": 2.75 + row * 2.5},
            "confidence": None if row % 2 else 0.875,
            "speaker_confidence": None,
            "emotions": score_list(NAMES_48, seed + row),
        }
        for row, text in enumerate(words)
    ]


def language_rows(words: Sequence[str], seed: float = 0.0, *, timed: bool = False) -> list[dict[str, Any]]:
    rows = []
    position = 0
    for row, text in enumerate(words):
        rows.append(
            {
                "text": text,
                "position": {"begin": position, "end": position + len(text)},
                "time": {"begin": row * 2.0, "end": row * 2.0 + 1.5} if timed else None,
                "confidence": None,
                "speaker_confidence": None,
                "emotions": score_list(NAMES_53, seed + row),
                "sentiment": [{"name": str(level), "score": single(0.02 * level)} for level in range(1, 10)],
                "toxicity": [{"name": name, "score": single(0.01 + 0.1 * i)} for i, name in enumerate(TOXICITY)],
            }
        )
        position += len(text) + 1
    return rows


def model(groups: Mapping[str, list[dict[str, Any]]], metadata: Any = None) -> dict[str, Any]:
    grouped = [{"id": name, "predictions": rows} for name, rows in groups.items()]
    return {"metadata": metadata, "grouped_predictions": grouped}


def url_element(url: str, models: Mapping[str, Any], errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    name = url.split("?", maxsplit=1)[0].rsplit("/", 1)[-1]
    predictions = [{"file": name, "file_type": "video", "models": models}] if models else []
    return {"source": {"type": "url", "url": url}, "results": {"predictions": predictions, "errors": list(errors)}}


def file_element(name: str, models: Mapping[str, Any], errors: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    source = {"type": "file", "filename": name, "content_type": None, "md5sum": "0" * 32}
    predictions = [{"file": name, "file_type": "audio", "models": models}] if models else []
    return {"source": source, "results": {"predictions": predictions, "errors": list(errors)}}


def text_element(texts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    predictions = [{"file": position, "file_type": "text", "models": models} for position, models in texts.items()]
    return {"source": {"type": "text"}, "results": {"predictions": predictions, "errors": []}}


@dataclass(kw_only=True)
class Outputs:
    """An output directory in the making, as a run leaves it."""

    directory: Path
    name: str = "sample"
    simulated: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    lines: list[dict[str, Any]] = field(default_factory=list)
    run: dict[str, Any] = field(default_factory=dict)

    def item(self, item_id: str, kind: str, source: str, **more: Any) -> None:
        outcome = {"labels": {}, "status": "done", "error": None, "job": None, "remote_id": None, "raw": []}
        line = {"schema": 1, "id": item_id, "kind": kind, "source": source, **outcome, "simulated": self.simulated}
        self.lines.append(line | more)

    def job(
        self,
        job: str,
        remote_id: str,
        answer: Sequence[Mapping[str, Any]],
        sources: Sequence[tuple[str, str, list[str]]],
    ) -> None:
        """`sources` are (kind, match, ids); a URL is written as its hash, as a run does."""
        folder = self.directory / "raw" / remote_id
        folder.mkdir(parents=True)
        (folder / "predictions.json").write_text(json.dumps(answer), encoding="utf-8")
        listed = []
        for position, (kind, match, ids) in enumerate(sources):
            entry: dict[str, Any] = {"position": position, "kind": kind, "match": match, "url_sha256": None, "ids": ids}
            if kind == "url":
                entry |= {"match": "", "url_sha256": hashlib.sha256(match.encode()).hexdigest()}
            listed.append(entry)
        request = {"schema": 1, "api": "batch-v0", "job": job, "sources": listed}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        for line in self.lines:
            if any(line["id"] in ids for _, _, ids in sources):
                line |= {"job": job, "remote_id": remote_id, "raw": [f"raw/{remote_id}/predictions.json"]}

    def write(self) -> DirectoryResults:
        self.directory.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in self.lines)
        (self.directory / "results.jsonl").write_text(lines, encoding="utf-8")
        service = {"api": "batch-v0", "endpoint": "https://api.example.org"}
        run = {
            "schema": 1,
            "name": self.name,
            "service": service,
            "simulated": self.simulated,
            "settings": self.settings,
        }
        (self.directory / "run.json").write_text(json.dumps(run | self.run), encoding="utf-8")
        return DirectoryResults(self.directory)


class WithJobs(DirectoryResults):
    """The same results, with the jobs that a state file would tell."""

    def __init__(self, directory: Path, told: Sequence[JobRecord]) -> None:
        super().__init__(directory)
        self._told = told

    def jobs(self) -> Iterator[JobRecord]:
        return iter(self._told)


WORDS = (
    "Good morning, and thank you for having me.",
    "I was not sure what to expect.",
    "Then it simply worked, the very first time!",
    "Nobody had told us about the second door.",
    "We waited, and waited, and then we laughed.",
    "I would do all of it again.",
)


def interviews(directory: Path, sources: int = 24, *, simulated: bool = True) -> WithJobs:
    """A run as people have them: videos with two faces and two speakers, recordings, texts, some failures."""
    outputs = Outputs(directory=directory, name="interviews", simulated=simulated)
    outputs.settings = {
        "models": {"face": {"fps_pred": 3}, "prosody": {}, "language": {"sentiment": {}, "toxicity": {}}}
    }
    jobs = []
    for first in range(0, sources, 8):
        number = first // 8
        answer, members = _interviews_job(outputs, range(first, min(first + 8, sources)))
        job, remote_id = f"job-{number + 1:06d}", f"0000000{number}-aaaa"
        outputs.job(job, remote_id, answer, members)
        start = 1_700_000_000.0 + number * 7
        jobs.append(
            JobRecord(
                job=job, remote_id=remote_id, status="done", sources=len(members), created_at=start,
                started_at=start + 4 + number % 3, ended_at=start + 21 + 5 * (number % 4), submitted_at=start - 1,
                fetched_at=start + 24 + 5 * (number % 4),
            )
        )  # fmt: skip
    outputs.run = {
        "started_at": "2026-11-20T09:14:03Z",
        "duration_s": 4 * 60 + 12.0,
        "run_id": "run-7",
        "bill": {"billable_seconds": None},
        "versions": {"python": "3.11"},
    }
    outputs.write()
    return WithJobs(directory, jobs)


def _interviews_job(outputs: Outputs, numbers: range) -> tuple[list[Any], list[tuple[str, str, list[str]]]]:
    answer: list[Any] = []
    members: list[tuple[str, str, list[str]]] = []
    for number in numbers:
        url = f"https://media.example.org/wave-{1 + number % 3}/participant-{number:02d}.mp4?token=SECRET"
        shown = url.split("?", maxsplit=1)[0] + "?…"
        labels = {"wave": 1 + number % 3, "site": ["Lyon", "Oslo", "Kyoto"][number % 3]}
        failed = number % 11 == 5
        more: dict[str, Any] = {"labels": labels}
        if failed:
            more |= {"status": "failed", "error": "transcript confidence below threshold value (0.31 < 0.5)"}
            more |= {"reason": "transcript_confidence"}
        outputs.item(f"p{number:02d}", "url", shown, **more)
        models = {
            "face": model({"face_0": face_rows(40, number), "face_1": face_rows(24, number + 2.5)}),
            "prosody": model({"spk_1": prosody_rows(WORDS[:3], number), "spk_0": prosody_rows(WORDS[3:], number + 4)}),
            "language": model({"spk_0": language_rows(WORDS, number, timed=True)}, {"confidence": 0.93}),
        }
        failure = [{"message": str(more.get("error")), "file": f"participant-{number:02d}.mp4"}]
        answer.append(url_element(url, {} if failed else models, failure if failed else ()))
        members.append(("url", url, [f"p{number:02d}"]))
    return answer, members
