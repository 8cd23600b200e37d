"""A service that connects to nobody, and items for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hume_runner.manifest.load import load_manifest
from hume_runner.services.expression_v1.service import ExpressionV1Service
from hume_runner.services.jobs import Draft, PlanItem

STILL = {"medium": "still"}


def service(folder: Path, *, models: str = "{audio: {}, video: {}}", batching: str = "{}") -> ExpressionV1Service:
    folder.mkdir(exist_ok=True)
    (folder / "some.wav").touch()
    path = folder / "manifest.yaml"
    path.write_text(
        "version: 1\nname: pure\nservice: {api: expression-v1}\nsources: {files: [some.wav]}\n"
        f"models: {models}\nbatching: {batching}\noutputs: {{directory: out}}\n"
    )

    def connect() -> Any:
        raise AssertionError("nothing here may connect")

    return ExpressionV1Service(load_manifest(path), "https://api.example.org", connect, lambda seconds: None)


def item(number: int, facts: Mapping[str, Any], *, size: int = 40_000, kind: Any = "file") -> PlanItem:
    return PlanItem(
        key=number.to_bytes(32),
        id=str(number),
        kind=kind,
        value=f"{number}.media",
        path=None if kind == "url" else Path(f"{number}.media"),
        size_bytes=size,
        content_sha256=f"{number:064x}",
        facts=facts,
    )


def recording(number: int, seconds: float, *, sound: bool = True, picture: bool = False) -> PlanItem:
    facts = {"medium": "recording", "duration_ms": round(seconds * 1000), "sound": sound, "picture": picture}
    return item(number, {**facts, "pictures": math.ceil(seconds * 3), "picture_bytes": 414_000})


def ids(drafts: list[Draft]) -> list[list[str]]:
    return [[member.item.id for member in draft.members] for draft in drafts]


def total(drafts: list[Draft]) -> tuple[float, float]:
    billed = sum(draft.billable_seconds or 0 for draft in drafts)
    return billed, sum(draft.unpacked_seconds or 0 for draft in drafts)
