"""The names of the old Python package (`HumeBatchClient` and what it hands out), importable from `hume_runner`."""
