"""What runs of one user see of each other; tests/state/test_under_way.py has the notes that they leave."""

from __future__ import annotations

from tests.fakes import World


def test_a_run_of_which_no_other_can_know_says_so_and_goes_on(world: World) -> None:
    assert world.run().exit_code == 0
    assert world.said("not_told")
