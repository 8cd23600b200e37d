"""A run that a script talks to; what a run says to it is in tests/cli/test_ctl.py."""

from __future__ import annotations

import pytest

from hume_runner.api import Project
from hume_runner.api.asking import ask_run
from hume_runner.errors import UsageError


def test_where_no_run_is_on_nobody_answers(study: Project) -> None:
    with pytest.raises(UsageError, match="no run is on"):
        ask_run(study, "status")


def test_what_no_run_can_change_is_not_asked_of_it(study: Project) -> None:
    with pytest.raises(UsageError, match="is not changed while a run goes on"):
        ask_run(study, "set", ["colour=1"])
