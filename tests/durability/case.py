"""One manifest with a key of its own, what its run must leave behind, and what it must have cost."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import requests


class Log(Protocol):
    """Whoever knows every job that a service has accepted, in order."""

    def log(self) -> list[dict[str, Any]]: ...


# The name of an upload: the nonce of its job, its position, then its own name.
_NONCE = re.compile(rb"\b[0-9a-f]{10}-(\d{3})-")
JOBS = 3
# What the account of a case measured before it: a list that shows nothing at all proves nothing.
EARLIER = "An earlier study speaks of the moon."

MANIFEST = """\
version: 1
name: sweep
service: {{api: batch-v0, endpoint: "{endpoint}"}}
sources:
  urls:
    - https://example.org/one.txt
    - {{url: "https://example.org/two.txt?page=2", id: two}}
  files:
    - media/*.txt
  text:
    - Nothing is lost.
    - {{text: Nothing is paid twice., id: promise, labels: {{weight: 1}}}}
models: {{language: {{granularity: sentence}}}}
batching: {{max_sources: {max_sources}}}
execution:
  requests_per_second: 1000
  transfer_workers: {transfers}
  retry: {{attempts: {attempts}, max_wait: 100ms}}
outputs: {{directory: out, artifacts: true}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A folder with a manifest of three jobs: links, files, text. `key` is nobody else's at the service."""

    folder: Path
    key: str

    @property
    def owner(self) -> str:
        """How the service's log names the key."""
        return sha256(self.key.encode()).hexdigest()

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.yaml"

    @property
    def outputs(self) -> Path:
        return self.folder / "out"

    @property
    def state(self) -> Path:
        return self.outputs / "state.sqlite3"

    def child(self, *, name: str = "run", flags: Iterable[str] = (), **how: Any) -> dict[str, Any]:
        """A run of this manifest, for the nursery; what it says goes to NAME.stdout and NAME.stderr here."""
        return {
            "argv": ["run", str(self.manifest), "--no-progress", *flags],
            "key": self.key,
            "out": str(self.folder / name),
            **how,
        }

    def said(self, name: str = "run") -> str:
        return (self.folder / f"{name}.stderr").read_text() + (self.folder / f"{name}.stdout").read_text()

    def jobs(self) -> list[tuple[int, str, str | None]]:
        """(number, status, remote id) of every job that the state knows; none before there is a state."""
        return self._ask("SELECT job, status, remote_id FROM jobs ORDER BY job")

    def _ask(self, question: str) -> list[Any]:
        if not self.state.exists():
            return []
        db = sqlite3.connect(self.state)
        try:
            assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
            return db.execute(question).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # killed before the first commit
                return []
            raise
        finally:
            db.close()


def make_case(
    folder: Path, endpoint: str, key: str, *, attempts: int = 5, transfers: int = 2, max_sources: int = 2
) -> Case:
    case = Case(folder=folder, key=key)
    media = folder / "media"
    media.mkdir(parents=True)
    (media / "first.txt").write_text("The first file speaks of rain. It is short.\n")
    (media / "second.txt").write_text("The second file is shorter.\n")
    case.manifest.write_text(
        MANIFEST.format(endpoint=endpoint, attempts=attempts, transfers=transfers, max_sources=max_sources)
    )
    return case


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What an unbroken run leaves behind and costs: normalised files, work by content, names of its operations."""

    files: Mapping[str, Any]
    work: Counter[str]
    operations: tuple[str, ...]

    @classmethod
    def of(cls, case: Case, accepted: Iterable[Mapping[str, Any]]) -> Reference:
        trace = (case.folder / "run.trace").read_text().splitlines()
        return cls(files=left_behind(case), work=work_of(accepted), operations=tuple(trace))


def work_of(accepted: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How often each piece of work was accepted."""
    return Counter(job["content_sha256"] for job in accepted)


def left_behind(case: Case) -> dict[str, Any]:
    """Every result by its name, with what differs from run to run replaced: remote ids and nonces."""
    names = {remote: f"job {number}".encode() for number, _, remote in case.jobs() if remote}
    found: dict[str, Any] = {}
    for path in sorted([*case.outputs.glob("results.jsonl*"), *case.outputs.glob("raw/*/*")]):
        name = _normal(path.relative_to(case.outputs).as_posix().encode(), names).decode()
        found[name] = _normal_file(path, names)
    return found


