"""A person's own files under names that we would give: no command writes over them or removes them."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import hume_runner
from hume_runner import events
from hume_runner.errors import UsageError
from hume_runner.results.authorship import kind_at, made_by_us
from hume_runner.results.due import due
from tests.cli.project import Project
from tests.tiers import sampled

DUE = (
    "results.jsonl",
    "run.json",
    "state.sqlite3.outputs.json",
    "report.html",
    "datapackage.json",
    "codebook.md",
    "ro-crate-metadata.json",
    "tables/items.csv",
    "tables/errors.csv",
    "tables/sources.csv",
    "tables/language.csv",
)
# Names that we would give in another study, with other flags, or while something is made.
OTHERS = (
    "tables/items.parquet",
    "tables/language_long.csv",
    "tables/events.csv",
    "tables/face.csv",
    "tables/prosody.csv",
    "tables/notes.txt",
    "tables/.items.csv.0123456789abcdef.part",
    ".run.json.0123456789abcdef.part",
    "raw/mine/response.json",
    "raw/notes.txt",
    "cluster/run-0123456789abcdef/x",
    "cache/notes",
    f"prepared/{'a' * 64}/photo.jpg",
    f"prepared/{'a' * 64}.part/photo.jpg",
    "prepared/.holiday.0123456789abcdef.part/photo.jpg",
    "shards/1-of-2/notes",
    "emulator/x",
)
COMMANDS: dict[str, tuple[str, ...]] = {
    "run": ("run",),
    "tables": ("tables", "--format", "csv"),
    "long tables": ("tables", "--format", "csv", "--long"),
    "parquet tables": ("tables",),
    "report": ("report",),
    "repair": ("verify", "--repair"),
}
# What people keep under such names: each is something that a careless look could take for ours.
THEIRS: dict[str, str] = {
    "words": "my analysis\n",
    "a table": "text,id\nI am so happy today.,a\n",
    "an object": '{"schema": 1, "name": "my dataset"}\n',
    "lines": '{"text": "hi there you", "id": "z"}\n',
    "a page": "<!doctype html>\n<title>my report</title>\n",
    "a codebook": "# my codebook\n\n| column | meaning |\n| --- | --- |\n",
}


@pytest.fixture
def study(project: Project) -> Project:
    project.of_texts("first")
    return project


def put(project: Project, name: str, text: str = "mine") -> Path:
    path = project.out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def seen(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("state.sqlite3")
    }


@pytest.mark.sweep
def test_the_names_of_this_table_are_those_that_a_run_writes(study: Project) -> None:
    from hume_runner.manifest.load import load_manifest

    assert sorted(due(load_manifest(study.write()))) == sorted(DUE)
    assert study.run().code == 0
    written = {name for name in seen(study.out) if not name.startswith("raw/")} | {"state.sqlite3.outputs.json"}
    assert written == set(DUE)


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("theirs", THEIRS.values(), ids=list(THEIRS))
@pytest.mark.parametrize("name", DUE)
def test_a_file_where_a_run_would_write_is_refused_before_anything_is_sent(
    study: Project, name: str, theirs: str
) -> None:
    path = put(study, name, theirs)
    for command in (("validate",), ("plan",), ("run",), ("run",)):
        ran = study.call(*command)
        assert ran.code == (0 if command == ("validate",) else 64), ran.err
        # By some objects of these names a folder is another study's.
        told = f"{path}: hume_runner did not write it, and writes nothing over it"
        if name not in ("run.json", "state.sqlite3.outputs.json") or "belongs to" not in ran.err:
            assert told in ran.err
            if command != ("validate",):
                assert "next: move it away, or give the study another outputs.directory (or --output-dir)" in ran.err
        assert "Traceback" not in ran.err
    assert path.read_text(encoding="utf-8") == theirs
    assert study.requests() == {}
    path.unlink()
    assert study.run().code == 0


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("name", OTHERS)
def test_what_no_command_has_to_write_stays_through_all_of_them(study: Project, name: str) -> None:
    path = put(study, name)
    assert study.run().code == 0
    study.manifest["sources"]["text"].append("second")
    for words in COMMANDS.values():
        command, *flags = words
        assert study.call(command, *flags).code in (0, 64)
        assert path.read_text() == "mine", command


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("words", COMMANDS.values(), ids=list(COMMANDS))
@pytest.mark.parametrize("name", [name for name in OTHERS if name.startswith("tables/")])
def test_what_is_put_beside_outputs_between_runs_stays(study: Project, name: str, words: tuple[str, ...]) -> None:
    assert study.run().code == 0
    path = put(study, name)
    study.manifest["sources"]["text"].append("second")
    command, *flags = words
    ran = study.call(command, *flags)
    # What a command would have to write over it refuses; what it has nothing to do with it passes by.
    assert ran.code == 0 or (ran.code == 64 and str(path) in ran.err), ran.err
    assert path.read_text() == "mine"
    assert "Traceback" not in ran.err


def test_a_folder_where_a_run_would_write_is_refused_before_anything_is_sent(study: Project) -> None:
    (study.out / "tables" / "items.csv").mkdir(parents=True)
    assert study.run().code == 64
    assert study.requests() == {}


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["report.html", "tables/items.csv", "results.jsonl"])
def test_a_file_that_came_while_it_was_measured_stays_and_nothing_is_sent_again(
    study: Project, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUME_API_KEY", study.emulator.api_key)

    def came(event: events.Event) -> None:
        if isinstance(event, events.Planned):
            put(study, name)

    with pytest.raises(UsageError, match="hume_runner did not write it"):
        hume_runner.run(study.write(), on_event=came)
    path = study.out / name
    assert path.read_text() == "mine"
    path.unlink()
    assert study.run().code == 0
    assert study.requests()["POST /v0/batch/jobs"] == 1


@sampled(1)
@pytest.mark.parametrize("lost", ["the state", "the state, tables as parquet", "its marks alone"])
def test_outputs_of_an_earlier_life_of_the_study_are_its_own(study: Project, lost: str) -> None:
    if "parquet" in lost:
        study.manifest["outputs"]["tables"] = ["parquet", "jsonl", "csv"]
    assert study.run().code == 0
    assert study.call("tables", "--format", "csv", "--long").code == 0
    before = seen(study.out)
    for path in study.out.glob("state.sqlite3*"):
        if lost != "its marks alone" or "outputs.json" not in path.name:
            path.unlink()
    study.manifest["sources"]["text"].append("second")
    ran = study.run()
    assert ran.code == 0, ran.err
    assert len(study.results()) == 2
    assert set(before) <= set(seen(study.out))
    assert study.requests()["POST /v0/batch/jobs"] == 2  # only for what is new


@pytest.mark.sweep
def test_a_table_that_nobody_asks_for_any_more_goes_if_it_is_as_it_was_written(study: Project) -> None:
    assert study.call("run").code == 0
    for edited in (False, True):
        assert study.call("tables", "--format", "csv", "--long").code == 0
        long = study.out / "tables" / "language_long.csv"
        assert long.exists()
        if edited:
            long.write_text("edited\n")
        assert study.call("tables", "--format", "csv").code == 0
        assert long.exists() == edited
    assert long.read_text() == "edited\n"


# -- what a run reads ------------------------------------------------------------------------------------------------


def at_items(study: Project) -> None:
    study.manifest["sources"] = {"text": [{"from": "out/tables/items.csv", "column": "text"}]}
    put(study, "tables/items.csv", "text\nfirst\n")


def at_results(study: Project) -> None:
    study.manifest["sources"] = {"text": [{"from": "link.jsonl"}]}
    path = put(study, "results.jsonl", '{"text": "first"}\n')
    (study.folder / "link.jsonl").symlink_to(path)


def at_events(study: Project) -> None:
    study.manifest["events"] = [{"from": "out/tables/events.csv"}]
    put(study, "tables/events.csv", "name,begin,end\nx,0,1\n")


def at_report(study: Project) -> None:
    study.manifest["sources"] = {"files": ["out/report.html"]}
    put(study, "report.html")


def at_key(study: Project) -> None:
    study.manifest["service"]["api_key"] = {"file": "out/codebook.md"}
    put(study, "codebook.md", "key")


READ: dict[str, tuple[Callable[[Project], None], str]] = {
    "a list": (at_items, "sources.text[0]"),
    "a list behind a link": (at_results, "sources.text[0]"),
    "a list of events": (at_events, "events[0]"),
    "a medium": (at_report, "sources.files[0]"),
    "a key": (at_key, "service.api_key.file"),
}


@sampled(9)
@pytest.mark.parametrize(("place", "member"), READ.values(), ids=list(READ))
@pytest.mark.parametrize("command", ["validate", "plan", "run"])
def test_outputs_over_what_the_manifest_reads_are_a_fault_of_the_manifest(
    study: Project, place: Callable[[Project], None], member: str, command: str
) -> None:
    place(study)
    before = seen(study.out)
    ran = study.call(command)
    assert ran.code == 65, ran.err
    said = ran.out + ran.err
    assert f"{member}: " in said
    assert "is what a run writes its own outputs over (outputs.directory, " in said
    assert "next: give outputs.directory a folder of its own" in said
    assert seen(study.out) == before


@pytest.mark.sweep
def test_a_list_in_the_output_directory_under_a_name_of_its_own_is_read(study: Project) -> None:
    study.manifest["sources"] = {"text": [{"from": "out/tables/people.csv", "column": "text"}]}
    path = put(study, "tables/people.csv", "text\nfirst\n")
    assert study.run().code == 0
    assert path.read_text() == "text\nfirst\n"


# -- what a flag names -----------------------------------------------------------------------------------------------

FLAGS: dict[str, tuple[str, ...]] = {
    "--out of tables": ("tables", "--format", "csv", "--out", "{folder}"),
    "--out of a dataset": ("tables", "--psych-ds", "--out", "{folder}"),
    "--out of report": ("report", "--out", "{file}"),
    "--out of plan": ("plan", "--out", "{file}"),
    "--markdown of plan": ("plan", "--markdown", "{file}"),
    "--metrics-file": ("run", "--metrics-file", "{file}"),
    "--figures": ("report", "--figures", "{folder}", "--figure-format", "csv"),
}
NAMES = {"tables": "items.csv", "--psych-ds": "dataset_description.json", "--figures": "means-language.csv"}


def named(study: Project, words: tuple[str, ...]) -> tuple[Path, list[str]]:
    folder = study.folder / "there"
    name = next((name for word, name in reversed(NAMES.items()) if word in words), "file.txt")
    folder.mkdir(exist_ok=True)
    return folder / name, [word.format(folder=folder, file=folder / name) for word in words]


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("words", FLAGS.values(), ids=list(FLAGS))
def test_a_flag_that_names_a_persons_file_is_refused(study: Project, words: tuple[str, ...]) -> None:
    assert study.run().code == 0
    path, (command, *flags) = named(study, words)
    for theirs in THEIRS.values():
        path.write_text(theirs, encoding="utf-8")
        ran = study.call(command, *flags)
        assert ran.code == 64, ran.err
        assert f"{path}: hume_runner did not write it" in ran.err
        assert path.read_text(encoding="utf-8") == theirs


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("words", FLAGS.values(), ids=list(FLAGS))
def test_what_the_same_command_wrote_before_it_writes_over_and_what_is_empty_as_well(
    study: Project, words: tuple[str, ...]
) -> None:
    assert study.run().code == 0
    path, (command, *flags) = named(study, words)
    path.touch()
    for _ in range(2):
        ran = study.call(command, *flags)
        assert ran.code == 0, ran.err
        assert path.stat().st_size > 0


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("form", ["csv", "json", "md", "html", "parquet"])
def test_a_comparison_is_written_over_and_nothing_else_is(study: Project, form: str) -> None:
    assert study.run().code == 0
    path = study.folder / f"c.{form}"
    words = ("compare", str(study.write()), str(study.path), "--out", str(path))
    for _ in range(2):
        assert study.plain_call(*words).code == 0
    path.write_text("mine")
    assert study.plain_call(*words).code == 64
    assert path.read_text() == "mine"


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("what", ["manifest", "list", "medium", "state"])
@pytest.mark.parametrize("flag", ["--log-file", "--metrics-file"])
def test_no_log_and_no_numbers_go_into_what_a_run_reads(study: Project, what: str, flag: str) -> None:
    study.manifest["sources"] = {
        "text": [{"from": "list.csv", "column": "text"}],
        "files": ["media/*"],
    }
    (study.folder / "list.csv").write_text("text\nfirst\n")
    study.manifest["models"]["prosody"] = {}
    assert study.run().code == 0
    path = {
        "manifest": study.path,
        "list": study.folder / "list.csv",
        "medium": study.folder / "media" / "one.wav",
        "state": study.out / "state.sqlite3",
    }[what]
    other = study.folder / "other name"
    os.link(path, other)
    before = path.read_bytes()
    ran = study.run(flag, str(other))
    assert ran.code == 64, ran.err
    assert str(other) in ran.err
    assert path.read_bytes() == before


@pytest.mark.sweep
def test_a_log_goes_behind_what_others_wrote(study: Project) -> None:
    log = study.folder / "all.log"
    log.write_text("the night's jobs\n")
    for _ in range(2):
        assert study.run("--log-file", str(log)).code == 0
    assert log.read_text().startswith("the night's jobs\n20")
    assert json.loads((study.out / "run.json").read_text())["exit_code"] == 0


# -- what a run wrote, and somebody went on with ---------------------------------------------------------------------


def edited(content: bytes) -> bytes:
    """With a word of somebody's own in the middle of it."""
    middle = content.index(b"first") if b"first" in content else len(content) // 2
    return content[:middle] + b"mine" + content[middle:]


