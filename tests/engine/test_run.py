"""From an edited manifest to what is sent: the plan, the state and the loop together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.engine.run import RunOptions
from hume_runner.errors import ManifestError, SourceError, StateError, StateLocked, UsageError
from hume_runner.planning.model import Action
from hume_runner.planning.prepare import Options, Plan
from hume_runner.planning.saved import SavedPlan
from hume_runner.planning.scan import NothingCached, scan_sources
from hume_runner.services.base import ListingUnsupported
from hume_runner.sources.base import SourceItem
from hume_runner.state.lock import OutputsLock, StateLock
from hume_runner.state.reader import StateReader
from hume_runner.state.staging import Scan
from tests.fakes import World, make_manifest, source_item
from tests.tiers import sampled

FACE = {"models": {"face": {"fps_pred": 3}}}
FASTER = {"models": {"face": {"fps_pred": 5}}}
DAY_S = 24 * 3600.0


def plan(world: World, settings: object = FACE, **options: bool) -> dict[str, tuple[Action, str]]:
    """What a run would do about each item."""
    manifest = make_manifest(world.folder, settings=settings)  # type: ignore[arg-type]
    store = StateReader.peek(world.state) if world.state.exists() else StateReader.empty("fake")
    with store:
        scan = scan_sources(manifest, expanded(world), world.service, store, Scan())
        how = Options(**{"retry_failed": False, "real_endpoint": False, **options}, now=world.clock.now)
        with Plan(manifest, scan, store, world.service, how) as made:
            made.decide()
            return {name: (decision.action, decision.reason) for name, _, decision in made.items()}


def expanded(world: World) -> Iterator[SourceItem]:
    return iter([source_item(s) if isinstance(s, str) else s for s in world.sources])


def actions(world: World, settings: object = FACE, **options: bool) -> dict[str, str]:
    return {name: str(action) for name, (action, _) in plan(world, settings, **options).items()}


@pytest.mark.sweep
def test_adding_one_source_to_ten_thousand_sends_one(world: World) -> None:
    world.sources = [f"s{n:05d}" for n in range(10_000)]
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 100
    world.sources.insert(5_000, "added")
    result = world.run()
    assert world.service.submitted[100:] == [("added",)]
    assert (result.plan.new, result.plan.done, result.plan.jobs) == (1, 10_000, 1)


def test_a_run_packs_its_plan_once(world: World) -> None:
    assert world.run().plan.jobs == 1
    assert world.service.packed == 1
    world.sources.append("added")
    assert world.run().plan.jobs == 1
    assert world.service.packed == 2


def test_the_same_content_under_two_ids_is_sent_once_and_done_twice(world: World) -> None:
    world.sources = [source_item("same", id="one"), source_item("same", id="two"), "other"]
    assert world.run().exit_code == 0
    assert world.service.submitted == [("one", "other")]
    assert world.items() == {"one": "done", "two": "done", "other": "done"}


def test_a_renamed_item_is_the_same_item(world: World) -> None:
    world.run(settings=FACE)
    world.sources = [source_item("a", id="renamed"), "b", "c"]
    assert actions(world) == {"renamed": "done", "b": "done", "c": "done", "a": "removed"}
    world.run(settings=FACE)
    assert world.items() == {"renamed": "done", "b": "done", "c": "done"}
    assert len(world.service.submitted) == 1


def test_a_changed_setting_changes_everything_and_is_named(world: World) -> None:
    world.run(settings=FACE)
    for action, reason in plan(world, FASTER).values():
        assert (action, reason) == (Action.CHANGED, "models.face.fps_pred: 3 -> 5")
    world.run(settings=FASTER)
    assert len(world.service.submitted) == 2


def test_changing_a_setting_back_costs_nothing(world: World) -> None:
    world.run(settings=FACE)
    world.run(settings=FASTER)
    assert set(actions(world, FACE).values()) == {"done"}
    world.run(settings=FACE)
    assert len(world.service.submitted) == 2


def test_the_same_id_with_other_content_is_changed(world: World) -> None:
    world.run(settings=FACE)
    world.sources = [source_item("elsewhere", id="a", explicit=True), "b", "c"]
    assert plan(world)["a"] == (Action.CHANGED, "its content changed")


def test_what_is_removed_and_comes_back_is_not_paid_again(world: World) -> None:
    world.run()
    world.sources = ["a"]
    assert world.run().plan.removed == 2
    assert world.items() == {"a": "done"}
    world.sources = ["a", "b", "c"]
    assert world.run().plan.done == 3
    assert len(world.service.submitted) == 1


def test_a_changed_order_is_no_work(world: World) -> None:
    world.run()
    world.sources = ["c", "a", "b"]
    assert world.run().plan.done == 3
    assert list(world.items()) == ["c", "a", "b"]


def test_a_settings_change_while_a_job_is_at_the_service_keeps_what_was_paid(world: World) -> None:
    world.service.processing_s = 100.0
    world.run(settings=FACE, interrupts=[1.0])
    world.run(settings=FASTER)
    assert len(world.service.submitted) == 2
    assert [job.status for job in world.jobs()] == ["done", "done"]
    assert set(actions(world, FACE).values()) == {"done"}


def test_planned_jobs_that_were_never_sent_are_planned_anew(world: World) -> None:
    world.service.most = 1
    world.run(max_jobs_in_flight=1, interrupts=[0.5])
    world.sources = ["a", "c", "d"]
    world.run()
    assert world.service.submitted == [("a",), ("c",), ("d",)]


def test_failures_stay_until_they_are_asked_to_be_tried_again(world: World) -> None:
    world.service.fails = {"b"}
    assert world.run().exit_code == 3
    assert world.run().exit_code == 3
    assert len(world.service.submitted) == 1
    assert plan(world, {"models": {"face": {}}})["b"] == (Action.FAILED, "b is bad (--retry-failed tries it again)")
    assert plan(world, {"models": {"face": {}}}, retry_failed=True)["b"] == (Action.RETRY, "failed before: b is bad")
    world.service.fails = set()
    assert world.run(options=RunOptions(retry_failed=True)).exit_code == 0
    assert world.service.submitted == [("a", "b", "c"), ("b",)]
    assert world.errors() == {}


def test_a_real_endpoint_measures_again_what_was_only_simulated(world: World) -> None:
    world.run()
    assert set(actions(world, {"models": {"face": {}}}, real_endpoint=True).values()) == {"changed"}
    world.run(simulated=False)
    assert len(world.service.submitted) == 2


def test_a_copied_state_asks_before_it_sends_what_its_original_may_have_sent(world: World, tmp_path: Path) -> None:
    world.service.most = 1
    world.run(max_jobs_in_flight=1, interrupts=[0.5])
    copied = world.state.read_bytes()
    assert world.run().exit_code == 0
    sent = len(world.service.submitted)
    for path in world.state.parent.glob("state.sqlite3*"):
        path.unlink()
    world.state.with_name("new").write_bytes(copied)
    world.state.with_name("new").rename(world.state)
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == sent == 3
    assert set(world.items().values()) == {"done"}


def test_an_original_state_asks_nothing(world: World) -> None:
    world.service.most = 1
    world.run(max_jobs_in_flight=1, interrupts=[0.5])
    world.run()
    assert world.service.counted["find"] == 0


# -- refusals --------------------------------------------------------------------------------------------------------


def test_one_runner_at_a_time(world: World) -> None:
    world.run()
    with StateLock(world.state), pytest.raises(StateLocked, match=r"held|holds"):
        world.run()


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143), ManifestError([])])
def test_a_second_run_never_removes_the_first_ones_state(world: World, stop: BaseException) -> None:
    """The first run's state appears after the second one looked and before it has the lock."""
    other = World(world.folder, ["x"])
    expanded: list[str] = []

    def expand() -> Iterator[str | SourceItem]:
        expanded.append("once")
        if len(expanded) == 1:
            assert world.run().exit_code == 0
        else:
            raise stop
        yield source_item("x")

    class Sources(list[str | SourceItem]):
        def __iter__(self) -> Iterator[str | SourceItem]:
            return expand()

    other.sources = Sources()
    with pytest.raises(type(stop)):
        other.run()
    assert len(expanded) == 2
    assert set(world.items().values()) == {"done"}


