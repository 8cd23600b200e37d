from __future__ import annotations

import ast
import threading
import time
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import hume_runner
from hume_runner import Cancel, Emulator, HumeRunnerError, api, events
from hume_runner.errors import Cancelled, ManifestError, UsageError

ROOT = Path(__file__).parents[1]
TEXTS = ["I could not be happier.", "Leave me alone."]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def members(**more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "name": "two-texts",
        "service": {"api": "batch-v0", "endpoint": "emulator"},
        "sources": {"text": TEXTS},
        "models": {"language": {}},
        "outputs": {"directory": Path("out")},
        **more,
    }


def test_a_mapping_is_planned_run_looked_at_and_verified(folder: Path) -> None:
    manifest: Mapping[str, Any] = members()
    assert hume_runner.validate(manifest).problems == ()
    planned = hume_runner.plan(manifest)
    assert (planned.summary.new, planned.summary.jobs, planned.endpoint) == (2, 1, "emulator")
    told: list[events.Event] = []
    result = hume_runner.run(manifest, on_event=told.append)
    assert (result.exit_code, result.error, result.counts.items["done"]) == (0, None, 2)
    assert result.outputs == folder / "out"
    assert [type(event) for event in told if isinstance(event, events.Planned | events.JobFinished)] == [
        events.Planned,
        events.JobFinished,
    ]
    status = hume_runner.status(manifest)
    assert (status.items["done"], status.simulated, status.lock) == (2, True, None)
    verified = hume_runner.verify(manifest)
    assert (verified.exit_code, verified.wrong) == (0, ())
    assert verified.counts["same"] > 2
    file = folder / "two.yaml"
    file.write_text(yaml.safe_dump({**manifest, "outputs": {"directory": "out"}}))
    for place in (result.outputs, manifest, file, str(file)):
        assert hume_runner.read_results(place).items.num_rows == 2
    again = hume_runner.run(manifest)
    assert again.requests == {}


def test_the_last_counts_that_are_told_are_those_of_the_result(folder: Path) -> None:
    told: list[events.Event] = []
    for _ in range(2):  # the second run has nothing to do
        result = hume_runner.run(members(), on_event=told.append)
        last = [event for event in told if isinstance(event, events.Counted)][-1]
        assert (last.items, last.jobs, last.final) == (result.counts.items, result.counts.jobs, True)
        assert last.items["done"] == 2
        told.clear()


@pytest.mark.parametrize("heard", [True, False], ids=["on_event", "no on_event"])
def test_what_is_worth_knowing_is_an_event_and_without_on_event_a_log_record(
    folder: Path, caplog: pytest.LogCaptureFixture, heard: bool
) -> None:
    hume_runner.run(members(outputs={"directory": Path("out"), "tables": ["csv"]}))
    (folder / "out" / "tables" / "items.csv").write_text("mine")
    told: list[events.Event] = []
    hume_runner.run(members(), on_event=told.append if heard else None)
    logged = [record.getMessage() for record in caplog.records if record.name == "hume_runner"]
    (said,) = [event.message for event in told if isinstance(event, events.Warned)] if heard else logged
    assert said.startswith(str(folder / "out" / "tables" / "items.csv"))
    assert said.endswith("not as it was written, and not asked for: left as it is")
    assert bool(logged) != heard


@pytest.mark.sweep
def test_results_are_read_from_a_folder_that_the_disk_spells_otherwise(folder: Path) -> None:
    there, typed = (folder / unicodedata.normalize(kind, "Größe") for kind in ("NFD", "NFC"))
    there.mkdir()
    result = hume_runner.run(members(outputs={"directory": typed}))
    assert result.outputs == there
    assert hume_runner.read_results(typed).items.num_rows == 2
    assert hume_runner.compare(typed, there, even_simulated=True).matched == 2


