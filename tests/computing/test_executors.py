"""Any executor that a user names works for a run: what it does when a process dies is its own affair."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.computing.case import Case
from tests.tiers import sampled

FACTORIES = """
import concurrent.futures, multiprocessing

def processes():
    # Not by fork, which copies locks that other threads hold.
    return concurrent.futures.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))

def threads():
    return concurrent.futures.ThreadPoolExecutor(2)

def of_executorlib():
    import executorlib
    return executorlib.SingleNodeExecutor(max_workers=2)

def of_parsl():
    import parsl
    from parsl.concurrent import ParslPoolExecutor
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider
    return ParslPoolExecutor(Config(executors=[HighThroughputExecutor(
        address="127.0.0.1", loopback_address="127.0.0.1", max_workers_per_node=2, cores_per_worker=0.5,
        encrypted=False,
        provider=LocalProvider(init_blocks=1, max_blocks=1))], usage_tracking=0))
"""

KINDS = (
    *("processes", "threads"),
    *(pytest.param(kind, marks=pytest.mark.sweep) for kind in ("of_executorlib", "of_parsl")),
)
_NEED = {"of_executorlib": ("executorlib",), "of_parsl": ("parsl", "typeguard")}


def lacking(kind: str) -> str:
    """What is not installed of what it needs."""
    return ", ".join(name for name in _NEED.get(kind, ()) if find_spec(name) is None)


@pytest.fixture(params=KINDS)
def factory(request: pytest.FixtureRequest, case: Case) -> str:
    """Its name, for `--cluster`."""
    if missing := lacking(request.param):
        pytest.skip(f"{missing} is not installed")
    (case.folder / "factories.py").write_text(FACTORIES)
    return f"factories:{request.param}"


@sampled(1)
def test_outputs_are_those_of_this_machine_byte_for_byte(case: Case, factory: str) -> None:
    case.write([f"text {number}" for number in range(12)])
    written = []
    for flags in ((), ("--cluster", factory)):
        ran = case.run(*flags)
        assert ran.code == 0, ran.err
        written.append(case.written())
        (case.folder / "out").rename(case.folder / f"out-{len(written)}")
    assert written[0] == written[1]


@pytest.mark.sweep
def test_a_text_that_ends_what_works_on_it_fails_alone(case: Case, factory: str) -> None:
    case.write(["x", "die", "y"])
    ran = case.run("--cluster", factory)
    assert ran.code == 3, ran.err
    [error] = case.table("errors")
    assert error["reason"] == "worker_died"
    assert len(case.table("letters")) == 2


@pytest.mark.parametrize("kind", ["processes", pytest.param("of_executorlib", marks=pytest.mark.sweep)])
def test_where_one_death_breaks_the_executor_only_who_caused_it_fails(case: Case, kind: str) -> None:
    """The text kills the executor's own process, and with it all that the executor works on at that time."""
    if missing := lacking(kind):
        pytest.skip(f"{missing} is not installed")
    (case.folder / "factories.py").write_text(FACTORIES)
    case.write([*(f"sleep 0.2 before {number}" for number in range(4)), "kill", *(f"after {n}" for n in range(4))])
    ran = case.run("--cluster", f"factories:{kind}")
    assert ran.code == 3, ran.err
    [error] = case.table("errors")
    assert error["reason"] == "worker_died"
    assert sorted(int(row["length"]) for row in case.table("letters")) == [7] * 4 + [18] * 4


@pytest.mark.sweep
def test_a_worker_that_is_not_fit_refuses_the_run(case: Case) -> None:
    (case.folder / "other.py").write_text(
        "import concurrent.futures, multiprocessing, os\n"
        "def begin():\n    os.environ['LETTERS_VERSION'] = '2'\n"
        "def make():\n    how = multiprocessing.get_context('spawn')\n"
        "    return concurrent.futures.ProcessPoolExecutor(1, mp_context=how, initializer=begin)\n"
    )
    case.write(["One"])
    ran = case.run("--cluster", "other:make")
    assert ran.code == 64, ran.err
    assert "works with letters@2#" in ran.err
    assert not list(Path(case.folder, "out").glob("raw/*"))


@pytest.mark.sweep
def test_an_executor_that_breaks_again_and_again_ends_the_run(case: Case) -> None:
    """Its workers die before they begin with anything, but for the one that is asked what it is."""
    (case.folder / "broken.py").write_text(
        "import concurrent.futures, multiprocessing\n"
        "class Broken(concurrent.futures.ProcessPoolExecutor):\n"
        "    def submit(self, function, *arguments):\n"
        "        if function.__name__ == 'tell':\n"
        "            return super().submit(function, *arguments)\n"
        "        future = concurrent.futures.Future()\n"
        "        future.set_exception(concurrent.futures.BrokenExecutor('out of order'))\n"
        "        return future\n"
        "def make():\n    return Broken(1, mp_context=multiprocessing.get_context('spawn'))\n"
    )
    case.write(["One", "Two"])
    ran = case.run("--cluster", "broken:make")
    assert ran.code == 5, ran.err
    assert "--cluster broken:make breaks again and again: BrokenExecutor: out of order" in ran.err
    assert case.run().code == 0


@pytest.mark.sweep
def test_a_factory_of_python_s_own_is_taken_from_python(case: Case) -> None:
    script = (
        "import concurrent.futures, hume_runner, multiprocessing\n"
        "if __name__ == '__main__':\n"
        "    how = multiprocessing.get_context('spawn')\n"
        "    make = lambda: concurrent.futures.ProcessPoolExecutor(1, mp_context=how)\n"
        "    result = hume_runner.run('m.yaml', cluster=make)\n"
        "    assert result.exit_code == 0, result.error\n"
    )
    case.write(["One", "Two"])
    assert case.python(script) == ""
    assert len(case.table("letters")) == 2
