"""A host that tells what it was sent in another way: without a state, nothing is paid for again in silence."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import JOBS, Project
from tests.durability.test_ask_before_paying import measured
from tests.emulator.api import Api
from tests.tiers import sampled

_LONG = "What follows is long enough to be shown as a preview only, as hosts do in lists that people read on screens. "
TEXTS = [f"  Zürich, number {n}: a  Sentence of its own.\n{_LONG}" for n in range(4)]
URLS = [f"https://Example.org/Clips%20of%20M%C3%BCller/Take-{n}.mp4?take={n}&of=a%20b#t={n}" for n in range(4)]
BARE = [f"https://example.org/clips/Take-{n}.mp4" for n in range(4)]


# What the host does -> (its difficulties, what becomes of texts, of links, of files): "adopted", "asked"; "" for what
# it does not touch. The third that is possible, "paid twice", is in no cell.
TOLD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "as it was sent": ({}, "adopted", "adopted", "adopted"),
    "links without query": ({"urls": {"without": r"\?[^#]*"}}, "", "asked", ""),
    "links without query and fragment": ({"urls": [{"without": r"[?#].*"}]}, "", "asked", ""),
    "links without one member": ({"urls": {"without": r"&of=[^#]*"}}, "", "asked", ""),
    "links with a masked member": ({"urls": [{"without": r"(?<=of=)[^#]*"}]}, "", "asked", ""),
    "links in another order": ({"urls": "sorted_query"}, "", "asked", ""),
    "links decoded": ({"urls": "decode"}, "", "asked", ""),
    "links encoded once more": ({"urls": "encode_again"}, "", "asked", ""),
    "links wholly encoded": ({"urls": "percent"}, "", "asked", ""),
    "links with small digits": ({"urls": "lower_hex"}, "", "asked", ""),
    "hosts in capitals": ({"urls": "upper_host"}, "", "adopted", ""),
    "links in capitals": ({"urls": "upper"}, "", "asked", ""),
    "links in small letters": ({"urls": "lower"}, "", "asked", ""),
    "links without fragment": ({"urls": {"without": "#.*"}}, "", "adopted", ""),
    "links by http": ({"urls": "http"}, "", "asked", ""),
    "links without scheme": ({"urls": {"without": "^https://"}}, "", "asked", ""),
    "links by host alone": ({"urls": {"without": r"(?<=\w)/[^/].*"}}, "", "asked", ""),
    "links by name alone": ({"urls": [{"without": "^.*/"}, {"without": r"\?.*"}]}, "", "asked", ""),
    "links cut": ({"urls": {"first": 50}}, "", "asked", ""),
    "links for web pages": ({"urls": "html"}, "", "asked", ""),
    "texts in capitals": ({"texts": "upper"}, "asked", "", ""),
    "texts in small letters": ({"texts": "lower"}, "asked", "", ""),
    "texts stripped": ({"texts": "strip"}, "asked", "", ""),
    "texts with single blanks": ({"texts": "collapse"}, "asked", "", ""),
    "texts without blanks": ({"texts": {"without": r"\s"}}, "asked", "", ""),
    "texts in parts of letters": ({"texts": "nfd"}, "asked", "", ""),
    "texts for web pages": ({"texts": ["html", "upper"]}, "asked", "", ""),
    "texts cut at 100": ({"texts": {"first": 100}}, "asked", "", ""),
    "texts cut at 37": ({"texts": {"first": 37}}, "asked", "", ""),
    "texts squeezed, cut, in capitals": ({"texts": ["collapse", {"first": 60}, "upper"]}, "asked", "", ""),
    "texts without the last words": ({"texts": [{"first": 90}, {"without": r"\s\w*$"}]}, "asked", "", ""),
    "texts with dots": ({"texts": {"without": r"(?<=Sentence)[\s\S]*$"}}, "asked", "", ""),
    "the first of each kind": ({"shows": "first"}, "asked", "asked", "asked"),
    "every other": ({"shows": "every other"}, "asked", "asked", "asked"),
    "counts": ({"shows": "count"}, "asked", "asked", "asked"),
    "the first and a count": ({"shows": "first and count"}, "asked", "asked", "asked"),
    "MD5s in capitals": ({"md5s": "upper"}, "", "", "adopted"),
    "MD5s in base64": ({"md5s": "base64_of_hex"}, "", "", "adopted"),
    "no MD5s": ({"md5s": {"without": ".*"}}, "", "", "asked"),
    "MD5s that are cut": ({"md5s": {"first": 8}}, "", "", "asked"),
    "names cut to the last part": ({"filenames": {"without": r"^[0-9a-f]+-\d+-"}}, "", "", "adopted"),
    "names with a path": ({"filenames": "path"}, "", "", "adopted"),
    "names encoded": ({"filenames": "percent"}, "", "", "adopted"),
    "names in capitals": ({"filenames": "upper"}, "", "", "adopted"),
}
KINDS = ("text", "urls", "files")
CELLS = [(kind, how) for at, kind in enumerate(KINDS, 1) for how, row in TOLD.items() if row[at]]
SOURCES = {"text": TEXTS, "urls": URLS, "files": ["media/*"]}


@dataclass(frozen=True)
class Paid:
    """A finished run whose state is gone: what was measured, by the item, and how many jobs were paid for."""

    project: Project
    rows: dict[str, list[str]]
    jobs: int

    @property
    def accepted(self) -> int:
        return int(self.project.emulator.requests()["jobs_accepted"])


@pytest.fixture(scope="module")
def paid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    folder = tmp_path_factory.mktemp("told")
    with Emulator(data=folder / "service", processing_time_s=0.01) as emulator:
        project = Project(folder / "project", emulator)
        (project.folder / "media" / "one.wav").unlink()
        for number in range(4):
            project.add_file(f"Page {number} é.txt", f"Page {number} has words of its own.".encode())
        project.manifest["sources"] = {request.param: SOURCES[request.param]}
        project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"], "report": False}
        assert project.run().code == 0
        yield Paid(project=project, rows=rows_of(project), jobs=1)


def rows_of(project: Project) -> dict[str, list[str]]:
    """The numbers of the tables' rows, by the item."""
    found: dict[str, list[str]] = {}
    for name in ("language", "prosody"):
        path = project.out / "tables" / f"{name}.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            row = json.loads(line)
            numbers = {one: value for one, value in row.items() if isinstance(value, float)}
            found.setdefault(row["item_id"], []).append(json.dumps(numbers, sort_keys=True))
    assert len(found) == 4
    return found