def test_what_is_wrong_in_a_mapping_is_told_with_the_member(folder: Path) -> None:
    wrong = members(models={"languages": {}})
    validated = hume_runner.validate(wrong)
    assert validated.exit_code == 65
    assert {problem.path for problem in validated.problems} == {"models.languages"}
    with pytest.raises(ManifestError):
        hume_runner.run(wrong)
    assert not (folder / "out").exists()


def test_every_answer_of_a_study_is_a_label_as_it_is(folder: Path) -> None:
    rows = [{"id": "y", "text": "I liked it", "answer": "n"}, {"id": "1e3", "text": "y", "answer": "0o7"}]
    entries = [{"text": row["text"], "id": row["id"], "labels": {"answer": row["answer"]}} for row in rows]
    result = hume_runner.run(members(service={"api": "local"}, sources={"text": entries}))
    assert (result.exit_code, result.counts.items["done"]) == (0, 2)
    items = hume_runner.read_results(result.outputs).items.to_pylist()
    assert [(item["item_id"], item["label_answer"]) for item in items] == [("y", "n"), ("1e3", "0o7")]
    assert [item["source"] for item in items] == ["sources.text[0]", "sources.text[1]"]


def test_problems_and_warnings_of_a_mapping_name_members_and_no_line(folder: Path) -> None:
    (folder / "empty.wav").touch()
    (folder / "more.csv").write_text("text,id\nOne.,a\n", encoding="utf-8")
    empty = members(sources={"files": ["empty.wav"]}, models={"prosody": {}})
    warned = hume_runner.validate(empty)
    assert (warned.path, warned.problems) == ("<mapping>", ())
    assert "<mapping>: sources.files[0]: 'empty.wav' is empty: it will fail by itself" in warned.warnings
    wrong = hume_runner.validate(members(models={"languages": {}}))
    assert {(problem.file, problem.line, problem.column) for problem in wrong.problems} == {(wrong.path, None, None)}
    twice = members(sources={"text": [{"text": "One.", "id": "a"}, {"from": "more.csv"}]})
    with pytest.raises(ManifestError, match=r"the id 'a' is taken already, at <mapping>: sources\.text\[0\]") as caught:
        hume_runner.plan(twice)
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [("more.csv", 2)]


@pytest.mark.parametrize(("value", "code"), [(object(), 64), ({1, 2}, 65), (b"bytes", 65)])
def test_what_no_file_could_hold_is_refused_by_its_member(folder: Path, value: object, code: int) -> None:
    with pytest.raises((UsageError, ManifestError), match="<mapping>: description: is of the type ") as caught:
        hume_runner.run(members(description=value))
    assert caught.value.exit_code == code


@pytest.mark.parametrize("what", ["run", "plan", "validate", "status", "verify", "read_results"])
@pytest.mark.parametrize(
    ("value", "told"),
    [(3, "of the type int"), (None, "None"), ([1], "of the type list"), (b"a.yaml", "of the type bytes")],
)
def test_what_is_neither_a_path_nor_a_mapping_is_no_manifest(what: str, value: Any, told: str) -> None:
    with pytest.raises(UsageError, match=f"path of a YAML file, or its members as a mapping, and not {told}") as caught:
        getattr(hume_runner, what)(value)
    assert "give the path as text or Path, or a dict" in caught.value.hint