def test_bad_sources_leave_no_state(world: World) -> None:
    world.sources = [
        source_item("a", id="same", explicit=True),
        source_item("b", id="same", explicit=True),
    ]
    with pytest.raises(ManifestError, match="same"):
        world.run()
    assert not world.state.parent.exists()


def test_a_file_that_cannot_be_read_names_its_place(world: World, tmp_path: Path) -> None:
    missing = SourceItem(
        kind="file",
        id="gone",
        explicit_id=False,
        value="gone.wav",
        path=tmp_path / "gone.wav",
        place=source_item("gone").place,
    )
    world.sources = [missing]
    with pytest.raises(SourceError, match=r"manifest\.yaml:1:1: .*cannot read 'gone\.wav': No such file"):
        world.run()
    assert not world.state.parent.exists()


def test_another_manifest_s_state_is_refused(world: World) -> None:
    world.run()
    before = world.state.read_bytes()
    with pytest.raises(StateError, match="belongs to the manifest 'fake', not to 'other'"):
        world.run(name="other")
    assert world.state.read_bytes() == before
    with pytest.raises(StateError, match="belongs to the manifest 'fake', not to 'other'"):
        StateReader.peek(world.state, name="other")
    assert world.run().exit_code == 0


def saved(world: World, **changes: object) -> SavedPlan:
    manifest = make_manifest(world.folder)
    scan = scan_sources(manifest, expanded(world), world.service, NothingCached(), Scan())
    scan.close()
    store = StateReader.peek(world.state) if world.state.exists() else StateReader.empty("fake")
    with store:
        facts = {
            "endpoint": world.service.endpoint,
            "retry_failed": False,
            "manifest_sha256": manifest.sha256,
            "lineage": store.lineage,
            "serial": store.serial,
            "scan": scan.digest,
        }
    return SavedPlan(**{**facts, **changes})  # type: ignore[arg-type]


