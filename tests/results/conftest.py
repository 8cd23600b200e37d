"""A project with an emulator of its own, as the commands' tests have it."""

from __future__ import annotations

from tests.cli.conftest import emulator, project

__all__ = ["emulator", "project"]
