"""Every fault against each operation of this API: what it costs, how the run ends, and what is left."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hume_runner.emulator.server import Emulator
from tests.durability.children import Nursery
from tests.durability.faults import ACTIONS
from tests.expression.runs import AUDIO, RUNS, VIDEO, Folder, measured_runs, upload_still
from tests.media_files import picture, picture_bytes, speech, write_wav
from tests.tiers import sampled

pytestmark = pytest.mark.timeout(30)


class Cell(NamedTuple):
    """How a run of one recording or still ends: uploads sent, uploads measured, exit code, its job's state."""

    sent: int
    measured: int
    exit_code: int
    job: str


GOOD = Cell(1, 1, 0, "done")
AGAIN = Cell(2, 1, 0, "done")  # refused, or surely not arrived, so it is sent again and paid once
PAID_AGAIN = Cell(2, 2, 0, "done")  # measured, the answer lost: counted, and asked for again
UNAVAILABLE = Cell(2, 0, 5, "planned")
PAID_IN_VAIN = Cell(2, 2, 5, "planned")
SPOILT = Cell(1, 0, 3, "failed")
NO_ACCESS = Cell(1, 0, 7, "planned")
NOT_SENT = Cell(0, 0, 5, "planned")  # a service that does not tell what it has measured already is sent nothing
NOT_CONSENTED = Cell(0, 0, 9, "planned")  # nor is one that has no list, unless somebody pays again on purpose
ASKED = Cell(1, 0, 9, "ambiguous")  # an upload alone: nothing shows what the list would show of it
OPEN_NO_ACCESS = Cell(1, 1, 7, "ambiguous")
OPEN_NO_LIST = Cell(1, 1, 9, "ambiguous")  # without a list nothing is proven
NOT_BEGUN = Cell(0, 0, 7, "planned")

# action -> the first upload, every upload, the list that is asked about a lost answer, every list
EXPECTED: dict[str, tuple[Cell, Cell, Cell, Cell]] = {
    "400": (SPOILT, SPOILT, OPEN_NO_LIST, NOT_CONSENTED),
    "401": (NO_ACCESS, NO_ACCESS, OPEN_NO_ACCESS, NOT_BEGUN),
    "402": (NO_ACCESS, NO_ACCESS, PAID_AGAIN, NOT_SENT),
    "403": (NO_ACCESS, NO_ACCESS, OPEN_NO_ACCESS, NOT_BEGUN),
    "404": (NO_ACCESS, NO_ACCESS, OPEN_NO_LIST, NOT_CONSENTED),
    "408": (ASKED, ASKED, PAID_AGAIN, NOT_SENT),
    "413": (SPOILT, SPOILT, PAID_AGAIN, NOT_SENT),
    "429": (AGAIN, UNAVAILABLE, PAID_AGAIN, NOT_SENT),
    "500": (ASKED, ASKED, PAID_AGAIN, NOT_SENT),
    "coded 500": (AGAIN, UNAVAILABLE, PAID_AGAIN, NOT_SENT),
    "502": (ASKED, ASKED, PAID_AGAIN, NOT_SENT),
    "503": (AGAIN, UNAVAILABLE, PAID_AGAIN, NOT_SENT),
    "504": (ASKED, ASKED, PAID_AGAIN, NOT_SENT),
    "drop before": (ASKED, ASKED, PAID_AGAIN, NOT_SENT),
    "drop after": (PAID_AGAIN, PAID_IN_VAIN, PAID_AGAIN, NOT_SENT),
    "delay": (GOOD, GOOD, PAID_AGAIN, PAID_AGAIN),
    "truncate": (PAID_AGAIN, PAID_IN_VAIN, PAID_AGAIN, NOT_SENT),
    "truncate unannounced": (PAID_AGAIN, PAID_IN_VAIN, PAID_AGAIN, NOT_SENT),
    "slow": (GOOD, GOOD, PAID_AGAIN, PAID_AGAIN),
    "html": (ASKED, ASKED, PAID_AGAIN, NOT_SENT),
    "redirect": (ASKED, ASKED, PAID_AGAIN, NOT_SENT),
    "corrupt": (PAID_AGAIN, PAID_IN_VAIN, PAID_AGAIN, NOT_SENT),
}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("media")
    recording = write_wav(folder / "talk.wav", speech([("speech", 1), ("pause", 0.5)]))
    still = folder / "face.jpg"
    still.write_bytes(picture_bytes(picture()))
    return {AUDIO: str(recording), VIDEO: str(still)}


def faults(action: dict[str, Any]) -> dict[str, tuple[str, list[dict[str, Any]]]]:
    """Name of a cell -> (the route of its one upload, the faults)."""
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


def outcome(folder: Folder, code: int, emulator: Emulator, route: str) -> Cell:
    said = (folder.path / "run.stderr").read_text()
    assert "Traceback" not in said
    assert code in (0, 3) or "next: " in said, said
    [(job,)] = folder.ask("SELECT status FROM jobs")
    _, *paid = measured_runs(emulator.url)
    [(known,)] = folder.ask(
        "SELECT (SELECT count(*) FROM jobs WHERE remote_id IS NOT NULL) + (SELECT count(*) FROM duplicates)"
    )
    assert known == (0 if job == "ambiguous" else len(paid))
    sent = emulator.requests()["by_route"].get(route, 0) - (route == VIDEO)
    return Cell(sent=sent, measured=len(paid), exit_code=code, job=job)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("name", ACTIONS)
def test_every_fault_ends_in_words_and_with_all_that_was_paid_known(
    tmp_path: Path, nursery: Nursery, media: dict[str, str], name: str
) -> None:
    children = []
    with ExitStack() as stack:
        cells: dict[str, tuple[Folder, Emulator, str]] = {}
        for cell, (route, wanted) in faults(ACTIONS[name]).items():
            emulator = stack.enter_context(Emulator(processing_time_s=0.001))
            # The list of an account without any run proves nothing.
            upload_still(emulator.url, emulator.api_key, picture_bytes(picture(200, 200, seed=7)))
            emulator.inject(wanted)
            folder = Folder(path=tmp_path / cell, url=emulator.url, key=emulator.api_key)
            folder.write({"files": [media[route]]}, execution={"retry": {"attempts": 2, "max_wait": "50ms"}})
            cells[cell] = (folder, emulator, route)
            argv = ["run", str(folder.manifest), "--no-progress"]
            children.append({"argv": argv, "key": "", "out": str(folder.path / "run"), "settle_s": 0.25})
        codes = nursery.run(children)
        found = {
            cell: outcome(folder, code, emulator, route)
            for (cell, (folder, emulator, route)), code in zip(cells.items(), codes, strict=True)
        }
    once, always, list_once, list_always = EXPECTED[name]
    assert found == {
        "audio once": once,
        "video once": once,
        "audio always": always,
        "video always": always,
        "list once": list_once,
        "list always": list_always,
    }