def test_a_saved_plan_runs_while_all_of_it_holds(world: World) -> None:
    assert world.run(options=RunOptions(saved_plan=saved(world))).exit_code == 0
    world.sources.append("d")
    assert world.run(options=RunOptions(saved_plan=saved(world))).exit_code == 0
    assert len(world.service.submitted) == 2


@sampled(4)
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"manifest_sha256": "0" * 64}, "the manifest changed"),
        ({"lineage": "another"}, "another history"),
        ({"serial": 0}, "another run happened since"),
        ({"scan": "0" * 64}, "the sources changed"),
        ({"endpoint": "https://elsewhere.example.org"}, "it was made for https://elsewhere"),
        ({"retry_failed": True}, "it was made with --retry-failed"),
    ],
)
def test_a_stale_plan_is_refused(world: World, change: dict[str, object], why: str) -> None:
    world.run()
    sent = dict(world.service.counted)
    with pytest.raises(UsageError, match=why):
        world.run(options=RunOptions(saved_plan=saved(world, **change)))
    assert world.service.counted == sent


def test_a_plan_is_stale_once_it_was_run(world: World) -> None:
    plan = saved(world)
    world.run(options=RunOptions(saved_plan=plan))
    with pytest.raises(UsageError, match="another run happened"):
        world.run(options=RunOptions(saved_plan=plan))


# -- a state that was lost ------------------------------------------------------------------------------------------


def without_state(world: World) -> None:
    for path in world.state.parent.glob("state.sqlite3*"):
        path.unlink()


def test_answers_without_a_state_are_told_before_anything_is_sent(world: World) -> None:
    world.run()
    without_state(world)
    world.run()
    (told,) = world.said("no_state")
    assert "raw/remote-1" in told["message"]


def test_answers_without_a_state_at_a_host_without_a_list_need_a_decision(world: World) -> None:
    world.run()
    without_state(world)
    world.service.greeting = ListingUnsupported()
    result = world.run()
    assert result.exit_code == 9
    assert result.error is not None
    assert "adopt MANIFEST remote-1" in result.error.hint
    assert len(world.service.submitted) == 1
    assert world.run(options=RunOptions(pay_again=True)).exit_code == 0
    assert len(world.service.submitted) == 2


