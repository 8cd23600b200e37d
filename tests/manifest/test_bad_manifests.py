"""Every manifest in tests/bad_manifests gets exactly the text beside it, and the exit code on its first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import call

FOLDER = Path(__file__).parents[1] / "bad_manifests"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))


def validate(name: str) -> tuple[int, str, str]:
    code, out, err = call("validate", name)
    return code, out.replace(str(FOLDER), "FOLDER"), err


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_bad_manifest_gets_the_text_beside_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    expected_code, _, expected = path.with_suffix(".txt").read_text(encoding="utf-8").partition("\n")
    code, out, err = validate(path.name)
    assert out == expected
    assert f"exit {code}" == expected_code
    assert "Traceback" not in out + err


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_problem_has_a_place_and_a_next_step(path: Path) -> None:
    _, *lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    assert lines
    for problem, hint in zip(lines[::2], lines[1::2], strict=True):
        file, line, column, rest = problem.split(":", 3)
        assert (FOLDER / file).is_file()
        assert int(line) >= 1
        assert int(column) >= 1
        assert rest.strip()
        assert hint.startswith("  next: ")
        assert len(hint) > len("  next: ")


def test_no_bad_manifest_leaks_a_secret() -> None:
    texts = "".join(path.with_suffix(".txt").read_text(encoding="utf-8") for path in MANIFESTS)
    assert "canary" in "".join(path.read_bytes().decode("utf-8", "replace") for path in MANIFESTS)
    assert "canary" not in texts


@pytest.mark.sweep
def test_nothing_is_written_beside_a_bad_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    before = sorted(FOLDER.rglob("*"))
    for path in MANIFESTS:
        validate(path.name)
    assert sorted(FOLDER.rglob("*")) == before
