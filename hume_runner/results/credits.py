"""Who measured, of results: what the API tells of the models that were asked for, and what the rows themselves say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hume_runner.registry import load, registered

if TYPE_CHECKING:
    from hume_runner.services.credits import Credits

MEASURED_BY = "measured_by"  # the column of rows that say it
_SAID = re.compile(r"(?P<name>.+)@(?P<version>[^@]+)#(?P<sha>[0-9a-f]{8})")
_MOST = 200
_LONGEST = 2_000


def credits_of(api: str, settings: Mapping[str, Any]) -> Credits | None:
    """Who measures with these settings; None for an API that tells no models of its own."""
    known = registered(api)
    models = settings.get("models")
    if known is None or known.credits is None or not isinstance(models, Mapping):
        return None
    return load(known.credits)(models)


def who_measured(told: Credits | None, rows: Mapping[str, Iterable[str]]) -> list[dict[str, str]]:
    """For the page: who was asked to measure, and whoever else the rows name (another version, before a change).

    `rows`: tables by what their rows say of who measured them.
    """
    found = [
        {
            "name": credit.name,
            "version": credit.version,
            "hash": credit.measured_by.rpartition("#")[2],
            "tables": ", ".join(rows.get(credit.measured_by, ())) or "no rows",
            "licence": credit.licence,
            **_limits(credit.limits),
            "source": credit.source,
        }
        for credit in (told.who if told is not None else ())
    ]
    known = {credit.measured_by for credit in (told.who if told is not None else ())}
    for said in sorted(said for said in rows if said not in known)[:_MOST]:
        match = _SAID.fullmatch(said)
        found.append(
            {
                "name": match["name"] if match else said,
                "version": match["version"] if match else "",
                "hash": match["sha"] if match else "",
                "tables": ", ".join(rows[said]),
                "licence": "",
                "more": "",
                "limits": "not told by what is installed here: its answers are from another version or settings",
                "source": "",
            }
        )
    return [{name: words[:_LONGEST] for name, words in one.items()} for one in found]


def _limits(text: str) -> dict[str, str]:
    """The first sentence, which stands alone, and the rest."""
    first, dot, more = text.partition(". ")
    return {"limits": first + dot.strip(), "more": more}
