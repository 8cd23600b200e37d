from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hume_runner.errors import ManifestError, UsageError
from hume_runner.manifest.load import load_manifest
from hume_runner.manifest.model import Manifest
from hume_runner.migration.manifest import migrate_manifest
from hume_runner.migration.to_local import migrate_to_local
from hume_runner.sources import expand
from tests.migration.cases import EXAMPLES, migrated_by, notes

migrate = partial(migrated_by, migrate_to_local)


def models(manifest: Manifest) -> dict[str, Any]:
    return dict(manifest.settings["models"])


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_batch_example_becomes_a_valid_manifest_with_all_its_sources(path: Path, tmp_path: Path) -> None:
    old = load_manifest(path)
    if old.service.api != "batch-v0":
        with pytest.raises(UsageError, match=f"is for {old.service.api}"):
            migrate_to_local(path)
        return
    new = tmp_path / "new.yaml"
    new.write_text(migrate_to_local(path, folder=tmp_path).text)
    manifest = load_manifest(new)
    assert (manifest.service.api, manifest.name) == ("local", old.name)
    assert manifest.outputs.directory == old.outputs.directory.with_name(old.outputs.directory.name + "-local")
    assert len(list(expand(manifest))) == len(list(expand(old)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"prosody": {}}, {"acoustics": {"window": 1.0}, "speech": {"model": "base"}}),
        (
            {"prosody": {"window": {"length": 4, "step": 0.5}}},
            {"acoustics": {"window": 4, "step": 0.5}, "speech": {"model": "base"}},
        ),
        (
            {"prosody": {"window": {"length": 900}}},
            {"acoustics": {"window": 300, "step": 1}, "speech": {"model": "base"}},
        ),
        ({"language": {}}, {"speech": {"model": "base"}, "language": {"granularity": "sentence"}}),
        (
            {"language": {"granularity": "conversational_turn"}},
            {"speech": {"model": "base"}, "language": {"granularity": "text"}},
        ),
        ({"ner": {}, "burst": {}}, {"speech": {"model": "base"}, "ner": {}}),
        ({"face": {}}, {"face": {"fps": 3}}),
        ({"face": {"fps_pred": 0, "min_face_size": 0}}, {"face": {"fps": 3, "min_size": 1}}),
        ({"face": {"fps_pred": 100}, "facemesh": {}}, {"face": {"fps": 60, "landmarks": True}}),
        ({"facemesh": {}}, {"face": {"landmarks": True}}),
    ],
)
def test_each_model_becomes_the_nearest_that_is_measured_here(
    old: dict[str, Any], new: dict[str, Any], tmp_path: Path
) -> None:
    migrated, manifest = migrate(tmp_path, models=old)
    assert models(manifest) == new
    assert {f"models.{name}" for name in old} <= set(notes(migrated))


@pytest.mark.parametrize(
    ("tag", "speech", "told"),
    [
        (None, {"model": "base"}, False),
        ("en", {"model": "tiny.en", "language": "en"}, False),
        ("en-AU", {"model": "tiny.en", "language": "en"}, True),
        ("de", {"model": "base", "language": "de"}, False),
        ("no", {"model": "base", "language": "no"}, False),
    ],
)
def test_the_language_that_is_spoken_chooses_who_hears(
    tag: str | None, speech: dict[str, str], told: bool, tmp_path: Path
) -> None:
    migrated, manifest = migrate(tmp_path, transcription={"language": tag})
    assert models(manifest)["speech"] == speech
    assert ("transcription.language" in notes(migrated)) == told


@pytest.mark.parametrize(
    ("member", "options"),
    [
        ("models.prosody.identify_speakers", {"prosody": {"identify_speakers": True}}),
        ("models.prosody.granularity", {"prosody": {"granularity": "sentence"}}),
        ("models.language.sentiment", {"language": {"sentiment": {}}}),
        ("models.language.toxicity", {"language": {"toxicity": {}}}),
        ("models.language.identify_speakers", {"language": {"identify_speakers": True}}),
        ("models.ner.identify_speakers", {"ner": {"identify_speakers": True}}),
        ("models.face.facs", {"face": {"facs": {}}}),
        ("models.face.descriptions", {"face": {"descriptions": {}}}),
        ("models.face.prob_threshold", {"face": {"prob_threshold": 0.5}}),
        ("models.face.save_faces", {"face": {"save_faces": True}}),
        ("models.burst", {"burst": {}, "face": {}}),
    ],
)
def test_what_is_not_measured_is_left_out_with_one_note(member: str, options: dict[str, Any], tmp_path: Path) -> None:
    migrated, _ = migrate(tmp_path, models=options)
    assert [note.verdict for note in migrated.notes if note.member == member] == ["none"]
    assert member in migrated.text


