from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hume_runner.errors import ManifestError, UsageError
from hume_runner.manifest.load import examine, load_manifest
from hume_runner.manifest.model import ApiKey, FailureBudget
from tests.manifest.writing import HEAD, write
from tests.tiers import examples

EVERYTHING = """\
version: 1
name: interviews
description: Pilot interviews, wave 2
service:
  api: batch-v0
  endpoint: emulator
  api_key: {env: HUME_API_KEY}
  limits: {upload_bytes: 100MB, sources_per_job: 100}
  timeout: 1500ms
sources:
  urls:
    - https://example.org/a.mp4
    - {url: https://example.org/b.mp4, id: b, labels: {wave: 2}}
    - {from: lists/urls.csv, column: url}
  files:
    - media/**/*.wav
    - {path: media/intro.mp4, id: intro}
  text:
    - I could not be happier.
    - {text: "Leave me alone.", id: t2}
    - {from: lines.txt}
models:
  face: {fps_pred: 3, prob_threshold: 0.99, identify_faces: true, min_face_size: 60, facs: {}, descriptions: {}}
  burst: {}
  prosody: {granularity: utterance, identify_speakers: true, window: {length: 4, step: 1}}
  language: {granularity: word, identify_speakers: true, sentiment: {}, toxicity: {}}
  ner: {identify_speakers: true}
  facemesh: {}
transcription: {language: "no", identify_speakers: false, confidence_threshold: 0.5}
notify: {email: true, callback_url: "https://example.org/hook"}
batching: {max_sources: 100, max_bytes: 1.5MiB, pack_short_audio: false}
execution:
  max_jobs_in_flight: 50
  transfer_workers: 8
  requests_per_second: 20
  job_timeout: 6h
  retry: {attempts: 5, max_wait: 60s}
  max_failures: 5%
  max_billable_seconds: null
  on_lost_answer: resubmit
outputs: {directory: results/interviews, artifacts: true, tables: [parquet], report: true}
"""

EXPRESSION = """\
version: 1
name: v1
service: {api: expression-v1, allow_hosts: [localhost, "[::1]"], api_key: {file: keys/hume}}
sources: {urls: ["https://example.org/a.mp4"]}
models:
  audio: {measurement_timer_ms: 3000}
  video: {face: {threshold: 0.9, min_size: 60}, fps: 3, max_width: 1280, track_faces: true}
notify: {callback_url: "http://localhost:9/hook", callback_secret: {env: HOOK}}
batching: {pack_short_audio: true}
execution: {max_billable_seconds: 90, on_lost_answer: stop, max_failures: 3}
"""


def loaded(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_member_of_a_batch_manifest_arrives(tmp_path: Path) -> None:
    path = loaded(tmp_path, EVERYTHING)
    manifest = load_manifest(path)
    assert manifest.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (manifest.name, manifest.description) == ("interviews", "Pilot interviews, wave 2")
    assert manifest.service.timeout_s == 1.5
    assert manifest.service.limits.upload_bytes == 100_000_000
    assert [entry.kind for entry in manifest.sources] == ["url"] * 3 + ["file"] * 2 + ["text"] * 3
    assert manifest.sources[1].labels == {"wave": 2}
    assert manifest.sources[2].listing == tmp_path / "lists/urls.csv"
    assert manifest.settings["models"]["prosody"]["window"] == {"length": 4, "step": 1}
    assert manifest.settings["transcription"]["language"] == "no"
    assert manifest.batching.max_bytes == 1_572_864
    assert manifest.execution.job_timeout_s == 21_600
    assert manifest.execution.max_failures == FailureBudget(share=0.05)
    assert manifest.outputs.directory == tmp_path / "results/interviews"
    assert manifest.outputs.tables == ("parquet",)
    assert manifest.notify.email is True


def test_every_member_of_an_expression_manifest_arrives(tmp_path: Path) -> None:
    manifest = load_manifest(loaded(tmp_path, EXPRESSION))
    assert manifest.service.allow_hosts == ("localhost", "::1")
    assert manifest.service.api_key == ApiKey(file=tmp_path / "keys/hume")
    assert manifest.notify.callback_secret == ApiKey(env="HOOK")
    assert manifest.batching.max_bytes == 24_900_000
    assert manifest.execution.max_billable_seconds == 90
    assert manifest.execution.on_lost_answer == "stop"
    assert manifest.execution.max_failures == FailureBudget(count=3)
    assert manifest.settings["models"]["video"]["face"] == {"threshold": 0.9, "min_size": 60}


def test_defaults_are_filled_in_outside_the_models(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, "{text: [Hello.]}"))
    assert manifest.service.api_key == ApiKey(env="HUME_API_KEY")
    assert manifest.settings == {"models": {"face": {}}}
    assert (manifest.batching.max_sources, manifest.batching.max_bytes) == (100, 100_000_000)
    assert manifest.execution.max_failures == FailureBudget()
    assert manifest.outputs.directory == tmp_path / "results/trial"


