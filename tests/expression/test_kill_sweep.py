"""A run with stills, a recording in two parts and a video is killed at every durable operation, and run again.

Every answer comes once and every request costs the same here, so that nothing but the state tells whose a run is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pytest

from tests.durability.children import KILLED, Nursery, not_killed
from tests.durability.service import ServiceProcess
from tests.expression.runs import Folder, from_service, upload_still
from tests.media_files import picture, picture_bytes, speech, write_video, write_wav
from tests.tiers import Tier, only_swept

REQUESTS = 5  # two parts of a recording, four stills at once, a video's frames in two
EARLIER = picture_bytes(picture(200, 200, seed=7))
_NAMES = {"run_id", "request_id", "face_state"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with ServiceProcess(tmp_path_factory.mktemp("service"), keys=400, processing_time="5ms") as service:
        yield service


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("media")
    made = [write_wav(folder / "talk.wav", speech([("speech", 4.5), ("pause", 1), ("speech", 4.5)]))]
    made.append(write_video(folder / "film.mp4", seconds=2, fps=3, draw=lambda n: picture(seed=100 + n)))
    for number in range(4):
        made.append(folder / f"{number}.jpg")
        made[-1].write_bytes(picture_bytes(picture(seed=number)))
    return [str(path) for path in made]


class Case:
    """One folder and one key of its own at the common service."""

    def __init__(self, path: Path, service: ServiceProcess, media: Sequence[str]) -> None:
        self.folder = Folder(path=path, url=service.url, key=service.new_key())
        self.folder.write(
            {"files": list(media)},
            batching={"max_sources": 4, "max_bytes": 250_000},
            execution={"transfer_workers": 3},
        )
        # Without another run in the account nothing shows that a list reaches back to the first one.
        upload_still(service.url, self.folder.key, EARLIER)
        service.advance(10)  # and that is surely from before, however busy the machine
        self.user = str(uuid5(NAMESPACE_OID, sha256(self.folder.key.encode()).hexdigest()))

    def child(self, name: str = "run", **how: Any) -> dict[str, Any]:
        argv = ["run", str(self.folder.manifest), "--no-progress"]
        # Long enough that what a killed run had on its way has arrived.
        return {"argv": argv, "key": "", "out": str(self.folder.path / name), "settle_s": 1.5, **how}

    def said(self, name: str = "run") -> str:
        return (self.folder.path / f"{name}.stderr").read_text()[-800:]

    def named(self) -> dict[int, str]:
        """The runs that the state knows by name, by job."""
        if not self.folder.state.exists():
            return {}
        if not self.folder.ask("SELECT 1 FROM sqlite_master WHERE name = 'jobs'"):
            return {}
        return dict(self.folder.ask("SELECT job, remote_id FROM jobs WHERE remote_id IS NOT NULL"))

    def sent_without_answer(self) -> int:
        if not self.folder.state.exists() or not self.folder.ask("SELECT 1 FROM sqlite_master WHERE name = 'jobs'"):
            return 0
        [(number,)] = self.folder.ask("SELECT count(*) FROM jobs WHERE status IN ('submitting', 'ambiguous')")
        return int(number)

    def answers(self) -> list[tuple[str, str]]:
        """What was asked and what was answered, without the names that differ from run to run."""
        found = []
        for request, answer in self.folder.raw():
            asked = [[source["ids"], source["detail"]] for source in request["sources"]]
            told = {name: value for name, value in answer.items() if name not in _NAMES}
            found.append((json.dumps(asked, sort_keys=True), json.dumps(told, sort_keys=True)))
        return sorted(found)


def runs_by_user(service: ServiceProcess) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for run in from_service(service.url, "/_emulator/runs"):
        assert run["status"] == "ended"
        if [file["sha256"] for file in run["files"]] == [sha256(EARLIER).hexdigest()]:
            continue
        found.setdefault(run["user_id"], []).append(run)
    return found


def broken_promises(
    case: Case,
    code: int,
    runs: Sequence[Mapping[str, Any]],
    reference: Sequence[tuple[str, str]],
    *,
    named: Mapping[int, str],
    most_lost: int,
) -> list[str]:
    """What the run after a crash did not keep, in words. `named` is what the crash left; so many answers were open."""
    if code != 0:
        return [f"exit code {code}: {case.said('again')}"]
    wrong = []
    folder = case.folder
    if {line["status"] for line in folder.results().values()} != {"done"}:
        wrong.append("not every item is done")
    if case.answers() != list(reference):
        wrong.append("the answers differ from an unbroken run's")
    own = folder.ask("SELECT remote_id FROM jobs WHERE remote_id IS NOT NULL")
    counted = Counter(remote for (remote,) in own + folder.ask("SELECT remote_id FROM duplicates"))
    paid = Counter(run["run_id"] for run in runs)
    if counted != paid:
        wrong.append(f"counted but not paid {counted - paid}, paid but not counted {paid - counted}")
    if not set(named.values()) <= {remote for (remote,) in own}:
        wrong.append("an answer that had been received was given up")
    shown = folder.summary()["paid_twice"]
    if len(shown) != len(runs) - REQUESTS:
        wrong.append(f"{len(runs) - REQUESTS} requests were paid for in vain, and {len(shown)} are shown")
    if len(runs) > REQUESTS + most_lost:
        wrong.append(f"{len(runs)} requests were paid for, and {most_lost} answers were lost")
    bill = folder.summary()["bill"]["billable_seconds"]
    if abs(bill - 10 * len(runs)) > 0.01:
        wrong.append(f"the bill says {bill}, and {len(runs)} requests were paid for")
    return wrong


@pytest.fixture(scope="module")
def unbroken(
    tmp_path_factory: pytest.TempPathFactory, service: ServiceProcess, nursery: Nursery, media: list[str]
) -> Case:
    """A run that nothing disturbed. Its own figures are checked, so that nothing is compared with nonsense."""
    case = Case(tmp_path_factory.mktemp("unbroken"), service, media)
    assert nursery.run([case.child()]) == [0], case.said()
    runs = runs_by_user(service)[case.user]
    assert len(runs) == REQUESTS
    assert {run["metered_seconds"] for run in runs} == {10}
    assert len(case.answers()) == REQUESTS
    assert case.folder.summary()["paid_twice"] == []
    return case


def sweep(
    tmp_path: Path,
    service: ServiceProcess,
    nursery: Nursery,
    media: list[str],
    unbroken: Case,
    *,
    moment: str,
    tier: Tier,
) -> dict[str, list[str]]:
    """Kill a run at every operation (or the first of each kind), run it again, and collect what went wrong."""
    operations = (unbroken.folder.path / "run.trace").read_text().splitlines()
    assert len(operations) > 30
    cases = {at: Case(tmp_path / f"{at:02d}", service, media) for at in tier.first_of_each(operations)}
    kills = [case.child(disk={"kind": "kill", "at": at, "moment": moment}) for at, case in cases.items()]
    assert not_killed(kills, nursery.run(kills)) == {}
    named = {at: case.named() for at, case in cases.items()}
    lost = {at: case.sent_without_answer() for at, case in cases.items()}
    codes = nursery.run([case.child("again") for case in cases.values()])
    runs = runs_by_user(service)
    reference = unbroken.answers()
    found = {
        f"{at} {operations[at - 1]}": broken_promises(
            case, code, runs.get(case.user, []), reference, named=named[at], most_lost=lost[at]
        )
        for (at, case), code in zip(cases.items(), codes, strict=True)
    }
    return {where: wrong for where, wrong in found.items() if wrong}


@only_swept
@pytest.mark.parametrize("moment", ["after", pytest.param("before", marks=pytest.mark.sweep)])
def test_a_run_killed_at_any_durable_operation_pays_for_nothing_unseen(
    tmp_path: Path,
    service: ServiceProcess,
    nursery: Nursery,
    media: list[str],
    unbroken: Case,
    moment: str,
    tier: Tier,
) -> None:
    assert sweep(tmp_path, service, nursery, media, unbroken, moment=moment, tier=tier) == {}


def test_a_finished_run_asks_nothing_and_prepares_nothing_when_it_is_run_again(
    tmp_path: Path, service: ServiceProcess, nursery: Nursery, media: list[str]
) -> None:
    case = Case(tmp_path / "case", service, media)
    assert nursery.run([case.child()]) == [0]
    before = service.requests()
    assert nursery.run([case.child("again")]) == [0]
    assert service.requests() == before
    assert not (case.folder.outputs / "prepared").exists()


def test_what_a_crash_left_half_prepared_is_gone_after_the_next_run(
    tmp_path: Path, service: ServiceProcess, nursery: Nursery, media: list[str]
) -> None:
    case = Case(tmp_path / "case", service, media)
    assert nursery.run([case.child(disk={"kind": "kill", "at": 6, "moment": "after"})]) == [KILLED]
    assert nursery.run([case.child("again")]) == [0]
    assert not (case.folder.outputs / "prepared").exists()
    assert list(case.folder.outputs.rglob("*.part")) == []