def test_answers_on_disk_of_which_nobody_tells_any_more_are_asked_about_before_they_are_paid_again(
    world: World,
) -> None:
    world.run()
    without_state(world)
    world.clock.sleep(10 * DAY_S)  # the service is looked at for a week back

    asked = world.run()

    assert asked.exit_code == 9
    assert asked.error is not None
    assert "raw/remote-1: an answer that this state knows nothing of" in str(asked.error)
    assert "adopt MANIFEST remote-1" in asked.error.hint
    assert "of an answer that came from a file, that file in its folder" in asked.error.hint
    assert len(world.service.submitted) == 1


def test_an_answer_on_disk_without_its_request_is_asked_about_as_well(world: World) -> None:
    world.run()
    without_state(world)
    (world.state.parent / "raw" / "remote-1" / "request.json").unlink()
    world.clock.sleep(10 * DAY_S)

    assert world.run().exit_code == 9

    assert len(world.service.submitted) == 1


def test_who_agreed_to_pay_for_answers_on_disk_again_is_not_asked_about_them_any_more(world: World) -> None:
    world.run()
    without_state(world)
    world.clock.sleep(10 * DAY_S)
    assert world.run(options=RunOptions(pay_again=True)).exit_code == 0
    assert [told["message"].count("as agreed") for told in world.said("agreed")] == [1]
    world.sources.append("d")

    assert world.run().exit_code == 0

    assert len(world.service.submitted) == 3


def test_answers_on_disk_are_not_asked_about_where_nothing_is_looked_for(world: World) -> None:
    world.run()
    without_state(world)
    assert world.run(look_back_s=0.0).exit_code == 0
    assert len(world.service.submitted) == 2


def test_a_first_run_at_a_host_without_a_list_says_so_and_goes_on(world: World) -> None:
    world.service.greeting = ListingUnsupported()
    assert world.run().exit_code == 0
    assert world.said("no_list")


# -- one owner of an output directory ---------------------------------------------------------------------------------


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith((".lock", ".seal"))
    }


@pytest.mark.parametrize("name", ["other", "fake"])
def test_another_state_in_the_same_output_directory_is_refused_before_anything_is_planned(
    world: World, tmp_path: Path, name: str
) -> None:
    assert world.run().exit_code == 0
    before = files_of(tmp_path / "out")
    first = world.state
    world.state = tmp_path / "states" / "second.sqlite3"
    with pytest.raises(UsageError, match="this output directory belongs to") as refused:
        world.run(name=name)
    assert ("'fake'" if name == "other" else str(first)) in str(refused.value)
    assert len(world.service.submitted) == 1
    assert files_of(tmp_path / "out") == before
    assert files_of(tmp_path / "states") == {}
    world.state = first
    assert world.run().exit_code == 0


def test_an_output_directory_that_another_run_holds_is_refused(world: World, tmp_path: Path) -> None:
    world.run()
    world.state = tmp_path / "states" / "second.sqlite3"
    with OutputsLock(tmp_path / "out"), pytest.raises(StateLocked, match="holds the output directory: process"):
        world.run(name="other")
    assert files_of(tmp_path / "states") == {}


def test_a_state_that_was_deleted_or_moved_goes_on_in_its_directory(world: World, tmp_path: Path) -> None:
    world.run()
    moved = tmp_path / "states" / "moved.sqlite3"
    moved.parent.mkdir()
    world.state.rename(moved)
    Path(f"{world.state}.seal").unlink()
    world.state = moved
    assert world.run().plan.done == 3
    moved.unlink()
    Path(f"{moved}.seal").unlink()
    assert world.run().exit_code == 0


def test_a_refused_run_takes_back_the_state_that_it_made_and_no_other(world: World) -> None:
    stale = saved(world, lineage="another")
    with pytest.raises(UsageError, match="another history"):
        world.run(options=RunOptions(saved_plan=stale))
    assert not list(world.state.parent.glob("state.sqlite3*[!k]"))
    world.run()
    with pytest.raises(UsageError, match="stale"):
        world.run(options=RunOptions(saved_plan=stale))
    assert set(world.items().values()) == {"done"}
