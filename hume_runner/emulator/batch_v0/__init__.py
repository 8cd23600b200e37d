"""The batch API, read from its definition: routes.py serves it, the rest says what it answers."""
