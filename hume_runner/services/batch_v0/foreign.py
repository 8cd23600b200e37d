"""Jobs that were started elsewhere: what they carry, and whether they measure as this manifest would."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hume_runner.errors import ApiError
from hume_runner.manifest.model import SourceKind
from hume_runner.services.base import ListingIncomplete
from hume_runner.services.batch_v0.answer_files import carried, recognise_file
from hume_runner.services.batch_v0.answers import PREDICTIONS, kind_of, names_of
from hume_runner.services.batch_v0.echoed_settings import agreement, differences
from hume_runner.services.batch_v0.host import Host
from hume_runner.services.batch_v0.listing import CLOCKS_APART_S, Walk, walked
from hume_runner.services.batch_v0.matching import familiar
from hume_runner.services.batch_v0.readable import iter_checked
from hume_runner.services.batch_v0.reading import JobView, read_source_result
from hume_runner.services.batch_v0.settings import relevant
from hume_runner.services.batch_v0.times import seconds
from hume_runner.services.foreign import Foreign, ForeignSource


class ForeignJobs:
    """Reads jobs that were started elsewhere. `settings` are the manifest's."""

    def __init__(self, host: Host, settings: Mapping[str, Any]) -> None:
        self._host = host
        self._settings = settings

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """See `Records.survey`. Of a job that the service gave up the details have to say so too.

        Whether the list shows what it must is seen from its two orders: a host may have forgotten old jobs of ours.
        """
        del ours
        walk = Walk()
        for view in walked(self._host, int((since - CLOCKS_APART_S) * 1000), walk):
            if not knows(view.job_id):
                yield self._foreign(view)
        if walk.gap:
            raise ListingIncomplete(walk.gap)

    def recognise(self, remote_id: str) -> Foreign:
        """See `Keeper.recognise`."""
        self._host.count("details")
        return self._foreign(self._host.details(remote_id))

    def recognise_file(self, path: Path, texts: Iterable[str]) -> Foreign:
        """See `Keeper.recognise_file`."""
        return recognise_file(path, texts, self._settings)

    def carried(self, remote_id: str, texts: Iterable[str]) -> tuple[ForeignSource, ...] | None:
        """See `Keeper.carried`."""
        self._host.count(PREDICTIONS.partition(".")[0])
        try:
            with self._host.http.open_predictions(remote_id) as stream:
                return carried(stream.iter_bytes(), texts).sources
        except ApiError:
            return None

    def measured(self, remote_id: str) -> Mapping[SourceKind, int] | None:
        """See `Keeper.measured`."""
        named: set[tuple[str, str]] = set()
        self._host.count(PREDICTIONS.partition(".")[0])
        try:
            with self._host.http.open_predictions(remote_id) as stream:
                for checked in iter_checked(stream.iter_bytes()):
                    view = read_source_result(checked.element)
                    named.update((kind_of(view), name) for name in names_of(view))
        except ApiError:
            return None
        kinds: tuple[SourceKind, ...] = ("url", "file", "text")
        return {kind: sum(one == kind for one, _ in named) for kind in kinds}

    def _alike(self, view: JobView, kind: SourceKind, facts: Mapping[str, Any]) -> bool | None:
        if not view.models:
            return None
        echoed = {"models": view.models, "transcription": view.transcription}
        return agreement(relevant(kind, facts, self._settings), relevant(kind, facts, echoed))

    def _foreign(self, view: JobView) -> Foreign:
        sources = [ForeignSource(kind="url", match=url, value=url) for url in view.urls]
        sources += [ForeignSource(kind="file", match=file.filename or "", md5=file.md5sum) for file in view.files]
        sources += [
            ForeignSource(kind="text", match=str(number), value=text) for number, text in enumerate(view.text, start=1)
        ]
        said: tuple[tuple[SourceKind, bool], ...] = (
            ("url", "urls" in view.says),
            ("text", "text" in view.says),
            ("file", "files" in view.says and all(file.md5sum and file.filename for file in view.files)),
        )
        told, others = familiar(view), differences(self._settings, view)
        return Foreign(
            remote_id=view.job_id,
            sources=tuple(sources),
            same_settings=not others,
            differences=others,
            alike=lambda kind, facts: self._alike(view, kind, facts),
            silent=frozenset(kind for kind, says in said if not says or kind not in told),
            # The model that says each text's words tells at fetching which is which.
            unordered=frozenset(
                ("text",) if len(set(view.text)) > 1 and view.models and view.models.get("language") is None else ()
            ),
            given_up=(view.message or "without a reason") if view.status == "FAILED" else "",
            created_at=seconds(view.created_ms),
            simulated=bool(self._host.simulated),
        )
