"""What a round must have cost and must have left, told from the service's own log and its own answers."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import md5
from itertools import product
from pathlib import Path
from typing import Any

import requests

from tests.durability.children import Nursery
from tests.durability.rounds import CHOICES, PAGES, TEXTS, URLS, Content, History, Place, models_of, pool
from tests.durability.service import ServiceProcess
from tests.expression.runs import Folder, from_service
from tests.media_files import picture, picture_bytes, speech, write_wav

Touching = tuple[Content, tuple[tuple[str, Any], ...]]


def touching(content: Content, settings: Mapping[str, Any]) -> Touching:
    """The content with those settings that change what is measured of it."""
    names = {
        "text": ["granularity"],
        "file": ["granularity"],
        "url": ["granularity", "fps_pred"],
        "wav": ["timer_ms"],
        "jpg": ["threshold"],
    }[content.kind]
    return content, tuple((name, settings[name]) for name in names)


def make_media(folder: Path) -> Path:
    """Four recordings and four pictures, as files."""
    folder.mkdir(parents=True)
    for number in range(4):
        write_wav(folder / f"{number}.wav", speech([("speech", 0.8), ("pause", 0.4)], seed=number))
        (folder / f"{number}.jpg").write_bytes(picture_bytes(picture(seed=number)))
    return folder


def all_settings(api: Any) -> Iterator[dict[str, Any]]:
    names = list(CHOICES[api])
    for values in product(*CHOICES[api].values()):
        yield dict(zip(names, values, strict=True))


class Answers:
    """The scores of every content under all settings, asked of the service one by one; and what its log names."""

    def __init__(self, service: ServiceProcess, nursery: Nursery, media: Path, folder: Path) -> None:
        self.scores: dict[Touching, list[float]] = {}
        self.prepared: dict[str, Content] = {}  # SHA-256 of what is uploaded on expression-v1
        self._files = {md5(page.encode(), usedforsecurity=False).hexdigest(): n for n, page in enumerate(PAGES)}
        self._batch(service)
        self._expression(service, nursery, media, folder)

    def _batch(self, service: ServiceProcess) -> None:
        headers = {"X-Hume-Api-Key": service.new_key()}
        jobs = f"{service.url}/v0/batch/jobs"
        sent: dict[str, Touching] = {}
        for settings in all_settings("batch-v0"):
            for content in pool("batch-v0"):
                key = touching(content, settings)
                if key in sent.values():
                    continue
                body: dict[str, Any] = {"models": models_of("batch-v0", settings)}
                if content.kind == "file":
                    parts = {
                        "json": (None, json.dumps(body), "application/json"),
                        "file": ("page.txt", PAGES[content.number].encode(), "text/plain"),
                    }
                    answer = requests.post(jobs, headers=headers, files=parts, timeout=10)
                else:
                    body |= (
                        {"text": [TEXTS[content.number]]}
                        if content.kind == "text"
                        else {"urls": [URLS[content.number]]}
                    )
                    answer = requests.post(jobs, headers=headers, json=body, timeout=10)
                sent[answer.json()["job_id"]] = key
        for job, key in sent.items():
            deadline = time.monotonic() + 30
            while requests.get(f"{jobs}/{job}", headers=headers, timeout=10).json()["state"]["status"] != "COMPLETED":
                assert time.monotonic() < deadline
                time.sleep(0.02)
            found = requests.get(f"{jobs}/{job}/predictions", headers=headers, timeout=10).json()
            self.scores[key] = sorted(_emotions(found))

    def _expression(self, service: ServiceProcess, nursery: Nursery, media: Path, folder: Path) -> None:
        for number, settings in enumerate(all_settings("expression-v1")):
            place = Folder(path=folder / str(number), url=service.url, key=service.new_key())
            place.write(
                {"files": [{"path": str(path), "id": path.name} for path in sorted(media.iterdir())]},
                models=models_of("expression-v1", settings),
                batching={"max_sources": 1},
            )
            argv = ["run", str(place.manifest), "--no-progress"]
            [code] = nursery.run([{"argv": argv, "key": "", "out": str(place.path / "run")}])
            assert code == 0, (place.path / "run.stderr").read_text()
            runs = {run["run_id"]: run for run in from_service(service.url, "/_emulator/runs")}
            for request, answer in place.raw():
                [source] = request["sources"]
                name, _, kind = source["ids"][0].partition(".")
                content = Content(kind, int(name))  # type: ignore[arg-type]
                [file] = runs[answer["run_id"]]["files"]
                self.prepared[file["sha256"]] = content
                self.scores[touching(content, settings)] = sorted(_probabilities(answer))

    def paid(self, history: History, log: Sequence[Mapping[str, Any]]) -> Counter[Touching]:
        """How often each content was accepted for this history's key, at one service."""
        found: Counter[Touching] = Counter()
        for entry in log:
            if history.api == "batch-v0":
                models = entry["settings"]
                settings = {
                    "granularity": models["language"]["granularity"],
                    "fps_pred": int(models["face"]["fps_pred"]),
                }
                contents = [Content("url", URLS.index(url)) for url in entry["urls"]]
                contents += [Content("text", TEXTS.index(text)) for text in entry["text"]]
                contents += [Content("file", self._files[file["md5sum"]]) for file in entry["files"]]
            else:
                config = entry["config"]
                settings = {
                    "timer_ms": config.get("measurement_timer_ms"),
                    "threshold": config.get("face", {}).get("threshold"),
                }
                contents = [self.prepared[file["sha256"]] for file in entry["files"]]
            found.update(touching(content, settings) for content in contents)
        return found


