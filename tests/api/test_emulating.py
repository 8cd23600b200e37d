"""The stand-in as a script starts it, with files that say what goes wrong there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hume_runner.api.emulating import stand_in
from hume_runner.errors import UsageError


def test_it_serves_for_as_long_as_the_block_lasts() -> None:
    with stand_in() as emulator:
        assert emulator.url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("flag", "text", "told"),
    [
        ("faults", "{a: 1}", "must hold a list of faults"),
        ("difficulties", "[1]", "must hold an object of difficulties"),
        ("faults", "[", "--faults"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, flag: str, text: str, told: str) -> None:
    (tmp_path / "said.yaml").write_text(text)
    asked: dict[str, Any] = {flag: tmp_path / "said.yaml"}
    with pytest.raises(UsageError, match=told):
        stand_in(**asked)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_there_is_not_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match=f"--port {port}: ports go to 65535"):
        stand_in(port=port)
