"""A plan as JSON, in the file that `run` takes, and such a file read again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner import aside, small_json
from hume_runner.errors import UsageError, refuse_scarce
from hume_runner.planning.selection import Selection
from hume_runner.results.authorship import refuse_others
from hume_runner.results.marks import Kind, MarkedText
from hume_runner.settings import mask_secrets
from hume_runner.spelling import stored_path

if TYPE_CHECKING:
    from hume_runner.api.looking import OpenPlan
    from hume_runner.planning.saved import SavedPlan

_SCHEMA = 1

Write = Callable[[str], object]


def save_plan(plan: OpenPlan, path: Path, *, items: bool = False) -> None:
    """Write it where `read_plan` reads it, with its `items` if they are wanted. Raises: UsageError."""
    with _written(path, Kind.PLAN) as file:
        write_document(plan, file.write, items=items)


@contextmanager
def plan_page(path: Path) -> Iterator[MarkedText]:
    """A file for what people read of plans, which is there as a whole when the block is over. Raises: UsageError."""
    with _written(path, Kind.PLAN_PAGE) as file:
        yield file


def write_document(plan: OpenPlan, write: Write, *, items: bool) -> None:
    """One object on one line; jobs and items are written as they come."""
    write(json.dumps({"schema": _SCHEMA, **head(plan)}, ensure_ascii=False)[:-1])
    write_lists(plan, write, items=items)
    write("}\n")


def head(plan: OpenPlan) -> dict[str, Any]:
    """All members of the object but the lists."""
    manifest = plan.manifest
    return {
        "manifest": {"name": manifest.name, "path": str(manifest.path), "sha256": manifest.sha256},
        "service": {"api": manifest.service.api, "endpoint": plan.endpoint},
        "summary": {**asdict(plan.summary), "upload_bytes": plan.upload_bytes},
        "reasons": [asdict(reason) for reason in plan.reasons()],
        **({"notes": list(plan.cautions)} if plan.cautions else {}),
        **({"selection": plan.selection.document()} if plan.selection.flags else {}),
        "basis": plan.basis,
    }


def write_lists(plan: OpenPlan, write: Write, *, items: bool) -> None:
    """The lists as further members of an object that is begun."""
    jobs = (
        {"key": job.key, "sources": job.sources, "bytes": job.bytes, "billable_seconds": job.billable_seconds}
        for job in plan.jobs()
    )
    _array(write, "jobs", jobs)
    if items:
        listed = (
            {"id": name, "kind": kind, "action": str(decision.action), "reason": mask_secrets(decision.reason)}
            for name, kind, decision in plan.items()
        )
        _array(write, "items", listed)


def _array(write: Write, name: str, values: Iterator[Mapping[str, Any]]) -> None:
    write(f', "{name}": [')
    for number, value in enumerate(values):
        write((", " if number else "") + json.dumps(value, ensure_ascii=False))
    write("]")


@contextmanager
def _written(path: Path, kind: Kind) -> Iterator[MarkedText]:
    """The file of a plan or of its page, which ends with its mark."""
    refuse_others([path], kind, hint="choose another file")
    try:
        with aside.written(path, private=True) as file:
            text = MarkedText(file, kind)
            yield text
            text.end()
    except OSError as error:
        refuse_scarce(error)
        raise UsageError(f"{path}: cannot write the plan: {error.strerror}", hint="choose another file") from error


def read_plan(path: str | PathLike[str]) -> SavedPlan:
    """A plan that `hume-runner plan --out` saved. Raises: UsageError."""
    from hume_runner.planning.saved import SavedPlan

    hint = f"`hume-runner plan MANIFEST --out {shlex.quote(str(path))}` writes one"
    try:
        saved = small_json.read(stored_path(Path(path)))
        basis = saved["basis"]
        return SavedPlan(
            manifest_sha256=saved["manifest"]["sha256"],
            lineage=basis["lineage"],
            serial=int(basis["serial"]),
            scan=basis["scan"],
            endpoint=saved["service"]["endpoint"],
            retry_failed=basis["retry_failed"],
            selection=Selection.from_document(basis.get("selection") or {}),
            path=str(path),
        )
    except OSError as error:
        refuse_scarce(error)
        raise UsageError(f"{path}: {error.strerror}", hint=hint) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UsageError(f"{path}: this is not a saved plan", hint=hint) from None