@sampled(3)
@pytest.mark.parametrize(("paid", "how"), CELLS, indirect=["paid"])
def test_what_is_told_otherwise_is_adopted_or_asked_about_and_never_paid_twice(paid: Paid, how: str) -> None:
    project = paid.project
    difficulties, *row = TOLD[how]
    (kind,) = project.manifest["sources"]
    wanted = row[KINDS.index(kind)]
    shutil.rmtree(project.out)
    project.emulator.make_difficult({"jobs": difficulties})
    ran = project.run()
    assert paid.accepted == paid.jobs, "paid twice"
    assert {0: "adopted", 9: "asked"}.get(ran.code) == wanted, ran.err
    if wanted == "adopted":
        assert rows_of(project) == paid.rows
    else:
        assert "cannot be told for sure" in ran.err
        assert "adopt" in ran.err
        assert "--pay-again" in ran.err


def test_the_command_that_is_advised_names_the_jobs_that_are_asked_about(project: Project) -> None:
    one, other = colleague(project, text=["HELLO THERE."]), colleague(project, text=["AND BYE."])
    project.manifest["sources"] = {"text": ["Hello there.", "And bye."]}
    ran = project.run()
    assert ran.code == 9
    (advice,) = [line for line in ran.err.splitlines() if line.startswith("next: ")]
    assert advice.startswith(
        (
            f"next: `hume-runner adopt {project.path} {one} {other}`",
            f"next: `hume-runner adopt {project.path} {other} {one}`",
        )
    )