@pytest.mark.sweep
def test_without_a_state_what_a_run_wrote_is_known_whatever_git_did_and_not_when_it_was_edited(study: Project) -> None:
    study.manifest["outputs"]["tables"] = ["csv", "jsonl"]
    study.manifest["sources"] = {"text": [{"text": "first\nsecond", "id": "a", "labels": {"wave": "pre"}}]}
    assert study.run().code == 0
    for path in study.out.glob("state.sqlite3*"):
        path.unlink()
    written = {name: (study.out / name).read_bytes() for name in seen(study.out) if not name.startswith("raw/")}
    assert len(written) > 10
    for name, content in written.items():
        path = study.out / name
        for ends in (b"\n", b"\r\n"):
            path.write_bytes(content.replace(b"\r\n", b"\n").replace(b"\n", ends))
            assert made_by_us(path, kind_at(name)), name
        if content and name != "results.jsonl":
            path.write_bytes(edited(content))
            assert not made_by_us(path, kind_at(name)), name
        path.write_bytes(content)
    path = study.out / "codebook.md"
    path.write_bytes(edited(written["codebook.md"]))
    ran = study.run()
    assert ran.code == 64
    assert f"{path}: is not as hume_runner writes it: edited since, or from an earlier version" in ran.err
    assert "next: move it away, remove it if nobody needs it, or give the study another" in ran.err
    path.unlink()
    assert study.run().code == 0


