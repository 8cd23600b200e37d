"""Runners stand before the lock, are released at the same instant on one state by many names, and one works.

The winner is held where it has the lock and has sent nothing, until all others have ended: so nobody comes too late to
meet it, however slow the machine is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hume_runner.planning.fingerprint import text_content
from hume_runner.planning.selection import Shard
from tests.durability.case import Case, Reference, accepted_by_key, broken_promises
from tests.durability.children import Nursery
from tests.durability.conftest import MakeCase
from tests.durability.service import ServiceProcess
from tests.tiers import sampled

RUNNERS = 8
ROUNDS = 5
LOCKED = 6

# How each runner calls the state and its folder; the links are made by `with_links`.
NAMES: Sequence[Callable[[Case], Sequence[str]]] = (
    lambda case: (),
    lambda case: ("--state", str(case.state)),
    lambda case: ("--state", str(case.folder / "linked-state.sqlite3")),
    lambda case: ("--output-dir", str(case.folder / "linked-out")),
    lambda case: ("--output-dir", str(case.folder / "itself" / "itself" / "out")),
    lambda case: ("--output-dir", str(case.outputs / ".." / "out")),
    lambda case: ("--state", f"//{str(case.outputs).lstrip('/')}//state.sqlite3"),
    lambda case: ("--state", str(case.folder / "itself" / "linked-out" / ".." / "out" / "state.sqlite3")),
)


def with_links(case: Case) -> Case:
    (case.folder / "linked-state.sqlite3").symlink_to(Path("out") / "state.sqlite3")
    (case.folder / "linked-out").symlink_to("out")
    (case.folder / "itself").symlink_to(case.folder)
    return case


def release(
    case: Case, nursery: Nursery, *, turn: int = 0, mutant: str | None = None, remove: Sequence[Path] = ()
) -> list[int]:
    """Exit codes of many runners, each with another name for the same place. `turn`: who has which."""
    hold = case.folder / f"go-on-{turn}"
    held = {"kind": "hold", "at": {"name": "commit plan"}, "until": str(hold)}
    return nursery.together(
        [
            case.child(name=f"runner-{n}", flags=NAMES[(n + turn) % len(NAMES)](case), mutant=mutant, disk=held)
            for n in range(RUNNERS)
        ],
        hold=hold,
        remove=remove,
    )


def intruders(case: Case, codes: Sequence[int], accepted: int, *, named: bool = True) -> list[str]:
    """What went wrong among the runners, in words; nothing if exactly one worked. `named`: they say who holds it."""
    wrong = []
    if accepted != 3:
        wrong.append(f"{accepted} jobs were accepted")
    for number, code in enumerate(codes):
        said = case.said(f"runner-{number}")
        if code == LOCKED:
            if named and not re.search(r"another run holds the state: process \d+ on \S+ since \d{4}-", said):
                wrong.append(f"does not say who holds the state: {said}")
        elif code != 0:
            wrong.append(f"exit code {code}: {said[-300:]}")
    if (worked := len(codes) - codes.count(LOCKED)) != 1:
        wrong.append(f"{worked} runners worked")
    return wrong


@pytest.mark.sweep
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_of_eight_runners_by_eight_names_one_works_and_the_others_say_who_holds_the_state(
    new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference, turn: int
) -> None:
    case = with_links(new_case("case"))
    codes = release(case, nursery, turn=turn)
    accepted = accepted_by_key(service)[case.owner]
    assert intruders(case, codes, len(accepted)) == []
    assert broken_promises(case, 0, accepted, reference) == []
    # Once more, where the state exists: nothing is planned and nothing is sent, by whoever has it.
    assert set(release(case, nursery, turn=turn + 1)) <= {0, LOCKED}
    assert len(accepted_by_key(service)[case.owner]) == 3


@pytest.mark.sweep
@pytest.mark.parametrize("turn", range(2))
def test_one_runner_works_while_somebody_keeps_removing_the_lock_s_files(
    new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference, turn: int
) -> None:
    case = with_links(new_case("case"))
    locks = [Path(f"{case.state}.lock"), Path(f"{case.state}.outputs.lock")]
    codes = release(case, nursery, turn=turn, remove=locks)
    accepted = accepted_by_key(service)[case.owner]
    assert intruders(case, codes, len(accepted), named=False) == []
    assert broken_promises(case, 0, accepted, reference) == []


def test_of_runners_into_directories_of_their_own_one_works_and_the_next_pays_for_nothing(
    new_case: MakeCase, service: ServiceProcess, nursery: Nursery
) -> None:
    case = new_case("case")
    hold = case.folder / "go-on"
    held = {"kind": "hold", "at": {"name": "commit plan"}, "until": str(hold)}
    apart = [("--output-dir", str(case.folder / f"out-{n}")) for n in range(3)]

    codes = nursery.together(
        [case.child(name=f"runner-{n}", flags=flags, disk=held) for n, flags in enumerate(apart)], hold=hold
    )

    assert sorted(codes) == [0, LOCKED, LOCKED]
    assert len(accepted_by_key(service)[case.owner]) == 3
    loser = codes.index(LOCKED)
    said = case.said(f"runner-{loser}")
    assert re.search(
        r"another run has 6 of this one's 6 unfinished items under way at the same service: process \d+", said
    ), said
    assert nursery.run([case.child(name="next", flags=apart[loser])]) == [0]
    assert len(accepted_by_key(service)[case.owner]) == 3


Words = Callable[[Case], Sequence[str]]  # which manifest, and the flags


def hard_link(case: Case) -> Sequence[str]:
    os.link(case.manifest, case.folder / "linked.yaml")
    return ["linked.yaml"]


def copy_of_another_name(case: Case) -> Sequence[str]:
    (case.folder / "copy.yaml").write_text(case.manifest.read_text().replace("name: sweep", "name: another"))
    return ["copy.yaml"]


def with_one_item_more(case: Case) -> Sequence[str]:
    text = case.manifest.read_text().replace("  text:", "  text:\n    - And one more.")
    (case.folder / "edited.yaml").write_text(text)
    return ["edited.yaml"]


def endpoint(change: Callable[[str], str]) -> Words:
    def flags(case: Case) -> Sequence[str]:
        url = re.search(r'endpoint: "([^"]*)"', case.manifest.read_text())
        assert url is not None
        return ["manifest.yaml", "--endpoint", change(url[1])]

    return flags


def flags(*words: str) -> Words:
    return lambda case: ["manifest.yaml", *words]


def part_of(count: int) -> Words:
    """The one that has a certain item."""
    content = text_content("Nothing is lost.")
    return flags("--shard", next(f"{n}/{count}" for n in range(1, count + 1) if Shard(n, count).takes("text", content)))


@sampled(3)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(flags(), flags("--shard", "1/1"), id="everything, and the one part of one"),
        pytest.param(flags(), flags("--shard", "1/2"), id="everything, and a part"),
        pytest.param(part_of(2), part_of(3), id="parts of two splits"),
        pytest.param(flags(), endpoint(lambda url: url.replace("http", "HTTP")), id="an address in capitals"),
        pytest.param(flags(), endpoint(lambda url: url.replace("127.0.0.1", "localhost")), id="another name of a host"),
        pytest.param(flags(), hard_link, id="a hard link"),
        pytest.param(flags(), copy_of_another_name, id="a copy with another name"),
        pytest.param(flags(), with_one_item_more, id="the manifest with an item more"),
    ],
)
def test_of_two_that_would_pay_for_the_same_one_works_whatever_tells_them_apart(
    new_case: MakeCase, service: ServiceProcess, nursery: Nursery, first: Words, second: Words
) -> None:
    case = new_case("case")
    hold = case.folder / "go-on"
    held = {"kind": "hold", "at": {"name": "commit plan"}, "until": str(hold)}
    children = []
    for number, words in enumerate((first(case), second(case))):
        manifest, *more = words
        argv = ["run", str(case.folder / manifest), "--no-progress", "--output-dir", str(case.folder / f"out-{number}")]
        children.append(case.child(name=f"runner-{number}", disk=held, argv=[*argv, *more]))

    codes = nursery.together(children, hold=hold)

    assert sorted(codes) == [0, LOCKED], [case.said(f"runner-{number}") for number in range(2)]
    sent = [job["content_sha256"] for job in accepted_by_key(service)[case.owner]]
    assert len(sent) == len(set(sent))
    assert "under way at the same service" in case.said(f"runner-{codes.index(LOCKED)}")


@pytest.mark.sweep
def test_a_runner_that_is_killed_leaves_no_lock(
    new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference
) -> None:
    case = new_case("case")
    killed = case.child(disk={"kind": "kill", "at": 6, "moment": "after"})
    assert nursery.run([killed]) == [-9]
    assert Path(f"{case.state}.owner.json").exists()
    codes = nursery.run([case.child()])
    assert broken_promises(case, codes[0], accepted_by_key(service)[case.owner], reference) == []
