from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hume_runner.errors import ManifestError, UsageError
from hume_runner.manifest.load import load_manifest
from hume_runner.manifest.strict_yaml import parse
from hume_runner.manifest.written import yaml_value
from hume_runner.migration.manifest import migrate_manifest
from hume_runner.sources import expand
from tests.migration.cases import BASE, EXAMPLES, migrated_by, notes
from tests.tiers import examples

migrate = partial(migrated_by, migrate_manifest)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_batch_example_becomes_a_valid_manifest_or_says_why_not(path: Path, tmp_path: Path) -> None:
    old = load_manifest(path)
    if old.service.api != "batch-v0":
        with pytest.raises(UsageError, match=f"is for {old.service.api}"):
            migrate_manifest(path)
        return
    if all(entry.kind == "text" for entry in old.sources):
        with pytest.raises(ManifestError, match="nothing but text"):
            migrate_manifest(path)
        return
    new = tmp_path / "new.yaml"
    new.write_text(migrate_manifest(path, folder=tmp_path).text)
    manifest = load_manifest(new)
    assert manifest.service.api == "expression-v1"
    assert manifest.name == old.name
    assert manifest.outputs.directory == old.outputs.directory.with_name(old.outputs.directory.name + "-v1")
    files = [[item.id for item in expand(each) if item.kind != "text"] for each in (old, manifest)]
    assert len(files[0]) == len(files[1])


def test_face_becomes_video(tmp_path: Path) -> None:
    face = {"fps_pred": 5, "prob_threshold": 0.95, "identify_faces": True, "min_face_size": 40, "facs": {}}
    migrated, new = migrate(tmp_path, models={"face": face | {"descriptions": {}, "save_faces": True}})
    assert new.settings == {"models": {"video": {"fps": 5, "track_faces": True, "face": {"min_size": 40}}}}
    assert notes(migrated) == {
        "models.face": ("changed", "models.video"),
        "models.face.identify_faces": ("changed", "models.video.track_faces"),
        "models.face.min_face_size": ("changed", "models.video.face.min_size"),
        "models.face.descriptions": ("changed", "models.video"),
        "models.face.prob_threshold": ("none", ""),
        "models.face.facs": ("none", ""),
        "models.face.save_faces": ("none", ""),
    }


@pytest.mark.parametrize(("old", "new"), [(0, 3), (0.5, 0.5), (30, 30), (500, 120)])
def test_the_frame_rate_stays_where_it_can(old: float, new: float, tmp_path: Path) -> None:
    migrated, manifest = migrate(tmp_path, models={"face": {"fps_pred": old}})
    assert manifest.settings["models"]["video"]["fps"] == new
    assert ("models.face.fps_pred" in notes(migrated)) == (old != new)


def test_a_face_size_that_was_no_limit_becomes_the_smallest_one(tmp_path: Path) -> None:
    _, new = migrate(tmp_path, models={"face": {"min_face_size": 0}})
    assert new.settings["models"]["video"]["face"] == {"min_size": 1}


@pytest.mark.parametrize(
    ("window", "timer_ms"),
    [({}, 3000), ({"step": 0.5}, 3000), ({"step": 4.25}, 4250), ({"length": 60, "step": 30}, 10_000)],
)
def test_the_step_of_windows_becomes_the_timer_within_its_bounds(
    window: dict[str, float], timer_ms: int, tmp_path: Path
) -> None:
    migrated, new = migrate(tmp_path, models={"prosody": {"window": window}})
    assert new.settings == {"models": {"audio": {"measurement_timer_ms": timer_ms}}}
    assert ("models.prosody.window.length" in notes(migrated)) == ("length" in window)


def test_speech_models_become_one_and_words_have_no_equivalent(tmp_path: Path) -> None:
    prosody = {"granularity": "conversational_turn", "identify_speakers": True}
    models = {"burst": {}, "prosody": prosody, "language": {"sentiment": {}}, "ner": {}, "facemesh": {}}
    speech = {"language": "en", "identify_speakers": True, "confidence_threshold": 0.2}
    migrated, new = migrate(tmp_path, models=models, transcription=speech)
    assert new.settings == {"models": {"audio": {"measurement_timer_ms": 3000}}}
    assert {member for member, (verdict, _) in notes(migrated).items() if verdict == "none"} == {
        "models.prosody.granularity",
        "models.prosody.identify_speakers",
        "models.language",
        "models.ner",
        "models.facemesh",
        "transcription.language",
        "transcription.identify_speakers",
        "transcription.confidence_threshold",
    }
    assert "conversational turn" in migrated.text


def test_what_asked_for_nothing_is_not_missed(tmp_path: Path) -> None:
    migrated, _ = migrate(
        tmp_path,
        models={"face": {"save_faces": False, "identify_faces": False}},
        transcription=None,
        notify={"email": False},
        outputs={"artifacts": False},
    )
    assert notes(migrated) == {"models.face": ("changed", "models.video")}


def test_sources_keep_names_labels_and_lists_and_lose_texts(tmp_path: Path) -> None:
    sources = {
        "urls": ["https://example.org/a.mp4?sig=1", {"url": "https://example.org/b.mp4", "id": "b"}],
        "files": [
            "media/**/*.wav",
            {"path": "n.WAV", "id": "no", "labels": {"no": "off", "x": 1e-7, "z": None}},
            {"from": "list.csv", "column": "path"},
            "notes/*.txt",
        ],
        "text": ["one", {"text": "two"}],
    }
    migrated, new = migrate(tmp_path, sources=sources)
    old = load_manifest(tmp_path / "old.yaml")
    kept = [entry for entry in old.sources if entry.kind != "text" and entry.value != "notes/*.txt"]
    told = [(entry.kind, entry.value, entry.listing, entry.column, entry.id, entry.labels) for entry in new.sources]
    assert told == [(entry.kind, entry.value, entry.listing, entry.column, entry.id, entry.labels) for entry in kept]
    assert notes(migrated)["sources.text"] == ("none", "")
    assert notes(migrated)["sources.files[3]"] == ("none", "")
    assert notes(migrated)["sources.urls"] == ("changed", "sources.urls")


def test_pace_and_limits_are_those_of_uploads(tmp_path: Path) -> None:
    migrated, new = migrate(
        tmp_path,
        service={"api": "batch-v0", "limits": {"upload_bytes": "1GB", "sources_per_job": 50}, "timeout": "90s"},
        batching={"max_sources": 20, "max_bytes": "50MB"},
        execution={
            "max_jobs_in_flight": 500,
            "transfer_workers": 2,
            "requests_per_second": 100,
            "job_timeout": "2m",
            "max_failures": "2.5%",
            "retry": {"attempts": 7},
        },
    )
    assert new.execution.transfer_workers == 2
    assert new.execution.requests_per_second == 10
    assert new.execution.job_timeout_s == 6 * 3600
    assert new.execution.max_failures.share == 0.025
    assert new.execution.retry.attempts == 7
    assert new.service.timeout_s == 90
    assert new.batching.max_bytes == 24_900_000
    assert notes(migrated) == {
        "models.prosody": ("changed", "models.audio"),
        "service.limits.upload_bytes": ("none", ""),
        "service.limits.sources_per_job": ("none", ""),
        "batching.max_sources": ("none", ""),
        "batching.max_bytes": ("none", ""),
        "execution.max_jobs_in_flight": ("none", ""),
        "execution.requests_per_second": ("changed", "execution.requests_per_second"),
        "execution.job_timeout": ("none", ""),
    }


def test_notifications_and_outputs(tmp_path: Path) -> None:
    migrated, new = migrate(
        tmp_path,
        notify={"email": True, "callback_url": "https://example.org/hook?t=1"},
        outputs={"directory": "out/", "artifacts": True, "tables": ["csv", "parquet"], "report": True},
    )
    assert new.notify.callback_url == "https://example.org/hook?t=1"
    assert not new.notify.email
    assert new.outputs.directory == tmp_path / "out-v1"
    assert new.outputs.tables == ("csv", "parquet")
    assert new.outputs.report
    assert {"notify.email", "outputs.artifacts"} <= {note.member for note in migrated.notes if note.verdict == "none"}


