"""Measuring on this machine: open models instead of a service, named in every row they fill."""
