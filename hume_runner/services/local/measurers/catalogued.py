"""Weights of our measurers, as the catalogue has them: names and hashes stand there alone."""

from __future__ import annotations

from hume_runner.services.local.catalogue import OWN_MODELS
from hume_runner.services.local.measurers.base import WeightFile

_FILES = {model.name: model.files for model in OWN_MODELS}


def catalogued(model: str, *beginnings: str) -> tuple[WeightFile, ...]:
    """The files of a model of ours, in the catalogue's order; only those whose name within it begins so, if any are
    named."""
    return tuple(
        WeightFile(name=file.name, sha256=file.sha256)
        for file in _FILES[model]
        if not beginnings or file.name.partition("/")[2].startswith(beginnings)
    )
