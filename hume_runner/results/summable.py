"""Which numbers something can be made of; nothing that has to be installed is needed to tell."""

from __future__ import annotations

# A product of the squares of two such numbers, over all rows that there could be, is still a number.
LARGEST_SUMMED = 1e60
# A sum of squares below it may have lost digits, or all of them, of its terms: those end at 5e-324.
SMALLEST_SQUARES = 1e-280
# How it is told where nothing is made of a number.
BEYOND = f"beyond ±{LARGEST_SUMMED:g}"


def can_be_summed(number: float) -> bool:
    return -LARGEST_SUMMED <= number <= LARGEST_SUMMED
