"""A host that says once that a job failed, another time that it ended: what was paid for is fetched, not paid again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.durability.case import Case
from tests.durability.children import Nursery
from tests.durability.test_hostile_service import MANIFEST, Hostile, serving

FAILED, COMPLETED = "FAILED", "COMPLETED"


class Says:
    """A host that tells one thing in its list and another in its details, by turns that a test sets."""

    def __init__(self, listed: str, details: str) -> None:
        self.listed = listed
        self.details = details
        self.details_code = 200
        self.jobs: list[str] = []

    def traits(self) -> dict[str, Any]:
        says = self

        def post(handler: Hostile) -> None:
            handler.rfile.read(int(handler.headers["Content-Length"]))
            says.jobs.append(f"job-{len(says.jobs)}")
            handler._answer({"job_id": says.jobs[-1]})

        def get(handler: Hostile) -> None:
            path = handler.path.partition("?")[0]
            parts = path.split("/")
            if path == "/v0/batch/jobs":
                handler._answer([says.job(name, says.listed) for name in says.jobs])
            elif len(parts) == 5 and says.details_code != 200:
                handler.send_error(says.details_code)
            elif len(parts) == 5:
                handler._answer(says.job(parts[-1], says.details))
            else:
                handler._raw(handler.predictions)

        return {"do_POST": post, "do_GET": get}

    def job(self, name: str, status: str) -> dict[str, Any]:
        created = 2_000_000_000_000 + self.jobs.index(name)
        state = {"status": status, "created_timestamp_ms": created, "message": "out of luck"}
        request = {"models": {"language": {}}, "urls": [], "files": [], "text": ["one", "two"]}
        return {"type": "INFERENCE", "job_id": name, "request": request, "state": state}


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(folder=tmp_path, key="key")


def _run(case: Case, nursery: Nursery, url: str, *flags: str) -> int:
    case.manifest.write_text(MANIFEST.format(endpoint=url, artifacts="false").replace("deep/below/out", "out"))
    [code] = nursery.run([case.child(flags=flags, late_s=0.1)])
    assert "Traceback" not in case.said()
    return code


def _statuses(case: Case) -> set[str]:
    return {json.loads(line)["status"] for line in (case.folder / "out" / "results.jsonl").read_text().splitlines()}


@pytest.mark.sweep
def test_a_list_alone_does_not_make_a_job_fail(case: Case, nursery: Nursery) -> None:
    says = Says(FAILED, COMPLETED)
    with serving(**says.traits()) as (url, _):
        assert _run(case, nursery, url) == 0
    assert (len(says.jobs), _statuses(case)) == (1, {"done"})


@pytest.mark.sweep
@pytest.mark.parametrize("code", [404, 405, 500])
def test_a_list_is_believed_where_the_details_tell_nothing(case: Case, nursery: Nursery, code: int) -> None:
    says = Says(FAILED, COMPLETED)
    says.details_code = code
    with serving(**says.traits()) as (url, _):
        assert _run(case, nursery, url) == 3
    assert (len(says.jobs), _statuses(case)) == (1, {"failed"})


@pytest.mark.sweep
def test_retrying_what_the_service_gave_up_asks_first_and_fetches_what_has_ended(case: Case, nursery: Nursery) -> None:
    says = Says(FAILED, FAILED)
    with serving(**says.traits()) as (url, _):
        assert _run(case, nursery, url) == 3
        says.listed = says.details = COMPLETED
        assert _run(case, nursery, url) == 3  # nobody asked to try again
        assert _run(case, nursery, url, "--retry-failed") == 0
        assert _statuses(case) == {"done"}
    assert len(says.jobs) == 1


@pytest.mark.sweep
def test_retrying_what_the_service_gave_up_for_good_pays_for_it_once(case: Case, nursery: Nursery) -> None:
    says = Says(FAILED, FAILED)
    with serving(**says.traits()) as (url, _):
        assert _run(case, nursery, url) == 3
        assert _run(case, nursery, url, "--retry-failed") == 3
        assert len(says.jobs) == 2


@pytest.mark.sweep
def test_nothing_is_paid_for_again_where_the_service_does_not_tell(case: Case, nursery: Nursery) -> None:
    says = Says(FAILED, FAILED)
    with serving(**says.traits()) as (url, _):
        assert _run(case, nursery, url) == 3
        says.details_code = 500
        assert _run(case, nursery, url, "--retry-failed") == 5
        says.details_code, says.listed, says.details = 200, COMPLETED, COMPLETED
        assert _run(case, nursery, url, "--retry-failed") == 0
    assert len(says.jobs) == 1


@pytest.mark.sweep
def test_a_fresh_state_does_not_pay_for_what_a_list_alone_calls_failed(case: Case, nursery: Nursery) -> None:
    says = Says(COMPLETED, COMPLETED)
    with serving(**says.traits()) as (url, _):
        assert _run(case, nursery, url) == 0
        says.listed = FAILED
        for path in (case.folder / "out").glob("state.sqlite3*"):
            path.unlink()
        assert _run(case, nursery, url) == 0
    assert (len(says.jobs), _statuses(case)) == (1, {"done"})
