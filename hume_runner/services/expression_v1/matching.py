"""Which run is which lost upload's, where several fit several: pure.

One upload became one run at the most. So a run that is the only one of one upload is no other's, and what fits to the
byte is not given to one that it only fits by and large.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Final

# What fits so loosely says nothing against another that fits better, and nothing for itself.
DOUBTFUL: Final = 4

Fits = Mapping[int, Mapping[int, int]]
"""Job -> run (any number that stands for it) -> how loosely it fits, 0 to the byte."""


def told_apart(fits: Fits) -> dict[int, Set[int]]:
    """Job -> the runs that may be it, once each run is given to the job that it fits best and no job has two.

    Runs that jobs may have in exchange stay with both, for nothing tells them apart, and so does what is left over and
    fits as well: whoever asks sees that there is more than can be explained. So does what is doubtful and nobody's.
    """
    dealt = _Dealt(fits)
    for looseness in sorted({one for runs in fits.values() for one in runs.values()}):
        dealt.deal(looseness)
    return {job: {run for run in runs if dealt.may_have(job, run)} for job, runs in fits.items()}


@dataclass(slots=True)
class _Dealt:
    """Who has which run."""

    fits: Fits
    run_of: dict[int, int] = field(default_factory=dict)
    job_of: dict[int, int] = field(default_factory=dict)

    def deal(self, looseness: int) -> None:
        """Give as many as can be of the jobs without a run one that fits them so. Who has one has one as good after."""
        for job in self.fits:
            if job not in self.run_of:
                self._serve(job, looseness, set())

    def _serve(self, job: int, looseness: int, asked: set[int]) -> bool:
        """Kuhn's step: a free one, or one whose owner takes another."""
        alike = [run for run, how in self.fits[job].items() if how == looseness]
        free = next((run for run in alike if run not in self.job_of), None)
        for run in alike if free is None else ():
            if run not in asked:
                asked.add(run)
                owner = self.job_of[run]
                if self._serve(owner, self.fits[owner][run], asked):
                    free = run
                    break
        if free is None:
            return False
        self.run_of[job], self.job_of[free] = free, job
        return True

    def may_have(self, job: int, run: int) -> bool:
        own, owner = self.run_of.get(job), self.job_of.get(run)
        if own == run:
            return True
        how = self.fits[job][run]
        if own is not None and how != self.fits[job][own]:
            # It has one that fits it better; which may turn out to be known, and another's.
            return how >= DOUBTFUL and owner is None
        if owner is None:
            return True
        if self.fits[owner][run] != how:
            return False
        return own is None or self.fits[owner].get(own) == how
