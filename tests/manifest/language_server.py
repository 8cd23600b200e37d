"""The YAML language server that editors run, spoken to as an editor does: JSON-RPC over its standard streams."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.npm import installed

PACKAGE, VERSION = "yaml-language-server", "1.18.0"
PATIENCE_S = 60.0
SETTINGS = {
    "yaml": {"validate": True, "hover": True, "completion": True, "schemaStore": {"enable": False}},
    "http": {},
    "[yaml]": {},
}


def server_of(cache: Path) -> list[str]:
    """The command that starts the server, see `tests.npm`."""
    node, folder = installed(cache, PACKAGE, VERSION)
    return [node, str(folder / "bin" / PACKAGE), "--stdio"]


class Editor:
    """One editor with documents in one folder. `|` in a text is where the cursor stands."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process, self._folder = process, folder
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._told: queue.Queue[dict[str, Any]] = queue.Queue()
        self._last = 0
        threading.Thread(target=self._listen, daemon=True).start()
        root = folder.as_uri()
        capabilities = {
            "workspace": {"configuration": True},
            "textDocument": {
                "completion": {"completionItem": {"snippetSupport": True, "documentationFormat": ["markdown"]}},
                "hover": {"contentFormat": ["markdown"]},
            },
        }
        self.ask("initialize", {"processId": os.getpid(), "rootUri": root, "capabilities": capabilities})
        self._send({"method": "initialized", "params": {}})
        self._send({"method": "workspace/didChangeConfiguration", "params": {"settings": SETTINGS}})

    def completions(self, text: str) -> list[dict[str, Any]]:
        """What is offered at the cursor."""
        found = self._at_cursor("textDocument/completion", text)
        return list(found["items"] if isinstance(found, dict) else found or [])

    def hover(self, text: str) -> str:
        """What is shown over the word at the cursor, as Markdown."""
        found = self._at_cursor("textDocument/hover", text)
        return str(found["contents"]["value"]) if found else ""

    def problems(self, text: str) -> list[str]:
        """What is underlined, as "line: message", lines from 1."""
        uri = self._open(text)
        while True:
            told = self._told.get(timeout=PATIENCE_S)
            if told["params"]["uri"] == uri:
                found = told["params"]["diagnostics"]
                return [f"{one['range']['start']['line'] + 1}: {one['message']}" for one in found]

    def ask(self, method: str, params: dict[str, Any]) -> Any:
        self._last += 1
        self._send({"id": self._last, "method": method, "params": params})
        while True:
            answer = self._answers.get(timeout=PATIENCE_S)
            if answer["id"] == self._last:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def close(self) -> None:
        self.ask("shutdown", {})
        self._send({"method": "exit", "params": {}})
        self._process.wait(timeout=PATIENCE_S)

    def _at_cursor(self, method: str, text: str) -> Any:
        before, cursor, after = text.partition("|")
        assert cursor
        uri = self._open(before + after)
        position = {"line": before.count("\n"), "character": len(before.rpartition("\n")[2])}
        return self.ask(method, {"textDocument": {"uri": uri}, "position": position})

    def _open(self, text: str) -> str:
        self._last += 1
        uri = (self._folder / f"manifest-{self._last}.yaml").as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})
        return uri

    def _send(self, message: dict[str, Any]) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while header := stream.readline():
            length = int(header.partition(b":")[2])
            while stream.readline().strip():
                pass
            message = json.loads(stream.read(length))
            if "method" not in message:
                self._answers.put(message)
            elif "id" in message:  # the server asks for settings, or to be called on some occasion
                asked = message["params"].get("items", []) if message["method"] == "workspace/configuration" else None
                result = None if asked is None else [SETTINGS.get(one.get("section"), {}) for one in asked]
                self._send({"id": message["id"], "result": result})
            elif message["method"] == "textDocument/publishDiagnostics":
                self._told.put(message)


@contextmanager
def editing(command: list[str], folder: Path) -> Iterator[Editor]:
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            editor = Editor(process, folder)
            yield editor
            editor.close()
        finally:
            process.kill()
