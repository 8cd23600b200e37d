"""What was planned from the same bytes is not scanned again, and everything else is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from hume_runner import wiring
from hume_runner.endpoint import Endpoint
from hume_runner.errors import SourceError
from hume_runner.machine import Machine
from hume_runner.manifest.load import load_manifest
from hume_runner.manifest.model import Manifest
from hume_runner.planning.prepare import Options, Plan
from hume_runner.planning.recall import scan_or_recall
from hume_runner.services.jobs import Outcome
from hume_runner.sources import expand, expand_in_blocks
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block
from hume_runner.state.disk import Disk
from hume_runner.state.paths import Paths
from hume_runner.state.reader import StateReader
from hume_runner.state.staging import Scan
from hume_runner.state.store import Store

NOW = 1_700_000_000.0
Expand = Callable[[Manifest], Iterator[SourceItem | Block]]


class Planned:
    """A manifest with a list beside it, and what a run does about planning it; `scans` counts what read the list."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.scans = 0
        self.write("a", "b")
        self.manifest("urls: [{from: list.txt}]")

    def write(self, *names: str) -> None:
        (self.folder / "list.txt").write_text("".join(f"https://example.org/{name}.mp4\n" for name in names))

    def manifest(self, sources: str, settings: str = "{burst: {}}") -> None:
        (self.folder / "m.yaml").write_text(
            "version: 1\nname: m\nservice: {api: batch-v0, endpoint: 'https://batch.example.org'}\n"
            f"sources: {{{sources}}}\nmodels: {settings}\noutputs: {{directory: out}}\n"
        )

    def expand(self, manifest: Manifest) -> Iterator[SourceItem]:
        self.scans += 1
        return expand(manifest)

    def run(self, *, finish: bool = True, retry_failed: bool = False) -> dict[str, int]:
        """Plan as a run does, and measure all that it plans; the counts of the plan that are not 0."""
        machine = Machine.this()
        manifest = load_manifest(self.folder / "m.yaml")
        paths = Paths.of(manifest, None)
        paths.outputs.mkdir(exist_ok=True)
        with (
            wiring.endpoint(manifest, paths, machine) as endpoint,
            Store.create_or_open(paths.state, disk=Disk(), name="m", lineage="test") as store,
        ):
            scan = scan_or_recall(manifest, self.expand, endpoint.service, store, Scan)
            options = Options(retry_failed=retry_failed, real_endpoint=True, now=NOW)
            with Plan(manifest, scan, store, endpoint.service, options) as plan:
                plan.decide()
                plan.apply(store)
                told = {name: getattr(plan.summary, name) for name in ("new", "done", "removed", "changed", "failed")}
            if finish:
                self._finish(store, endpoint)
        return {name: number for name, number in told.items() if number}

    def _finish(self, store: Store, endpoint: Endpoint, *, ok: bool = True) -> None:
        while numbers := store.planned(1):
            number, _ = numbers[0]
            job = store.load_job(number)
            sent = endpoint.service.prepare(job)
            store.record_submitting(
                number,
                nonce=f"{number:032x}",
                sha256=sent.sha256,
                request=sent.request,
                matches=sent.matches,
                endpoint=endpoint.name,
                clock_offset=None,
                now=NOW,
            )
            store.record_accepted(number, f"remote-{number}", created_at=NOW, simulated=False, now=NOW)
            outcomes = [Outcome(position=position, ok=ok) for position in range(len(job.members))]
            store.record_finished(number, answers=[], outcomes=outcomes, times={}, simulated=False, now=NOW)


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    made = Planned(tmp_path)
    assert made.run() == {"new": 2}
    assert made.scans == 1
    return made


def test_a_finished_plan_of_the_same_bytes_is_known_without_reading_the_list_as_sources(planned: Planned) -> None:
    assert planned.run() == {"done": 2}
    assert planned.scans == 1


