"""What runs write into an output directory: no source of any run, where a pattern finds it."""

from __future__ import annotations

# In each output directory, by a run that wrote there: whose it is.
RECORD = "state.sqlite3.outputs.json"
_STATE = "state.sqlite3"
# All else that has a name of its own there. Of the same names elsewhere nothing is known.
FOLDERS = frozenset({"raw", "tables", "prepared", "cluster", "emulator", "shards"})
FILES = frozenset(
    {"run.json", "results.jsonl", "report.html", "datapackage.json", "codebook.md", "ro-crate-metadata.json"}
)


def is_of_runs(name: str) -> bool:
    """Whether runs write under this name, in a folder that has their record."""
    return name in FOLDERS or name in FILES or name.startswith(_STATE)
