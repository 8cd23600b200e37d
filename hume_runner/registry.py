"""The APIs that a manifest may name: what each can and needs, as data. A folder in `services/` and a line here each.

Their code is named by dotted names (`module:name`) and imported when it is used, so that everybody may ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

from hume_runner.frozen import frozen

if TYPE_CHECKING:
    # What a name stands for has the type that its users say, and they lie above.
    from hume_runner.readiness import Readiness
    from hume_runner.services.base import Build
    from hume_runner.services.credits import Credits
    from hume_runner.services.table_shapes import Layout, RowMapping

T_co = TypeVar("T_co", covariant=True)
# A model's options as a manifest has them: values of JSON, which fit its schema.
Options = Mapping[str, object]
# The models of a manifest, with their options.
Models = Mapping[str, Options]
# JSON Schema of a model's options.
Schema = Mapping[str, object]
# Which part of an item somebody measured, in the words of an API: values of JSON.
Detail = Mapping[str, object]
# (member below `models`, what is wrong, what to do)
ModelFault = tuple[tuple[str, ...], str, str]


class Dotted(str, Generic[T_co]):
    """The name (`module:name`, or a module alone) of something of this type. Plain text does as well: whether what is
    registered from outside fits shows when it is used."""

    __slots__ = ()


class Cautions(Protocol):
    """What people have to know of their media; `changed`: whether settings of some models changed."""

    def __call__(self, models: Models, *, changed: bool) -> Iterator[str]: ...


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

    `build` names what makes the service of a manifest, `rows` the module that reads its answers into tables. What an
    API cannot do, no manifest may ask of it: `manifest/capabilities.py` says which member asks for what.
    """

    # What it is called, and where it is.
    api: str
    host: str  # if the manifest does not say; a name for people where that is this machine
    here: bool = False  # measures on this machine: there is no endpoint to name, and `execution.workers` measure
    needs_key: bool = True
    closed: str = ""  # since when nobody answers at `host` any more, for people; other hosts may speak it
    extras: tuple[str, ...] = ()  # that measuring needs
    starter: Starter | None = None
    example: str = ""  # one of its models, with which hints show how a manifest names one

    # What it can do, and with it what a manifest may ask for.
    kinds: frozenset[str]  # of sources that it measures
    keeps_answers: bool = True  # so that what was measured can be fetched again
    bills: bool = False  # by the second, so that a cap makes sense
    calls_back: bool = False  # posts to notify.callback_url itself; for others the runner does, once all is finished
    mails: bool = False  # writes to its account's address when a job ends
    hands_out_artifacts: bool = False
    transcribes: bool = False  # as the section `transcription` says, and not by a model of its own
    packs_audio: bool = False  # joins short recordings, so that fewer are billed
    downloads: bool = False  # fetches links to this machine, as far as service.allow_hosts lets it
    computes: bool = False  # has work for the processor, which a cluster can do (`services.base.Computes`)

    # What one request takes.
    sources_per_job: int
    job_bytes: int  # default of batching.max_bytes
    upload_bytes: int | None  # the largest file that is sent whole; None where larger ones are cut
    host_limits: bool = False  # whether service.limits may raise these

    # Its models, and what is to be known of those that a manifest names.
    # JSON Schema by model, for an API that the published schema does not name.
    models: Mapping[str, Schema] = field(default_factory=dict)
    # What tells, of names of models that a manifest has, JSON Schema by model beyond the published schema.
    more_models: Dotted[Callable[[Collection[str]], Mapping[str, Schema]]] | None = None
    # What tells the options that fit the schema and can never measure: (member below `models`, what is wrong, what to
    # do).
    faults: Dotted[Callable[[Models], Iterator[ModelFault]]] | None = None
    # The same of options that fit no link; asked whether they fit the schema or not.
    link_faults: Dotted[Callable[[Mapping[str, object]], Iterator[ModelFault]]] | None = None
    # What tells what people have to know of their media before.
    cautions: Dotted[Cautions] | None = None
    # What raises for want of something that measures here.
    requires: Dotted[Callable[[Models], None]] | None = None
    # What tells which can measure here, of these or of all there are.
    readiness: Dotted[Callable[[Models | None], Iterator[Readiness]]] | None = None
    # What tells who measures.
    credits: Dotted[Callable[[Models], Credits]] | None = None

    # Who speaks to it, and how its answers are read.
    build: Dotted[Build]
    rows: Dotted[RowMapping]
    # What tells, of names of models, the tables of those that are not among those of `rows`.
    more_layouts: Dotted[Callable[[Iterable[str]], tuple[Layout, ...]]] | None = None
    answer: str  # the file among a job's answers that tables are made of
    # Whether that answer names its sources, and can be read without a manifest: its entries then tell their `failure`.
    names_sources: bool = False
    # What tells the short code of an error's text in such an entry, as a run would have recorded it.
    reason_of: Dotted[Callable[[str], str]] | None = None
    # What tells, of the bytes of a JSON file of any name, whether it is such an answer, by its beginning; without it,
    # only what is called `answer` is found in a folder.
    begins_answer: Dotted[Callable[[Iterator[bytes]], bool]] | None = None
    # What tells where a part of an item belongs, by its detail; None where none has parts.
    order: Dotted[Callable[[Detail], tuple[int, ...]]] | None = None
    # What tells, of what was announced of a job that ended (`Ended.announced`), how many seconds were metered and
    # how far from them is no difference, or None; without it, no bill is compared.
    metered: Dotted[Callable[[Mapping[str, int]], tuple[float, float] | None]] | None = None


