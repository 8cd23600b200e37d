"""The APIs that a manifest may name: what each can and needs, as data. A folder in `services/` and a line here each.

Their code is named by dotted names (`module:name`) and imported when it is used, so that everybody may ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from functools import cache
from importlib import import_module
from typing import Any

from hume_runner.frozen import frozen


@frozen
class Proposal:
    """A model that `init` proposes: its line, and the kinds (`audio`, `video`, `pictures`, `text`) that ask for it.

    Of the kinds in `heard` it reads what another model, `hears`, made of them.
    """

    line: str
    kinds: frozenset[str]
    comment: str = ""
    hears: str = ""
    heard: frozenset[str] = frozenset()

    @property
    def model(self) -> str:
        return self.line.partition(":")[0]


@frozen
class Starter:
    """What `init` writes for an API: models, for each kind the one first that needs least; what stands after the
    models; whether it offers the emulator first."""

    models: tuple[Proposal, ...]
    tail: tuple[str, ...] = ()
    rehearses: bool = False


@frozen
class Registered:
    """One API. Sizes are bytes.

    `build` names what makes the service of a manifest (a `services.base.Build`), `rows` the module that reads its
    answers into tables.
    """

    api: str
    build: str
    rows: str
    host: str  # where it is, if the manifest does not say; a name for people where that is this machine
    closed: str = ""  # since when nobody answers there any more, for people; other hosts may speak it
    answer: str  # the file among a job's answers that tables are made of
    order: str | None = None  # what tells where a part of an item belongs, by its detail; None where none has parts
    # Whether that answer names its sources, and can be read without a manifest: its entries then tell their `failure`.
    names_sources: bool = False
    # What tells, of the JSON of a file of any name, whether it is such an answer, by its beginning
    # (`http.json_lenient.LenientReader`); without it, only what is called `answer` is found in a folder.
    begins_answer: str | None = None
    kinds: frozenset[str]  # of sources that it measures
    needs_key: bool = True
    keeps_answers: bool = True  # so that what was measured can be fetched again
    bills: bool = False  # by the second, so that a cap makes sense
    # What tells, of what was announced of a job that ended (`Ended.announced`), how many seconds were metered and
    # how far from them is no difference, or None; without it, no bill is compared.
    metered: str | None = None
    calls_back: bool = False  # posts to notify.callback_url itself
    hands_out_artifacts: bool = False
    sources_per_job: int
    job_bytes: int  # default of batching.max_bytes
    upload_bytes: int | None  # the largest file that is sent whole; None where larger ones are cut
    host_limits: bool = False  # whether service.limits may raise these
    extras: tuple[str, ...] = ()  # that measuring needs
    starter: Starter | None = None
    here: bool = False  # measures on this machine: there is no endpoint to name, and `execution.workers` measure
    computes: bool = False  # has work for the processor, which a cluster can do (`services.base.Computes`)
    credits: str | None = None  # what tells, of a manifest's models, who measures (`services.credits.Credits`)
    readiness: str | None = None  # what tells, of a manifest's models, which can measure here (`readiness.Readiness`)
    example: str = ""  # one of its models, with which hints show how a manifest names one
    # JSON Schema by model, for an API that the published schema does not name.
    models: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    # What tells, of names of models that a manifest has, JSON Schema by model beyond the published schema.
    more_models: str | None = None
    # What tells, of names of models, the tables (`Layout`) of those that are not among those of `rows`.
    more_layouts: str | None = None
    # What tells, of a manifest's models, the options that fit the schema and can never measure: (member below `models`,
    # what is wrong, what to do).
    faults: str | None = None
    # The same of options that fit no link; asked whether they fit the schema or not.
    link_faults: str | None = None
    cautions: str | None = None  # what tells, of a manifest's models, what people have to know of their media before
    # What raises, of a manifest's models, for want of something that measures here.
    requires: str | None = None


_AUDIO, _VIDEO, _PICTURES, _TEXT = (frozenset({kind}) for kind in ("audio", "video", "pictures", "text"))

_KNOWN: dict[str, Registered] = {
    one.api: one
    for one in (
        Registered(
            api="batch-v0",
            build="hume_runner.services.batch_v0.service:build",
            rows="hume_runner.services.batch_v0.rows",
            host="https://api.hume.ai",
            closed="14 June 2026",
            example="face",
            answer="predictions.json",
            names_sources=True,
            begins_answer="hume_runner.services.batch_v0.downloads:begins_as_answer",
            kinds=frozenset({"url", "file", "text"}),
            calls_back=True,
            hands_out_artifacts=True,
            # Its documented limits; a compatible host may allow more.
            sources_per_job=100,
            job_bytes=100_000_000,
            upload_bytes=100_000_000,
            host_limits=True,
            starter=Starter(
                models=(
                    Proposal(
                        line="face: {fps_pred: 3}",
                        kinds=_PICTURES | _VIDEO,
                        comment="options: facs: {}, descriptions: {}, identify_faces: true",
                    ),
                    Proposal(line="prosody: {granularity: utterance}", kinds=_AUDIO | _VIDEO),
                    Proposal(line="burst: {}", kinds=_AUDIO | _VIDEO),
                    Proposal(
                        line="language: {granularity: sentence}",
                        kinds=_TEXT,
                        comment="options: sentiment: {}, toxicity: {}",
                    ),
                ),
                tail=("# transcription: {language: en}    # for speech; null turns it off",),
                rehearses=True,
            ),
        ),
        Registered(
            api="expression-v1",
            build="hume_runner.services.expression_v1.service:build",
            rows="hume_runner.services.expression_v1.rows",
            host="https://api.cloud.hume.ai",
            example="audio",
            answer="response.json",
            order="hume_runner.services.expression_v1.parts:place_of",
            kinds=frozenset({"url", "file"}),
            keeps_answers=False,
            computes=True,
            link_faults="hume_runner.services.expression_v1.of_links:link_faults",
            bills=True,
            metered="hume_runner.services.expression_v1.runs:metered",
            # A body of 25 MB, of which a little is left free for the parts' headers.
            sources_per_job=500,
            job_bytes=24_900_000,
            upload_bytes=None,
            extras=("media",),
            starter=Starter(
                models=(
                    Proposal(line="audio: {measurement_timer_ms: 3000}", kinds=_AUDIO | _VIDEO),
                    Proposal(line="video: {fps: 3, max_width: 1280}", kinds=_PICTURES | _VIDEO),
                ),
                tail=("execution:", "  max_billable_seconds: null       # a number here is never exceeded"),
            ),
        ),
        Registered(
            api="local",
            build="hume_runner.services.local.service:build",
            rows="hume_runner.services.local.rows",
            host="this machine",
            answer="response.json",
            order="hume_runner.services.local.parts:place_of",
            kinds=frozenset({"url", "file", "text"}),
            needs_key=False,
            keeps_answers=False,
            here=True,
            computes=True,
            more_models="hume_runner.services.local.measurers.found:schemas",
            more_layouts="hume_runner.services.local.layouts:offered",
            faults="hume_runner.services.local.settings:faults",
            cautions="hume_runner.services.local.settings:cautions",
            requires="hume_runner.services.local.ready:require_models",
            readiness="hume_runner.services.local.ready:readiness",
            credits="hume_runner.services.local.credits:credits_of",
            # Of texts: what is measured and kept in one go.
            sources_per_job=500,
            job_bytes=1_000_000,
            upload_bytes=None,
            starter=Starter(
                models=(
                    Proposal(line="acoustics: {window: 1.0}", kinds=_AUDIO | _VIDEO, comment="loudness, pitch, pauses"),
                    Proposal(
                        line="speech: {}",
                        kinds=_AUDIO | _VIDEO,
                        comment="what is said, with the times of words; English only: {model: base} hears others",
                    ),
                    Proposal(line="face: {fps: 3}", kinds=_PICTURES | _VIDEO, comment="where faces are, how they move"),
                    Proposal(
                        line="language: {granularity: sentence}",
                        kinds=_TEXT,
                        comment="English texts, and what `speech` heard",
                        hears="speech",
                        heard=_AUDIO | _VIDEO,
                    ),
                ),
            ),
        ),
    )
}


def registered(api: str) -> Registered | None:
    """The API of that name; None for one that nobody registered."""
    return _KNOWN.get(api)


def all_registered() -> tuple[Registered, ...]:
    """All APIs that a manifest may name."""
    return tuple(_KNOWN.values())


def register(one: Registered) -> None:
    """Add an API. Its models are known to manifests from the next one that is read on."""
    _KNOWN[one.api] = one
    _changed()


def unregister(api: str) -> None:
    """Take an added API away again."""
    _KNOWN.pop(api, None)
    _changed()


_listeners: list[Callable[[], None]] = []


def _changed() -> None:
    for clear in _listeners:
        clear()


def on_change(clear: Callable[[], None]) -> None:
    """Call `clear` whenever the APIs change; for caches that were made from them."""
    _listeners.append(clear)


@cache
def load(name: str) -> Any:
    """What a dotted name (`module:name`, or a module alone) stands for. Its type is the caller's to say: the protocols
    of services lie above, and whoever registers one from outside is checked by what he registers, not here."""
    module, _, member = name.partition(":")
    found = import_module(module)
    return getattr(found, member) if member else found
