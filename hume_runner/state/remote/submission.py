"""One submission of a remote state, in the order of `protocol.SUBMISSION`."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

from hume_runner.errors import HumeRunnerError, StoreUnavailable
from hume_runner.http.last_byte import NotConfirmed, held_back
from hume_runner.services.jobs import Accepted, Answered, Refused, SubmitResult
from hume_runner.state.keeping import Intent, Send
from hume_runner.state.remote.answers import GivenOnce, answer_name
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.owner import Owner
from hume_runner.state.remote.protocol import Step, after_the_answer, before_sending, before_the_last_byte
from hume_runner.state.remote.redo import Answer


class Submission:
    """Runs in a worker. `turn`: the entry that holds the intent; `missed` is called where nobody else could be told of
    the answer; `once` keeps what is given once."""

    def __init__(
        self,
        owner: Owner,
        driver: Driver,
        intent: Intent,
        turn: int,
        send: Send,
        missed: Callable[[int], None],
        once: GivenOnce,
    ) -> None:
        self._owner = owner
        self._driver = driver
        self._intent = intent
        self._turn = turn
        self._send = send
        self._missed = missed
        self._once = once
        self._leaving = False

    def __call__(self) -> SubmitResult:
        try:
            for step in before_sending():
                self._do(step, None)
        except HumeRunnerError as error:
            # Nothing was sent, and nothing will be: the run ends with what broke.
            return Refused(reason="not_sent", message=f"not sent: {error}", temporary=True, hint=error.hint)
        try:
            with held_back(self._confirm):
                result = self._send()
        finally:
            if self._leaving:
                self._owner.has_left()
        if isinstance(result, Accepted | Answered):
            try:
                for step in after_the_answer():
                    self._do(step, result)
            except HumeRunnerError:
                self._missed(self._intent.number)
        return result

    def _confirm(self) -> None:
        """All but the last byte has left."""
        monotonic, lease_s = self._driver.clock.monotonic, self._driver.timing.lease_s
        began = monotonic()
        try:
            for step in before_the_last_byte():
                self._do(step, None)
            if monotonic() - began > lease_s:
                # Proved too long ago: this process slept over the answer, and somebody may own the state by now.
                raise StoreUnavailable(f"{self._driver.place}: the proof that the state is ours came too late")
            if not self._leaving:
                self._owner.may_leave()
        except HumeRunnerError as error:
            raise NotConfirmed(f"not sent: {error}", hint=error.hint) from error
        self._leaving = True

    def _do(self, step: Step, result: Accepted | Answered | None) -> None:
        match step:
            case Step.INTEND:
                self._owner.flush(self._turn)
            case Step.CONFIRM:
                self._owner.confirm()
            case Step.ACCEPT:
                assert result is not None
                self._owner.flush(self._owner.note(answer=self._answer(result)))
            case Step.SEND_MOST | Step.SEND_LAST:
                raise AssertionError(step)  # the transport's
            case _:
                assert_never(step)

    def _answer(self, result: Accepted | Answered) -> Answer:
        intent = self._intent
        answered = result if isinstance(result, Answered) else None
        record = Answer(
            number=intent.number,
            nonce=intent.nonce,
            asked=intent.sha256,
            endpoint=intent.endpoint,
            remote_id=result.remote_id,
            created_at=result.server_time_s if result.server_time_s is not None else intent.wall,
            simulated=result.simulated,
            at=intent.wall,
            carry=answered.carry if answered else None,
            billed_seconds=answered.billed_seconds if answered else None,
            kept=answer_name(intent.nonce) if answered else None,
        )
        if answered is not None:
            # It exists nowhere else: it is there before it counts.
            self._once.keep(intent.nonce, answered.body, record)
        return record