@pytest.mark.parametrize(("old", "new"), [(".", "expression-v1"), ("a/..b", "a/..b-v1"), ("..", "../expression-v1")])
def test_results_never_go_where_the_old_ones_are(old: str, new: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    _, manifest = migrate(folder, outputs={"directory": old})
    assert manifest.outputs.directory == (folder / new).resolve()


def test_another_host_is_left_behind_without_telling_what_was_in_its_address(tmp_path: Path) -> None:
    service = {"api": "batch-v0", "endpoint": "https://batch.example.org/x", "api_key": {"file": "keys/hume"}}
    migrated, new = migrate(tmp_path, service=service)
    assert new.service.endpoint is None
    assert new.service.api_key.file == tmp_path / "keys/hume"
    assert notes(migrated)["service.endpoint"] == ("none", "")
    _, rehearsal = migrate(tmp_path, service={"api": "batch-v0", "endpoint": "emulator"})
    assert rehearsal.service.endpoint == "emulator"


def test_paths_mean_the_same_from_another_folder(tmp_path: Path) -> None:
    home, near, far = tmp_path / "a[1]", tmp_path, tmp_path / "b" / "c"
    home.mkdir()
    far.mkdir(parents=True)
    (home / "x.wav").write_bytes(b"")
    (home / "l.csv").write_text("path\n" + str(home / "x.wav") + "\n")
    old = home / "old.yaml"
    sources = {"files": ["*.wav", {"from": "l.csv"}]}
    service = {"api": "batch-v0", "api_key": {"file": "key"}}
    old.write_text(yaml.safe_dump(BASE | {"sources": sources, "service": service}))
    for folder in (near, far):
        migrated = migrate_manifest(old, folder=folder)
        new = folder / "new.yaml"
        new.write_text(migrated.text)
        manifest = load_manifest(new)
        assert manifest.service.api_key.file is not None
        assert manifest.service.api_key.file.resolve() == home / "key"
        assert manifest.outputs.directory == home / "results" / "wave-2-v1"
        assert [item.path for item in expand(manifest)] == [home / "x.wav"]
        assert notes(migrated)["sources.files[1]"][0] == "changed"


@pytest.mark.parametrize(
    ("members", "path", "message"),
    [
        ({"sources": {"text": ["I am glad."]}}, "sources", "nothing but text"),
        ({"sources": {"files": ["notes.txt"]}}, "sources", "nothing but text"),
        ({"models": {"language": {}, "ner": {}}}, "models", "language, ner: none of these"),
    ],
)
def test_a_manifest_without_anything_to_measure_is_refused_with_its_place(
    members: dict[str, Any], path: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(ManifestError, match=message) as caught:
        migrate(tmp_path, **members)
    assert [(problem.path, problem.line is not None) for problem in caught.value.problems] == [(path, True)]


def test_a_manifest_that_is_wrong_is_not_migrated(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="prosodi"):
        migrate(tmp_path, models={"prosodi": {}})


def test_each_note_is_explained_in_the_new_manifest(tmp_path: Path) -> None:
    migrated, _ = migrate(tmp_path, models={"face": {"facs": {}}, "language": {}}, notify={"email": True})
    comments = [line for line in migrated.text.splitlines() if line.startswith("#")]
    assert migrated.notes
    for note in migrated.notes:
        assert any(note.member in line and note.why in line for line in comments)


# -- values as text ----------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)
LABELS = st.dictionaries(TEXT.filter(bool), SCALARS | TEXT, max_size=4)


@given(labels=LABELS)
def test_what_is_written_is_read_back_the_same_by_both_readers(labels: dict[str, Any]) -> None:
    text = f"labels: {yaml_value(labels)}\n"
    document = parse(text.encode(), "m.yaml")
    assert document.problems == []
    assert document.get("labels") == labels
    assert yaml.safe_load(text)["labels"] == labels


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(description=TEXT, labels=LABELS)
def test_any_description_and_labels_survive(description: str, labels: dict[str, Any], tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    sources = {"files": [{"path": "a.wav", "labels": labels}]}
    body = {name: yaml_value(value) for name, value in (BASE | {"sources": sources}).items()}
    lines = [f"{name}: {value}" for name, value in body.items()] + [f"description: {yaml_value(description)}"]
    old.write_text("\n".join(lines), "utf-8")
    new = tmp_path / "new.yaml"
    new.write_text(migrate_manifest(old).text, "utf-8")
    manifest = load_manifest(new)
    assert manifest.description == description
    assert manifest.sources[0].labels == labels