# -- what is clearly another's ----------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with Emulator(data=tmp_path / "service", processing_time_s=0.01) as emulator:
        project = Project(tmp_path / "project", emulator)
        project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"], "report": False}
        project.manifest["models"] = {"language": {}}
        yield project


def colleague(project: Project, **sources: list[str]) -> str:
    """A job of the same settings that somebody with this key started."""
    with Api(project.emulator.url, project.emulator.api_key) as api:
        body = {"models": project.manifest["models"], **sources}
        return str(api.call("POST", JOBS.partition(" ")[2], json=body).json()["job_id"])


@pytest.mark.sweep
def test_five_hundred_jobs_of_others_that_look_alike_are_no_reason_to_ask(project: Project) -> None:
    for n in range(1, 501):
        urls = [f"https://example.org/clip_{n:03d}.mp4", f"https://example.org/{n}/1.mp4", f"https://e.org/w?v={n}"]
        colleague(project, urls=urls, text=[f"This is sentence number {n}", f"Answer {n}: yes."])
    project.manifest["sources"] = {
        "urls": [f"https://example.org/clip_{n}.mp4" for n in range(501, 520)]
        + [f"https://example.org/{n}/11.mp4" for n in range(1, 20)]
        + [f"https://e.org/w?v={n}" for n in range(501, 520)],
        "text": [f"This is sentence number {n}" for n in range(501, 520)]
        + [f"Answer {n}: yes, no." for n in range(20)],
    }
    ran = project.run()
    assert ran.code == 0, ran.err
    assert "may carry" not in ran.err
    assert project.emulator.requests()["jobs_accepted"] == 501


@pytest.mark.sweep
def test_what_was_agreed_to_is_not_asked_about_again_and_what_is_the_same_is_still_had(project: Project) -> None:
    theirs = colleague(project, text=["HELLO THERE.", "AND THIS AS WELL."])
    project.manifest["sources"] = {"text": [{"text": "Hello there.", "id": "hello"}]}
    ran = project.run()
    assert ran.code == 9
    assert theirs in ran.err
    assert "'hello'" in ran.err
    assert "in another way" in ran.err
    assert project.run("--pay-again").code == 0
    assert project.emulator.requests()["jobs_accepted"] == 2
    project.manifest["sources"]["text"] += ["hello THERE.", "AND THIS AS WELL."]
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == 3  # for what they did not have as it stands
    assert {line["status"] for line in project.results()} == {"done"}


def test_capitals_that_a_host_keeps_elsewhere_in_a_job_are_the_sender_s(project: Project) -> None:
    colleague(project, text=["HELLO THERE.", "Another text of theirs."])
    project.manifest["sources"] = {"text": ["Hello there."]}
    ran = project.run()
    assert ran.code == 0, ran.err


@pytest.mark.sweep
@pytest.mark.parametrize(
    "difficulties",
    [{"texts": "upper"}, {"texts": ["collapse", {"first": 40}]}, {"urls": {"without": r"\?.*"}}],
    ids=["capitals", "beginnings", "no query"],
)
def test_what_a_person_says_is_the_job_is_adopted_however_it_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch, difficulties: dict[str, Any]
) -> None:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    project.manifest["sources"] = {"text": TEXTS, "urls": [f"https://example.org/{n}.txt?of={n}" for n in range(3)]}
    assert project.run().code == 0
    rows = measured(project)
    shutil.rmtree(project.out)
    project.emulator.make_difficult({"jobs": difficulties})
    ran = project.run()
    assert ran.code == 9
    with Api(project.emulator.url, project.emulator.api_key) as api:
        (job,) = api.call("GET", JOBS.partition(" ")[2]).json()
    assert job["job_id"] in ran.err
    told = project.call("adopt", job["job_id"])
    assert told.code == 0, told.err
    ran = project.run()
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["jobs_accepted"] == 1
    assert measured(project) == rows
