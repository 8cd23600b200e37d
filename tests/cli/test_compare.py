"""Two results side by side, as a person compares them: one manifest with another setting, and sources that changed."""

from __future__ import annotations

import csv
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import hume_runner
from hume_runner.emulator.server import Emulator
from hume_runner.results.read import read_results
from hume_runner.state.seal import seal_path
from tests.cli.project import Project, tone
from tests.commands import Ran
from tests.results.browser import chromium, opened
from tests.results.reference import scipy_stats

TEXTS = (
    "The room was cold. The food was cold too. Only the tea was warm.",
    "I could not be happier. This is a good day.",
    "It was fine. Nothing to add. Well, one thing, maybe two.",
    "Nobody told us. We waited. Then we laughed.",
    "Would I come again? Yes.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Two:
    """Two runs of the same sources: `b` has a file renamed, one removed, one changed, and a text changed."""

    a: Project
    b: Project

    def compare(self, *words: str) -> Ran:
        return self.a.plain_call("compare", str(self.a.out), str(self.b.out), *words)

    def document(self, *words: str) -> dict[str, Any]:
        ran = self.compare("--json", *words)
        assert [line["event"] for line in ran.lines] == ["launch", "compare", "done"], ran.err
        return ran.lines[1]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    # Another seed gives other scores for the same rows, as another version of a model does.
    with Emulator(processing_time_s=0.01, seed=1) as first, Emulator(processing_time_s=0.01, seed=2) as second:
        a = Project(tmp_path_factory.mktemp("compared") / "a", first)
        b = Project(tmp_path_factory.mktemp("compared") / "b", second)
        for name, number in [("one", 1), *((str(number), number) for number in range(2, 8))]:
            a.add_file(f"{name}.wav", tone(number, 8))
            b.add_file(f"{name}.wav", tone(number, 8))
        (b.folder / "media" / "2.wav").rename(b.folder / "media" / "renamed.wav")
        (b.folder / "media" / "3.wav").unlink()
        b.add_file("4.wav", tone(44, 8))
        for one in (a, b):
            one.manifest["models"] = {"language": {"granularity": "sentence"}, "prosody": {}, "face": {"fps_pred": 3}}
            changed = {"text": "Hello." if one is a else "Hello there.", "id": "hello"}
            one.manifest["sources"]["text"] = [*TEXTS, changed]
        b.manifest["models"]["face"] = {"fps_pred": 2}
        assert (a.run().code, b.run().code) == (0, 0)
        yield Two(a=a, b=b)


def test_items_are_matched_by_content_and_the_others_say_why(two: Two) -> None:
    found = two.document()

    # one.wav, 5, 6, 7, the renamed 2, the URL and the texts but one
    assert found["items"]["matched"] == found["items"]["compared"] == 5 + 1 + len(TEXTS)
    told = {(one["side"], one["id"]): one["reason"] for one in found["unmatched"]}
    assert told == {
        ("a", "media/3.wav"): "no_such_content",
        ("a", "media/4.wav"): "other_content",
        ("a", "hello"): "other_content",
        ("b", "media/4.wav"): "other_content",
        ("b", "hello"): "other_content",
    }
    assert found["items"]["not_compared"] == {"other_content": 4, "no_such_content": 1}
    assert found["differences"] == ["models.face.fps_pred: 3 -> 2"]


@pytest.mark.sweep
def test_numbers_are_those_of_scipy_over_the_tables(two: Two) -> None:
    stats = scipy_stats()

    rows = {}
    for side, one in (("a", two.a), ("b", two.b)):
        table = read_results(one.out).tables["language"].to_pylist()
        names = {"media/renamed.wav": "media/2.wav"}
        rows[side] = {(names.get(row["item_id"], row["item_id"]), row["row"]): row for row in table}
    left = {"media/3.wav", "media/4.wav", "hello"}
    both = sorted(key for key in rows["a"].keys() & rows["b"].keys() if key[0] not in left)
    assert len(both) > 20

    columns = {one["column_a"]: one for one in two.document()["columns"] if one["table_a"] == "language"}

    assert len(columns) > 50
    for name in ("emotion_joy", "emotion_anger", "emotion_surprise_negative"):
        x, y = ([rows[side][key][name] for key in both] for side in ("a", "b"))
        found = columns[name]
        assert found["n"] == len(both)
        assert found["items"] == len({item for item, _ in both})
        assert found["mean_a"] == pytest.approx(sum(x) / len(x))
        assert found["mean_difference"] == pytest.approx((sum(y) - sum(x)) / len(x))
        assert found["pearson"] == pytest.approx(stats.pearsonr(x, y).statistic)
        assert found["spearman"] == pytest.approx(stats.spearmanr(x, y).statistic)
        assert found["interval_basis"] == "items"
        assert found["pearson_low"] < found["pearson"] < found["pearson_high"]


@pytest.mark.sweep
def test_what_is_printed_says_it_all_and_that_it_is_simulated(two: Two) -> None:
    ran = two.compare()

    assert (ran.code, ran.err) == (0, "")
    assert "SIMULATED SCORES" in ran.out
    assert "11 items with the same content in both, 11 compared" in ran.out
    assert "media/4.wav: the other has this name with another content" in ran.out
    assert "differs  models.face.fps_pred: 3 -> 2" in ran.out
    assert "that agree least" in ran.out
    assert "rows of one item are not taken for independent" in ran.out
    assert "that agree least" not in two.compare("-v").out


@pytest.mark.sweep
def test_manifests_do_as_well_as_directories(two: Two) -> None:
    by_manifest = two.a.plain_call("compare", str(two.a.path), str(two.b.path)).out.splitlines()

    assert by_manifest[2:] == two.compare().out.splitlines()[2:]


@pytest.mark.sweep
def test_a_result_beside_itself_agrees(two: Two) -> None:
    ran = two.a.plain_call("compare", str(two.a.out), str(two.a.path), "--json")

    found = ran.lines[1]
    assert (found["unmatched"], found["differences"]) == ([], [])
    assert {one["mean_difference"] for one in found["columns"]} == {0.0}
    assert {one["pearson"] for one in found["columns"]} <= {1.0, None}
    assert all(not table["unpaired_a"] and not table["unpaired_b"] for table in found["tables"])


@pytest.mark.sweep
def test_every_form_holds_the_same(two: Two, tmp_path: Path) -> None:
    columns = two.document()["columns"]
    out = {form: tmp_path / f"c.{form}" for form in ("csv", "json", "parquet", "md")}
    for path in out.values():
        assert two.compare("--out", str(path)).out.splitlines()[-1] == str(path)

    with out["csv"].open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert json.loads(out["json"].read_text(encoding="utf-8"))["columns"] == columns
    table = pq.read_table(out["parquet"])
    assert table.to_pylist() == columns
    assert table.schema.metadata[b"simulated"] == b"true"
    assert [row["column_a"] for row in rows] == [one["column_a"] for one in columns]
    assert [float(row["mean_a"]) for row in rows] == [one["mean_a"] for one in columns]
    assert {row["simulated"] for row in rows} == {"true"}
    words = out["md"].read_text(encoding="utf-8")
    assert "SIMULATED SCORES" in words
    assert words.count("\n| emotion_joy |") == len({one["table_a"] for one in columns})


@pytest.mark.sweep
def test_the_page_shows_it_offline_and_runs_no_script(two: Two, tmp_path: Path) -> None:
    path = tmp_path / "page" / "c.html"
    assert two.compare("--out", str(path)).code == 0
    before = path.read_bytes()
    assert two.compare("--out", str(path)).code == 0

    assert path.read_bytes() == before
    assert b"<script" not in before
    with chromium() as browser:
        for width, scheme in ((1280, "light"), (390, "dark")):
            with opened(browser, path, width=width, scheme=scheme) as seen:
                assert (seen.console, seen.requests) == ([], [path.as_uri()])
                page = seen.page
                assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert "11 items with the same content" in page.inner_text(".lead")
                assert "Simulated scores." in page.inner_text(".simulated")
                assert page.locator(".plots svg").count() > 100
                assert page.locator(".plots .made-up").count() == page.locator(".plots svg").count()
                # Style came through the policy: a dot is drawn in the page's own colour.
                stroke = page.locator(".plots .dots").first.evaluate("node => getComputedStyle(node).strokeWidth")
                assert stroke == "4px"
                assert "media/4.wav" in page.inner_text("#left")


def as_if_measured(project: Project) -> None:
    """Take the mark of the emulator from a state, as no run of ours does."""
    state = project.out / "state.sqlite3"
    db = sqlite3.connect(state)
    db.execute("UPDATE jobs SET simulated = 0")
    db.execute("UPDATE measurements SET simulated = 0")
    db.commit()
    db.close()
    seal_path(state).unlink(missing_ok=True)


@pytest.mark.sweep
def test_simulated_scores_are_not_compared_with_measured_ones_unless_told(tmp_path: Path, emulator: Emulator) -> None:
    a, b = Project(tmp_path / "a", emulator), Project(tmp_path / "b", emulator)
    assert (a.run().code, b.run().code) == (0, 0)
    as_if_measured(a)

    refused = a.plain_call("compare", str(a.out), str(b.out))
    told = a.plain_call("compare", str(a.out), str(b.out), "--even-simulated")

    assert (refused.code, refused.out) == (64, "")
    assert f"{b.out}: simulated scores are no measurement" in refused.err
    assert "--even-simulated" in refused.err
    assert told.code == 0
    assert "SIMULATED SCORES" in told.out
    with pytest.raises(hume_runner.HumeRunnerError, match="no measurement"):
        hume_runner.compare(a.out, b.out)
    as_if_measured(b)
    measured = a.plain_call("compare", str(a.out), str(b.out))
    assert measured.code == 0
    assert "SIMULATED" not in measured.out
    assert "; simulated" not in measured.out


@pytest.mark.sweep
def test_what_failed_or_has_no_rows_is_told_with_its_reason(tmp_path: Path, emulator: Emulator) -> None:
    a, b = Project(tmp_path / "a", emulator), Project(tmp_path / "b", emulator)
    for one in (a, b):
        one.manifest["sources"]["text"] = [{"text": "Hello.", "id": "hello"}]
    b.add_file("one.wav", b"")
    a.add_file("one.wav", b"")
    a.add_file("two.wav", tone(2))
    b.add_file("two.wav", tone(2))
    a.add_file("three.wav", tone(3, 8))
    b.add_file("three.wav", tone(3, 8))
    assert (a.run().code, b.run().code) == (3, 3)

    found = a.plain_call("compare", str(a.out), str(b.out), "--json").lines[1]

    left = {one["id"]: one for one in found["unmatched"]}
    assert left["media/one.wav"]["reason"] == "not_measured_in_a"
    assert left["media/one.wav"]["told"].startswith("not measured in A: ")
    # A quarter of a second without a word.
    assert left["media/two.wav"]["told"] == "measured in both, and no rows lie together: no row in A nor in B"
    reasons = {"not_measured_in_a": 1, "no_rows_together": 1}
    assert found["items"] == {"matched": 5, "compared": 3, "not_compared": reasons}


@pytest.mark.sweep
def test_nothing_in_common_is_told_and_ends_with_3(tmp_path: Path, emulator: Emulator) -> None:
    a, b = Project(tmp_path / "a", emulator), Project(tmp_path / "b", emulator)
    a.manifest["sources"] = {"text": ["One."]}
    b.manifest["sources"] = {"text": ["Two."]}
    assert (a.run().code, b.run().code) == (0, 0)

    ran = a.plain_call("compare", str(a.out), str(b.out))

    assert ran.code == 3
    assert "nothing is compared: no source has the same content" in ran.out


@pytest.mark.sweep
def test_two_services_share_no_names_and_columns_are_paired_by_hand(two: Two, tmp_path: Path) -> None:
    with Emulator(processing_time_s=0.01) as emulator:
        other = Project(tmp_path / "other", emulator)
        for path in (two.a.folder / "media").iterdir():
            other.add_file(path.name, path.read_bytes())
        other.manifest |= {
            "service": {"api": "expression-v1", "endpoint": emulator.url},
            "sources": {"files": ["media/*"]},
            "models": {"audio": {"measurement_timer_ms": 3000}},
        }
        assert other.run().code == 0

    words = ("compare", str(two.a.out), str(other.out))
    alone = two.a.plain_call(*words)
    pair = "prosody.emotion_joy=audio.expression_joy"
    paired = two.a.plain_call(*words, "--pair", pair, "--pair", "prosody.confidence=audio.utterance_id", "--json")

    assert (alone.code, "no table and column have the same names" in alone.out) == (3, True)
    assert "--pair" in alone.out
    assert paired.code == 0, paired.err
    document = paired.lines[1]
    assert document["a"]["api"] != document["b"]["api"]
    assert [(one["column_a"], one["column_b"]) for one in document["columns"]] == [
        ("emotion_joy", "expression_joy"),
        ("confidence", "utterance_id"),
    ]
    (table,) = document["tables"]
    assert table["items"] == 7
    # A name below the service's cutoff has no score: those pairs do not count, and are told.
    assert document["columns"][0]["n"] + document["columns"][0]["only_a"] == table["pairs"]


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["--pair", "prosody.confidence"], "there is no '='", "--pair face.prob=video.confidence"),
        (["--pair", "confidence=prosody.confidence"], "'confidence' is no TABLE.COLUMN", "face.prob"),
        (["--pair", "face.prob=video.confidence"], "B has no table 'video'", "B has face, burst, prosody"),
        (["--pair", "face.prb=face.prob"], "no column 'prb'", "did you mean prob"),
        (["--pair", "prosody.text=prosody.confidence"], "prosody.text holds no numbers", "docs/tables.md"),
        (["--out", "result.txt"], "result.txt: its name does not tell what to write", ".csv, .json"),
        (["--state", "elsewhere"], "compare takes no --state", "output directories"),
    ],
)
def test_what_cannot_be_compared_like_that_is_told(two: Two, words: list[str], said: str, hint: str) -> None:
    ran = two.compare(*words)

    assert (ran.code, ran.out) == (64, "")
    assert said in ran.err
    assert hint in ran.err


