"""Connections of the HTTP library that report to an `Exchange`: when bytes leave, and on which socket.

Whether a request can have arrived is read off the connection itself. Guessing it from the exception is what goes wrong
elsewhere: one exception class covers a refused connection, a reset in the middle of an upload and a lost answer.
"""

from __future__ import annotations

import socket
import threading
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from hume_runner.http.deadline import Exchange

# The library opens a connection deep inside its own calls, with no argument of ours in reach.
_current = threading.local()


def set_current(exchange: Exchange | None) -> None:
    """Say which exchange this thread is sending; None afterwards."""
    _current.exchange = exchange


class _Reporting(HTTPConnection):
    """The part that plain and TLS connections share."""

    _connecting = False

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        exchange: Exchange | None = getattr(_current, "exchange", None)
        if exchange is not None:
            # From here on, so that a TLS handshake which never ends is covered, too.
            exchange.attach(sock)
        return sock

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        exchange: Exchange | None = getattr(_current, "exchange", None)
        if exchange is None or self._connecting:  # a proxy's CONNECT is not the request
            super().send(data)
            return
        if self.sock is None and self.auto_open:
            self.connect()
        if self.sock is not None:
            if not exchange.attached:
                exchange.attach(self.sock)  # a connection that was kept from an earlier request
            # The library leaves the connect timeout in place while it sends, which is short for a slow uplink.
            self.sock.settimeout(exchange.read_timeout_s)
        exchange.sent = True
        try:
            super().send(data)
        except TimeoutError as error:
            # The server does not take the rest. It may have answered already (413, 401): for a broken pipe the
            # library goes on to read what is there.
            raise BrokenPipeError("the server stopped reading") from error


class ReportingHTTPConnection(_Reporting):
    pass


class ReportingHTTPSConnection(_Reporting, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = ReportingHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = ReportingHTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class ReportingAdapter(HTTPAdapter):
    """An adapter whose connections, direct or through a proxy, report to the current exchange. It never retries."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager
