"""What is wrong with a worker or a scheduler, by what it tells of itself, and the way out. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from hume_runner.computing.base import UnseenFile
from hume_runner.computing.perform import Run
from hume_runner.errors import HumeRunnerError, ServiceUnavailable, UsageError

_SHARED = (
    "sources, output directory and models must lie where all workers see them under the same path (a shared file "
    "system); a worker on this machine sees it unless it runs in a container"
)
_CODES: Mapping[int, Callable[..., HumeRunnerError]] = {5: ServiceUnavailable, 64: UsageError, 66: UnseenFile}


def is_told(told: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether this may be what a worker of ours tells of itself: what is handed back by somebody else may be
    anything."""
    if not isinstance(told, dict):
        return False
    words = [told.get("where"), *(told.get(name, "") for name in ("read", "wrote", "unseen"))]
    # Of a worker that has another version, too.
    words += [told[name] for name in ("python", "hume_runner", "distributed") if told.get(name) is not None]
    listed, lacks = told.get("told", ()), told.get("lacks", ("", "", 0))
    return (
        all(isinstance(one, str) for one in words)
        and isinstance(listed, list | tuple)
        and all(isinstance(one, str) for one in listed)
        and isinstance(lacks, list | tuple)
        and [type(one) for one in lacks] == [str, str, int]
    )


def other_versions(who: str, told: Mapping[str, Any], ours: Mapping[str, Any]) -> UsageError | None:
    """Whether `who` runs other versions than we do: results would differ, or nothing would be understood."""
    for name, label in (("python", "Python"), ("hume_runner", "hume_runner"), ("distributed", "distributed")):
        same = {
            "python": "the same Python",
            "hume_runner": f"hume_runner {ours.get('hume_runner')}",
            "distributed": f"pip install distributed=={ours.get('distributed')}",
        }
        # What is no part of that kind of executor is told by neither.
        if ours.get(name) is not None and told.get(name) is not None and told[name] != ours[name]:
            return UsageError(
                f"{who} has {label} {told[name]}, and this machine has {ours[name]}",
                hint=f"start all of them with the same versions: {same[name]}",
            )
    return None


def cannot_import(who: str, version: str, why: str) -> UsageError:
    """`who` has no hume_runner."""
    return UsageError(
        f"{who} cannot import hume_runner: {why}",
        hint=f"install hume_runner {version} with its extra 'cluster' where it runs, then start it again",
    )


def unfit(who: str, told: Mapping[str, Any], run: Run, ours: Mapping[str, Any], seen: bool) -> HumeRunnerError | None:
    """Why a worker may get no work; None where it may. `seen`: whether what it wrote was found here."""
    wrong = other_versions(who, told, ours)
    if wrong is not None:
        return wrong
    if told.get("read") != run["nonce"] or not seen:
        why = told.get("unseen") or (
            "another folder of that name is there"
            if told.get("read") != run["nonce"]
            else "what it writes there is not found here"
        )
        return UnseenFile(f"{who} does not see {run['folder']} as this machine does: {why}", hint=_SHARED)
    if "lacks" in told:
        message, hint, code = told["lacks"]
        make = _CODES.get(code, UsageError)
        return make(f"{who}: {message}", hint=f"where it runs: {hint}" if hint else "")
    if tuple(told.get("told", ())) != tuple(run["told"]):
        theirs = ", ".join(one for one in told.get("told", ()) if one not in run["told"]) or "nothing of it"
        mine = ", ".join(one for one in run["told"] if one not in told.get("told", ()))
        return UsageError(
            f"{who} works with {theirs}, and this machine with {mine}",
            hint="start all of them with the same versions of the same packages",
        )
    return None


def unseen_file(who: str, path: str, why: str) -> UnseenFile:
    """A worker was given a file that it does not see."""
    return UnseenFile(f"{who} does not see {path} as this machine does: {why}", hint=_SHARED)
