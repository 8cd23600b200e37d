"""Commands that bring what is missing to an installation like this one: it may come from a checkout, a wheel or git.

The package is on no index that everybody has, so its bare name is never offered to pip: what an index has under a name
may be somebody else's.
"""

from __future__ import annotations

import json
import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

DISTRIBUTION = "hume-runner"
_EXTRA = re.compile(r""";.*\bextra == ['"]([a-z]+)['"]""")


# What of each extra is asked for, before anything is done that needs it.
_MODULES = {"report": ("jinja2", "msgspec"), "tables": ("pyarrow", "msgspec")}


def lacking(*names: str) -> list[str]:
    """Those of these extras that are not installed."""
    return [name for name in names if any(find_spec(module) is None for module in _MODULES[name])]


def extras(*names: str) -> str:
    """The command that brings these extras: from where this installation came, or package by package where that is not
    there any more."""
    wanted = ",".join(names)
    url, how = _origin()
    place = _place(url)
    if place is not None:
        editable = "-e " if "editable" in how else ""
        named = "." if place == Path.cwd() else str(place)
        return f"pip install {editable}{shlex.quote(f'{named}[{wanted}]')}"
    if url and not url.startswith("file:"):
        return f"pip install {shlex.quote(f'{DISTRIBUTION}[{wanted}] @ {url}')}"
    if packages := _packages(names):
        return f"pip install {' '.join(shlex.quote(one) for one in packages)}"
    return f"install hume_runner again with its extras {wanted}: its README says how"


def newer() -> str:
    """What to do where a newer version of this package is needed."""
    url, _ = _origin()
    place = _place(url)
    came_from = str(place) if place is not None else url
    return "install a newer hume_runner" + (f"; this one came from {came_from}" if came_from else "")


def _origin() -> tuple[str, frozenset[str]]:
    """The URL that pip installed this package from, as pip takes it again, and `editable` where it runs from there; an
    empty one where nobody wrote that down, as for an index or a folder of wheels. A checkout that was never installed
    counts as one that is run from."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        told = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        root = Path(__file__).resolve().parents[1]
        return (root.as_uri(), frozenset({"editable"})) if (root / "pyproject.toml").is_file() else ("", frozenset())
    try:
        known = json.loads(told or "{}")
        url = known.get("url")
        if not isinstance(url, str):
            return "", frozenset()
        if vcs := known.get("vcs_info"):
            url = f"{vcs['vcs']}+{url}@{vcs.get('requested_revision') or vcs['commit_id']}"
        if known.get("subdirectory"):
            url += f"#subdirectory={known['subdirectory']}"
        return url, frozenset({"editable"} if known.get("dir_info", {}).get("editable") else ())
    except (ValueError, KeyError, AttributeError, TypeError):  # another installer wrote something else there
        return "", frozenset()


def _place(url: str) -> Path | None:
    """The folder or file of a file: URL, if it is still there."""
    if not url.startswith("file:") or "#" in url:
        return None
    from urllib.request import url2pathname

    place = Path(url2pathname(urlsplit(url).path))
    return place if place.exists() else None


def _packages(names: tuple[str, ...]) -> list[str]:
    """What these extras require, as the package's metadata says it."""
    from importlib.metadata import PackageNotFoundError, requires

    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError:
        return []
    found = [line.partition(";")[0].strip() for line in lines if (told := _EXTRA.search(line)) and told[1] in names]
    return list(dict.fromkeys(found))
