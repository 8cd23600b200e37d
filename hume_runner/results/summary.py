"""The closing summary of a run, for people. Pure: it says what `run.json` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hume_runner.amounts import counted, seconds_text
from hume_runner.planning.cures import advices

_ENDINGS = {
    0: "done",
    3: "finished, some items failed",
    4: "stopped: too many failures",
    5: "stopped: the service is unavailable",
    7: "stopped: the service refuses",
    8: "stopped: cost cap reached",
    9: "stopped: what may be paid for already needs a decision",
    64: "stopped after {}: standard output takes no more, the state is safe",
    130: "interrupted after {}, the state is safe",
    143: "terminated after {}, the state is safe",
}


# Where this machine measures, no service is asked, and none works on.
_ENDINGS_HERE = {5: "stopped: nothing can be measured now"}
_UNTOLD = "   measured or simulated: nobody said of the answers from files"
_NOT_BEGUN = "not begun: there is no key for the service"
_LEFT = "all submitted in {}, not measured yet"


def summary_text(
    run: Mapping[str, Any],
    failures: Sequence[tuple[str, str]] = (),
    *,
    links: Mapping[str, int] | None = None,
    without_key: bool = False,
    here: bool = False,
) -> str:
    """Five to ten lines: how it ended, counts, top reasons, bill, where the outputs are. Commands name MANIFEST.

    `here`: this machine measures, or a cluster does for it. `without_key`: nothing was asked of the service, for want
    of one. `failures` are a few (id, error) pairs: the first failed items, so that nobody has to search for the usual
    handful. `links`: how many of them are links, by reason.
    """
    items, jobs = run["counts"]["items"], run["counts"]["jobs"]
    told = {True: "   SIMULATED SCORES: the emulator measured nothing", None: _UNTOLD}
    simulated = told.get(run["simulated"], "")
    lines = [
        f"{run['name']}: {_NOT_BEGUN if without_key else _ending(run, here=here)}{simulated}",
        f"  items    {items['done']:,} of {items['total']:,} measured"
        + _others(items, ("failed", "in_flight", "ambiguous", "pending")),
        *_selected(run),
        f"  jobs     {jobs['done']:,} done"
        + _others(jobs, ("failed", "submitted", "submitting", "ambiguous", "planned", _MEDIA)),
    ]
    for reason, number in list(run["failures"].items())[:3]:
        lines.append(f"  failed   {number:,} × {reason}")
    lines += [f"           {name}: {_short(_of(name, error))}" for name, error in failures]
    if failures:
        more = items["failed"] - len(failures)
        rest = f"{more:,} more in results.jsonl; " if more > 0 else ""
        for helps in advices(run["failures"], links or {}):
            lines.append(f"           {rest}next: {helps}")
            rest = ""
    if jobs.get("submitted") and here:
        lines.append(
            f"  waiting  {counted(jobs['submitted'], 'job')} measured; `hume-runner run MANIFEST` takes the answers in"
        )
    elif jobs.get("submitted"):
        lines.append(
            f"  waiting  {counted(jobs['submitted'], 'job')} at the service, which works on; "
            "`hume-runner run MANIFEST` fetches the answers"
        )
    if run["paid_twice"]:
        lines.append(f"  paid twice: {', '.join(run['paid_twice'][:5])}")
    if run.get("perhaps_paid_twice"):
        lines.append(f"  perhaps paid twice: {', '.join(run['perhaps_paid_twice'][:5])}")
    billed, possible = run["bill"]["billable_seconds"], run["bill"].get("possible_seconds")
    if billed is not None or possible:
        more = f", and up to {seconds_text(possible)} more for answers that were lost" if possible else ""
        lines.append(f"  bill     {seconds_text(billed or 0)} billable seconds{more}")
    lines.append(f"  outputs  {run['outputs']['directory']}")
    return "\n".join(lines)


_MEDIA = "media to prepare"


def told_jobs(jobs: Mapping[str, int], media: tuple[int, int]) -> dict[str, int]:
    """Jobs by status as people count them. `media`: those that wait to be prepared, which may become several jobs or
    none; and those of which nothing could be sent, which are failed items and never were jobs."""
    waiting, spoilt = media
    told = dict(jobs)
    told["planned"] = max(0, jobs.get("planned", 0) - waiting)
    told["failed"] = max(0, jobs.get("failed", 0) - spoilt)
    return {**told, _MEDIA: waiting}


def _selected(run: Mapping[str, Any]) -> list[str]:
    """A line for a run that was not about everything."""
    told = run.get("selection")
    if not told:
        return []
    given = {name: value for name, value in told.items() if name not in ("items", "left_out")}
    said = ", ".join(f"--{name} {value}" for name, value in given.items())
    lines = [f"  selected {told['items']['done']} of {told['items']['total']} measured ({said})"]
    if told.get("left_out"):
        flags = " and ".join(f"--{name}" for name in given)
        lines.append(
            f"  left out {counted(told['left_out'], 'item')} that the manifest lists as well: run without {flags}"
        )
    return lines


def _ending(run: Mapping[str, Any], *, here: bool) -> str:
    """How it ended, and when. Without an error and with answers to come it was told to leave once all is sent."""
    jobs, took = run["counts"]["jobs"], _duration(run["duration_s"])
    left = run["exit_code"] == 0 and (jobs.get("submitted") or jobs.get("submitting") or jobs.get("ambiguous"))
    endings = _ENDINGS | _ENDINGS_HERE if here else _ENDINGS
    words = _LEFT if left else endings.get(run["exit_code"], "stopped")
    return words.format(took) if "{}" in words else f"{words} in {took}"


def _of(name: str, error: str) -> str:
    """An error without the name of what it is about, which stands before it."""
    error = error.removeprefix(f"{name}: ")
    for named in (repr(name), name, name.replace("\\", "/").rpartition("/")[2]):
        if error.startswith(f"{named} "):
            return f"it {error[len(named) + 1 :]}"
    return error


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 160 else line[:159] + "…"


def _others(counts: Mapping[str, int], names: tuple[str, ...]) -> str:
    return "".join(f", {counts[name]:,} {name.replace('_', ' ')}" for name in names if counts.get(name))


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
