"""Unique strings in the key, links, callbacks, the proxy and texts are found nowhere they must not be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.commands import call
from tests.durability.children import ROOT
from tests.tiers import sampled

KEY = "canary-key-5f0c"
LINK = "canary-link-81d2"
CALLBACK = "canary-callback-07be"
PROXY = "canary-proxy-c4d1"
TEXT = "canary-text-92f6"
SECRETS = (KEY, LINK, CALLBACK, PROXY, TEXT)

MANIFEST = f"""\
version: 1
name: canaries
service: {{api: batch-v0, endpoint: "ENDPOINT"}}
sources:
  urls: ["https://example.org/clip.txt?X-Amz-Signature={LINK}&X-Amz-Credential={LINK}"]
  files: [media/*.txt]
  text: ["{TEXT} is what I said."]
models: {{language: {{}}}}
notify: {{callback_url: "https://example.org/hook?token={CALLBACK}"}}
batching: {{max_sources: 1}}
execution: {{requests_per_second: 1000, retry: {{attempts: 2, max_wait: 100ms}}}}
outputs: {{directory: out, artifacts: true, tables: [csv], report: true}}
"""
COMMANDS: list[list[str]] = [
    ["validate"],
    ["plan", "--items"],
    ["plan", "--items", "--format", "json"],
    ["plan", "--items", "--format", "markdown"],
    ["plan", "--items", "--out", "saved.json"],
    ["run", "-vv"],
    ["run", "-vv", "--json", "--retry-failed"],
    ["status", "--jobs", "-vv"],
    ["status", "--jobs", "--json"],
    ["verify", "-vv"],
    ["verify", "--remote", "--json"],
    ["tables", "--format", "jsonl", "-vv"],
    ["report", "-vv"],
    ["doctor", "-vv"],
]
# What the service says about a request, where it quotes it.
QUOTED = {"message": f"the key {KEY} cannot read https://example.org/clip.txt?X-Amz-Signature={LINK}"}
TROUBLE: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "refused": [{"route": "POST /v0/batch/jobs", "nth": [1], "action": {"status": 400, "body": QUOTED}}],
    "unavailable": [{"route": "GET /v0/batch/jobs", "action": {"status": 500, "body": QUOTED}}],
    "key refused": [{"action": {"status": 401, "body": QUOTED}}],
    "html": [{"route": "GET /v0/batch/jobs/{id}/predictions", "action": {"html": True}}],
    "redirected": [{"action": {"redirect": f"https://example.org/?key={KEY}&link={LINK}"}}],
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUME_API_KEY", KEY)
    monkeypatch.setenv("HUME_RUNNER_SETTLE", "0.1")
    monkeypatch.setenv("HTTPS_PROXY", f"http://{PROXY}:{PROXY}@127.0.0.1:9")
    monkeypatch.setenv("https_proxy", f"http://{PROXY}:{PROXY}@127.0.0.1:9")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "named-for-all-to-see.txt").write_text(f"{TEXT} in a file\n")
    return tmp_path


def write_manifest(folder: Path, endpoint: str) -> Path:
    path = folder / "manifest.yaml"
    path.write_text(MANIFEST.replace("ENDPOINT", endpoint))
    return path


def say(command: Sequence[str], manifest: Path) -> str:
    ran = call(command[0], str(manifest), *command[1:])
    said = ran.out + ran.err
    assert "Traceback" not in said, said
    return said


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret in text]


def written(folder: Path) -> Iterator[Path]:
    """Every file that a command left behind and where no secret may stand."""
    for path in folder.rglob("*"):
        if not path.is_file() or path.parent.name == "media" or path.name == "manifest.yaml":
            continue
        if path.name.startswith("state.sqlite3") and path.suffix != ".json":
            continue
        if path.parent.parent.name == "raw" and path.name != "request.json":
            continue
        yield path


def measured_words(path: Path) -> bool:
    """Tables and the report show what was measured, word by word: a text stands there because it was asked for."""
    return path.parent.name == "tables" or path.name == "report.html"


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("trouble", TROUBLE)
def test_no_secret_is_shown_or_written(
    trouble: str, folder: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    with Emulator(api_keys=[KEY], processing_time_s=0.02, faults=TROUBLE[trouble]) as emulator:
        manifest = write_manifest(folder, emulator.url)
        shown = {" ".join(command): leaks(say(command, manifest)) for command in COMMANDS}
    assert {command: found for command, found in shown.items() if found} == {}
    streams = capfd.readouterr()
    assert leaks(streams.out + streams.err) == []
    ours = [record.getMessage() for record in caplog.records]
    assert leaks("\n".join(ours)) == []
    found = {
        str(path): [
            secret
            for secret in leaks(path.read_bytes().decode("utf-8", "replace"))
            if not (secret == TEXT and measured_words(path))
        ]
        for path in written(folder)
    }
    assert {path: secrets for path, secrets in found.items() if secrets} == {}
    if trouble == "none":
        results = (folder / "out" / "results.jsonl").read_text()
        assert "named-for-all-to-see.txt" in results
        assert [json.loads(line)["status"] for line in results.splitlines()] == ["done"] * 3


@pytest.mark.sweep
def test_the_process_list_shows_no_key(folder: Path) -> None:
    faults = [{"route": "POST /v0/batch/jobs", "action": {"delay": "30s"}}]
    with Emulator(api_keys=[KEY], faults=faults) as emulator:
        manifest = write_manifest(folder, emulator.url)
        process = subprocess.Popen(
            [sys.executable, "-m", "hume_runner", str(manifest)],
            cwd=ROOT,
            env=dict(os.environ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            deadline = time.monotonic() + 30
            while not emulator.requests()["by_route"].get("POST /v0/batch/jobs") and time.monotonic() < deadline:
                time.sleep(0.02)
            arguments = Path(f"/proc/{process.pid}/cmdline").read_text()
            note = (folder / "out" / "state.sqlite3.owner.json").read_text()
        finally:
            process.kill()
            process.wait()
    assert "hume_runner" in arguments
    assert leaks(arguments + note) == []
