"""Nothing is given to a cluster that cannot do it: each reason is one line, with the way out and an exit code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from hume_runner.computing.checks import unfit
from tests.computing.case import Case
from tests.computing.dask_processes import Dask
from tests.tiers import sampled

# What a process does at its start that is not fit; `{0}` is the case's folder.
TROUBLES = {
    "no hume_runner": """
        import sys
        class Missing:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == "hume_runner":
                    raise ModuleNotFoundError("No module named 'hume_runner'", name="hume_runner")
        sys.meta_path.insert(0, Missing())
    """,
    "another version": """
        import hume_runner._version
        hume_runner._version.__version__ = "0.0.1"
    """,
    "another distributed": """
        import distributed
        distributed.__version__ = "2020.1.0"
    """,
    # As where the folder is not mounted: every access to it is refused by name.
    "no folder": """
        import os, sys
        def hook(event, arguments):
            if event in ("open", "os.mkdir", "os.scandir") and str(arguments[0]).startswith("{0}/out"):
                raise FileNotFoundError(2, "No such file or directory", str(arguments[0]))
        sys.addaudithook(hook)
    """,
    "another folder": """
        import os, pathlib
        real = pathlib.Path.read_text
        def read_text(self, *words, **more):
            return "somebody else's" if self.name == "nonce" else real(self, *words, **more)
        pathlib.Path.read_text = read_text
    """,
}


def troubled(case: Case, which: str) -> Mapping[str, str]:
    """The environment of such a process."""
    folder = case.folder / which.replace(" ", "-")
    folder.mkdir(exist_ok=True)
    lines = TROUBLES[which].replace("{0}", str(case.folder)).splitlines()
    (folder / "sitecustomize.py").write_text("\n".join(line[8:] for line in lines))
    return {"PYTHONPATH": os.pathsep.join([str(folder), case.environ["PYTHONPATH"]])}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    ("which", "code", "said", "hint"),
    [
        ("no hume_runner", 64, "cannot import hume_runner", "with its extra 'cluster' where it runs"),
        ("another version", 64, "has hume_runner 0.0.1, and this machine has", "the same versions: hume_runner "),
        ("another distributed", 64, "has distributed 2020.1.0, and this machine has", "pip install distributed=="),
        ("no folder", 66, "does not see", "a shared file system"),
        ("another folder", 66, "another folder of that name is there", "a shared file system"),
    ],
)
def test_a_worker_that_is_not_fit_refuses_the_run(
    case: Case, dask: Dask, which: str, code: int, said: str, hint: str
) -> None:
    case.write(["One"])
    dask.worker("good")
    dask.worker("bad", environ=troubled(case, which))
    dask.expect(2)
    ran = case.run("--cluster", dask.address)
    assert ran.code == code, ran.err
    assert said in ran.err
    assert hint in ran.err
    assert "the Dask worker tcp://127.0.0.1:" in ran.err
    assert len(ran.err.strip().splitlines()) == 3
    assert not (case.folder / "out" / "raw").exists()


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("which", "said"), [("no hume_runner", "cannot import"), ("another version", "has hume_runner 0.0.1")]
)
def test_a_scheduler_that_is_not_fit_refuses_the_run(case: Case, tmp_path: Path, which: str, said: str) -> None:
    case.write(["One"])
    with Dask(tmp_path / "dask", {**case.environ, **troubled(case, which)}) as dask:
        dask.worker("good", environ=case.environ)
        dask.expect(1)
        ran = case.run("--cluster", dask.address)
    assert ran.code == 64, ran.err
    assert f"the Dask scheduler at {dask.address} {said}" in ran.err


@pytest.mark.sweep
def test_a_model_that_is_not_where_a_worker_looks_is_told_with_the_command(case: Case, dask: Dask) -> None:
    case.environ["LETTERS_WEIGHT"] = "0" * 64
    case.write(["One"])
    dask.worker("bare", environ={"LETTERS_WEIGHT": "0" * 64, "HUME_RUNNER_MODELS": str(case.folder / "nothing")})
    ran = case.run("--cluster", dask.address)
    assert ran.code == 64, ran.err
    assert f"letters/table.bin: not on this machine (looked in {case.folder / 'nothing'})" in ran.err
    assert "where it runs: " in ran.err


@pytest.mark.sweep
def test_a_worker_whose_measurer_is_another_refuses_the_run(case: Case, dask: Dask) -> None:
    case.write(["One"])
    dask.worker("other", environ={"LETTERS_VERSION": "2"})
    ran = case.run("--cluster", dask.address)
    assert ran.code == 64, ran.err
    assert "works with letters@2#" in ran.err
    assert "and this machine with letters@1#" in ran.err


@pytest.mark.sweep
def test_a_scheduler_that_is_not_there_is_told_soon(case: Case) -> None:
    case.write(["One"])
    ran = case.run("--cluster", "tcp://127.0.0.1:9")
    assert ran.code == 5, ran.err
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in ran.err
    assert "dask scheduler" in ran.err


@pytest.mark.sweep
def test_a_cluster_without_a_worker_is_waited_for_and_then_told(case: Case, dask: Dask) -> None:
    case.environ["HUME_RUNNER_CLUSTER_WAIT"] = "1"
    case.write(["One"])
    ran = case.run("--cluster", dask.address)
    assert ran.code == 5, ran.err
    assert "had no worker that could be used for 1 s" in ran.err
    assert f"dask worker {dask.address}" in ran.err


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("carrier://pigeon", "Dask does not take this"),
        ("nothing", "neither the address of a Dask scheduler nor module:factory"),
        ("nowhere_at_all:make", "cannot import nowhere_at_all"),
        ("json:none", "json has nothing to call of the name none"),
        ("builtins:dict", "gives a dict, which is no concurrent.futures.Executor"),
        ("broken:make", "broken does not load: ZeroDivisionError"),
        ("raising:make", "does not start: OSError: no licence, line two"),
        ("leaving:make", "leaving does not load: SystemExit: 0"),
        ("raising:leave", "does not start: SystemExit: 3"),
        ("raising:lie", "gives back a str that no worker of ours returned"),
        ("tls://127.0.0.1:9", "its configuration names no certificates"),
    ],
)
def test_what_names_no_executor_is_refused(case: Case, name: str, said: str) -> None:
    (case.folder / "broken.py").write_text("1 / 0\n")
    (case.folder / "leaving.py").write_text("raise SystemExit(0)\n")
    (case.folder / "raising.py").write_text(
        "import concurrent.futures\n"
        "def make():\n    raise OSError('no licence,\\nline two')\n"
        "def leave():\n    raise SystemExit(3)\n"
        "class Liar(concurrent.futures.Executor):\n"
        "    def submit(self, *call):\n"
        "        future = concurrent.futures.Future()\n"
        "        future.set_result('done')\n"
        "        return future\n"
        "lie = Liar\n"
    )
    case.write(["One"])
    ran = case.run("--cluster", name)
    assert ran.code == 64, ran.err
    [line] = [line for line in ran.err.splitlines() if said in line]
    assert ran.err.splitlines()[-2:] == [line, ran.err.splitlines()[-1]]
    assert ran.err.splitlines()[-1].startswith("next: ")


def test_an_api_without_work_for_a_cluster_says_so(case: Case) -> None:
    case.write(["One"], service={"api": "batch-v0", "endpoint": "emulator"}, models={"language": {}})
    ran = case.run("--cluster", "tcp://127.0.0.1:9")
    assert ran.code == 64, ran.err
    assert "batch-v0 has no work for a cluster" in ran.err


@pytest.mark.sweep
def test_a_run_with_nothing_to_do_asks_no_cluster(case: Case) -> None:
    case.write(["One"])
    assert case.run().code == 0
    ran = case.run("--cluster", "tcp://127.0.0.1:9")
    assert ran.code == 0, ran.err


RUN = {"folder": "/out/cluster/1", "nonce": "n", "python": "3.11", "hume_runner": "1", "needs": b"", "told": ["a@1"]}
OURS = {"python": "3.11", "hume_runner": "1", "distributed": None}
FIT = {"where": "h", "python": "3.11", "hume_runner": "1", "distributed": "2026", "read": "n", "told": ["a@1"]}


def test_another_python_is_told_before_anything_else() -> None:
    wrong = unfit("w", {**FIT, "python": "3.12", "hume_runner": "2"}, RUN, OURS, seen=False)
    assert wrong is not None
    assert str(wrong) == "w has Python 3.12, and this machine has 3.11"
    assert unfit("w", FIT, RUN, OURS, seen=True) is None


def test_a_worker_whose_files_are_not_found_here_is_not_fit() -> None:
    wrong = unfit("w", FIT, RUN, OURS, seen=False)
    assert wrong is not None
    assert wrong.exit_code == 66
    assert "what it writes there is not found here" in str(wrong)


@pytest.mark.parametrize(
    ("told", "said", "hint", "code"),
    [
        (
            {"hume_runner": "0.0.1"},
            "w has hume_runner 0.0.1, and this machine has 1",
            "the same versions: hume_runner 1",
            64,
        ),
        ({"distributed": "2020"}, "w has distributed 2020, and this machine has 2026", "distributed==2026", 64),
        ({"read": "m"}, "another folder of that name is there", "a shared file system", 66),
        ({"unseen": "refused", "read": None}, "as this machine does: refused", "a shared file system", 66),
        ({"lacks": ("no table.bin", "get it", 64)}, "w: no table.bin", "where it runs: get it", 64),
        ({"told": ["a@2"]}, "w works with a@2, and this machine with a@1", "", 64),
    ],
)
def test_each_thing_that_is_not_fit_is_named_with_the_way_out(
    told: Mapping[str, object], said: str, hint: str, code: int
) -> None:
    wrong = unfit("w", {**FIT, **told}, RUN, {**OURS, "distributed": "2026"}, seen=True)
    assert wrong is not None
    assert said in str(wrong)
    assert hint in (wrong.hint or "")
    assert wrong.exit_code == code
