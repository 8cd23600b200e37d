"""Links that somebody planted where a run is about to write: nothing elsewhere changes."""

from __future__ import annotations

import os
import stat
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests import warm
from tests.cli.project import Project
from tests.tiers import sampled

FORMATS = ["parquet", "csv", "jsonl"]
# Runs a command and prints every path that was opened to be written, or renamed to.
WATCHED = textwrap.dedent("""
    import os, sys
    seen = set()
    def hook(event, args):
        if event == "open" and isinstance(args[0], (str, bytes)) and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.add(os.path.abspath(os.fsdecode(args[0])))
        elif event == "os.rename":
            seen.add(os.path.abspath(os.fsdecode(args[1])))
        elif event in ("os.mkdir", "sqlite3.connect"):
            seen.add(os.path.abspath(os.fsdecode(args[0])))
    sys.addaudithook(hook)
    from hume_runner.cli.main import main
    code = main(sys.argv[2:])
    with open(sys.argv[1], "w") as told:
        told.write("\\n".join(sorted(seen)))
    sys.exit(code)
""")


def full(project: Project) -> Project:
    project.manifest["outputs"] |= {"tables": FORMATS, "report": True}
    return project


def watched(project: Project, *words: str) -> set[Path]:
    """What a command opened to be written below the project's folder."""
    told = project.folder.parent / "opened.txt"
    project.write()
    warm.run(
        [sys.executable, "-c", WATCHED, str(told), *words],
        cwd=project.folder,
        env={**os.environ, **project.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
        capture_output=True,
    )
    found = {Path(line) for line in told.read_text().splitlines()}
    return {path for path in found if path.is_relative_to(project.folder)}


def names(paths: set[Path], project: Project) -> set[Path]:
    """Relative to the project, without what cannot be guessed."""
    kept = {path.relative_to(project.folder) for path in paths}
    return {path for path in kept if not path.name.endswith(".part") or not path.name.startswith(".")}


class Elsewhere:
    """A folder of somebody's own files, and links to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.count = 0

    def link_at(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.exists():
            path.unlink()
        path.symlink_to(self.file())

    def file(self) -> Path:
        self.count += 1
        path = self.folder / str(self.count)
        path.write_text(f"mine {self.count}")
        return path

    def untouched(self) -> bool:
        return {path.name: path.read_text() for path in self.folder.iterdir()} == {
            str(number): f"mine {number}" for number in range(1, self.count + 1)
        }


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "elsewhere")


@pytest.fixture
def twin(tmp_path: Path, emulator: Emulator) -> Project:
    return full(Project(tmp_path / "twin", emulator))


@pytest.mark.sweep
def test_links_at_every_name_that_a_run_wrote_lead_nowhere(
    project: Project, twin: Project, elsewhere: Elsewhere
) -> None:
    written = watched(full(project), "run", "manifest.yaml")
    assert {"results.jsonl", "run.json", "report.html", "items.csv"} <= {path.name for path in written}
    planted = 0
    for name in names(written, project):
        original = project.folder / name
        # State and lock are opened by what they are: those attacks are tried in tests of their own.
        if not original.is_dir() and not name.name.startswith("state.sqlite3") and "raw" not in name.parts:
            elsewhere.link_at(twin.folder / name)
            planted += 1
    for path in list(twin.out.rglob("*")):
        if path.is_symlink():
            elsewhere.link_at(path.with_name(f"{path.name}.part"))
    for name in (".seal.part", ".seal", ".owner.json", ".owner.json.part"):
        elsewhere.link_at(twin.out / f"state.sqlite3{name}")
    assert planted > 10
    links = [path for path in twin.out.rglob("*") if path.is_symlink() and "sqlite" not in path.name]
    sent = twin.requests()
    ran = twin.run()
    assert ran.code == 64, ran.err
    assert "hume_runner did not write them" in ran.err
    assert elsewhere.untouched()
    assert all(path.is_symlink() for path in links)
    assert twin.requests() == sent


@pytest.mark.sweep
def test_links_in_the_place_of_what_a_run_wrote_are_replaced_and_lead_nowhere(
    project: Project, elsewhere: Elsewhere
) -> None:
    """As those that keep outputs by their content make of them, in git-annex or DVC."""
    written = names(watched(full(project), "run", "manifest.yaml"), project)
    for name in written:
        original = project.folder / name
        if not original.is_dir() and not name.name.startswith("state.sqlite3") and "raw" not in name.parts:
            elsewhere.link_at(original)
    project.manifest["sources"]["text"].append("One more.")
    ran = project.run()
    assert ran.code == 0, ran.err
    assert elsewhere.untouched()
    assert not [path for path in project.out.rglob("*") if path.is_symlink()]


@pytest.mark.sweep
def test_what_is_written_aside_has_no_name_that_could_be_guessed(project: Project) -> None:
    written = watched(full(project), "run", "manifest.yaml")
    parts = [path for path in written if "part" in path.name]
    assert len(parts) > 10
    assert not [path for path in parts if not path.name.startswith(".") or len(path.name.split(".")[-2]) != 16]


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Project]:
    """A project at a service that takes its time, so that a run can leave before anything is fetched."""
    with Emulator(processing_time_s=3) as emulator:
        yield Project(tmp_path / "slow", emulator)


@pytest.mark.sweep
def test_links_at_the_final_names_of_a_jobs_answers_lead_nowhere(slow: Project, elsewhere: Elsewhere) -> None:
    """As when a fetch was interrupted: the folder is there, and somebody knows the remote id."""
    assert slow.run("--detach").code == 0
    (job,) = slow.call("status", "--json", "--jobs").json["job_list"]
    folder = slow.out / "raw" / job["remote_id"]
    for name in ("predictions.json", "request.json"):
        elsewhere.link_at(folder / name)
        elsewhere.link_at(folder / f"{name}.part")
    assert slow.run().code == 0
    assert elsewhere.untouched()


@sampled(2)
@pytest.mark.parametrize("name", ["raw", "tables", "prepared", "emulator"])
def test_a_folder_below_the_outputs_that_is_a_link_is_refused_before_anything_is_sent(
    project: Project, elsewhere: Elsewhere, name: str
) -> None:
    full(project).out.mkdir()
    (project.out / name).symlink_to(elsewhere.folder)
    ran = project.run()
    assert ran.code == 10, ran.err
    assert f"{name}: a link" in ran.err
    assert "Traceback" not in ran.err
    assert list(elsewhere.folder.iterdir()) == []
    assert project.job_requests() == []


@pytest.mark.sweep
def test_a_link_at_a_jobs_folder_is_refused_and_the_job_is_fetched_once_it_is_gone(
    slow: Project, elsewhere: Elsewhere
) -> None:
    assert slow.run("--detach").code == 0
    (job,) = slow.call("status", "--json", "--jobs").json["job_list"]
    (slow.out / "raw").mkdir(exist_ok=True)
    link = slow.out / "raw" / job["remote_id"]
    link.symlink_to(elsewhere.folder)
    ran = slow.run()
    assert ran.code == 10
    assert list(elsewhere.folder.iterdir()) == []
    link.unlink()
    assert slow.run().code == 0
    assert len(slow.job_requests()) == 1


@pytest.mark.sweep
def test_an_output_directory_that_is_a_link_itself_is_a_persons_choice(project: Project, tmp_path: Path) -> None:
    (tmp_path / "big disk").mkdir()
    project.out.symlink_to(tmp_path / "big disk")
    assert full(project).run().code == 0
    assert (tmp_path / "big disk" / "results.jsonl").is_file()


def test_tables_made_by_hand_do_not_go_through_a_link(project: Project, elsewhere: Elsewhere) -> None:
    assert project.run().code == 0
    (project.out / "tables").symlink_to(elsewhere.folder)
    ran = project.call("tables")
    assert ran.code == 10, ran.err
    assert list(elsewhere.folder.iterdir()) == []


@sampled(2)
@pytest.mark.parametrize("ending", ["", ".part"])
@pytest.mark.parametrize(
    ("command", "out"),
    [("plan", "plan.json"), ("report", "page.html"), ("tables", "t/items.csv"), ("init", "new.yaml")],
)
def test_a_link_where_a_command_writes_its_file_is_kept_and_not_followed(
    project: Project, elsewhere: Elsewhere, command: str, out: str, ending: str
) -> None:
    assert project.run().code == 0
    target = project.folder / out
    link = target.with_name(f"{target.name}{ending}")
    elsewhere.link_at(link)
    match command:
        case "init":
            ran = project.plain_call("init", str(project.folder / "media"), "--out", str(target))
        case "tables":
            ran = project.call("tables", "--format", "csv", "--out", str(target.parent))
        case _:
            ran = project.call(command, "--out", str(target))
    assert ran.code == (0 if ending else 64), ran.err
    assert link.is_symlink()
    assert elsewhere.untouched()


def test_a_saved_plan_is_readable_by_its_owner_alone(project: Project) -> None:
    target = project.folder / "plan.json"
    assert project.call("plan", "--out", str(target)).code == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_the_emulators_data_do_not_go_through_links(project: Project, elsewhere: Elsewhere) -> None:
    for name in ("emulator.sqlite3", "uploads", "incoming"):
        data = project.folder / f"data-{name}"
        data.mkdir()
        (data / name).symlink_to(elsewhere.folder / "made")
        ran = project.plain_call("emulate", "--data", str(data))
        assert ran.code == 10, ran.err
        assert list(elsewhere.folder.iterdir()) == []
