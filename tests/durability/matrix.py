"""The mechanism of the fault matrix: one run for each place that a fault can hit, of either API, and how each ended.

The table stands in `test_fault_matrix.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from hume_runner.emulator.server import Emulator
from tests.durability.case import Case, make_case, measured_earlier
from tests.durability.children import Nursery
from tests.expression.runs import AUDIO, RUNS, VIDEO, Folder, measured_runs, upload_still
from tests.media_files import picture, picture_bytes

# What can go wrong with one request, by name.
ACTIONS: dict[str, dict[str, Any]] = {
    "400": {"status": 400},
    "401": {"status": 401},
    "402": {"status": 402},
    "403": {"status": 403},
    "404": {"status": 404},
    "408": {"status": 408},
    "413": {"status": 413},
    "429": {"status": 429, "headers": {"Retry-After": "0.05"}},
    "500": {"status": 500},
    "coded 500": {
        "status": 500,
        "body": {"type": "error", "code": "internal_error", "message": "sorry", "request_id": "0" * 32},
    },
    "502": {"status": 502},
    "503": {"status": 503, "headers": {"Retry-After": "0.05"}},
    "504": {"status": 504},
    "drop before": {"drop": "before"},
    "drop after": {"drop": "after"},
    "delay": {"delay": "150ms"},
    "truncate": {"truncate": 0.5},
    "truncate unannounced": {"truncate": 0.5, "chunked": True},
    "slow": {"slow": "20KB/s"},
    "html": {"html": True},
    "redirect": {"redirect": "http://127.0.0.1:9/elsewhere"},
    "corrupt": {"corrupt": True},
}

KEY = "matrix"
SUBMIT, LIST, DETAILS = "POST /v0/batch/jobs", "GET /v0/batch/jobs", "GET /v0/batch/jobs/{id}"
# The operations of batch-v0.
ROUTES = {
    "submit": SUBMIT,
    "list": LIST,
    "details": DETAILS,
    "predictions": f"{DETAILS}/predictions",
    "artifacts": f"{DETAILS}/artifacts",
}
Faults = list[dict[str, Any]]


class Cell(NamedTuple):
    """How a run with a fault ends: what it submitted, how much of it the service accepted, exit code, jobs by state."""

    sent: int
    accepted: int
    exit_code: int
    jobs: str

    @classmethod
    def of(cls, code: int, said: str, statuses: Mapping[str, int], *, sent: int, accepted: int) -> Cell:
        assert "Traceback" not in said
        assert code in (0, 3) or "next: " in said, said
        jobs = " ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
        return cls(sent=sent, accepted=accepted, exit_code=code, jobs=jobs)


@dataclass(frozen=True, slots=True)
class Place:
    """A manifest at a host of its own, whose faults hit one place. `child` makes a run of it for the nursery."""

    host: Emulator
    child: Callable[..., dict[str, Any]]
    ended: Callable[[int], Cell]


class Runs:
    """Of one row of the matrix."""

    def __init__(self, places: Mapping[str, Place], nursery: Nursery) -> None:
        self._places = places
        self._nursery = nursery

    def run(self, *flags: str) -> dict[str, Cell]:
        codes = self._nursery.run([place.child(flags) for place in self._places.values()])
        return {name: place.ended(code) for (name, place), code in zip(self._places.items(), codes, strict=True)}

    def cure(self) -> None:
        for place in self._places.values():
            place.host.inject([])


@contextmanager
def batch(folder: Path, nursery: Nursery, action: dict[str, Any], *, always: bool, max_sources: int) -> Iterator[Runs]:
    """The action on each operation of batch-v0: the first time that matters, or always."""
    with ExitStack() as stack:
        hosts = {name: stack.enter_context(Emulator(api_keys=[KEY], processing_time_s=0.02)) for name in ROUTES}
        for name, host in hosts.items():
            if not always:
                # Without another job in the account nothing shows that a list reaches back to the first one.
                measured_earlier(host.url, KEY)
                host.advance(60)
            host.inject(batch_faults(name, action, always=always))
        yield Runs(
            {
                name: _batch_place(
                    make_case(folder / name, host.url, KEY, attempts=2, max_sources=max_sources),
                    host,
                    earlier=not always,
                )
                for name, host in hosts.items()
            },
            nursery,
        )


def batch_faults(operation: str, action: dict[str, Any], *, always: bool) -> Faults:
    # The first three lists are those before anything is sent.
    selector: dict[str, Any] = {} if always else {"nth": [4 if operation == "list" else 1]}
    wanted = [{"route": ROUTES[operation], **selector, "action": action}]
    if operation == "details":  # asked for only where there is no list
        wanted.append({"route": LIST, "action": {"status": 404}})
    return wanted


def _batch_place(case: Case, host: Emulator, *, earlier: int) -> Place:
    def ended(code: int) -> Cell:
        log = host.requests()
        return Cell.of(
            code,
            case.said(),
            Counter(status for _, status, _ in case.jobs()),
            sent=log["by_route"].get(SUBMIT, 0) - earlier,
            accepted=log["jobs_accepted"] - earlier,
        )

    return Place(host, lambda flags: case.child(flags=flags), ended)


@contextmanager
def expression(folder: Path, nursery: Nursery, action: dict[str, Any], media: Mapping[str, Path]) -> Iterator[Runs]:
    """The action on each operation of expression-v1, once and always; `media`: what is uploaded, by route."""
    with ExitStack() as stack:
        places = {}
        for name, (route, faults) in expression_faults(action).items():
            host = stack.enter_context(Emulator(processing_time_s=0.001))
            # The list of an account without any run proves nothing.
            upload_still(host.url, host.api_key, picture_bytes(picture(200, 200, seed=7)))
            host.inject(faults)
            case = Folder(path=folder / name, url=host.url, key=host.api_key)
            case.write({"files": [str(media[route])]}, execution={"retry": {"attempts": 2, "max_wait": "50ms"}})
            places[name] = _expression_place(case, host, route)
        yield Runs(places, nursery)


def expression_faults(action: dict[str, Any]) -> dict[str, tuple[str, Faults]]:
    """Name of a place -> (the route of its one upload, the faults)."""
    lost = {"route": AUDIO, "nth": [1], "action": {"drop": "after"}}
    return {
        "audio once": (AUDIO, [{"route": AUDIO, "nth": [1], "action": action}]),
        "video once": (VIDEO, [{"route": VIDEO, "nth": [1], "action": action}]),
        "audio always": (AUDIO, [{"route": AUDIO, "action": action}]),
        "video always": (VIDEO, [{"route": VIDEO, "action": action}]),
        # The first four lists tell what is there before anything is sent.
        "list once": (AUDIO, [lost, {"route": RUNS, "nth": [5], "action": action}]),
        "list always": (AUDIO, [lost, {"route": RUNS, "action": action}]),
    }


def _expression_place(case: Folder, host: Emulator, route: str) -> Place:
    def child(flags: tuple[str, ...]) -> dict[str, Any]:
        argv = ["run", str(case.manifest), "--no-progress", *flags]
        return {"argv": argv, "key": "", "out": str(case.path / "run"), "settle_s": 0.25}

    def ended(code: int) -> Cell:
        _, *paid = measured_runs(host.url)
        jobs = case.jobs()
        [(known,)] = case.ask(
            "SELECT (SELECT count(*) FROM jobs WHERE remote_id IS NOT NULL) + (SELECT count(*) FROM duplicates)"
        )
        assert known == (0 if "ambiguous" in jobs else len(paid))
        return Cell.of(
            code,
            (case.path / "run.stderr").read_text(),
            jobs,
            sent=host.requests()["by_route"].get(route, 0) - (route == VIDEO),
            accepted=len(paid),
        )

    return Place(host, child, ended)
