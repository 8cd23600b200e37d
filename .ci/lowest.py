"""Constraints that hold every requirement of a user's installation at the lowest version that pyproject.toml allows.

Prints one `name==version` a line, for `pip install --constraint`. Tools for development are left to the ranges.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

# What tools for development bring, where their newest is beyond what a lowest version of ours knows.
OF_TOOLS = {"chardet": "<6"}  # requests 2.32 warns of later ones
FOR_USERS = ("emulator", "media", "tables", "report", "figures", "local", "cluster", "remote")


def lowest(project: dict[str, object]) -> dict[str, str]:
    """Name and lowest version of each direct requirement. Raises: ValueError for one without a lower bound."""
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    found: dict[str, str] = {}
    for requirement in [*project["dependencies"], *(line for name in FOR_USERS for line in extras[name])]:  # type: ignore[misc]
        match = re.fullmatch(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?>=([0-9.]+)(?:,<[0-9.]+)?", requirement)
        if match is None:
            raise ValueError(f"{requirement!r} has no plain lower bound")
        found[match[1]] = match[2]
    return found


if __name__ == "__main__":
    described = tomllib.loads(Path(__file__).parents[1].joinpath("pyproject.toml").read_text(encoding="utf-8"))
    sys.stdout.writelines(f"{name}=={version}\n" for name, version in sorted(lowest(described["project"]).items()))
    sys.stdout.writelines(f"{name}{bound}\n" for name, bound in OF_TOOLS.items())