def test_a_list_that_changed_within_one_size_and_one_time_is_read(planned: Planned) -> None:
    path = planned.folder / "list.txt"
    stamp = path.stat()
    planned.write("a", "c")
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert planned.run() == {"new": 1, "done": 1, "removed": 1}


def test_a_setting_that_changed_is_noticed(planned: Planned) -> None:
    planned.manifest("urls: [{from: list.txt}]", "{prosody: {}}")
    assert planned.run() == {"changed": 2}


def test_a_plan_with_something_left_to_send_is_scanned_again(tmp_path: Path) -> None:
    made = Planned(tmp_path)
    assert made.run(finish=False) == {"new": 2}
    assert made.run() == {"new": 2}
    assert made.scans == 2
    assert made.run() == {"done": 2}
    assert made.scans == 2


def test_files_are_looked_at_each_time(tmp_path: Path) -> None:
    made = Planned(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"RIFF\x04\x00\x00\x00WAVE")
    made.manifest("files: [a.wav]")
    made.run()
    (tmp_path / "a.wav").write_bytes(b"RIFF\x08\x00\x00\x00WAVEdata")
    assert made.run() == {"changed": 1}


def test_a_manifest_that_changed_back_means_what_it_said(planned: Planned) -> None:
    first = (planned.folder / "list.txt").read_bytes()
    planned.write("a", "b", "c")
    assert planned.run() == {"new": 1, "done": 2}
    (planned.folder / "list.txt").write_bytes(first)
    assert planned.run() == {"done": 2, "removed": 1}


def test_a_mark_of_another_scan_counts_for_nothing(planned: Planned) -> None:
    """As a version that knows no marks leaves it, when it plans anew."""
    with Store.create_or_open(planned.folder / "out/state.sqlite3", disk=Disk(), name="m", lineage="test") as store:
        store.remember(scan="of another list")
    planned.run()
    assert planned.scans == 2


def test_a_list_that_is_written_to_while_it_is_read_leaves_no_mark(tmp_path: Path) -> None:
    made = Planned(tmp_path)
    read = made.expand

    def expand_and_write(manifest: Manifest) -> Iterable[SourceItem]:
        yield from read(manifest)
        made.write("a", "z")

    made.expand = expand_and_write  # type: ignore[method-assign,assignment]
    made.run()
    made.expand = read  # type: ignore[method-assign]
    made.write("a", "b")
    made.run()
    assert made.scans == 2


@pytest.mark.parametrize("expanded", [expand, expand_in_blocks])
@pytest.mark.parametrize("last", ["", "?a=1", "?x-amz-date=20200101T000000Z&x-amz-expires=60"])
def test_a_plan_that_only_looks_packs_the_jobs_that_a_run_packs(tmp_path: Path, last: str, expanded: Expand) -> None:
    """Also where a link has a query, so that each is considered; and one that is over is refused in both."""
    made = Planned(tmp_path)
    made.write(*(f"n{number % 301}" for number in range(450)))
    with (tmp_path / "list.txt").open("a") as file:
        file.write(f"https://example.org/last.mp4{last}\n")
    manifest, machine = load_manifest(tmp_path / "m.yaml"), Machine.this()
    paths = Paths.of(manifest, None)
    with wiring.endpoint(manifest, paths, machine) as endpoint, StateReader.empty("m") as store:
        scan = scan_or_recall(manifest, expanded, endpoint.service, store, Scan)
        with Plan(
            manifest, scan, store, endpoint.service, Options(retry_failed=False, real_endpoint=True, now=NOW)
        ) as plan:
            plan.decide()
            if "date" in last:
                with pytest.raises(SourceError, match="expired"):
                    plan.count()
                return
            before = list(plan.jobs())  # as they are compiled
            plan.count()
            assert (list(plan.jobs()), plan.summary.jobs, plan.summary.requests) == (before, 4, 4)
            assert plan.summary.new == 451
