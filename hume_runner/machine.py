"""The machine that a run is on: disk, environment, clock, random source and sleep, and the way from it to stores."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Mapping

from hume_runner.frozen import frozen
from hume_runner.settings import ModelSettings, Settings
from hume_runner.state.disk import Disk
from hume_runner.stores.opening import Opens, open_store


@frozen
class Machine:
    """What a run takes from the machine; a test replaces parts of it."""

    disk: Disk
    environ: Mapping[str, str]
    settings: Settings
    open_store: Opens = open_store

    @classmethod
    def this(cls) -> Machine:
        return cls(disk=Disk(), environ=os.environ, settings=Settings.from_env(os.environ))

    @property
    def models(self) -> ModelSettings:
        """Where models lie, and where they may come from."""
        return ModelSettings.from_env(self.environ)

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def new_id(self) -> str:
        return uuid.uuid4().hex

    def random(self) -> float:
        return random.random()  # noqa: S311 - jitter, nothing secret
