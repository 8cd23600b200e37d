"""Names with accents, written one way and stored the other: the file systems of these tests keep the bytes they get."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner import validate
from hume_runner.errors import SourceError
from hume_runner.manifest.load import load_manifest
from hume_runner.sources import expand
from hume_runner.sources.base import SourceItem
from hume_runner.spelling import placed_path, stored_path, twins
from tests.accents import form
from tests.manifest.writing import write

NAME = "Gespräch mit Müller.wav"
FORMS = ("NFC", "NFD")
pytestmark = pytest.mark.usefixtures("keeps_bytes")
ways = pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])


def put(folder: Path, name: str, content: bytes = b"x") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(folder: Path, sources: str) -> list[SourceItem]:
    return list(expand(load_manifest(write(folder, sources))))


@ways
@pytest.mark.parametrize("folder", ["", "Länder/", "a/Größe/b/"])
@pytest.mark.parametrize("pattern", [NAME, "Gespräch*.wav", "*M?ller.wav", "*[äü]ller*", "**/Gespräch mit *"])
def test_paths_and_globs_find_files_that_are_spelt_otherwise(
    written: str, stored: str, folder: str, pattern: str, tmp_path: Path
) -> None:
    path = put(tmp_path, form(stored, folder + NAME))
    (item,) = found(tmp_path, f'{{files: ["{form(written, folder + pattern)}"]}}')
    assert item.path == path
    assert item.value in (form("NFC", folder + NAME), form("NFD", folder + NAME))


@ways
def test_lists_of_paths_and_lists_themselves_find_them_too(written: str, stored: str, tmp_path: Path) -> None:
    path = put(tmp_path, form(stored, NAME))
    put(tmp_path, form(stored, "Länder.csv"), f"path,id\n{form(written, NAME)},m\n".encode())
    (item,) = found(tmp_path, f'{{files: [{{from: "{form(written, "Länder.csv")}"}}]}}')
    assert (item.path, item.id) == (path, "m")


@ways
def test_a_file_that_is_named_and_matched_is_one_item_called_as_it_is_written(
    written: str, stored: str, tmp_path: Path
) -> None:
    put(tmp_path, form(stored, NAME))
    (item,) = found(tmp_path, f'{{files: ["*.wav", "{form(written, NAME)}"]}}')
    assert (item.id, item.value) == (form(written, NAME), form(written, NAME))


@pytest.mark.parametrize("written", FORMS)
def test_of_two_that_read_the_same_the_one_that_is_spelt_so_is_taken(written: str, tmp_path: Path) -> None:
    paths = [put(tmp_path, form(one, NAME), one.encode()) for one in FORMS]
    (item,) = found(tmp_path, f'{{files: ["{form(written, NAME)}"]}}')
    assert item.path is not None
    assert item.path.read_bytes() == written.encode()
    both = found(tmp_path, '{files: ["Gespr*.wav"]}')
    assert sorted(str(item.path) for item in both) == sorted(map(str, paths))
    assert len({item.id for item in both}) == 2


def test_two_that_read_the_same_and_are_both_spelt_otherwise_are_refused(tmp_path: Path) -> None:
    for one in FORMS:
        put(tmp_path, form(one, NAME))
    half = form("NFC", "Gespräch mit ") + form("NFD", "Müller.wav")
    with pytest.raises(SourceError, match=r"2 files read as .* written differently"):
        found(tmp_path, f'{{files: ["{half}"]}}')


@ways
def test_validate_says_that_a_name_is_written_differently(written: str, stored: str, tmp_path: Path) -> None:
    put(tmp_path, form(stored, NAME))
    (warning,) = validate(write(tmp_path, f'{{files: ["{form(written, NAME)}"]}}')).warnings
    assert "written differently on disk" in warning
    assert validate(write(tmp_path, f'{{files: ["{form(stored, NAME)}"]}}')).warnings == ()


@pytest.mark.parametrize("written", FORMS)
@pytest.mark.parametrize("pattern", ["*.wav", "**/*.wav", "deep/*.wav"])
def test_of_two_folders_that_read_the_same_a_pattern_looks_through_both(
    written: str, pattern: str, tmp_path: Path
) -> None:
    name = "deep/a.wav" if "deep" in pattern else "a.wav"
    paths = [put(tmp_path, form(one, f"Größe/{name}")) for one in FORMS]
    manifest = write(tmp_path, f'{{files: ["{form(written, "Größe")}/{pattern}"]}}')
    items = list(expand(load_manifest(manifest)))
    assert sorted(str(item.path) for item in items) == sorted(map(str, paths))
    assert len({item.id for item in items}) == 2
    (warning,) = validate(manifest).warnings
    assert "looks through 2 folders that read the same" in warning
    assert all(ascii(form(one, "Größe")).strip("'") in warning for one in FORMS)


@ways
def test_a_file_is_found_though_its_folder_has_a_twin_that_is_spelt_as_asked(
    written: str, stored: str, tmp_path: Path
) -> None:
    path = put(tmp_path, form(stored, "Größe/a.wav"))
    put(tmp_path, form(stored, "Größe/l.txt"), form(written, "Größe/a.wav\n").encode())
    (tmp_path / form(written, "Größe")).mkdir()
    for entry in ("Größe/a.wav", "Größe/*.wav"):
        (item,) = found(tmp_path, f'{{files: ["{form(written, entry)}"]}}')
        assert item.path == path
    (item,) = found(tmp_path, f'{{files: [{{from: "{form(written, "Größe/l.txt")}"}}]}}')
    assert item.path == path


@ways
def test_a_twin_that_is_a_link_to_the_other_is_no_second_folder(written: str, stored: str, tmp_path: Path) -> None:
    put(tmp_path, form(stored, "Größe/a.wav"))
    (tmp_path / form(written, "Größe")).symlink_to(form(stored, "Größe"))
    for asked in (written, stored):
        (item,) = found(tmp_path, f'{{files: ["{form(asked, "Größe")}/*.wav"]}}')
        assert item.value == form(asked, "Größe/a.wav")
        assert placed_path(tmp_path / form(asked, "Größe/results")) == tmp_path / form(asked, "Größe/results")
        assert twins(tmp_path / form(asked, "Größe")) == []


@pytest.fixture
def normalising(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a file system has it that takes both spellings for one name, and lists the decomposed one."""
    put(tmp_path, form("NFD", "Größe/a.wav"))
    (tmp_path / form("NFC", "Größe")).symlink_to(form("NFD", "Größe"))
    listed = os.scandir

    class Shown:
        def __init__(self, folder: str) -> None:
            self._entries = listed(folder)

        def __enter__(self) -> list[os.DirEntry[str]]:
            return [one for one in self._entries if one.name != form("NFC", "Größe")]

        def __exit__(self, *_: object) -> None:
            self._entries.close()

    monkeypatch.setattr(os, "scandir", Shown)
    return tmp_path