@sampled(1)
@pytest.mark.parametrize("name", ["report.html", "codebook.md", "tables/items.csv", "datapackage.json"])
def test_what_the_state_knows_is_made_again_if_it_was_edited_and_kept_if_it_is_another_file(
    study: Project, name: str
) -> None:
    assert study.run().code == 0
    path = study.out / name
    theirs = edited(path.read_bytes())
    path.write_bytes(theirs)
    assert study.run().code == 0
    assert made_by_us(path, kind_at(name))
    assert path.read_bytes() != theirs
    for theirs in ("my own\n", "my,own,list\n1,2,3\n", "<h1>My chapter</h1>\n", '{"my": "own"}\n'):
        path.write_text(theirs)
        ran = study.run()
        assert ran.code == 64, ran.err
        assert f"{path}: hume_runner did not write it" in ran.err
        assert path.read_text() == theirs


@sampled(1)
@pytest.mark.parametrize("theirs", ["<h1>My chapter</h1>\n", "an edited one"])
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("report.html", {"report": True}, {"report": False}),
        ("tables/items.csv", {"tables": ["csv"]}, {"tables": ["jsonl"]}),
    ],
)
def test_what_nobody_asks_for_any_more_stays_as_it_is_once_somebody_went_on_with_it(
    study: Project, name: str, before: dict[str, object], after: dict[str, object], theirs: str
) -> None:
    study.manifest["outputs"] = {"directory": "out", **before}
    assert study.run().code == 0
    path = study.out / name
    path.write_text(path.read_text() + "mine\n" if "edited" in theirs else theirs)
    content = path.read_bytes()
    study.manifest["outputs"] = {"directory": "out", **after}
    study.manifest["sources"]["text"].append("second")
    ran = study.run()
    assert ran.code == 0, ran.err
    assert f"{path}: not as it was written, and not asked for: left as it is" in ran.err
    assert path.read_bytes() == content
    ran = study.run()
    assert ran.code == 0, ran.err
    assert "left as it is" not in ran.err
    assert path.read_bytes() == content


