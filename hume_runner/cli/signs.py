"""What a terminal can show: a drawing that moves, signs beyond ASCII, so many columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

# Signs of ours that an ASCII terminal does not have. Names and texts of others stay as they are.
_PLAIN = str.maketrans(
    {
        "…": "...",
        "×": "x",
        "→": "->",
        "–": "-",
        "—": "-",
        "−": "-",
        "·": "-",
        "≤": "<=",
        "≥": ">=",
        "±": "+-",
        "‘": "'",
        "’": "'",
        "“": '"',
        "”": '"',
        "━": "#",
        "─": "-",
    }
)  # fmt: skip


def in_ascii(text: str) -> str:
    """`text` with our signs as ASCII spells them."""
    return text if text.isascii() else text.translate(_PLAIN)


def moves_cursor(environ: Mapping[str, str]) -> bool:
    """Whether a terminal understands what moves its cursor."""
    return environ.get("TERM", "xterm").lower() not in ("dumb", "unknown", "")


def only_ascii(environ: Mapping[str, str], encoding: str, *, terminal: bool) -> bool:
    """Whether a stream shows ASCII alone.

    Python writes UTF-8 even where the locale is C, and says so in LC_CTYPE where it made that of LANG=C itself. A file
    or a pipe takes it; a terminal of such a locale shows it as rubbish.
    """
    if not encoding.lower().replace("-", "").startswith("utf"):
        return True
    if not terminal:
        return False
    if not moves_cursor(environ):
        return True
    locale = environ.get("LC_ALL") or (
        environ.get("LANG") if environ.get("LC_CTYPE", "C.UTF-8") == "C.UTF-8" else environ["LC_CTYPE"]
    )
    return locale in ("C", "POSIX")


# What is not broken: a command that somebody copies, and a word.
_WORDS = re.compile(r"`[^`\n]*`\S*|\S+")
_LEAST_COLUMNS = 40


def fitted(text: str, columns: int) -> str:
    """`text` in lines of at most so many columns, where words allow it; what is carried over is indented."""
    return "\n".join(
        line if len(line) <= columns or columns < _LEAST_COLUMNS else "\n".join(_broken(line, columns))
        for line in text.split("\n")
    )


def _broken(line: str, columns: int) -> Iterator[str]:
    lead = len(line) - len(line.lstrip())
    # Below the second word of a table's line, where there is one.
    table = re.match(r" +\S+ {2,}", line)
    indent = " " * min(len(table[0]) if table else lead + 2, columns // 2)
    now, end = line[:lead], lead
    for word in _WORDS.finditer(line):
        gap = line[end : word.start()]
        if now.strip() and len(now) + len(gap) + len(word[0]) > columns:
            yield now
            now = indent + word[0]
        else:
            now += gap + word[0]
        end = word.end()
    yield now
