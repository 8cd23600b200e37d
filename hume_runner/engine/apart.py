"""What a state and a manifest must not be mixed with; asked by a run before it begins, and by a plan."""

from __future__ import annotations

import shlex
from pathlib import Path

from hume_runner.engine.adopt_files import place_of
from hume_runner.errors import LostAnswerNeedsDecision, UsageError
from hume_runner.settings import mask_secrets
from hume_runner.state.outputs_owner import OutputsOwner
from hume_runner.state.reader import StateReader


def refuse_others_outputs(
    store: StateReader, state: Path, outputs: Path, *, manifest: str, embedded: bool, home: str | None
) -> OutputsOwner:
    """Whose the output directory is; it is not another's, and no rehearsal goes where there are measurements.

    Raises: UsageError.
    """
    owner = OutputsOwner(outputs)
    owner.check(manifest=manifest, state=state, lineage=store.lineage, home=home)
    if embedded and store.any_measured():
        raise measured_already(store, "the emulator")
    return owner


def measured_already(store: StateReader, endpoint: str) -> UsageError:
    """A rehearsal would go where there are measurements, or kept answers that may be some."""
    elsewhere = "rehearse in another place: --endpoint emulator --output-dir rehearsal"
    kept = place_of(store.untold())
    if kept is None:
        return UsageError(f"this state holds real measurements, and the endpoint is {endpoint}", hint=elsewhere)
    return UsageError(
        f"this state holds answers from files of which nobody said whether a service measured them, such as {kept}, "
        f"and the endpoint is {endpoint}",
        hint=f"`hume-runner adopt MANIFEST --simulated {shlex.quote(str(kept))}` says that it is made up, too; "
        f"or {elsewhere}",
    )


def refuse_other_kinds(
    store: StateReader, endpoint: str, *, here: bool, machines: frozenset[str], outputs: Path
) -> None:
    """What models on this machine measured is no service's, and what a service measured is not theirs; what was sent to
    one host is asked about and fetched there, and nowhere else. `machines`: the endpoints that are this machine;
    `outputs`: where the manifest writes.

    Raises: UsageError; LostAnswerNeedsDecision.
    """
    measured = store.endpoints()
    others = measured - machines if here else measured & machines
    if others:
        raise UsageError(
            f"this state holds what was measured at {mask_secrets(min(others))}, and the manifest measures at "
            f"{mask_secrets(endpoint)}: the two are not mixed",
            hint="measure in another place: set outputs.directory, or --output-dir "
            + shlex.quote(f"{outputs}-{'here' if here else 'hosted'}"),
        )
    elsewhere = store.foreign_endpoints(endpoint)
    half = next((place for where, _ in elsewhere if (place := place_of(where)) is not None), None)
    if half is not None:
        raise LostAnswerNeedsDecision(
            f"{half} was adopted half, and then something came between",
            hint=f"`hume-runner adopt MANIFEST {shlex.quote(str(half))}` takes the rest of it",
        )
    if elsewhere:
        told = ", ".join(f"{jobs} at {mask_secrets(where)}" for where, jobs in elsewhere)
        raise LostAnswerNeedsDecision(
            f"the manifest names the endpoint {mask_secrets(endpoint)}, and jobs are open elsewhere: {told}",
            hint=f"set service.endpoint (or --endpoint) to {mask_secrets(elsewhere[0][0])} and run until they are "
            "fetched; or measure at the new endpoint with another --output-dir, which pays for all of it there",
        )
