"""Shapes of documents and pages as earlier versions wrote them, which had no marks. One is ours if it has every member
that it must have, and none that it may not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

# -- run.json

_RUN: Final[Mapping[str, tuple[type, ...]]] = {
    "run_id": (str,),
    "name": (str,),
    "manifest": (dict,),
    "versions": (dict,),
    "service": (dict,),
    "simulated": (bool, type(None)),
    "started_at": (str,),
    "ended_at": (str, type(None)),
    "duration_s": (int, float, type(None)),
    "counts": (dict,),
    "failures": (list, dict),
    "bill": (dict,),
    "settings": (dict,),
    "outputs": (dict,),
    "exit_code": (int, type(None)),
}
_RUN_MAY: Final = frozenset(
    (
        "traceparent",
        "description",
        "worked_until",
        "selection",
        "paid_twice",
        "perhaps_paid_twice",
        "measurers",
        "error",
    )
)
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def is_run(value: Any) -> bool:
    """`run.json` of an earlier version: every member that it has, of its kind, and none that it has not."""
    return (
        _has(value, _RUN, _RUN_MAY)
        and _SHA256.fullmatch(str(value["manifest"].get("sha256"))) is not None
        and isinstance(value["versions"].get("hume_runner"), str)
        and isinstance(value["service"].get("api"), str)
        and {"items", "jobs", "requests"} <= value["counts"].keys()
        and value["outputs"].get("results") == "results.jsonl"
    )


def _has(value: Any, must: Mapping[str, tuple[type, ...]], may: Iterable[str] = ()) -> bool:
    if not isinstance(value, dict) or value.get("schema") != 1:
        return False
    return must.keys() <= value.keys() <= {"schema", *must, *may} and all(
        isinstance(value[name], kinds) for name, kinds in must.items()
    )


# -- what describes the tables, and other documents

_BY_US: Final = re.compile(r", with hume_runner \S+\.\Z")
_PACKAGE: Final = frozenset(
    ("profile", "name", "title", "about", "citation", "simulated", "api", "measurers", "software", "resources")
)
_CONTEXT: Final = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_DATASET: Final = frozenset({"@context", "@type", "name", "description", "schemaVersion", "citation"})
_PLAN: Final = {"manifest": (dict,), "service": (dict,), "summary": (dict,), "reasons": (list,), "basis": (dict,)}
_COMPARED: Final = ("a", "b", "simulated", "differences", "items", "unmatched", "tables", "columns", "unread")


def is_package(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and _PACKAGE <= value.keys() <= _PACKAGE | {"description", "created"}
        and _BY_US.search(str(value["citation"])) is not None
        and isinstance(value["software"], dict)
        and value["software"].get("name") == "hume_runner"
        and isinstance(value["resources"], list)
        and all(isinstance(one, dict) and _SHA256.search(str(one.get("hash"))) for one in value["resources"])
    )


def is_crate(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {"@context", "@graph"} or value["@context"] != _CONTEXT:
        return False
    graph = value["@graph"]
    if not isinstance(graph, list) or not all(isinstance(one, dict) for one in graph):
        return False
    named = {one.get("@id"): one for one in graph if isinstance(one.get("@id"), str)}
    run, root = named.get("#run", {}), named.get("./", {})
    parts = {one.get("@id") for one in root.get("hasPart", ()) if isinstance(one, dict)}
    fixed = {"ro-crate-metadata.json", "./", "#hume_runner", "#manifest", "#run"}
    return (
        run.get("instrument") == {"@id": "#hume_runner"}
        and _BY_US.search(str(run.get("description"))) is not None
        and fixed <= named.keys()
        and len(named) == len(graph)
        and all(name in fixed | parts or one.get("@type") in _CRATE_MAY for name, one in named.items())
    )


_CRATE_MAY: Final = ("SoftwareApplication", "CreativeWork")


def is_dataset(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == _DATASET | {"variableMeasured"}
        and _BY_US.search(str(value["citation"])) is not None
        and isinstance(value["variableMeasured"], list)
        and all(
            isinstance(one, dict) and one.keys() == {"@type", "name", "description"}
            for one in value["variableMeasured"]
        )
    )


def is_plan(value: Any) -> bool:
    return (
        _has(value, {**_PLAN, "jobs": (list,)}, {"notes", "selection", "items", "mark"})
        and _SHA256.fullmatch(str(value["manifest"].get("sha256"))) is not None
        and isinstance(value["service"].get("api"), str)
    )


def is_comparison(value: Any) -> bool:
    return isinstance(value, dict) and value.get("schema") == 1 and value.keys() == {"schema", *_COMPARED}


# -- pages

_CODEBOOK_TOP: Final = re.compile(r"# .*: codebook")
_CITED: Final = re.compile(r"Cite as: .*, with hume_runner \S+\.")
_CODEBOOK: Final = re.compile(r"|\|.*\||## \w+|A row is .*`")
_PLAN_PAGE: Final = re.compile(
    r"|### (?:No p|P)lan for `.*`|## Plans of \d+ manifests|\|.*\||Note: .*\.|Only `.*`\.|[\w.-]+ at `.*`|- .*"
    r"|\*\*Total of .*\*\*|(?:[\d,]+ |Nothing more to submit|What a run began|Bill: |Answers: |A run would ).*\."
)


def is_codebook(text: str) -> bool:
    lines = text.splitlines()
    cited = next((at for at, line in enumerate(lines) if _CITED.fullmatch(line)), None)
    if cited is None or not _CODEBOOK_TOP.fullmatch(lines[0]):
        return False
    return all(map(_CODEBOOK.fullmatch, lines[cited + 1 :]))


def is_plan_page(text: str) -> bool:
    lines = text.splitlines()
    return lines[:1] != [] and lines[0].startswith("##") and all(map(_PLAN_PAGE.fullmatch, lines))
