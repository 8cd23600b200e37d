"""The stand-in service as a process of its own, with many keys."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.request import Request, urlopen

from tests.warm import WarmPopen


class ServiceProcess:
    """`hume-runner emulate`, for `with`. `new_key` hands out keys that nobody else uses."""

    def __init__(self, data: Path, *, keys: int, processing_time: str = "20ms") -> None:
        self._keys = [f"key-{number:05d}" for number in range(keys)]
        self._unused = iter(self._keys)
        self._command = [
            *(sys.executable, "-m", "hume_runner", "emulate", "--data", str(data)),
            *("--processing-time", processing_time, "--max-concurrent-jobs", "1000"),
            *(word for key in self._keys for word in ("--api-key", key)),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.url = ""

    def __enter__(self) -> ServiceProcess:
        self._process = WarmPopen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = json.loads(self._process.stdout.readline())["url"]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait(timeout=30)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def new_key(self) -> str:
        return next(self._unused)

    def log(self) -> list[dict[str, Any]]:
        """Every job that was ever accepted, in order."""
        return self._ask("/_emulator/jobs")  # type: ignore[no-any-return]

    def requests(self) -> dict[str, Any]:
        return self._ask("/_emulator/requests")  # type: ignore[no-any-return]

    def inject(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """These faults, from now on and instead of earlier ones, for all keys."""
        self._ask("/_emulator/faults", json.dumps(faults).encode())

    def be(self, **difficulties: Any) -> None:
        """Difficult in these ways, and in no others; for all keys."""
        self._ask("/_emulator/difficulties", json.dumps(difficulties).encode())

    def advance(self, seconds: float) -> None:
        """Its time moves on, and what waits for it happens."""
        self._ask("/_emulator/clock", json.dumps({"advance": seconds}).encode())

    def _ask(self, path: str, body: bytes | None = None) -> Any:
        request = Request(self.url + path, data=body)
        with urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())