def test_a_file_system_that_takes_both_spellings_for_one_has_no_twins(normalising: Path) -> None:
    for asked in FORMS:
        (item,) = found(normalising, f'{{files: ["{form(asked, "Größe")}/*.wav"]}}')
        assert item.value == form(asked, "Größe/a.wav")
        for name in ("Größe", "Größe/results"):
            path = normalising / form(asked, name)
            assert (placed_path(path), stored_path(path), twins(path)) == (path, path, [])


@pytest.mark.parametrize("way", [lambda path: placed_path(path, "mark"), stored_path], ids=["written", "read"])
def test_plain_names_cost_no_look_at_the_disk(
    way: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: str) -> bool:
        raise AssertionError(path)

    monkeypatch.setattr(os, "scandir", refused)
    monkeypatch.setattr(os.path, "lexists", refused)
    assert way(Path("/no/such/place")) == Path("/no/such/place")


def test_a_link_to_nothing_is_told_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "x.wav").symlink_to("../gone/y.wav")
    for entry in ("clips/x.wav", "clips/*.wav"):
        with pytest.raises(SourceError) as caught:
            found(tmp_path, f'{{files: ["{entry}"]}}')
        (problem,) = caught.value.problems
        assert problem.message.endswith("is a link to nothing")
        assert problem.hint == "it leads to '../gone/y.wav': put that back, or remove the link"


def test_a_name_that_only_looks_the_same_is_shown_with_its_signs(tmp_path: Path) -> None:
    put(tmp_path, "a\u00a0b.wav")
    with pytest.raises(SourceError) as caught:
        found(tmp_path, '{files: ["a b.wav"]}')
    assert "look the same: 'a\\xa0b.wav'" in caught.value.problems[0].hint


def test_quotes_and_backslashes_of_other_systems_are_told(tmp_path: Path) -> None:
    put(tmp_path, "clips/a.wav")
    put(tmp_path, "l.txt", b'"clips/a.wav"\nclips\\a.wav\n')
    with pytest.raises(SourceError) as caught:
        found(tmp_path, "{files: [{from: l.txt}]}")
    assert all("write clips/a.wav" in problem.hint for problem in caught.value.problems)
    assert len(caught.value.problems) == 2
