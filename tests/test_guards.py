from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path

import pytest

from tests.conftest import GuardError


def test_a_connection_beyond_this_machine_is_refused_before_it_is_tried() -> None:
    with socket.socket() as outside, pytest.raises(GuardError, match=r"192\.0\.2\.1"):
        outside.connect(("192.0.2.1", 80))


def test_a_connection_to_this_machine_is_fine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_a_database_outside_temporary_folders_is_refused(tmp_path: Path) -> None:
    inside = Path("/proc/self/state.sqlite3")  # wherever the checkout lies, this is no temporary folder
    with pytest.raises(GuardError):
        sqlite3.connect(inside)
    with pytest.raises(GuardError):
        sqlite3.connect(f"file:{inside}?mode=ro", uri=True)
    assert not inside.exists()
    sqlite3.connect(tmp_path / "state.sqlite3").close()


def test_no_key_of_the_machine_is_seen() -> None:
    assert "HUME_API_KEY" not in os.environ