def test_transcription_off_differs_from_transcription_left_out(tmp_path: Path) -> None:
    manifest = load_manifest(write(tmp_path, "{text: [Hello.]}", head=HEAD + "transcription: null\n"))
    assert manifest.settings["transcription"] is None


def test_raised_limits_raise_the_defaults_of_batching(tmp_path: Path) -> None:
    head = HEAD.replace("endpoint: emulator", "limits: {upload_bytes: 3GB, sources_per_job: 250}")
    manifest = load_manifest(write(tmp_path, "{text: [Hello.]}", head=head))
    assert (manifest.batching.max_sources, manifest.batching.max_bytes) == (250, 3_000_000_000)


def test_the_command_line_wins_over_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, "{text: [Hello.]}")
    manifest = load_manifest(path, output_dir=Path("elsewhere"), endpoint="http://127.0.0.1:8000/")
    assert manifest.outputs.directory == tmp_path / "elsewhere"
    assert manifest.service.endpoint == "http://127.0.0.1:8000"


@pytest.mark.parametrize("endpoint", ["http://example.org", "example.org", "https://h/?token=canary", "ftp://h"])
def test_an_endpoint_on_the_command_line_is_held_to_the_same_rules(tmp_path: Path, endpoint: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_manifest(write(tmp_path, "{text: [Hello.]}"), endpoint=endpoint)
    assert "canary" not in str(caught.value)


def test_every_member_can_be_found_again_for_later_messages(tmp_path: Path) -> None:
    manifest = load_manifest(loaded(tmp_path, EVERYTHING))
    place = manifest.source_of["execution.retry.max_wait"]
    assert (place.line, place.path) == (37, "execution.retry.max_wait")
    assert EVERYTHING.splitlines()[place.line - 1][place.column - 1 :].startswith("60s")


def test_a_missing_manifest_a_folder_and_one_that_may_not_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="there is no such file"):
        load_manifest(tmp_path / "absent.yaml")
    with pytest.raises(ManifestError, match="is a folder"):
        load_manifest(tmp_path)
    with pytest.raises(ManifestError, match="cannot be read"):
        load_manifest(tmp_path / ("x" * 300))