def _emotions(value: Any) -> Iterator[float]:
    """Every score of a list called `emotions`, wherever it is."""
    if isinstance(value, list):
        for one in value:
            yield from _emotions(one)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name == "emotions":
                yield from (one["score"] for one in member)
            else:
                yield from _emotions(member)


def _probabilities(value: Any) -> Iterator[float]:
    if isinstance(value, list):
        for one in value:
            yield from _probabilities(one)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name == "expressions":
                yield from (one["probability"] for one in member)
            else:
                yield from _probabilities(member)


def known_ids(state: Path) -> tuple[set[str], set[str]]:
    """Remote ids that a state names, and those that it reports as paid for twice."""
    try:
        db = sqlite3.connect(f"file:{state}?mode=ro", uri=True)
        try:
            named = {remote for (remote,) in db.execute("SELECT remote_id FROM jobs WHERE remote_id IS NOT NULL")}
            doubled = {remote for (remote,) in db.execute("SELECT remote_id FROM duplicates")}
        finally:
            db.close()
    except sqlite3.DatabaseError:  # killed before there was anything in it
        return set(), set()
    return named, doubled


def logs(service: ServiceProcess) -> dict[str, list[dict[str, Any]]]:
    """What was accepted and measured, by owner of the key (batch-v0) or user (expression-v1)."""
    found: dict[str, list[dict[str, Any]]] = {}
    for job in service.log():
        found.setdefault(job["owner"], []).append(job)
    for run in from_service(service.url, "/_emulator/runs"):
        if run["status"] == "ended":
            found.setdefault(run["user_id"], []).append(run)
    return found


def rows_of(place: Place, directory: str, api: str) -> dict[str, list[float]]:
    """The scores of each item's rows."""
    found: dict[str, list[float]] = {}
    names = ("language", "face") if api == "batch-v0" else ("audio_scores", "video_scores")
    for name in names:
        path = place.path / directory / "tables" / f"{name}.jsonl"
        for line in path.read_text().splitlines() if path.exists() else ():
            row = json.loads(line)
            scores = found.setdefault(row["item_id"], [])
            if api == "batch-v0":
                scores += [value for name, value in row.items() if name.startswith("emotion_") and value is not None]
            elif row["family"] == "expression":
                scores.append(row["score"])
    return {name: sorted(scores) for name, scores in found.items()}


