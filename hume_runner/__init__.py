"""Batch expression measurement from one YAML manifest."""

from hume_runner._version import __version__

__all__ = ["__version__"]