def _normal_file(path: Path, names: Mapping[str, bytes]) -> Any:
    content = path.read_bytes()
    if path.suffix != ".zip" or not zipfile.is_zipfile(path):
        return _normal(content, names)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {
            _normal(entry.filename.encode(), names): _normal(archive.read(entry), names) for entry in archive.infolist()
        }


def _normal(content: bytes, names: Mapping[str, bytes]) -> bytes:
    for remote, name in names.items():
        content = content.replace(remote.encode(), name)
    return _NONCE.sub(rb"NONCE-\1-", content)


def broken_promises(
    case: Case, code: int, accepted: Iterable[Mapping[str, Any]], reference: Reference, *, most_work: int = 1
) -> list[str]:
    """What a finished run did not keep, in words; nothing if all is well.

    `accepted` is the service's own log for this key. `most_work`: how often each piece of work may have been accepted.
    """
    accepted = list(accepted)
    wrong = []
    if code != 0:
        wrong.append(f"exit code {code}: {case.said()[-800:]}")
    known = {remote for _, _, remote in case.jobs() if remote}
    lost = {job["job_id"] for job in accepted} - known
    if lost:
        wrong.append(f"lost remote ids: {sorted(lost)}")
    work = work_of(accepted)
    for content in reference.work | work:
        if not 1 <= work[content] <= most_work:
            wrong.append(f"work {content[:8]} was accepted {work[content]} times")
    left = left_behind(case)
    for name in sorted(reference.files.keys() | left.keys()):
        if left.get(name) != reference.files.get(name):
            wrong.append(f"{name} differs from an unbroken run's")
    return wrong


def broken_at_the_crash(case: Case, accepted: Iterable[Mapping[str, Any]], reference: Reference) -> list[str]:
    """What a crash left in a state that no later run could mend; nothing if all is well.

    Files under a final name are whole, and each job at the service is either known by its name or one of those that
    the state will ask about.
    """
    wrong = []
    jobs = case.jobs()
    known = {remote for _, _, remote in jobs if remote}
    unnamed = sum(status in ("submitting", "ambiguous") for _, status, _ in jobs)
    strays = [job["job_id"] for job in accepted if job["job_id"] not in known]
    if len(strays) > unnamed:
        wrong.append(f"{len(strays)} jobs at the service, and the state would ask about {unnamed}")
    names = {remote: f"job {number}".encode() for number, _, remote in jobs if remote}
    for path in case.outputs.glob("raw/*/*"):
        name = _normal(path.relative_to(case.outputs).as_posix().encode(), names).decode()
        if path.suffix == ".part":
            continue
        if _normal_file(path, names) != reference.files.get(name):
            wrong.append(f"{name} has its final name and is not whole")
    wrong += [f"{path.name} is cut" for path in (case.outputs / "run.json",) if path.exists() and not _is_json(path)]
    results = case.outputs / "results.jsonl"
    if results.exists() and results.read_bytes().count(b"\n") != reference.files["results.jsonl"].count(b"\n"):
        wrong.append("results.jsonl is cut")
    return wrong


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_bytes())
    except ValueError:
        return False
    return True


def measured_earlier(endpoint: str, key: str) -> None:
    """Another program has had something measured with this key; its answer may be lost."""
    body = {"models": {"language": {}}, "text": [EARLIER]}
    with contextlib.suppress(requests.ConnectionError):
        requests.post(f"{endpoint}/v0/batch/jobs", json=body, headers={"X-Hume-Api-Key": key}, timeout=10)


def accepted_by_key(service: Log) -> dict[str, list[dict[str, Any]]]:
    """The service's log of accepted jobs, by owner, without what was measured earlier."""
    by_owner: dict[str, list[dict[str, Any]]] = {}
    for job in service.log():
        if job["text"] != [EARLIER]:
            by_owner.setdefault(job["owner"], []).append(job)
    return by_owner
