"""What the hook for pre-commit calls, `python -m hume_runner.cli.changed FILE…`: a commit changes manifests, and lists
that manifests name. `validate --no-files` judges all of these manifests."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from hume_runner.cli.main import main

_MANIFESTS = (".yaml", ".yml")
_LISTS = (".csv", ".tsv", ".jsonl", ".txt")
_MEMBERS = {"version", "service", "sources"}


def manifests_of(changed: Sequence[str]) -> list[str]:
    """The manifests among these files, and those of the repository that name one of the lists among them.

    Raises: OSError, CalledProcessError where git does not tell its files.
    """
    found = dict.fromkeys(name for name in changed if name.endswith(_MANIFESTS))
    lists = {_composed(Path(name).name) for name in changed if name.endswith(_LISTS)}
    if lists:
        found |= dict.fromkeys(name for name in _in_git() if name not in found and _names_one(Path(name), lists))
    return list(found)


def _in_git() -> Iterator[str]:
    patterns = [f"*{ending}" for ending in _MANIFESTS]
    done = subprocess.run(["git", "ls-files", "-z", "--", *patterns], capture_output=True, check=True)
    for name in done.stdout.split(b"\0"):
        if name:
            yield name.decode("utf-8", "surrogateescape")


def _names_one(path: Path, lists: set[str]) -> bool:
    """Whether a YAML file is a manifest that has one of these names in it. What is another program's is not judged."""
    try:
        text = _composed(path.read_text(encoding="utf-8"))
        if not any(name in text for name in lists):
            return False
        document = yaml.safe_load(text)
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        return False
    return isinstance(document, dict) and document.keys() >= _MEMBERS


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def hook(changed: Sequence[str]) -> int:
    """The exit code of `validate`; 0 where nothing of a manifest changed."""
    try:
        found = manifests_of(changed)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"git does not tell which manifests name a list: {error}", file=sys.stderr)
        print("next: run it in a checkout, as pre-commit does", file=sys.stderr)
        return 64
    return main(["validate", "--no-files", "--", *found]) if found else 0


if __name__ == "__main__":
    raise SystemExit(hook(sys.argv[1:]))
