"""Results of measuring here side by side: two versions of a measurer, and beside a service."""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import numpy as np
import pytest

import hume_runner
from hume_runner.errors import MissingExtra, UsageError
from hume_runner.results.compare.write import write_comparison
from tests.services.local import test_local

folder = test_local.folder
TEXTS = ["one", "three", "a hundred", "twenty-two", "nineteen", "none"]


def measure(out: str, **more: object) -> Path:
    members = test_local.manifest({"letters": {}}, sources={"text": TEXTS}, outputs={"directory": out}, **more)
    result = hume_runner.run(members)
    assert result.exit_code == 0
    return result.outputs


@pytest.mark.sweep
def test_two_versions_tell_who_measured_and_agree(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = measure("before")
    monkeypatch.setenv("LETTERS_VERSION", "2")
    after = measure("after")

    found = hume_runner.compare(before, after, pairs=["letters.length=letters.length"])

    assert (found.a.measured_by, found.b.measured_by) == (("letters@1#e3b0c442",), ("letters@2#e3b0c442",))
    assert (found.simulated, found.matched, found.compared, found.exit_code) == (False, 6, 6, 0)
    by_name = {one.column_a: one for one in found.columns}
    assert {"length", "share_e", "share_n"} <= by_name.keys()
    assert by_name["length"].agreement.mean_a == pytest.approx(sum(map(len, TEXTS)) / len(TEXTS))
    # A letter that a text does not have has no share in it.
    assert by_name["share_e"].agreement.n == sum("e" in text for text in TEXTS)
    assert by_name["share_e"].agreement.pearson.value == 1.0


@pytest.mark.sweep
def test_what_is_measured_here_is_not_compared_with_a_rehearsal_unless_told(folder: Path) -> None:
    here = measure("here")
    hosted = test_local.manifest(
        {"language": {}},
        sources={"text": TEXTS},
        service={"api": "batch-v0", "endpoint": "emulator"},
        outputs={"directory": "hosted"},
    )
    del hosted["execution"]
    assert hume_runner.run(hosted).exit_code == 0
    pairs = ["letters.length=language.emotion_joy"]

    with pytest.raises(UsageError, match="simulated scores are no measurement"):
        hume_runner.compare(here, "hosted", pairs=pairs)
    found = hume_runner.compare(here, "hosted", pairs=pairs, even_simulated=True)

    assert (found.simulated, found.compared) == (True, 6)
    assert [(one.name, one.agreement.n) for one in found.columns] == [("length / emotion_joy", 6)]


@pytest.mark.sweep
def test_what_is_measured_here_is_compared_with_the_bare_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = test_local.manifest({"letters": {}}, sources={"text": TEXTS}, outputs={"directory": "bare"})
    assert hume_runner.run(members).exit_code == 0
    for name in ("pyarrow", "msgspec", "numpy", "scipy", "jinja2"):
        monkeypatch.setitem(sys.modules, name, None)

    found = hume_runner.compare("bare", "bare", pairs=["letters.length=letters.length"])
    written = [write_comparison(found, folder / f"c.{form}") for form in ("csv", "json", "md")]

    assert found.columns[0].agreement.spearman.value == 1.0
    assert all(path.stat().st_size > 100 for path in written)
    for form, extra in (("parquet", "tables"), ("html", "report")):
        with pytest.raises(MissingExtra, match=extra):
            write_comparison(found, folder / f"c.{form}")


@pytest.mark.sweep
def test_windows_of_another_length_are_compared_by_what_stands_for_all_of_them(folder: Path) -> None:
    """The highest sample of a second is the higher of its halves', and not their mean."""
    samples = np.concatenate([np.sin(np.arange(8000) / 8) * loud for loud in (0.1, 0.9, 0.5, 0.2, 0.8, 0.3)])
    with wave.open("steps.wav", "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes((32767 * samples).astype("<i2").tobytes())
    for window in (1.0, 0.5):
        members = test_local.manifest(
            {"acoustics": {"window": window}}, sources={"files": ["steps.wav"]}, outputs={"directory": f"w{window}"}
        )
        assert hume_runner.run(members).exit_code == 0
    found = hume_runner.compare("w1.0", "w0.5")
    by_name = {one.column_a: one.agreement for one in found.columns}
    for column in ("peak_dbfs", "pitch_max_hz", "pitch_min_hz"):
        assert by_name[column].mean_difference == pytest.approx(0.0, abs=0.01), column
    assert by_name["peak_dbfs"].n == 3