_AUDIO, _VIDEO, _PICTURES, _TEXT = (frozenset({kind}) for kind in ("audio", "video", "pictures", "text"))

_KNOWN: dict[str, Registered] = {
    one.api: one
    for one in (
        Registered(
            api="batch-v0",
            build=Dotted("hume_runner.services.batch_v0.service:build"),
            rows=Dotted("hume_runner.services.batch_v0.rows"),
            host="https://api.hume.ai",
            closed="14 June 2026",
            example="face",
            answer="predictions.json",
            names_sources=True,
            reason_of=Dotted("hume_runner.services.batch_v0.answers:reason_of"),
            begins_answer=Dotted("hume_runner.services.batch_v0.downloads:begins_as_answer"),
            kinds=frozenset({"url", "file", "text"}),
            calls_back=True,
            mails=True,
            hands_out_artifacts=True,
            transcribes=True,
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
            build=Dotted("hume_runner.services.expression_v1.service:build"),
            rows=Dotted("hume_runner.services.expression_v1.rows"),
            host="https://api.cloud.hume.ai",
            example="audio",
            answer="response.json",
            order=Dotted("hume_runner.services.expression_v1.parts:place_of"),
            kinds=frozenset({"url", "file"}),
            keeps_answers=False,
            computes=True,
            link_faults=Dotted("hume_runner.services.expression_v1.of_links:link_faults"),
            bills=True,
            packs_audio=True,
            downloads=True,
            metered=Dotted("hume_runner.services.expression_v1.runs:metered"),
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
            build=Dotted("hume_runner.services.local.service:build"),
            rows=Dotted("hume_runner.services.local.rows"),
            host="this machine",
            answer="response.json",
            order=Dotted("hume_runner.services.local.parts:place_of"),
            kinds=frozenset({"url", "file", "text"}),
            needs_key=False,
            keeps_answers=False,
            here=True,
            downloads=True,
            computes=True,
            more_models=Dotted("hume_runner.services.local.measurers.found:schemas"),
            more_layouts=Dotted("hume_runner.services.local.layouts:offered"),
            faults=Dotted("hume_runner.services.local.settings:faults"),
            cautions=Dotted("hume_runner.services.local.settings:cautions"),
            requires=Dotted("hume_runner.services.local.ready:require_models"),
            readiness=Dotted("hume_runner.services.local.ready:readiness"),
            credits=Dotted("hume_runner.services.local.credits:credits_of"),
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


def machines() -> frozenset[str]:
    """The endpoints that are this machine."""
    return frozenset(one.host for one in all_registered() if one.here)


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


def load(name: Dotted[T_co]) -> T_co:
    """What a dotted name stands for; imported now, where it was not yet."""
    return cast("T_co", _loaded(name))


@cache
def _loaded(name: str) -> object:
    module, _, member = name.partition(":")
    found: object = import_module(module)
    return getattr(found, member) if member else found
