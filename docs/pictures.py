"""Makes the README's pictures from real runs (`make pictures`): the terminal with rich, the report with Chromium.

    python docs/pictures.py [FOLDER]

Both show what README.md tells to type, on manifests/lists/visits.csv. It needs the extras `tables` and `report`,
playwright and pillow of `dev`, and Chromium at /usr/bin/chromium.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parents[1]
TARGET = Path(__file__).with_name("pictures")
MOST_BYTES = 150_000  # a README is read on the road, too
CHROMIUM = Path("/usr/bin/chromium")
COLUMNS = 88
COMMANDS = (
    "hume-runner init visits.csv --out visits.yaml",
    "hume-runner visits.yaml",
    "hume-runner visits.yaml",
)
WIDTH, HEIGHT, MARGIN = 1100, 820, 12
SECTIONS = ("#overview", "#sources")  # from the first to the last of these
COLOURS = 128


def main(target: Path) -> None:
    """Write terminal.svg and report.png into `target`."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        shutil.copy(PROJECT / "manifests" / "lists" / "visits.csv", folder)
        said = [(command, _said(command, folder)) for command in COMMANDS]
        _write(target / "terminal.svg", _terminal(said).encode())
        _write(target / "report.png", _report(folder / "results" / "visits" / "report.html"))


def _said(command: str, folder: Path) -> str:
    """What a command prints, both streams as a terminal shows them. Raises: CalledProcessError."""
    done = subprocess.run(
        [sys.executable, "-m", *command.replace("hume-runner", "hume_runner", 1).split()],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT), "COLUMNS": str(COLUMNS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    return done.stdout.replace(str(folder), "/home/ana/study")


def _terminal(said: list[tuple[str, str]]) -> str:
    """An SVG of a terminal; it asks for no font and no other file."""
    from rich.console import Console
    from rich.text import Text

    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for command, output in said:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")), highlight=False)
        for line in output.splitlines():
            console.print(Text(line, style="dim" if line.startswith("next: ") else ""), highlight=False)
    svg = console.export_svg(title="hume-runner", unique_id="terminal")
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, monospace")


def _report(page: Path) -> bytes:
    """A PNG of the report's middle, sources by expression and one source, in few colours."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        )
        try:
            context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            shown = context.new_page()
            shown.goto(page.as_uri())
            shown.wait_for_selector("html[data-ready]", timeout=20_000)
            first, last = (shown.locator(part).bounding_box() for part in SECTIONS)
            top, bottom = first["y"] - MARGIN, last["y"] + last["height"] + MARGIN
            taken = shown.screenshot(full_page=True, clip={"x": 0, "y": top, "width": WIDTH, "height": bottom - top})
        finally:
            browser.close()
    out = io.BytesIO()
    with Image.open(io.BytesIO(taken)) as picture:
        picture.convert("RGB").quantize(COLOURS).save(out, format="PNG", optimize=True)
    return out.getvalue()


def _write(path: Path, content: bytes) -> None:
    if len(content) > MOST_BYTES:
        raise SystemExit(f"{path.name} has {len(content):,} bytes, more than {MOST_BYTES:,}")
    path.write_bytes(content)
    print(f"{path}: {len(content):,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else TARGET)
