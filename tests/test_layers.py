"""Who may import whom, and that each outside thing is touched in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hume_runner"
SOURCES = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def test_data_flows_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def modules_of(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Top-level names of all that a file imports, inside functions as well."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def attributes_of(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Attributes of plain names, as `time.sleep`; what is imported from a module counts as such."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


@cache
def words_of(path: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", SOURCES[path]))


@cache
def touched_by(path: str) -> frozenset[str]:
    nodes = [*ast.walk(ast.parse(SOURCES[path]))]
    return frozenset([*modules_of(nodes), *attributes_of(nodes)])


def uses(what: str) -> set[str]:
    """Files that import a module, or for a dotted name use that attribute."""
    # Only where all its words stand somewhere: to take the whole package apart takes seconds.
    words = what.split(".")
    return {path for path in SOURCES if words_of(path).issuperset(words) and what in touched_by(path)}


@pytest.mark.parametrize(
    ("what", "places"),
    [
        ("sqlite3", ("state/", "emulator/")),
        ("requests", ("http/",)),
        ("tenacity", ("http/retry.py",)),
        # The lock tells people on which host its owner runs.
        # And those who talk to a run on their own machine have one module, which the engine knows nothing of.
        ("socket", ("http/", "emulator/server.py", "state/lock.py", "control/")),
        ("random", ("wiring.py", "http/retry.py", "emulator/")),
        # Whoever measures asks where the models lie, and is made by no wiring. What is said of stores is obstore's to
        # read, save what it leaves to its caller.
        # The trace that a command belongs to is asked for before there is a machine, which costs start-up.
        ("os.environ", ("cli/main.py", "wiring.py", "processes.py", "services/local/weights.py", "stores/opening.py")),
        ("obstore", ("stores/remote.py", "stores/wording.py")),
        ("os.getenv", ()),
        # The client can be used without the runner, so it brings its own.
        # And the lock waits the hundredths of a second for which another process looks at it, as a dropped signal does.
        (
            "time.sleep",
            (
                "wiring.py",
                "hume/job.py",
                "http/retry.py",
                "cli/signals.py",
                "cli/status.py",
                "emulator/",
                "state/lock.py",
            ),
        ),
        ("sys.stdout", ("cli/",)),
        # The last resort for a remote id that can be written nowhere else.
        # And what others' code prints in our process has to go somewhere.
        ("sys.stderr", ("cli/", "engine/rescue.py", "guests.py")),
        ("sys.exit", ("cli/entry.py",)),
        # Others' code may set handlers of its own, and those that were there are put back.
        ("signal", ("cli/", "processes.py", "guests.py")),
        ("_signal", ("cli/entry.py",)),
        ("argparse", ("cli/",)),
        # Who reads JSON that others may have written asks `small_json`, which takes no end of nesting. Others read what
        # this process made or what comes with the package, or are readers with such an end of their own: of answers, of
        # lists, and the emulator of requests.
        (
            "json.loads",
            (
                "http/answer.py",
                "http/json_lenient.py",
                "http/json_stream.py",
                "sources/listing.py",
                "emulator/",
                "services/expression_v1/sender.py",
                "services/local/",
                "engine/mend.py",
                "results/compare/packing.py",
                "results/sinks.py",
                "manifest/published.py",
                "cli/schema.py",
                "cli/completion.py",
                "cli/init.py",
                "installing.py",
            ),
        ),
        ("json.load", ()),
    ],
)
def test_each_outside_thing_is_touched_in_its_place_alone(what: str, places: tuple[str, ...]) -> None:
    strangers = {name for name in uses(what) if not any(name.startswith(place) for place in places)}
    assert not strangers


@pytest.mark.parametrize("package", ["planning", "engine", "results", "sources", "manifest", "media"])
def test_what_decides_gets_its_time_from_outside(package: str) -> None:
    for clock in ("time.time", "time.monotonic", "time.sleep", "datetime.now", "datetime.utcnow", "uuid.uuid4"):
        assert not {name for name in uses(clock) if name.startswith(f"{package}/")}, clock


# Members of the two APIs' documents that are no words of ours: a manifest's or a table's own names are not among them.
MEMBERS = """
    job_id user_id grouped_predictions created_timestamp_ms started_timestamp_ms ended_timestamp_ms num_predictions
    num_errors md5sum registry_files link_word entity_confidence speaker_confidence detected_language prob_threshold
    min_face_size save_faces identify_speakers confidence_threshold facemesh faultstring errorcode emotions
    utterance_id utterances measurement_id audio_start_ms audio_end_ms audio_duration_ms frame_id face_id face_state
    return_face_state voice_attributes bbox metered_seconds bytes_recorded capped_kinds at_cap next_cursor close_code
    close_reason
""".split()
# Of a file that has to say one all the same.
SAID_ELSEWHERE = {
    "emulator/storage.py": {"job_id"},  # a column of its own database
}


def says_members(path: str) -> set[str]:
    return set(words_of(path).intersection(MEMBERS))


def knows_an_api(path: str) -> bool:
    """The folder of an API; and what speaks to people who come from the old package, in its words."""
    return re.match(r"(services|emulator)/(batch_v0|expression_v1)/|hume/|migration/", path) is not None


def test_only_an_apis_own_folders_hold_the_names_of_its_members() -> None:
    strangers = {path: says_members(path) - SAID_ELSEWHERE.get(path, set()) for path in SOURCES}
    assert {path: said for path, said in strangers.items() if said and not knows_an_api(path)} == {}


@pytest.mark.parametrize("layer", ["services", "emulator"])
def test_each_of_these_names_is_said_where_it_belongs(layer: str) -> None:
    said = set().union(*(says_members(path) for path in SOURCES if path.startswith(f"{layer}/") and knows_an_api(path)))
    assert said >= {"job_id", "grouped_predictions", "utterance_id", "metered_seconds"}
    everywhere = set().union(*(says_members(path) for path in SOURCES if knows_an_api(path)))
    assert everywhere == set(MEMBERS)


def test_the_search_finds_what_it_looks_for() -> None:
    assert "wiring.py" in uses("os.environ")
    assert "state/file.py" in uses("sqlite3")
    assert "services/packing.py" not in uses("sqlite3")
