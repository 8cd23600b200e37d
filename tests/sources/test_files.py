from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.errors import ManifestError, SourceError
from hume_runner.manifest.load import load_manifest
from hume_runner.sources import expand
from hume_runner.sources.base import SourceItem
from tests.manifest.writing import HEAD, write
from tests.sources.trees import tree


def items(folder: Path, files: str, *, head: str = HEAD) -> list[SourceItem]:
    return list(expand(load_manifest(write(folder, f"{{files: {files}}}", head=head))))


def test_files_are_called_by_their_path_from_the_manifest(tmp_path: Path) -> None:
    tree(tmp_path, "media/a.wav", "media/deep/b.wav")
    found = items(tmp_path, "[media/**/*.wav]")
    assert [(item.id, item.value, item.path, item.explicit_id) for item in found] == [
        ("media/a.wav", "media/a.wav", tmp_path / "media/a.wav", False),
        ("media/deep/b.wav", "media/deep/b.wav", tmp_path / "media/deep/b.wav", False),
    ]
    assert found[0].place.path == "sources.files[0]"


def test_absolute_paths_work_inside_and_outside_the_folder(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    tree(project, "a.wav")
    tree(elsewhere, "b.wav")
    found = items(project, f"['{project}/a.wav', '{elsewhere}/*.wav', ./a.wav]")
    assert [item.id for item in found] == ["a.wav", f"{elsewhere}/b.wav"]


def test_a_file_that_is_named_exactly_keeps_its_id_although_a_glob_comes_first(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav", "b.wav", "c.wav")
    found = items(tmp_path, "['*.wav', {path: b.wav, id: bee, labels: {wave: 2}}, '[a-c].wav', a.wav]")
    assert [(item.id, dict(item.labels)) for item in found] == [("c.wav", {}), ("bee", {"wave": 2}), ("a.wav", {})]


def test_one_file_may_have_two_names(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav")
    assert [item.id for item in items(tmp_path, "[{path: a.wav, id: x}, {path: a.wav, id: z}, a.wav]")] == ["x", "z"]


def test_a_file_whose_name_looks_like_a_glob_is_found_by_its_name(tmp_path: Path) -> None:
    tree(tmp_path, "take[1].wav", "take1.wav")
    assert [item.id for item in items(tmp_path, "['take[1].wav']")] == ["take[1].wav"]


def test_names_that_are_not_utf_8_survive(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    Path(os.fsdecode(raw)).write_bytes(b"x")
    (item,) = items(tmp_path, "['*.wav']")
    assert item.id == "caf\\xe9.wav"
    assert item.path is not None
    assert os.fsencode(item.path) == raw
    assert item.path.read_bytes() == b"x"


def test_a_links_target_need_not_lie_in_the_folder(tmp_path: Path) -> None:
    tree(tmp_path, "elsewhere/a.wav")
    (tmp_path / "project").mkdir()
    (tmp_path / "project/link.wav").symlink_to(tmp_path / "elsewhere/a.wav")
    assert [item.id for item in items(tmp_path / "project", "[link.wav]")] == ["link.wav"]


def test_what_a_run_wrote_is_no_source_of_the_next(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav", "results/trial/raw/b.wav")
    assert [item.id for item in items(tmp_path, "['**/*.wav']")] == ["a.wav"]


def test_all_missing_files_are_reported_at_once_after_those_that_exist(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav")
    (tmp_path / "broken.wav").symlink_to(tmp_path / "nothing")
    manifest = load_manifest(write(tmp_path, "{files: [x.wav, '*.mp3', a.wav, no/*.wav, broken.wav, /dev/null]}"))
    expansion = expand(manifest)
    assert next(expansion).id == "a.wav"
    with pytest.raises(SourceError) as caught:
        next(expansion)
    assert [problem.path for problem in caught.value.problems] == [f"sources.files[{i}]" for i in (0, 1, 3, 4, 5)]
    assert "link to nothing" in str(caught.value)
    assert "not a regular file" in str(caught.value)
    assert caught.value.exit_code == 66


def test_a_file_over_the_upload_limit_is_refused_for_batch_v0_alone(tmp_path: Path) -> None:
    with (tmp_path / "large.wav").open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(SourceError, match=r"'large.wav' has 100.0 MB, more than the 100 MB of an upload"):
        items(tmp_path, "[large.wav]")
    raised = HEAD.replace("endpoint: emulator", "limits: {upload_bytes: 200MB}")
    assert len(items(tmp_path, "[large.wav]", head=raised)) == 1
    v1 = HEAD.replace("batch-v0", "expression-v1").replace("face", "audio")
    assert len(items(tmp_path, "[large.wav]", head=v1)) == 1


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that another user may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_file_and_a_folder_that_may_not_be_read_are_reported(open_folder: Path) -> None:
    tree(open_folder, "secret.wav", "closed/a.wav", "fine.wav")
    (open_folder / "secret.wav").chmod(0)
    (open_folder / "closed").chmod(0)
    manifest = load_manifest(write(open_folder, "{files: [secret.wav, closed/*.wav, fine.wav]}"))
    root = os.geteuid() == 0
    try:
        if root:
            os.seteuid(65534)
        with pytest.raises(SourceError) as caught:
            list(expand(manifest))
    finally:
        if root:
            os.seteuid(0)
        (open_folder / "closed").chmod(0o755)
    assert [problem.path for problem in caught.value.problems] == ["sources.files[0]", "sources.files[1]"]
    assert all("Permission denied" in problem.message for problem in caught.value.problems)


def test_an_id_serves_one_file_only(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav", "b.wav")
    with pytest.raises(ManifestError, match="the id 'x' cannot serve 2 files"):
        items(tmp_path, "[{path: '*.wav', id: x}]")
    assert [item.id for item in items(tmp_path, "[{path: 'a*.wav', id: x}]")] == ["x"]


def test_paths_in_a_list_are_relative_to_the_manifest(tmp_path: Path) -> None:
    tree(tmp_path, "media/a.wav", "media/take[1].wav")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/files.csv").write_text("path,id,speaker\nmedia/a.wav,ana,Ana\nmedia/take[1].wav,,Ben\n")
    found = items(tmp_path, "[{from: lists/files.csv, labels: {wave: 2, speaker: x}}]")
    assert [(item.id, item.explicit_id) for item in found] == [("ana", True), ("media/take[1].wav", False)]
    assert found[0].labels == {"wave": 2, "speaker": "Ana"}
    assert (found[1].place.file, found[1].place.line) == (str(tmp_path / "lists/files.csv"), 3)


def test_problems_in_a_list_of_files_name_the_lists_lines(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav")
    (tmp_path / "files.txt").write_text("a.wav\n\n../b.wav\nabsent.wav\n")
    with pytest.raises(ManifestError) as caught:
        items(tmp_path, "[{from: files.txt}]")
    assert [problem.line for problem in caught.value.problems] == [3, 4]
