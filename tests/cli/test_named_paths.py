"""Which words of the command line are paths, and that each is looked for in both spellings."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import pytest

from hume_runner.cli.main import COMMANDS, common_flags
from hume_runner.cli.named_paths import spell
from hume_runner.errors import UsageError
from tests.accents import form

READ = {"difficulties", "faults", "files", "names", "states"}
WRITTEN = {"data", "figures", "log_file", "markdown", "metrics_file", "out"}
# Paths that functions of the package take as well, which look for both spellings.
OF_FUNCTIONS = {"a", "b", "compare", "folder", "manifest", "manifests", "output_dir", "paths", "plan", "state"}


def test_every_word_that_is_a_path_is_known_as_one() -> None:
    found = set()
    for command in COMMANDS:
        parser = argparse.ArgumentParser()
        common_flags(parser)
        importlib.import_module(f"hume_runner.cli.{command}").configure(parser)
        found |= {
            one.dest
            for one in parser._actions
            if one.metavar in ("FILE", "DIR", "PATH", "MANIFEST", "OTHER", "STATE", "A", "B", "REMOTE_ID|FILE", "NAME")
            and not (command == "report" and one.metavar == "NAME")
        }
    assert found == READ | WRITTEN | OF_FUNCTIONS


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("name", sorted(READ | WRITTEN))
def test_a_path_is_spelt_as_the_disk_has_it(name: str, kind: type, tmp_path: Path) -> None:
    there, typed = tmp_path / form("NFD", "Läufe"), tmp_path / form("NFC", "Läufe")
    there.mkdir()
    (there / "one").touch()
    for several in (False, True):
        value: Any = [kind(typed / "one"), "job"] if several else kind(typed / "one")
        args = argparse.Namespace(**{name: value, "other": str(typed)})
        spell(args)
        assert getattr(args, name) == ([kind(there / "one"), "job"] if several else kind(there / "one"))
        assert args.other == str(typed)


@pytest.mark.parametrize("name", sorted(WRITTEN))
def test_what_is_to_be_written_goes_into_the_folder_that_is_there(name: str, tmp_path: Path) -> None:
    there, typed = tmp_path / form("NFD", "Läufe"), tmp_path / form("NFC", "Läufe")
    there.mkdir()
    args = argparse.Namespace(**{name: str(typed / "new" / "one")})
    spell(args)
    assert getattr(args, name) == str(there / "new" / "one")
    (tmp_path / form("NFC", "äö")).mkdir()
    (tmp_path / form("NFD", "äö")).mkdir()
    neither = str(tmp_path / (form("NFC", "ä") + form("NFD", "ö")) / "one")
    with pytest.raises(UsageError, match="2 read so, all written differently"):
        spell(argparse.Namespace(**{name: neither}))
