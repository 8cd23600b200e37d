"""A third API, registered from outside the package: texts in, their lengths out, measured here."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import hume_runner
from hume_runner import registry
from hume_runner.cli.main import main
from hume_runner.manifest.model import Manifest, SourceKind
from hume_runner.registry import Registered
from hume_runner.services.at_once import AtOnce
from hume_runner.services.base import Service
from hume_runner.services.jobs import (
    Answered,
    Draft,
    Ended,
    Job,
    Leniency,
    Member,
    Outcome,
    PlanItem,
    Progress,
    Submission,
    Waiting,
)
from hume_runner.services.packing import pack
from hume_runner.services.table_shapes import Block, BlockBuilder, Column, EntryError, Layout, Share


class Lengths(AtOnce):
    """Counts letters. What it is asked for it has measured when it answers, and it remembers nothing."""

    api = "lengths"

    def __init__(self, manifest: Manifest, endpoint: str) -> None:
        self.endpoint = endpoint
        self._most = manifest.batching.max_sources
        self._sent = 0

    @property
    def requests(self) -> Mapping[str, int]:
        return {"measured": self._sent}

    def relevant(self, kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"models": settings["models"]}

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        return ("is too long to count", "shorten it") if len(item.value) > 1000 else None

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        return self.recompile([Member(item=item) for item in items])

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        return pack(members, most=self._most, most_bytes=10_000)

    def prepare(self, job: Job) -> Submission:
        matches = {member.position: str(number) for number, member in enumerate(job.members)}

        def send() -> Answered:
            self._sent += 1
            body = json.dumps([{"n": matches[one.position], "length": len(one.item.value)} for one in job.members])
            return Answered(
                remote_id=f"{job.nonce}", body=body.encode(), server_time_s=None, simulated=False, carry=None
            )

        return Submission(request={"texts": len(job.members)}, sha256=job.key, matches=matches, send=send)

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        return ("lengths.json",)

    def outcomes(
        self, job: Job, name: str, path: Path, announced: Mapping[str, int], leniency: Leniency
    ) -> tuple[Outcome, ...]:
        counted = {one["n"] for one in json.loads(path.read_bytes())}
        return tuple(Outcome(position=position, ok=match in counted) for position, match in job.matches.items())


def build(manifest: Manifest, endpoint: str, access: object, on_server_time: object) -> Service:
    return Lengths(manifest, endpoint)


LENGTHS = Layout(
    name="lengths",
    row="one text",
    columns=(Column(name="length", type="integer", meaning="letters of the text"),),
)
LAYOUTS = (LENGTHS,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LengthEntry:
    kind: SourceKind
    match: str
    length: int
    first_row: int = 0
    errors: tuple[EntryError, ...] = ()

    def blocks(self) -> Iterator[Block]:
        builder = BlockBuilder(layout=LENGTHS)
        builder.columns["length"].append(self.length)
        builder.extra.append(None)
        yield builder.take()


def reader() -> Callable[[Path, Sequence[Share]], Iterator[LengthEntry]]:
    def read(path: Path, shares: Sequence[Share]) -> Iterator[LengthEntry]:
        for one in json.loads(path.read_bytes()):
            yield LengthEntry(kind="text", match=one["n"], length=one["length"])

    return read


THIRD = Registered(
    api="lengths",
    build=f"{__name__}:build",
    rows=__name__,
    host="this machine",
    answer="lengths.json",
    kinds=frozenset({"text"}),
    needs_key=False,
    here=True,
    sources_per_job=2,
    job_bytes=10_000,
    upload_bytes=None,
    example="length",
    models={"length": {"type": "object", "additionalProperties": False, "properties": {}}},
)
TEXTS = ["One", "Three", "Seventeen", "One"]


@pytest.fixture
def third(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    registry.register(THIRD)
    yield tmp_path
    registry.unregister("lengths")


def manifest(**more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "name": "counted",
        "service": {"api": "lengths"},
        "sources": {"text": TEXTS},
        "models": {"length": {}},
        "outputs": {"directory": "out", "tables": ["csv"], "report": True},
        **more,
    }


@pytest.mark.sweep
def test_an_api_from_outside_is_planned_run_and_shown(third: Path) -> None:
    planned = hume_runner.plan(manifest())
    assert (planned.endpoint, planned.summary.new, planned.summary.jobs) == ("this machine", 4, 2)
    result = hume_runner.run(manifest())
    assert (result.exit_code, result.error) == (0, None)
    assert (result.counts.items["done"], result.requests) == (4, {"measured": 2})
    with (third / "out" / "tables" / "lengths.csv").open(encoding="utf-8", newline="") as file:
        assert sorted(int(row["length"]) for row in csv.DictReader(file)) == sorted(map(len, TEXTS))
    page = (third / "out" / "report.html").read_text(encoding="utf-8")
    assert "counted" in page
    assert "lengths" in page
    assert hume_runner.verify(manifest()).exit_code == 0
    assert hume_runner.run(manifest()).requests == {"measured": 0}


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"models": {"face": {}}}, "models.face"),
        ({"models": {"length": {"unit": "km"}}}, "models.length.unit"),
        ({"sources": {"urls": ["https://example.org/a.mp4"]}}, "sources.urls"),
        ({"service": {"api": "batch-v0", "endpoint": "emulator"}}, "models.length"),
    ],
)
def test_its_manifests_are_judged_as_strictly(third: Path, changed: dict[str, Any], path: str) -> None:
    assert path in {problem.path for problem in hume_runner.validate(manifest(**changed)).problems}


def of_links(models: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    yield from (((name, "unit"), "needs a file", "leave it out") for name, one in models.items() if "unit" in one)


def test_it_says_itself_which_options_fit_no_link(third: Path) -> None:
    models = {"length": {"type": "object", "properties": {"unit": {"type": "string"}}}}
    registry.register(
        replace(THIRD, kinds=frozenset({"text", "url"}), models=models, link_faults=f"{__name__}:of_links")
    )
    asked = {"models": {"length": {"unit": "km"}}}
    assert hume_runner.validate(manifest(**asked)).problems == ()
    links = {"urls": ["https://example.org/a.mp4"]}
    (problem,) = hume_runner.validate(manifest(**asked, sources=links)).problems
    assert (problem.path, problem.message, problem.hint) == ("models.length.unit", "needs a file", "leave it out")
    assert hume_runner.validate(manifest(sources=links)).problems == ()


class Metering(Lengths):
    """Remembers every job, and what it took."""

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        return {job.remote_id: Ended(announced={"letters": 8}) for job in waiting}


def build_metering(manifest: Manifest, endpoint: str, access: object, on_server_time: object) -> Service:
    return Metering(manifest, endpoint)


def metered(announced: Mapping[str, int]) -> tuple[float, float] | None:
    return announced["letters"] / 2, 1.0


@pytest.mark.parametrize(
    ("tells", "code", "told"),
    [
        (None, 0, ": finished\n"),
        (f"{__name__}:metered", 3, ": finished, 4 s metered, +4 s against the 0 s expected\n"),
    ],
)
@pytest.mark.sweep
def test_a_bill_is_compared_where_it_says_how(
    third: Path, tells: str | None, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    host = "https://lengths.example.org"
    registry.register(replace(THIRD, here=False, host=host, build=f"{__name__}:build_metering", metered=tells))
    (third / "m.yaml").write_text(json.dumps(manifest()), encoding="utf-8")
    assert main(["run", "m.yaml"]) == 0
    capsys.readouterr()
    assert main(["verify", "m.yaml", "--remote", "-v"]) == code
    assert capsys.readouterr().out.count(told) == 2


def test_an_api_that_went_away_is_refused_with_the_ones_that_are_there(third: Path) -> None:
    registry.unregister("lengths")
    (problem,) = [one for one in hume_runner.validate(manifest()).problems if one.path == "service.api"]
    assert "batch-v0" in problem.hint + problem.message


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"service": {}}, "add api: batch-v0, expression-v1, local or lengths"),
        ({"service": None}, "service: {api: batch-v0}, {api: expression-v1}, {api: local} or {api: lengths}"),
        ({"models": {}}, "for example face: {} (batch-v0), audio: {} (expression-v1) or length: {} (lengths)"),
    ],
)
def test_hints_name_it_beside_the_others(third: Path, wrong: dict[str, Any], hint: str) -> None:
    hints = [problem.hint for problem in hume_runner.validate(manifest(**wrong)).problems]
    assert any(one.endswith(hint) for one in hints), hints


def test_a_manifest_without_a_service_is_told_of_it(third: Path) -> None:
    without = manifest()
    del without["service"]
    hints = [problem.hint for problem in hume_runner.validate(without).problems]
    assert "add service: {api: batch-v0}, {api: expression-v1}, {api: local} or {api: lengths}" in hints
