"""`ro-crate-metadata.json`: where the tables came from (RO-Crate 1.1, Process Run Crate 0.5).

https://www.researchobject.org/ro-crate/specification/1.1/, https://w3id.org/ro/wfrun/process/0.5
"""

from __future__ import annotations

from typing import Any

from hume_runner.results.outputs import work_ended
from hume_runner.results.package.base import Described
from hume_runner.services.credits import weights_of

_CONTEXT = ["https://w3id.org/ro/crate/1.1/context", "https://w3id.org/ro/terms/workflow-run/context"]
_PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
_SOFTWARE = "#hume_runner"
# What lies beside the tables of every run.
_BESIDE: tuple[dict[str, Any], ...] = (
    {"@id": "results.jsonl", "@type": "File", "name": "results", "description": "one line an item"},
    {"@id": "datapackage.json", "@type": "File", "name": "what the columns mean"},
    {"@id": "codebook.md", "@type": "File", "name": "codebook", "encodingFormat": "text/markdown"},
    {"@id": "raw/", "@type": "Dataset", "name": "raw answers", "description": "byte by byte as they were given"},
)


def ro_crate(described: Described) -> dict[str, Any]:
    """The whole document as JSON values."""
    files = [
        {
            "@id": table.path,
            "@type": "File",
            "name": table.stem,
            "description": f"A row is {table.row}.",
            "contentSize": str(table.size_bytes),
            "sha256": table.sha256,
        }
        for table in described.tables
    ]
    measurers = [_measurer(one) for one in described.measurers]
    run = described.run
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": described.name,
        "description": described.abstract,
        "datePublished": str(work_ended(run) or "")[:10] or None,
        "conformsTo": {"@id": _PROFILE},
        "license": "not told: whoever publishes these data says under which licence",
        "hasPart": [{"@id": one["@id"]} for one in (*files, *_BESIDE)],
        "mentions": [{"@id": "#run"}],
    }
    action = {
        "@id": "#run",
        "@type": "CreateAction",
        "name": f"hume_runner run of {described.name}",
        "description": described.citation,
        "instrument": {"@id": _SOFTWARE},
        "startTime": _started(described),
        "endTime": work_ended(run),
        "object": [{"@id": "#manifest"}, *({"@id": one["@id"]} for one in measurers)],
        "result": [{"@id": one["@id"]} for one in (*files, *_BESIDE)],
    }
    manifest = run.get("manifest") or {}
    graph: list[dict[str, Any]] = [
        {
            "@id": "ro-crate-metadata.json",
            "@type": "CreativeWork",
            "conformsTo": {"@id": "https://w3id.org/ro/crate/1.1"},
            "about": {"@id": "./"},
        },
        root,
        {"@id": _PROFILE, "@type": "CreativeWork", "name": "Process Run Crate", "version": "0.5"},
        {"@id": _SOFTWARE, "@type": "SoftwareApplication", "name": "hume_runner", "softwareVersion": described.version},
        {
            "@id": "#manifest",
            "@type": "CreativeWork",
            "name": str(manifest.get("path") or "manifest").rpartition("/")[2],
            "identifier": f"sha256:{manifest.get('sha256', '')}",
        },
        action,
        *files,
        *_BESIDE,
        *measurers,
    ]
    return {"@context": _CONTEXT, "@graph": [_without_none(one) for one in graph]}


def _started(described: Described) -> str | None:
    """When it was begun to measure: by the jobs, which others may have started long before this run; left out where
    that is not known."""
    began = described.run.get("started_at")
    if described.measured.kept:
        return None
    first = described.days[0]
    return first if first and str(began or "")[:10] > first else began


def _measurer(one: Any) -> dict[str, Any]:
    weights = weights_of(str(one["sha256"]))
    return {
        "@id": f"#{one['measured_by']}",
        "@type": "SoftwareApplication",
        "name": one["name"],
        "softwareVersion": one["version"],
        "license": one["licence"],
        "identifier": None if weights is None else f"sha256:{weights}",
        "description": one["limits"],
    }


def _without_none(one: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in one.items() if value is not None}