def wrong_outputs(history: History, place: Place, answers: Answers) -> Iterator[str]:
    """What is wrong with the results of a finished place, in words."""
    results = place.path / history.wanted.directory / "results.jsonl"
    lines = {line["id"]: line for line in map(json.loads, results.read_text().splitlines())}
    rows = rows_of(place, history.wanted.directory, history.api)
    wanted = dict(history.wanted.sources)
    if lines.keys() != wanted.keys():
        yield f"results.jsonl has {sorted(lines)}, the manifest {sorted(wanted)}"
    for name, content in wanted.items():
        if name not in lines:
            continue
        if lines[name]["status"] != "done":
            yield f"{name} is {lines[name]['status']}: {lines[name]['error']}"
            continue
        expected = answers.scores[touching(content, dict(history.wanted.settings))]
        if rows.get(name, []) != expected:
            owner = [key for key, scores in answers.scores.items() if scores == rows.get(name)]
            number = len(rows.get(name, []))
            yield f"{name} ({content.kind}{content.number}) has {number} scores, of {owner or 'nobody'}"
        if lines[name]["labels"] != {"wave": history.wanted.label}:
            yield f"{name} has the labels {lines[name]['labels']}"


Log = Mapping[str, Sequence[Mapping[str, Any]]]


def entries_of(history: History, log: Log) -> dict[str, Mapping[str, Any]]:
    """What one service accepted for this history's key, by remote id."""
    owner, name = (history.owner, "job_id") if history.api == "batch-v0" else (history.user, "run_id")
    return {entry[name]: entry for entry in log.get(owner, ())}


def paid_again(history: History, answers: Answers, before: Log, after: Log) -> Counter[Touching]:
    """What was paid for between two logs although it had been before, and how often."""
    had = answers.paid(history, list(entries_of(history, before).values()))
    has = answers.paid(history, list(entries_of(history, after).values()))
    return has - Counter({key: max(1, had[key]) for key in has})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What is wrong with what one service was paid for, in words. `repacked`: paid twice where nobody could know."""

    lost: list[str]
    twice: list[str]
    repacked: list[str]


def wrong_bill(history: History, answers: Answers, log: Log) -> Bill:
    """Each host is judged by itself: the same content at two of them was measured twice because two were asked. What
    was accepted before a state went away need be in no state: only that it is not paid for again.

    Where answers come once, a lost state's runs are told by their size alone, compared with the requests that are about
    to be sent. Pictures that went with others then, and are packed another way now, are not known again: what the
    others were may not be in the manifest any more, and what those that still are will weigh is known only once they
    are prepared, when the first of them is sent already. So as many payments as there are different packings of it, in
    a round that lost a state or has a copy that never had the other's, are counted apart (`repacked`); more than that
    are paid twice.
    """
    entries = entries_of(history, log)
    lost = []
    for remote in sorted(entries.keys() - history.seen - history.reported - history.excused):
        contents = answers.paid(history, [entries[remote]])
        if not contents.keys() & history.agreed.keys():  # else a person was asked about it
            lost.append(f"{remote} is in no state: {list(contents)}")
    honest = [answers.paid(history, [entry]) for remote, entry in entries.items() if remote not in history.reported]
    twice, repacked = [], []
    for key in dict.fromkeys(key for request in honest for key in request):
        requests_with = Counter(frozenset(request) for request in honest if key in request)
        paid = requests_with.total() - history.agreed[key]
        apart = bool(history.excused) or len(history.places) > 1
        unknowable = history.api == "expression-v1" and apart and key[0].kind == "jpg"
        if paid > 1:
            (repacked if unknowable and paid <= len(requests_with) else twice).append(
                f"{key} in {[len(request) for request in requests_with.elements()]}"
            )
    return Bill(lost=lost, twice=twice, repacked=repacked)
