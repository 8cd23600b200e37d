"""One key at one endpoint of expression-v1, and what it has shown so far."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Set
from itertools import islice
from typing import Any

from hume_runner.errors import ApiError
from hume_runner.services.base import ListingUnsupported
from hume_runner.services.expression_v1.client import ExpressionV1Api
from hume_runner.services.expression_v1.reading import RunView
from hume_runner.services.expression_v1.runs import CLOCK_MARGIN_S
from hume_runner.services.lost import LostJob

_TOLD_RUNS = 100
# Statuses of a list that is not there.
_NO_LIST = frozenset({400, 404, 405, 410, 501})


class Account:
    """One key at one endpoint: connected to at its first request, and what it has shown so far."""

    def __init__(
        self, endpoint: str, connect: Callable[[], ExpressionV1Api], on_server_time: Callable[[float], None]
    ) -> None:
        self.endpoint = endpoint
        self._connect = connect
        self._on_server_time = on_server_time
        self._client: ExpressionV1Api | None = None
        self._connecting = threading.Lock()
        self.simulated = False
        self.requests: Counter[str] = Counter()
        self.server_time_s = -math.inf  # the latest that an answer told
        self.under_way: dict[str, tuple[str, float]] = {}  # nonce -> (endpoint, server time before it)
        self.told: dict[str, float] = {}  # run id -> the server time of its answer, of the last few
        self.lost_here: dict[str, bool] = {}  # nonce -> whether the server time was known when it left
        self.before: set[str] = set()  # run ids that were listed before anything was sent
        self.explained: set[str] = set()  # silent runs that a lost upload is asked about already

    @property
    def http(self) -> ExpressionV1Api:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def runs(self, since: float = -math.inf, **filters: Any) -> Iterator[RunView]:
        """The list of runs since then, newest first; it tells the service's time as well.

        Raises: ListingUnsupported for a host that has none, ApiError.
        """
        http = self.http  # without a key nothing is asked, and nothing counted
        self.requests["list"] += 1
        if since > -math.inf:
            filters["started_after"] = since
        try:
            yield from http.list_runs(on_date=self.saw_time, **filters)
        except ApiError as error:
            if error.status in _NO_LIST:
                raise ListingUnsupported(str(error)) from error
            raise

    def greet(self) -> None:
        """A cheap first request. Raises: ApiError, ListingUnsupported."""
        self.before |= {run.run_id for run in islice(self.runs(page_size=1), 1) if run.run_id}

    def saw_time(self, server_time_s: float) -> None:
        self.server_time_s = max(self.server_time_s, server_time_s)
        self._on_server_time(server_time_s)

    def measured(self, run_id: str, *, simulated: bool, server_time_s: float | None) -> None:
        """An upload was answered."""
        self.simulated = simulated
        if server_time_s is not None:
            self.told[run_id] = server_time_s
            if len(self.told) > _TOLD_RUNS:
                self.told.pop(next(iter(self.told)), None)
            self.saw_time(server_time_s)

    def listed_before(self, lost: LostJob) -> Set[str]:
        """Runs that were listed before a submission was sent, which is known of those of this run."""
        return self.before if lost.job.nonce in self.lost_here else frozenset()

    def awaited_since(self, endpoint: str) -> float:
        """The earliest time, by the service's clock, of a run that an upload under way may be waiting for."""
        since = (began for where, began in list(self.under_way.values()) if where == endpoint)
        return min(since, default=math.inf) - CLOCK_MARGIN_S
