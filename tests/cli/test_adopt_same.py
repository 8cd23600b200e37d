"""`adopt` takes the answer of the same source, however it is written, and never that of another that looks like it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hume_runner.http.retry import NO_RETRY
from hume_runner.http.transport import RequestsTransport
from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api
from tests.cli.project import JOBS, Project
from tests.emulator.api import Api
from tests.published import validator
from tests.tiers import sampled

SENTENCES = {"language": {"granularity": "sentence"}}
BY = ("file", "id")


class Elsewhere:
    """A job that another program started, and the manifest that wants its answer: by its id, or from a file."""

    def __init__(self, project: Project, by: str) -> None:
        self.project, self.by = project, by

    def adopt(self, body: dict[str, Any], wanted: dict[str, Any], models: Any = SENTENCES) -> Any:
        """Run `adopt`. `body`: what the job carried; `wanted`: the manifest's sources."""
        project = self.project
        with RequestsTransport(project.emulator.url, project.emulator.api_key, AUTH_HEADER) as transport:
            job_id = BatchV0Api(transport, NO_RETRY).start_job({"models": SENTENCES, **body}, deadline_s=30).job_id
        api = Api(project.emulator.url, project.emulator.api_key)
        assert api.ended(job_id)
        project.manifest |= {"sources": wanted, "models": models, "outputs": {"directory": "out", "report": False}}
        if self.by == "id":
            return project.call("adopt", job_id)
        path = project.folder / "predictions.json"
        path.write_text(json.dumps(api.predictions(job_id)))
        project.manifest["service"]["endpoint"] = "https://measure.invalid"
        return project.call("adopt", str(path))