@sampled(2)
@pytest.mark.parametrize("name", ["codebook.md", "datapackage.json", "ro-crate-metadata.json"])
def test_what_describes_tables_that_nobody_asks_for_any_more_stays_as_it_was_edited(study: Project, name: str) -> None:
    study.manifest["outputs"] = {"directory": "out", "tables": ["csv"]}
    assert study.run().code == 0
    path = study.out / name
    written = path.read_text()
    path.write_text(written + "Mine.\n" if name.endswith(".md") else json.dumps(json.loads(written) | {"mine": True}))
    content = path.read_bytes()
    study.manifest["outputs"] = {"directory": "out"}
    study.manifest["sources"]["text"].append("second")
    ran = study.run()
    assert ran.code == 0, ran.err
    assert f"{path}: not as it was written, and not asked for: left as it is" in ran.err
    assert path.read_bytes() == content


# -- each kind in its own place --------------------------------------------------------------------------------------


@sampled(1)
@pytest.mark.parametrize("name", DUE)
@pytest.mark.parametrize("words", [("plan", "--out"), ("plan", "--markdown"), ("run", "--metrics-file")])
def test_no_flag_puts_something_else_where_a_study_has_its_outputs(
    study: Project, name: str, words: tuple[str, str]
) -> None:
    assert study.run().code == 0
    path = study.out / name
    before = path.read_bytes()
    ran = study.call(*words, str(path))
    assert ran.code == 64, ran.err
    assert f"{path}: this is an output of the study in {study.out}" in ran.err
    assert path.read_bytes() == before


