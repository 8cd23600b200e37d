"""`schema`: the manifest's JSON Schema, for editors and other tools."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any, ClassVar

from hume_runner.api import schema_text
from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.frozen import frozen


@frozen
class Published(Line):
    """The manifest's schema."""

    event: ClassVar[str] = "schema"
    document: Mapping[str, Any]


def configure(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Editors take it from a first line such as: # yaml-language-server: $schema=manifest.schema.json"


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the schema as it is published."""
    if console.json:
        console.event(Published(document=json.loads(schema_text())))
    else:
        console.out.write(schema_text())
    return 0