@pytest.fixture(params=BY)
def elsewhere(project: Project, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    return Elsewhere(project, request.param)


@sampled(3)
@pytest.mark.parametrize(
    ("carried", "listed"),
    [
        ("https://example.com/v.mp4", "https://example.com/v.mp4?id=2"),
        ("https://example.com/v.mp4?id=1", "https://example.com/v.mp4?id=2"),
        ("https://example.com/v.mp4?id=2", "https://example.com/v.mp4"),
        ("https://example.com/v.mp4", "https://example.com/V.MP4"),
        ("https://example.com/v.mp4", "http://example.com/v.mp4"),
    ],
)
def test_another_address_is_not_adopted_however_alike_it_is(elsewhere: Elsewhere, carried: str, listed: str) -> None:
    ran = elsewhere.adopt({"urls": [carried]}, {"urls": [listed]})
    assert ran.code == 64, ran.out
    assert "carries nothing that the manifest lists" in ran.err
    assert elsewhere.project.requests()[JOBS] == 1
    assert elsewhere.project.call("status", "--json").json["items"]["pending"] == 1


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize(
    ("carried", "listed"),
    [
        ("https://example.com/v.mp4", "https://EXAMPLE.com:443/v.mp4"),
        ("https://example.com:443/%7ev%2D1.mp4?a=b", "https://example.com/~v-1.mp4?a=b"),
        ("https://example.com/M%C3%BCller.mp4", "https://example.com/Müller.mp4"),
    ],
)
def test_the_same_address_is_adopted_and_read_however_it_is_written(
    elsewhere: Elsewhere, carried: str, listed: str
) -> None:
    ran = elsewhere.adopt({"urls": [carried]}, {"urls": [listed]})
    assert ran.code == 0, ran.err
    elsewhere.project.manifest["outputs"]["tables"] = ["jsonl"]
    assert elsewhere.project.run().code == 0
    (line,) = elsewhere.project.results()
    assert line["status"] == "done"
    rows = (elsewhere.project.out / "tables" / "language.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(row)["item_id"] for row in rows} == {line["id"]}
    assert elsewhere.project.requests()[JOBS] == 1


@sampled(4)
@pytest.mark.parametrize("text", ["LEAVE ME ALONE.", "Leave me alone!", "Leave me alone", "Leave me, alone."])
def test_a_text_of_other_capitals_or_marks_is_another_text(elsewhere: Elsewhere, text: str) -> None:
    ran = elsewhere.adopt({"text": ["Leave me alone."]}, {"text": [text]})
    assert ran.code == 64, ran.out
    assert "carries nothing that the manifest lists" in ran.err


@sampled(3)
@pytest.mark.parametrize("granularity", ["word", "sentence", "conversational_turn"])
def test_a_text_is_known_in_whatever_pieces_it_was_measured(elsewhere: Elsewhere, granularity: str) -> None:
    models = {"language": {"granularity": granularity}}
    texts = ["Leave me alone.  Please!", "Is that all?\nYes."]
    ran = elsewhere.adopt({"text": texts, "models": models}, {"text": texts}, models)
    assert ran.code == 0, ran.err
    assert "with 2 items" in ran.out
    assert elsewhere.project.run().code == 0
    assert {line["status"] for line in elsewhere.project.results()} == {"done"}


def test_what_differs_is_shown_without_what_a_query_hides(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    carried, listed = "https://example.com/v.mp4", "https://example.com/v.mp4?token=abc"
    ran = Elsewhere(project, "id").adopt({"urls": [carried]}, {"urls": [listed]})
    assert "'https://example.com/v.mp4' is not 'https://example.com/v.mp4?…': list the one, or" in ran.err
    assert "abc" not in ran.err


# -- how it was measured ----------------------------------------------------------------------------------------------


TEXT = "I could not be happier. This is the best day of all."


@sampled(4)
@pytest.mark.parametrize(
    ("measured", "asked", "told"),
    [
        ({"granularity": "sentence"}, {"granularity": "word"}, "granularity"),
        ({"granularity": "sentence"}, {}, "granularity"),  # word is what nobody says
        ({"granularity": "word"}, {"granularity": "sentence"}, "granularity"),
        ({"granularity": "sentence"}, {"granularity": "conversational_turn"}, "granularity"),
        ({"granularity": "word"}, {"granularity": "word", "sentiment": {}}, "sentiment"),
        ({"granularity": "word", "toxicity": {}}, {"granularity": "word"}, "toxicity"),
    ],
)
def test_what_was_measured_with_other_options_is_refused_by_their_names(
    elsewhere: Elsewhere, measured: Any, asked: Any, told: str
) -> None:
    body = {"text": [TEXT], "models": {"language": measured}}
    ran = elsewhere.adopt(body, {"text": [TEXT]}, {"language": asked})
    assert ran.code == 64, ran.out
    assert f"(models.language.{told}: " in ran.err
    assert not list(elsewhere.project.out.glob("raw/*"))


def test_a_job_of_other_models_is_refused_by_their_names(elsewhere: Elsewhere) -> None:
    body = {"text": [TEXT], "models": {"language": {"granularity": "sentence"}, "ner": {}}}
    ran = elsewhere.adopt(body, {"text": [TEXT]}, {"language": {"granularity": "sentence"}})
    assert ran.code == 64
    assert "(models.ner: " in ran.err


def test_what_a_model_did_not_measure_is_counted_by_its_name_and_waits_on(project: Project) -> None:
    project.environ.clear()
    path = _two_of_which_one_has_bursts(project)
    ran = project.call("adopt", str(path))
    assert ran.code == 64, ran.out
    assert "models.burst: asked for, and not measured" in ran.err
    # A text has no bursts: what the model cannot touch does not miss it.
    project.manifest["sources"]["text"] = ["Hello."]
    ran = project.call("adopt", str(path))
    assert ran.code == 0, ran.err
    assert "with 1 item; without burst of 1 item, which still waits to be measured\n" in ran.out
    assert "not waited for here" not in ran.out


@pytest.mark.sweep
def test_programs_read_what_a_model_did_not_measure(project: Project) -> None:
    project.environ.clear()
    path = _two_of_which_one_has_bursts(project)
    project.manifest["sources"]["text"] = ["Hello."]
    ran = project.call("adopt", "--json", str(path))
    (adopted,) = [line for line in ran.lines if line["event"] == "adopted"]
    assert (adopted["items"], adopted["lacks"], adopted["lacking"]) == (1, 1, ["burst"])
    validator("events").validate(adopted)


def _two_of_which_one_has_bursts(project: Project) -> Path:
    body = {"models": SENTENCES, "urls": ["https://example.org/one.mp4"], "text": ["Hello."]}
    with RequestsTransport(project.emulator.url, project.emulator.api_key, AUTH_HEADER) as transport:
        job_id = BatchV0Api(transport, NO_RETRY).start_job(body, deadline_s=30).job_id
    api = Api(project.emulator.url, project.emulator.api_key)
    assert api.ended(job_id)
    project.manifest["service"]["endpoint"] = "https://measure.invalid"
    project.manifest["models"] = {**SENTENCES, "burst": {}}
    project.manifest["sources"] = {"urls": ["https://example.org/one.mp4"]}
    path = project.folder / "predictions.json"
    path.write_text(json.dumps(api.predictions(job_id)))
    return path