def test_without_transcription_nothing_is_heard(tmp_path: Path) -> None:
    migrated, manifest = migrate(tmp_path, models={"prosody": {}, "language": {}}, transcription=None)
    assert models(manifest) == {"acoustics": {"window": 1.0}}
    assert notes(migrated)["models.language"] == ("none", "")


def test_texts_stay_and_need_no_ear(tmp_path: Path) -> None:
    sources = {"text": ["see https://example.org/*.wav", {"text": "b", "id": "x"}, {"from": "l.csv", "column": "said"}]}
    migrated, manifest = migrate(tmp_path, sources=sources, models={"language": {"granularity": "sentence"}})
    assert models(manifest) == {"language": {"granularity": "sentence"}}
    assert [(entry.kind, entry.value, entry.column, entry.id) for entry in manifest.sources] == [
        (entry.kind, entry.value, entry.column, entry.id) for entry in load_manifest(tmp_path / "old.yaml").sources
    ]
    assert notes(migrated) == {"models.language": ("changed", "models.language")}


def test_a_service_its_pace_and_its_limits_are_left_behind(tmp_path: Path) -> None:
    migrated, manifest = migrate(
        tmp_path,
        service={
            "api": "batch-v0",
            "endpoint": "https://batch.example.org/x",
            "api_key": {"env": "KEY"},
            "timeout": "90s",
            "limits": {"sources_per_job": 50},
        },
        batching={"max_sources": 20, "max_bytes": "50MB"},
        execution={
            "max_jobs_in_flight": 5,
            "transfer_workers": 2,
            "requests_per_second": 9,
            "job_timeout": "2h",
            "max_failures": "5%",
            "retry": {"attempts": 7},
        },
        notify={"email": True, "callback_url": "https://example.org/hook"},
        outputs={"directory": "out", "artifacts": True, "tables": ["csv"], "report": True},
    )
    left_out = {member for member, (verdict, _) in notes(migrated).items() if verdict == "none"}
    assert left_out == {
        "service.endpoint",
        "service.api_key",
        "service.limits.sources_per_job",
        "service.timeout",
        "batching.max_sources",
        "batching.max_bytes",
        "execution.max_jobs_in_flight",
        "execution.transfer_workers",
        "execution.requests_per_second",
        "notify.email",
        "outputs.artifacts",
    }
    assert manifest.execution.job_timeout_s == 7200
    assert manifest.execution.retry.attempts == 7
    assert manifest.execution.max_failures.share == 0.05
    assert manifest.notify.callback_url == "https://example.org/hook"
    assert (manifest.outputs.directory, manifest.outputs.tables, manifest.outputs.report) == (
        tmp_path / "out-local",
        ("csv",),
        True,
    )


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"models": {"burst": {}}}, "burst: none of these"),
        ({"sources": {"files": ["a.txt"]}}, "nothing but files of text"),
    ],
)
def test_what_leaves_nothing_to_measure_is_refused(members: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=said):
        migrate(tmp_path, **members)


def test_an_endpoint_and_a_manifest_of_another_api_are_errors(tmp_path: Path) -> None:
    migrate(tmp_path)
    with pytest.raises(UsageError, match="no endpoint"):
        migrate_to_local(tmp_path / "old.yaml", endpoint="https://api.example.org")
    with pytest.raises(UsageError, match="is for local already"):
        migrate_to_local(tmp_path / "new.yaml")
    with pytest.raises(UsageError, match="is for local, not for batch-v0"):
        migrate_manifest(tmp_path / "new.yaml")


def test_each_note_is_explained_in_the_new_manifest(tmp_path: Path) -> None:
    migrated, _ = migrate(tmp_path, models={"face": {"facs": {}}, "language": {}, "prosody": {}})
    comments = [line for line in migrated.text.splitlines() if line.startswith("#")]
    assert len({note.member for note in migrated.notes}) == len(migrated.notes)
    for note in migrated.notes:
        assert any(note.member in line and note.why in line for line in comments)