@pytest.mark.parametrize(
    ("run", "hint"),
    [
        (None, "hume-runner init {} writes a manifest for it"),
        ('{"manifest": {"path": "PATH"}}', "name the manifest that made them: PATH"),
        ('{"manifest": {"path": "/nowhere/m.yaml"}}', "name the manifest that made them: its name is in run.json"),
        ('{"manifest": {"path": 3}}', "name the manifest that made them: its name is in run.json"),
        ("[" * 100_000, "name the manifest that made them: its name is in run.json"),
    ],
)
def test_who_names_the_outputs_of_a_run_is_told_of_its_manifest(tmp_path: Path, run: str | None, hint: str) -> None:
    """Not of `init`, which would have the answers measured."""
    made_by = tmp_path / "m.yaml"
    made_by.touch()
    outputs = tmp_path / "results"
    outputs.mkdir()
    if run is not None:
        (outputs / "run.json").write_text(run.replace("PATH", str(made_by)))
    (problem,) = examine(outputs).problems
    assert problem.hint == hint.replace("PATH", str(made_by)).format(outputs)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("results/x", "check the name; a manifest is a YAML file"),
        ("other.yml", "check the name; or let `hume-runner init . --out {}` write one of what lies here"),
        ("maniest", "did you mean {}?"),
    ],
)
def test_a_manifest_that_is_not_there_is_proposed_where_its_name_is_one(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / "manifest.yaml").touch()
    (problem,) = examine(tmp_path / name).problems
    assert problem.hint == hint.format(tmp_path / (name if "init" in hint else "manifest.yaml"))


def test_an_endless_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="is a device, not a file"):
        load_manifest(Path(os.devnull).with_name("zero"))
    (tmp_path / "holes.yaml").touch()
    os.truncate(tmp_path / "holes.yaml", 10**12)
    with pytest.raises(ManifestError, match="larger than 5 MB"):
        load_manifest(tmp_path / "holes.yaml")


def test_more_than_a_hundred_problems_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "{urls: [" + "ftp://example.org/a, " * 250 + "]}")
    problems = examine(path).problems
    assert len(problems) == 101
    assert problems[-1].message == "and 150 more problems"


def test_sources_without_fault_are_known_although_the_manifest_is_wrong(tmp_path: Path) -> None:
    head = HEAD.replace("face", "fase")
    examined = examine(write(tmp_path, "{urls: [ftp://x/a, 'https://example.org/a'], files: [a.wav]}", head=head))
    assert examined.manifest is None
    assert [entry.value for entry in examined.entries] == ["https://example.org/a", "a.wav"]


def test_workers_alone_say_how_many_pieces_are_measured_here(tmp_path: Path) -> None:
    here = {"version": 1, "name": "here", "service": {"api": "local"}, "sources": {"text": ["One"]}}
    here["models"] = {"language": {}}
    path = tmp_path / "here.yaml"
    for more in ({}, {"transfer_workers": 8, "max_jobs_in_flight": 50}):  # defaults may be written out
        path.write_text(json.dumps(here | {"execution": {"workers": 60, **more}}))
        execution = load_manifest(path).execution
        assert execution.workers == 60
        assert min(execution.transfer_workers, execution.max_jobs_in_flight) > 60  # the next ones wait beside them


_WORDS = st.sampled_from([*EVERYTHING.split(), *EXPRESSION.split(), "no", "{}", "[]", "null", "-", "&a", "*a", "3"])
_EDITS = st.lists(st.tuples(st.integers(0, EVERYTHING.count("\n")), st.integers(0, 40), _WORDS), min_size=1, max_size=4)


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(base=st.sampled_from([EVERYTHING, EXPRESSION]), edits=_EDITS)
def test_an_edited_manifest_loads_or_reports_problems_within_the_file(
    tmp_path: Path, base: str, edits: list[tuple[int, int, str]]
) -> None:
    lines = base.splitlines()
    for line, column, word in edits:
        at = line % len(lines)
        lines[at] = lines[at][:column] + " " + word + lines[at][column:]
    path = loaded(tmp_path, "\n".join(lines))
    examined = examine(path)
    assert (examined.manifest is None) == bool(examined.problems)
    for problem in examined.problems:
        assert problem.hint
        assert problem.line is not None
        assert problem.column is not None
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1


def test_it_is_named_by_a_path_a_word_or_is_a_mapping(tmp_path: Path) -> None:
    path = write(tmp_path, "{text: [Hello.]}")
    by_path, by_word = load_manifest(path), load_manifest(str(path))
    assert by_path == by_word
    mapping = load_manifest(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert (mapping.name, mapping.settings) == (by_path.name, by_path.settings)
    assert [one.value for one in mapping.sources] == [one.value for one in by_path.sources]
