"""What the service said to one try of one job, where the state may not have been told."""

from __future__ import annotations

from hume_runner.frozen import frozen


@frozen
class Said:
    """As whoever sent it knew it. `nonce` is the try's, `asked` the hash of the request; `at`, when it was said, and
    `created_at` are Unix seconds, the latter by the service's clock."""

    number: int
    nonce: str
    asked: str
    endpoint: str
    remote_id: str
    created_at: float | None
    simulated: bool
    at: float
    carry: str | None = None
    billed_seconds: float | None = None
