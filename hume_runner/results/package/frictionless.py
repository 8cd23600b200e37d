"""`datapackage.json`: what the columns of the tables mean, for programs (Frictionless Data Package 1, Tabular).

https://specs.frictionlessdata.io/data-package/, https://specs.frictionlessdata.io/table-schema/
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from hume_runner.results.outputs import work_ended
from hume_runner.results.package.base import Described, TableFile

_MEDIA_TYPES = {
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_JSON_COLUMNS = frozenset({"labels", "extra"})


def data_package(described: Described) -> dict[str, Any]:
    """The whole document as JSON values."""
    more = {"description": described.description} if described.description else {}
    ended = work_ended(described.run)
    return {
        "profile": "data-package",
        "name": described.name,
        "title": described.name,
        **more,
        **({"created": ended} if ended else {}),
        "about": described.honest,
        "citation": described.citation,
        "simulated": described.simulated,
        "api": described.api,
        "measurers": list(described.measurers),
        "software": {"name": "hume_runner", "version": described.version},
        "resources": [_resource(table, described) for table in described.tables],
    }


def _resource(table: TableFile, described: Described) -> dict[str, Any]:
    formats = [one.format for one in described.tables if one.stem == table.stem]
    name = table.stem if len(formats) == 1 else f"{table.stem}-{table.format}"
    tabular = table.format in ("csv", "xlsx")
    return {
        # The standard knows rows of text and of sheets; of other formats it takes the schema as a description. Programs
        # that read them all the same find types of their own there, so they are called files: held to size and hash.
        "profile": "tabular-data-resource" if tabular else "data-resource",
        **({} if tabular else {"type": "file"}),
        "name": name.replace("_", "-"),
        "title": table.stem,
        "description": f"A row is {table.row}.",
        "path": table.path,
        "format": table.format,
        "mediatype": _MEDIA_TYPES[table.format],
        "encoding": "utf-8-sig" if table.bom else "utf-8",
        "bytes": table.size_bytes,
        "hash": f"sha256:{table.sha256}",
        **({"mark": table.mark} if table.mark is not None else {}),
        **({"dialect": {"delimiter": ",", "lineTerminator": "\r\n", "header": True}} if table.format == "csv" else {}),
        "schema": _schema(table, described),
    }


def _schema(table: TableFile, described: Described) -> dict[str, Any]:
    """The table's schema; rows lead to their items where these are written in the same format."""
    found: dict[str, Any] = {"fields": [_field(field, table.format) for field in table.schema], "missingValues": [""]}
    if table.stem == "items":
        found["primaryKey"] = ["item_id"]
    elif any(one.stem == "items" and one.format == table.format for one in described.tables):
        formats = [one.format for one in described.tables if one.stem == "items"]
        items = "items" if len(formats) == 1 else f"items-{table.format}"
        found["foreignKeys"] = [{"fields": ["item_id"], "reference": {"resource": items, "fields": ["item_id"]}}]
    return found


def _field(field: pa.Field, form: str) -> dict[str, Any]:
    told = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    if "name" in told:
        meaning = {"title": told["name"], "description": f"score of {told['name']!r}, as the service spells it"}
    else:
        meaning = {"description": told.get("meaning", "")}
    return {"name": field.name, "type": _type(field, form), **meaning}


def _type(field: pa.Field, form: str) -> str:
    # CSV and workbooks hold lists and maps as JSON, which is how the standard spells arrays and objects there.
    if field.name in _JSON_COLUMNS:
        return "string" if form == "parquet" else "object"
    if pa.types.is_map(field.type):
        return "any" if form == "parquet" else "object"
    if pa.types.is_list(field.type):
        return "array"
    if pa.types.is_boolean(field.type):
        return "boolean"
    if pa.types.is_integer(field.type):
        return "integer"
    return "number" if pa.types.is_floating(field.type) else "string"
