"""A real notebook: a kernel of its own runs the cells, and what it shows is what a person sees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hume_runner
from hume_runner.notebook import shell

PROJECT = Path(__file__).parents[1]
MANIFEST = {
    "version": 1,
    "name": "cells",
    "service": {"api": "local"},
    "sources": {"text": ["I could not be happier.", "Leave <me> alone."]},
    "models": {"language": {}},
}


def shown(cell: Any) -> str:
    return " ".join(output.get("data", {}).get("text/html", "") for output in cell["outputs"])


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_notebook_shows_progress_the_result_and_a_picture(tmp_path: Path) -> None:
    import nbformat  # here: each worker collects every test
    from nbclient import NotebookClient

    cells = [
        f"import sys; sys.path.insert(0, {str(PROJECT)!r}); import hume_runner",
        f"result = hume_runner.run({MANIFEST!r})",
        "result",
        "hume_runner.run('nothing.yaml')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    client = NotebookClient(
        notebook, timeout=90, kernel_name="python3", allow_errors=True, resources={"metadata": {"path": str(tmp_path)}}
    )

    client.execute()

    assert "1 of 1 jobs" in shown(notebook["cells"][1])
    page = shown(notebook["cells"][2])
    assert "2 of 2 measured" in page
    assert "results/cells" in page
    (output,) = notebook["cells"][3]["outputs"]
    assert output["ename"] == "ManifestError"


def test_elsewhere_nothing_is_shown_and_nothing_imported() -> None:
    assert shell() is None
    assert "display" not in dir(hume_runner)