@pytest.mark.sweep
def test_tables_and_reports_of_one_study_go_over_nothing_of_another(study: Project) -> None:
    assert study.run().code == 0
    study.manifest["outputs"]["directory"] = "other"
    assert study.run().code == 0
    other = study.folder / "other"
    study.manifest["outputs"]["directory"] = "out"
    before = seen(other)
    for words in (
        ("tables", "--format", "csv", "--out", str(other / "tables")),
        ("report", "--out", f"{other}/report.html"),
    ):
        ran = study.call(*words)
        assert ran.code == 64, ran.err
        assert f"this is an output of the study in {other}" in ran.err
    assert seen(other) == before


@sampled(1)
@pytest.mark.parametrize("theirs", ['{"schema": 1, "manifest": {"name": "t"}, "jobs": []}', '{"manifest": "t"}', "[1]"])
def test_a_record_of_the_owner_that_tells_nothing_is_told_as_such(study: Project, theirs: str) -> None:
    assert study.run().code == 0
    path = study.out / "state.sqlite3.outputs.json"
    path.write_text(theirs)
    ran = study.run()
    assert ran.code == 64, ran.err
    assert f"{path}: hume_runner did not write it, and writes nothing over it" in ran.err
    assert "next: move it away, or give the study another" in ran.err
    assert "{'" not in ran.err
    assert path.read_text() == theirs
    path.unlink()
    assert study.run().code == 0


# -- what is no file -------------------------------------------------------------------------------------------------


@sampled(1)
@pytest.mark.parametrize("what", ["a pipe", "a loop", "below a loop"])
@pytest.mark.parametrize(
    "words",
    [
        ("run", "--metrics-file"),
        ("plan", "--out"),
        ("plan", "--markdown"),
        ("report", "--out"),
        ("tables", "--out"),
        ("report", "--figure-format", "csv", "--figures"),
    ],
)
def test_what_is_no_file_and_no_folder_is_told_and_ends_at_once(
    study: Project, words: tuple[str, ...], what: str
) -> None:
    assert study.run().code == 0
    path = study.folder / "there"
    if what == "a pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("there")
    ran = study.call(*words, str(path if what != "below a loop" else path / "x"))
    assert ran.code in (10, 64), ran.err
    assert "Traceback" not in ran.err
    assert "next: " in ran.err


def test_numbers_are_not_read_from_a_device(study: Project) -> None:
    ran = study.run("--metrics-file", "/dev/zero")
    assert ran.code == 64
    assert "/dev/zero: cannot write the metrics: a device is where a file should be" in ran.err
