"""Items as jobs of the batch API: what they begin with, which are hopeless, how they are packed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hume_runner.manifest.model import Manifest
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import HEAD_BYTES, Kind, sniff_path
from hume_runner.services.jobs import Draft, Job, Limits, Member, PlanItem, Prepared
from hume_runner.services.links import refuse_expired
from hume_runner.services.packing import PlainJobs, pack

UPLOAD_BYTES = 100_000_000
SOURCES_PER_JOB = 100


class Drafts:
    """Packs items to jobs, and looks at what they begin with. The service takes files as they are."""

    def __init__(self, manifest: Manifest) -> None:
        limits = manifest.service.limits
        self.limits = Limits(
            upload_bytes=limits.upload_bytes or UPLOAD_BYTES,
            sources_per_job=min(manifest.batching.max_sources, limits.sources_per_job or SOURCES_PER_JOB),
            job_bytes=max(manifest.batching.max_bytes, 1),
        )
        self.plain_jobs = PlainJobs(most=self.limits.sources_per_job, most_bytes=self.limits.job_bytes)

    def look(self, path: Path, content: bytes) -> Mapping[str, Any]:
        """See `Looker.look`. The service takes files as they are; their first bytes tell which models can apply."""
        del content
        try:
            kind = sniff_path(path)
        except MediaProblem as problem:
            raise problem.__cause__ or problem from None
        # To this API a document is the archive that it is made of.
        facts: dict[str, Any] = {"format": (Kind.ZIP if kind is Kind.OFFICE else kind).value}
        if kind is Kind.PNG:
            with path.open("rb") as file:
                # The chunk that announces an animation comes before the pictures.
                if b"acTL" in file.read(HEAD_BYTES):
                    facts["moving"] = True
        return facts

    def recall(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Looker.recall`."""
        return facts if "format" in facts else None

    def apart(self, facts: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """See `Looker.apart`: the service takes files as they are."""
        return (("", facts),)

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """See `Planner.refuse`."""
        if item.kind == "file" and item.size_bytes > self.limits.upload_bytes:
            return (
                f"{item.value!r} has {item.size_bytes:,} bytes; the service takes {self.limits.upload_bytes:,} at most",
                "cut or compress the file, give it by URL, or set service.limits.upload_bytes if your host takes more",
            )
        if item.kind == "url":
            return refuse_expired(item.value, now)
        return None

    def hopeless(self, item: PlanItem) -> tuple[str, str] | None:
        """See `Planner.hopeless`."""
        return ("empty", f"{item.value!r} is empty") if item.kind == "file" and item.size_bytes == 0 else None

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """See `Planner.compile`."""
        hopeless: list[Member] = []

        def sendable() -> Iterator[Member]:
            for item in items:
                if self.hopeless(item) is None:
                    yield Member(item=item)
                else:
                    hopeless.append(Member(item=item))

        yield from pack(sendable(), most=self.limits.sources_per_job, most_bytes=self.limits.job_bytes)
        if hopeless:
            # Never sent: what prepares the job gives them up, each with its reason.
            yield Draft(members=tuple(hopeless), size_bytes=0, prepare=True)

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """See `Planner.recompile`."""
        return pack(members, most=self.limits.sources_per_job, most_bytes=self.limits.job_bytes)

    def media(self, job: Job) -> Prepared:
        """See `Preparer.media`. The service takes files as they are: only what cannot be sent asks for this."""
        told = ((member, self.hopeless(member.item)) for member in job.members)
        failed = tuple((member.position, *why) for member, why in told if why is not None)
        good = [member for member in job.members if self.hopeless(member.item) is None]
        return Prepared(drafts=tuple(self.recompile(good)), failed=failed)
