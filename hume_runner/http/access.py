"""How a service is reached: what its client needs besides its own paths and names."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import field

from hume_runner.frozen import frozen
from hume_runner.http.retry import RetryPolicy
from hume_runner.http.traffic import Traffic
from hume_runner.http.transport import Pacer, RequestsTransport, TransportLimits


@frozen
class Access:
    """`stack` closes what is opened; `timeout_s` is the longest silence of one request."""

    url: str
    key: str = field(repr=False)
    retry: RetryPolicy
    pacer: Pacer
    timeout_s: float
    stack: ExitStack
    max_answer_bytes: int
    traffic: Traffic = field(default_factory=Traffic, repr=False)

    def transport(self, auth_header: str) -> RequestsTransport:
        """Connections that carry the key in this header, closed with `stack`."""
        transport = RequestsTransport(
            self.url,
            self.key,
            auth_header,
            limits=TransportLimits(timeout_s=self.timeout_s, max_body_bytes=self.max_answer_bytes),
            pacer=self.pacer,
            traffic=self.traffic,
        )
        self.stack.callback(transport.close)
        return transport
