"""Hashes of files, beside those of another program."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hume_runner.hashes import sha256_of


@pytest.mark.parametrize("size", [0, 1, 1 << 20])
def test_a_hash_is_what_other_programs_say(size: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\xa5" * size)
    said = subprocess.run(["sha256sum", str(path)], capture_output=True, text=True, check=True).stdout
    assert sha256_of(path) == said.split()[0]


def test_a_file_that_is_not_there_is_no_hash(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "file")
