"""Answers that an owner had, and that no transaction tells of: it ended before the state on its disk heard of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hume_runner.errors import ObjectMissing
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.remote.copies import unpacked_answer
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.objects import ANSWERS
from hume_runner.state.remote.redo import Answer, unpack
from hume_runner.state.store import Store


def take_in(driver: Driver, answers: Sequence[Answer], store: Store, now: float) -> None:
    """Tell the state of these, which stand in entries, and of those that lie there without one. After `recover`.

    Raises: StoreError; StateError for one that is damaged, or gone though an entry names it.
    """
    for one in (*answers, *_in_no_entry(driver, store)):
        if store.number_of(one.endpoint, one.remote_id) is not None:
            continue
        body = None
        if one.kept is not None:
            try:
                body, _ = kept_answer(driver, one.kept)
            except ObjectMissing:
                raise driver.gone(one.kept, "the journal names it") from None
        store.record_rescued(one, body, now)


def _in_no_entry(driver: Driver, store: StateReader) -> Iterator[Answer]:
    """What lies there of submissions whose answer seems lost: its owner vanished before it could say so."""
    waiting = {job.nonce for job in store.jobs(JobStatus.AMBIGUOUS) if job.nonce}
    if not waiting:
        return
    for name in answers_there(driver) & {f"{nonce}.gz" for nonce in waiting}:
        _, record = kept_answer(driver, f"{ANSWERS}/{name}")
        if record:
            yield from unpack(record).answers


def answers_there(driver: Driver) -> set[str]:
    """Names in the folder of answers."""
    folder = driver.name(ANSWERS)
    return {info.key.rpartition("/")[2] for info in driver.patiently(lambda: [*driver.store.list(folder)])}


def kept_answer(driver: Driver, name: str) -> tuple[bytes, bytes]:
    """(an answer, what lies behind it). Raises: ObjectMissing, StoreError, StateError."""
    content = driver.patiently(lambda: driver.store.read(driver.name(name)))
    return unpacked_answer(content.data, f"{driver.store.root}/{driver.name(name)}")
