"""An owner that sleeps while another takes the state, writes a snapshot, and removes what that covers: what it finds
missing when it wakes is no damage."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.errors import HumeRunnerError
from hume_runner.state.remote import keeper
from tests.object_stores import S3Server, only
from tests.state.remote.machines import Study, accepted
from tests.stores.proxy import Proxy, proxied

# A run of its own asks the store so often; one that goes on reads what it needs in the first of these.
REQUESTS = [(False, number) for number in range(1, 36)] + [(True, number) for number in range(1, 31)]


@dataclass(kw_only=True)
class Sleeper:
    """At one request to the store a machine sleeps, with all its threads, while `meanwhile` happens. That request is
    answered by a failure, or as if nothing were."""

    proxy: Proxy
    number: int
    landed: bool
    lost: bool
    meanwhile: Callable[[], None]
    count: int = 0
    woken_from: str = ""
    awake: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.proxy.before, self.proxy.after = self._before, self._after
        self._chosen = threading.local()

    def _before(self, method: str, path: str) -> int | None:
        with self._lock:  # all others wait here while it sleeps
            self.count += 1
            self._chosen.it = self.count == self.number
            return self._sleep(method, path) if self._chosen.it and not self.landed else None

    def _after(self, method: str, path: str) -> int | None:
        if not self._chosen.it or not self.landed:
            return None
        with self._lock:
            return self._sleep(method, path)

    def _sleep(self, method: str, path: str) -> int | None:
        self.woken_from = f"{method} {path}"
        try:
            self.meanwhile()
        finally:
            self.awake.set()
        return 500 if self.lost else None


@pytest.mark.sweep
@pytest.mark.parametrize(("gone_on", "number"), REQUESTS)
@pytest.mark.parametrize(
    ("landed", "lost"), [(False, False), (True, False), (True, True)], ids=["before", "after", "answer lost"]
)
def test_what_is_missed_after_a_long_sleep_is_another_s_doing(
    study: Study,
    s3: S3Server,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    gone_on: bool,
    number: int,
    landed: bool,
    lost: bool,
) -> None:
    if gone_on:
        study.texts = 2
        study.run("a")
        study.run("c")
    monkeypatch.setattr(keeper, "_MANY_ENTRIES", 0)  # every owner leaves a snapshot, and removes what it covers
    study.texts = 4

    codes: list[int] = []

    def others() -> None:
        only(monkeypatch, s3.environ)
        study.texts = 5
        codes.append(study.run("b").exit_code)
        study.texts = 4

    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        sleeper = Sleeper(proxy=proxy, number=number, landed=landed, lost=lost, meanwhile=others)
        said = ""
        try:
            codes.append(study.run("c").exit_code)
        except HumeRunnerError as error:
            codes.append(error.exit_code)
            said = str(error)
        # Its own request may have taken too long for it, so that it is over before the others are.
        assert not sleeper.woken_from or sleeper.awake.wait(60)
    only(monkeypatch, s3.environ)
    study.texts = 5
    codes.append(study.run("d").exit_code)
    if codes[-1] == 9:
        assert not gone_on  # what became of a request tells nothing where the list shows no job of this state
        codes.append(study.run("d", pay_again=True).exit_code)
    assert set(codes) <= {0, 5, 6, 9}, (sleeper.woken_from, said)
    assert codes[-1] == 0
    assert accepted(emulator) == 5
