"""Talking to a run that goes on: a Unix socket beside its state, one JSON object a line."""
