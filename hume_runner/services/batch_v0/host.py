"""One key at one endpoint of batch-v0, and what it has shown so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from hume_runner.errors import ApiError, NotFound, RequestRejected, UnexpectedResponse
from hume_runner.services.base import ListingUnsupported
from hume_runner.services.batch_v0.client import BatchV0Api
from hume_runner.services.batch_v0.matching import Sent
from hume_runner.services.batch_v0.reading import JobView, read_job, unusable_id

# Statuses of a list that is not there: the jobs are then asked about one by one.
_NO_LIST = frozenset({400, 404, 405, 410, 501})
# Statuses of a job that this key cannot open.
_NOT_OURS = frozenset({400, 403, 404, 410})
# After so many lists in a row that leave out a job which the host has, its list is not relied on.
MISSES = 3
_NAMELESS = "the list has entries without an id"
_NO_USE = "nothing of it can be fetched from there: ask the host's people"


class Host:
    """One key at one endpoint: connected to when the first request is due, and what it has shown so far.

    `lists`: it has a list of jobs at all. `misses`: how many lists in a row left a job out that the host has all the
    same; `partial`: its list cannot be relied on for polling. `margin_s`: how much earlier than we think jobs may have
    been created, by the times that its list gives. `page_length`: entries of the list's latest page; `longest_page`: of
    the longest so far.
    """

    def __init__(self, connect: Callable[[], BatchV0Api], saw_time: Callable[[float], None]) -> None:
        self.saw_time = saw_time
        self._connect = connect
        self._client: BatchV0Api | None = None
        self.lists = True
        self.partial = False
        self.misses: Counter[str] = Counter()
        self.doubted: Counter[str] = Counter()  # how often details did not tell whether a job failed
        self.margin_s = 5.0
        self.page_length = self.longest_page = 0
        self.opened = False  # it has details of jobs
        self.nameless = 0  # entries of lists without an id, so far
        self.nameless_as = _NAMELESS  # the same in words
        self.simulated: bool | None = None
        self.requests: Counter[str] = Counter()
        self.sent: dict[int, Sent] = {}  # what the jobs carry that this run sent and that are not done

    @property
    def http(self) -> BatchV0Api:
        if self._client is None:
            self._client = self._connect()
        return self._client

    def count(self, kind: str) -> None:
        """A request is about to be sent. Raises: NoKey before the first one where there is nothing to ask with."""
        _ = self.http
        self.requests[kind] += 1

    def listed(self, **filters: Any) -> list[JobView]:
        """One page, see `page`."""
        return list(self.page(**filters))

    def page(self, **filters: Any) -> Iterator[JobView]:
        """One page, entry by entry. Raises: ListingUnsupported for a host that has no list, ApiError."""
        if not self.lists:
            raise ListingUnsupported
        self.count("list")
        try:
            listed = self.http.list_jobs(**filters)
        except ApiError as error:
            if error.status in _NO_LIST:
                self.lists = False
                raise ListingUnsupported from error
            raise
        self.simulated = listed.simulated
        if listed.server_date_s is not None:
            self.saw_time(listed.server_date_s)
        sound = False
        self.page_length = 0
        for raw in listed.jobs:
            self.page_length += 1
            self.longest_page = max(self.longest_page, self.page_length)
            try:
                view = read_job(raw)
            except UnexpectedResponse as error:
                if unusable_id(raw.get("job_id")):
                    self.nameless_as = f"{error}; {_NO_USE}"
                # An entry without an id is nothing that could be asked about; the details of our own jobs tell of them.
                # An empty one is no job at all.
                self.nameless += bool(raw)
                continue
            sound = True
            yield view
        if listed.holds_others and not sound:
            # Beside jobs a word or a number is nothing; alone they may be the names of jobs.
            self.nameless += 1

    def details(self, remote_id: str) -> JobView:
        """A job as its details tell it. Raises: NotFound, ApiError."""
        answer = self.http.ask_details(remote_id)
        self.simulated = answer.simulated
        self.opened = True
        return read_job(answer.job)

    def detailed(self, view: JobView) -> JobView:
        """The same job as its details tell it; the entry as it is where there are none."""
        self.count("details")
        try:
            return self.details(view.job_id)
        except (NotFound, RequestRejected, UnexpectedResponse):
            return view

    def opens(self, remote_id: str, detailed: dict[str, JobView]) -> bool:
        """Whether this key can open a job, asked once a look; of one that could not be asked it is believed."""
        if remote_id in detailed:
            return True
        self.count("details")
        try:
            detailed[remote_id] = self.details(remote_id)
        except UnexpectedResponse:
            return True
        except ApiError as error:
            return not (isinstance(error, NotFound) or error.status in _NOT_OURS)
        return True
