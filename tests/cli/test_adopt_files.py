"""`adopt MANIFEST predictions.json`: what was downloaded once becomes results, and nobody is asked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from hume_runner import api
from hume_runner.api.adopting import adopt
from hume_runner.http.retry import NO_RETRY
from hume_runner.http.transport import RequestsTransport
from hume_runner.http.upload import Upload
from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api
from hume_runner.state.disk import Disk
from tests.cli.project import Project
from tests.cli.test_adopt import scores_of
from tests.emulator.api import Api
from tests.tiers import sampled

MODELS: dict[str, Any] = {"language": {"granularity": "sentence"}, "prosody": {}}
TEXTS = ("Goodbye.", "Hello.")


@pytest.fixture
def offline(project: Project) -> Project:
    """A project whose manifest names a host that nobody can reach, without a key."""
    project.manifest["service"]["endpoint"] = "https://measure.invalid"
    project.environ.clear()
    return project


def downloaded(project: Project, name: str, *, models: object = None, texts: Sequence[str] = TEXTS) -> Path:
    """The answer of a job with all that the manifest lists, as the old package would have saved it."""
    body = {"models": models or MODELS, "urls": ["https://example.org/one.mp4"], "text": list(texts)}
    uploads = [Upload.of(project.folder / "media" / "one.wav", filename="take-7.wav")]
    with RequestsTransport(project.emulator.url, project.emulator.api_key, AUTH_HEADER) as transport:
        job_id = BatchV0Api(transport, NO_RETRY).start_job(body, uploads, deadline_s=30).job_id
    path = project.folder / name
    api = Api(project.emulator.url, project.emulator.api_key)
    assert api.ended(job_id)
    path.write_text(json.dumps(api.predictions(job_id), indent=1))
    return path


@pytest.mark.sweep
def test_a_kept_answer_becomes_results_and_nobody_is_asked(offline: Project) -> None:
    path = downloaded(offline, "predictions.json")
    ran = offline.call("adopt", str(path))
    assert (ran.code, ran.out) == (0, f"{path}: adopted as job-000002 with 4 items\n"), ran.err
    assert "nothing of their options" in ran.err

    # Neither a key nor a host that answers: whatever is asked for would end otherwise.
    offline.manifest["outputs"]["tables"] = ["csv"]
    ran = offline.run()
    assert ran.code == 0, ran.err
    assert {line["status"] for line in offline.results()} == {"done"}
    assert "nothing to do, 4 items are measured" in ran.out + ran.err
    (raw,) = [folder for folder in (offline.out / "raw").iterdir() if folder.name.startswith("file-")]
    assert (raw / "predictions.json").read_bytes() == path.read_bytes()
    assert offline.call("verify").code == 0


@pytest.mark.sweep
def test_every_item_has_its_own_scores(project: Project) -> None:
    path = downloaded(project, "predictions.json")
    project.manifest["outputs"]["tables"] = ["csv"]
    assert project.run("--output-dir", str(project.folder / "plain")).code == 0
    project.manifest["service"]["endpoint"] = "https://measure.invalid"
    project.environ.clear()
    assert project.call("adopt", str(path)).code == 0
    assert project.run().code == 0
    scores = scores_of(project.out)
    # Nobody can know of a file whether its scores were made up.
    told = str(scores_of(project.folder / "plain"))
    assert str(scores) == told.replace("'true'", "''")
    assert len({str(rows) for rows in scores.values()}) == 3  # the recording is too short for speech


def test_what_a_later_sdk_saved_with_its_own_names_is_adopted_whole(offline: Project) -> None:
    path = downloaded(offline, "predictions.json")
    saved = json.loads(path.read_text())
    for element in saved:  # as `model_dump()` of hume 0.13 writes what it has read
        element.setdefault("error", None)
        if "md5sum" in element["source"]:
            element["source"]["md_5_sum"] = element["source"].pop("md5sum")
    path.write_text(json.dumps(saved))
    ran = offline.call("adopt", str(path))
    assert ran.code == 0, ran.err
    assert "with 4 items\n" in ran.out
    assert offline.run().code == 0
    assert {line["status"] for line in offline.results()} == {"done"}


@pytest.mark.sweep
def test_adopting_twice_changes_nothing_even_from_another_place(offline: Project) -> None:
    path = downloaded(offline, "predictions.json")
    offline.call("adopt", str(path))
    copy = path.with_name("copy of it.json")
    copy.write_bytes(path.read_bytes())
    before = offline.call("status", "--json").json
    for same in (path, copy):
        ran = offline.call("adopt", str(same))
        assert (ran.code, ran.out) == (0, f"{same}: not adopted: this state has it already\n")
    assert offline.call("status", "--json").json["items"] == before["items"]
    assert len(list((offline.out / "raw").iterdir())) == 1


@pytest.mark.sweep
def test_what_the_manifest_lists_later_comes_from_the_same_file(offline: Project) -> None:
    path = downloaded(offline, "predictions.json")
    texts = offline.manifest["sources"].pop("text")
    ran = offline.call("adopt", str(path))
    assert "with 2 items; 2 of its sources are not waited for here" in ran.out
    offline.manifest["sources"]["text"] = texts
    ran = offline.call("adopt", str(path))
    assert ran.code == 0, ran.err
    assert ": adopted as job-000002 with 4 items" in ran.out
    assert offline.run().code == 0
    assert {line["status"] for line in offline.results()} == {"done"}


@pytest.mark.parametrize(
    ("models", "kept"),
    [
        ({"language": {}, "prosody": {}, "burst": {}}, MODELS),  # the manifest wants more than was measured
        ({"language": {}}, MODELS),  # other models than the manifest has
    ],
)
def test_an_answer_of_other_models_is_refused(offline: Project, models: Any, kept: Any) -> None:
    path = downloaded(offline, "predictions.json", models=kept)
    offline.manifest["models"] = models
    offline.manifest["sources"] = {"urls": ["https://example.org/one.mp4"]}
    ran = offline.call("adopt", str(path))
    assert ran.code == 64
    assert "was measured with other models than the manifest's" in ran.err
    assert not list(offline.out.glob("raw/*"))


def test_texts_that_only_signs_tell_apart_are_each_their_own(offline: Project) -> None:
    offline.manifest["sources"] = {"text": [{"text": "Well?", "id": "asked"}, {"text": "Well!", "id": "said"}]}
    path = downloaded(offline, "predictions.json", texts=("Well!", "Well?"))
    offline.call("adopt", str(path))
    request = json.loads(next((offline.out / "raw").glob("file-*/request.json")).read_text())
    assert {source["ids"][0]: source["match"] for source in request["sources"]} == {"asked": "2", "said": "1"}


def test_texts_without_their_words_are_left_to_be_measured(offline: Project) -> None:
    path = downloaded(offline, "predictions.json", models={"ner": {}})
    offline.manifest["models"] = {"ner": {}}
    offline.manifest["sources"] = {"text": ["Hello."]}
    ran = offline.call("adopt", str(path))
    assert ran.code == 64
    assert "the words that `language` measured" in ran.err


ROWS = [{"text": "Hello.", "emotions": []}]


def of_a_text(prediction: dict[str, Any]) -> str:
    return json.dumps([{"source": {"type": "text"}, "results": {"predictions": [prediction], "errors": []}}])


@sampled(6)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (of_a_text({"file": "", "models": {"language": {"grouped_predictions": "x"}}}), "carries nothing"),
        (of_a_text({"file": "", "models": {"language": {"grouped_predictions": [7]}}}), "carries nothing"),
        (
            of_a_text({"file": 7, "models": {"language": {"grouped_predictions": [{"predictions": ROWS}]}}}),
            "carries nothing",
        ),
        ("", "is no predictions file of batch-v0"),
        ('{"predictions": []}', "is no predictions file of batch-v0"),
        ("[", "is no predictions file of batch-v0"),
        ("[]", "carries nothing that the manifest lists"),
        ('[{"source": {"type": "url", "url": "https://example.org/other.mp4"}}]', "carries nothing"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_answer_of_ours_is_refused_and_keeps_no_other_away(
    offline: Project, content: str | None, said: str
) -> None:
    good = downloaded(offline, "good.json")
    bad = offline.folder / "bad.json"
    if content is not None:
        bad.write_text(content)
    ran = offline.call("adopt", str(bad), str(good))
    assert ran.code == 64
    assert f"{bad}: " in ran.err
    assert said in ran.err
    assert "next: " in ran.err
    assert f"{good}: adopted" in ran.out


def test_another_api_takes_no_answers_from_files(offline: Project) -> None:
    path = downloaded(offline, "predictions.json")
    offline.manifest |= {"service": {"api": "local"}, "sources": {"text": ["Hello."]}, "models": {"language": {}}}
    del offline.manifest["execution"]
    ran = offline.call("adopt", str(path))
    assert ran.code == 64
    assert "local takes no answers from files" in ran.err


def test_an_answer_that_was_harmed_here_comes_back_from_its_file(offline: Project) -> None:
    path = downloaded(offline, "predictions.json")
    offline.call("adopt", str(path))
    (copy,) = offline.out.glob("raw/file-*/predictions.json")
    copy.write_text("[]")
    assert offline.call("verify").code != 0
    assert offline.call("verify", "--repair").code == 0
    assert copy.read_bytes() == path.read_bytes()
    copy.unlink()
    path.unlink()
    ran = offline.call("verify", "--repair")
    assert ran.code == 9
    assert f"{path}, from which it was adopted" in ran.err


@pytest.mark.sweep
def test_a_crash_between_is_told_and_the_same_command_takes_the_rest(offline: Project) -> None:
    class Stops(Disk):
        def make_below(self, root: Path, relative: Path) -> Path:
            raise KeyboardInterrupt

    path = downloaded(offline, "predictions.json")
    study = api.Project.open(offline.write(), machine=offline.machine(Stops()))
    with pytest.raises(KeyboardInterrupt):
        list(adopt(study, [str(path)]))
    ran = offline.run()
    assert ran.code == 9
    assert f"{path} was adopted half" in ran.err
    assert f"adopt {offline.path} {path}" in ran.err
    assert offline.call("adopt", str(path)).code == 0
    assert offline.run().code == 0
    assert {line["status"] for line in offline.results()} == {"done"}


def test_a_rehearsal_takes_it_as_made_up(offline: Project) -> None:
    path = downloaded(offline, "predictions.json")
    offline.manifest["service"]["endpoint"] = "emulator"
    assert offline.call("adopt", str(path)).code == 0
    assert offline.run().code == 0
    assert {line["simulated"] for line in offline.results()} == {True}


@pytest.mark.parametrize("name", ["loop", "loop/predictions.json"])
def test_a_link_that_leads_to_itself_is_told(offline: Project, name: str) -> None:
    (offline.folder / "loop").symlink_to("loop")
    ran = offline.call("adopt", str(offline.folder / name))
    assert ran.code == 64
    assert "cannot be read: Too many levels of symbolic links" in ran.err
    assert "next: name predictions.json files" in ran.err