def test_a_changed_output_is_found_and_made_again(folder: Path) -> None:
    hume_runner.run(members())
    results = folder / "out" / "results.jsonl"
    before = results.read_bytes()
    results.write_bytes(before[: len(before) // 2])
    found = hume_runner.verify(members())
    assert (found.exit_code, [one.path for one in found.wrong]) == (3, ["results.jsonl"])
    assert hume_runner.verify(members(), repair=True).exit_code == 0
    assert results.read_bytes() == before


@pytest.mark.sweep
def test_the_service_is_asked_whether_it_has_the_jobs(folder: Path) -> None:
    hume_runner.run(members())
    assert hume_runner.verify(members()).jobs == {}  # nobody asked
    told = hume_runner.verify(members(), remote=True)
    assert (told.exit_code, told.jobs, told.disagree) == (0, {"agree": 1, "disagree": 0}, ())


@pytest.mark.sweep
def test_a_job_that_the_service_does_not_know_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hume_runner.run(members())
    monkeypatch.setenv("HUME_API_KEY", "elsewhere")
    with hume_runner.Emulator(data=folder / "other", api_keys=["elsewhere"]) as other:
        told = hume_runner.verify(members(), remote=True, endpoint=other.url)
    assert (told.exit_code, told.wrong, told.jobs) == (3, (), {"agree": 0, "disagree": 1})
    (one,) = told.disagree
    assert (one.number, one.says) == (1, "not known under this key")
    assert (folder / "out" / "raw" / one.remote_id).is_dir()


def test_no_service_is_asked_about_what_was_measured_here(folder: Path) -> None:
    here = members(service={"api": "local"})
    hume_runner.run(here)
    assert hume_runner.verify(here, remote=True).jobs == {"agree": 0, "disagree": 0}


def test_a_cancelled_run_is_not_begun(folder: Path) -> None:
    cancel = Cancel()
    cancel()
    with pytest.raises(Cancelled) as caught:
        hume_runner.run(members(), cancel=cancel)
    assert caught.value.exit_code == 130


def test_a_cancel_is_spent_once_it_was_called(folder: Path) -> None:
    cancel = Cancel()
    assert hume_runner.run(members(), cancel=cancel).exit_code == 0
    cancel()
    other = members(name="other", outputs={"directory": "other"})
    for _ in range(2):
        with pytest.raises(Cancelled):
            hume_runner.run(other, cancel=cancel)
    assert hume_runner.run(other, cancel=Cancel()).exit_code == 0
    assert hume_runner.run(other, cancel=cancel).requests == {}  # there is nothing to end


@pytest.mark.parametrize("kind", [events.Planned, events.Submitted, events.JobFinished])
def test_what_an_event_s_taker_raises_comes_out_of_the_run_as_it_is(folder: Path, kind: type[events.Event]) -> None:
    own = KeyError("mine")

    def on_event(event: events.Event) -> None:
        if isinstance(event, kind):
            raise own

    with pytest.raises(KeyError) as caught:
        hume_runner.run(members(), on_event=on_event)
    assert caught.value is own
    resumed = hume_runner.run(members())
    assert (resumed.exit_code, resumed.counts.items["done"]) == (0, 2)


@pytest.mark.sweep
def test_a_run_that_is_cancelled_from_an_event_finishes_what_is_on_its_way(folder: Path) -> None:
    many = members(sources={"text": [f"Text {number}." for number in range(6)]}, batching={"max_sources": 1})
    many["execution"] = {"max_jobs_in_flight": 1}
    cancel = Cancel()

    def on_event(event: events.Event) -> None:
        if isinstance(event, events.Submitted):
            cancel()

    result = hume_runner.run(many, on_event=on_event, cancel=cancel)
    assert result.exit_code == 130
    assert 0 < result.counts.jobs["submitted"] + result.counts.jobs["done"] < 6
    resumed = hume_runner.run(many)
    assert (resumed.exit_code, resumed.counts.items["done"]) == (0, 6)


@pytest.mark.sweep
def test_whoever_cancels_does_not_wait_for_the_last_look_at_the_service(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list may take minutes, and all is done."""
    cancel = Cancel()
    soon = threading.Timer(1.5, cancel)  # it has begun to look by then, and waits for the list
    with Emulator() as emulator:
        monkeypatch.setenv("HUME_API_KEY", emulator.api_key)
        emulator.inject([{"route": "POST /v0/batch/jobs", "nth": [1], "action": {"status": 503}}])
        own = members(service={"api": "batch-v0", "endpoint": emulator.url})

        def on_event(event: events.Event) -> None:
            if isinstance(event, events.JobFinished):
                emulator.inject([{"route": "GET /v0/batch/jobs", "action": {"delay": "60s"}}])
                soon.start()

        begun = time.monotonic()
        result = hume_runner.run(own, on_event=on_event, cancel=cancel)
        assert 1.5 < time.monotonic() - begun < 45
    assert (result.exit_code, result.counts.items["done"]) == (130, 2)


def test_a_run_works_in_any_thread(folder: Path) -> None:
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(hume_runner.run(members()).exit_code))
    thread.start()
    thread.join(60)
    assert codes == [0]


def test_expected_errors_have_a_next_step(folder: Path) -> None:
    with pytest.raises(HumeRunnerError) as caught:
        hume_runner.verify(members())
    assert caught.value.hint
    assert caught.value.exit_code == 64


# What the commands may take from below the facade, all of it values and words: from `settings` what keeps secrets out,
# `frozen` for their lines of JSON.
LEAVES = frozenset(
    "_version amounts aside errors events frozen guests installing regular_files settings spelling".split()
)
OF_SETTINGS = {"Masker", "mask_secrets", "masked_url", "traceparent"}


def test_the_command_line_stands_on_the_facade_alone() -> None:
    imports = [
        (path.name, node.module.removeprefix("hume_runner").removeprefix("."), name.name)
        for path in (ROOT / "hume_runner" / "cli").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "hume_runner"
        for name in node.names
    ]
    taken = {(file, module or name) for file, module, name in imports}
    assert ("run.py", "api") in taken
    assert [(file, name) for file, name in taken if name.partition(".")[0] not in {"api", "cli", *LEAVES}] == []
    assert {name.partition(".")[0] for _, name in taken} >= LEAVES  # what is allowed is in use
    assert {name for _, module, name in imports if module == "settings"} <= OF_SETTINGS


# Another name for the same, as the package had it.
OF_THE_OLD_PACKAGE = {"ModelConfigBase": "ModelConfig"}


# Another name for a type has neither words nor a name of its own: it stands in the package's docstring.
ALIASES = {"ManifestLike"}


@pytest.mark.parametrize("name", sorted(set(hume_runner.__all__) - {"__version__"} - ALIASES))
def test_each_promised_name_is_its_own_and_documented(name: str) -> None:
    value = getattr(hume_runner, name)
    assert value.__doc__
    assert value.__name__ == OF_THE_OLD_PACKAGE.get(name, name)


@pytest.mark.parametrize("name", sorted(api.__all__))
def test_what_the_facade_offers_is_promised_in_the_package_s_docstring(name: str) -> None:
    assert (name in hume_runner.__all__) == (name not in api.PARTS)
    assert f"`{name}`" in (hume_runner.__doc__ or "")


def test_the_plan_that_a_run_tells_counts_all_items(tmp_path: Path) -> None:
    manifest = {
        "version": 1,
        "name": "counted",
        "service": {"api": "local"},
        "sources": {"text": ["One.", "Two.", "Three."]},
        "models": {"language": {}},
        "outputs": {"directory": str(tmp_path / "out")},
    }
    for new, done, jobs in ((3, 0, 1), (0, 3, 0)):
        told: list[hume_runner.events.Event] = []
        hume_runner.run(manifest, on_event=told.append)
        (planned,) = (event for event in told if isinstance(event, hume_runner.events.Planned))
        assert (planned.new, planned.done, planned.total, planned.to_finish) == (new, done, 3, jobs)


def test_problems_that_are_too_many_are_counted_once_and_last(folder: Path) -> None:
    (folder / "blank.csv").write_text("text\n" + '" "\n' * 130, encoding="utf-8")
    wrong = members(sources={"text": [*[3] * 150, {"from": "blank.csv"}]})
    told = [problem.message for problem in hume_runner.validate(wrong).problems]
    assert [message for message in told if "more problems" in message] == told[100:] == ["and 180 more problems"]
