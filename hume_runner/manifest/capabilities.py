"""Members of a manifest that not every API can do something with: which of them one can, by what it is registered with,
and what people are told where it cannot.

What is told of the APIs in the published schema stands there, in words of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.registry import Registered

_NEVER: Mapping[str, Any] = {"not": {}}


@frozen
class Capability:
    """A member, which APIs `can` do what it asks for, and for those that cannot what is wrong (`{api}` is the name),
    what to do, and as JSON Schema what may stand there all the same, since it asks for nothing."""

    path: tuple[str, ...]
    can: Callable[[Registered], bool]
    says: str
    next: str
    idle: Mapping[str, Any]

    def refusal(self, api: str) -> dict[str, Any]:
        """The member's schema for an API that cannot."""
        return {**self.idle, "x-instead": self.says.format(api=api), "x-next": self.next}


def _of_kind(member: str, kind: str) -> Capability:
    return Capability(
        path=("sources", member),
        can=lambda one: kind in one.kinds,
        says=f"{{api}} measures no {kind}",
        next=f"use another service.api for {kind}s",
        idle={"maxItems": 0},
    )


CAPABILITIES = (
    _of_kind("urls", "url"),
    _of_kind("files", "file"),
    _of_kind("text", "text"),
    Capability(
        path=("service", "endpoint"),
        can=lambda one: not one.here,
        says="{api} measures on this machine, so there is no endpoint",
        next="remove endpoint",
        idle=_NEVER,
    ),
    Capability(
        path=("service", "api_key"),
        can=lambda one: one.needs_key,
        says="{api} needs no key",
        next="remove api_key",
        idle=_NEVER,
    ),
    Capability(
        path=("service", "limits"),
        can=lambda one: one.host_limits,
        says="{api} has no limits to set",
        next="remove limits; batching.max_sources and batching.max_bytes make jobs smaller",
        idle=_NEVER,
    ),
    Capability(
        path=("service", "allow_hosts"),
        can=lambda one: one.downloads,
        says="{api} has no allow_hosts: nothing is downloaded here",
        next="remove allow_hosts",
        idle={"maxItems": 0},
    ),
    Capability(
        path=("service", "timeout"),
        can=lambda one: not one.here,
        says="{api} sends no request that could time out",
        next="remove timeout",
        idle=_NEVER,
    ),
    Capability(
        path=("transcription",),
        can=lambda one: one.transcribes,
        says="{api} has no transcription",
        next="remove transcription",
        idle={"const": None},
    ),
    Capability(
        path=("notify", "email"),
        can=lambda one: one.mails,
        says="{api} sends no mail",
        next="remove email; notify.callback_url tells your own server",
        idle={"const": False},
    ),
    Capability(
        path=("notify", "callback_secret"),
        can=lambda one: not one.calls_back,
        says="{api} has no callback_secret: the service posts callbacks, unsigned",
        next="remove callback_secret",
        idle=_NEVER,
    ),
    Capability(
        path=("outputs", "artifacts"),
        can=lambda one: one.hands_out_artifacts,
        says="{api} has no artifacts archive",
        next="remove artifacts; outputs.tables writes csv, parquet or jsonl",
        idle={"const": False},
    ),
    Capability(
        path=("batching", "pack_short_audio"),
        can=lambda one: one.packs_audio,
        says="{api} packs no recordings",
        next="remove pack_short_audio",
        idle={"const": False},
    ),
    Capability(
        path=("execution", "max_billable_seconds"),
        can=lambda one: one.bills,
        says="{api} states no bill that could be capped",
        next="remove max_billable_seconds",
        idle={"const": None},
    ),
    Capability(
        path=("execution", "on_lost_answer"),
        can=lambda one: not (one.here or one.keeps_answers),
        says="{api} loses no answer: it is fetched, or measured again for nothing",
        next="remove on_lost_answer",
        idle={"const": "resubmit"},
    ),
    Capability(
        path=("execution", "workers"),
        can=lambda one: one.here,
        says="{api} measures elsewhere, so there are no workers to count",
        next="remove workers; transfer_workers sets how many uploads go at one time",
        idle=_NEVER,
    ),
    Capability(
        path=("execution", "max_jobs_in_flight"),
        can=lambda one: not one.here,
        says="no jobs wait elsewhere",
        next="remove max_jobs_in_flight; execution.workers sets how many pieces are measured at one time",
        idle={"const": 50},
    ),
    Capability(
        path=("execution", "transfer_workers"),
        can=lambda one: not one.here,
        says="{api} sends nothing",
        next="remove transfer_workers; execution.workers sets how many pieces are measured at one time",
        idle={"const": 8},
    ),
    Capability(
        path=("execution", "requests_per_second"),
        can=lambda one: not one.here,
        says="{api} sends no requests",
        next="remove requests_per_second",
        idle={"const": 20},
    ),
    Capability(
        path=("execution", "look_back"),
        can=lambda one: not one.here,
        says="nothing is paid, so there is nothing to look back for",
        next="remove look_back",
        idle={"const": "7d"},
    ),
)
