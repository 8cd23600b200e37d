"""What the package is made of, for tests that read it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hume_runner"
FILES = {
    path.relative_to(PACKAGE).as_posix(): path
    for path in PACKAGE.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
# What people wrote there: how the comments of each kind of file look.
COMMENTS = {
    ".py": None,
    ".js": r"/\*.*?\*/|^\s*//[^\n]*",
    ".css": r"/\*.*?\*/",
    ".jinja": r"\{#.*?#\}|<!--.*?-->",
    ".json": None,
}
TEXTS = {name: path.read_text(encoding="utf-8") for name, path in FILES.items() if path.suffix in COMMENTS}
SOURCES = {name: text for name, text in TEXTS.items() if name.endswith(".py")}


@cache
def words_of(path: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", TEXTS[path]))