def test_places_without_results_are_told(two: Two, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    for place, said in ((tmp_path / "empty", "no state.sqlite3"), (tmp_path / "nowhere", "there is no such thing")):
        ran = two.a.plain_call("compare", str(two.a.out), str(place))
        assert (ran.code, said in ran.err) == (64, True)


@pytest.mark.sweep
def test_a_directory_is_read_without_its_run_json(two: Two, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(two.b.out, copy)
    (copy / "run.json").unlink()

    ran = two.a.plain_call("compare", str(two.a.out), str(copy))

    assert ran.out.splitlines()[2:] == two.compare().out.splitlines()[2:]


def test_an_answer_that_is_gone_is_told_and_ends_with_3(two: Two, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(two.b.out, copy)
    (answer,) = copy.glob("raw/*/predictions.json")
    answer.write_bytes(b"[]")

    ran = two.a.plain_call("compare", str(two.a.out), str(copy))

    assert ran.code == 3
    assert "predictions.json" in ran.err
    assert "0 compared" in ran.out


@pytest.mark.sweep
def test_from_python_it_gives_the_same(two: Two) -> None:
    found = hume_runner.compare(two.a.out, two.b.path, pairs=["face.frame=face.frame"])

    assert isinstance(found, hume_runner.Comparison)
    assert (found.matched, found.compared, found.simulated, found.exit_code) == (11, 11, True, 0)
    assert found.tables_a == found.tables_b
    frame = [one for one in found.columns if one.column_a == "frame"]
    assert len(frame) == 1
    assert frame[0].agreement.n > 0
