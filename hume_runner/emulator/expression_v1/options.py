"""What tests may change about the Expression Measurement API while the server runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from hume_runner.emulator.context import Refused
from hume_runner.emulator.expression_v1.face_state import LIFETIME_S
from hume_runner.emulator.faults import FaultError, parse_duration_s


@dataclass(slots=True, kw_only=True)
class ExpressionOptions:
    """Changed by `POST /_emulator/expression`, which takes the members below; absent ones stay as they are."""

    body_bytes: int = 25_000_000  # of a whole multipart body
    concurrent_uploads: int | None = None  # more are refused with 503 server_busy; None: any number
    run_visible_after_s: float = 0.0  # how long a new run is shown by no run operation
    unrecorded_runs: int = 0  # so many next uploads are measured and billed, and never shown
    failing_measurements: int = 0  # so many next uploads fail with 500 internal_error once they are taken in
    face_state_lifetime_s: float = float(LIFETIME_S)

    def change(self, given: dict[str, Any]) -> dict[str, Any]:
        """Raises: Refused (400) for an unknown member or a value that makes no sense; then nothing is changed."""
        checked = {name: self._checked(name, value) for name, value in given.items()}
        for name, value in checked.items():
            setattr(self, name, value)
        return asdict(self)

    def _checked(self, name: str, value: Any) -> Any:
        known = {field.name for field in fields(self)}
        if name not in known:
            raise Refused.message(400, f"{name}: must be one of {', '.join(sorted(known))}")
        if name.endswith("_s"):
            try:
                return parse_duration_s(value)
            except FaultError as error:
                raise Refused.message(400, f"{name}: {error}") from None
        if value is None and name == "concurrent_uploads":
            return None
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise Refused.message(400, f"{name}: must be a whole number")
        return value
