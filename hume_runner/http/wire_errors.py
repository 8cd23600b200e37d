"""Every exception of the libraries below, as a TransportError in words of our own. The one place that maps them."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from http.client import HTTPException

import requests
import urllib3

from hume_runner.amounts import seconds_text
from hume_runner.errors import HostUnknown, TransportError
from hume_runner.http.deadline import Exchange


class CertificateRefused(TransportError):
    """The server's certificate is not one we trust. Nothing was sent, and trying again changes nothing."""


class TurnedAway(TransportError):
    """Nothing was sent: the run ends, and the pace would have made this wait. The next run does it."""


# Whatever the libraries below may raise. ValueError: a header or URL that cannot be sent; http.client has its own tree.
LIBRARY_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException, OSError, ValueError)


def transport_error(error: BaseException, exchange: Exchange, where: str, *, never_met: bool = False) -> TransportError:
    """What an exception of the libraries means, in our words. `never_met`: this host has not answered yet.

    The words are our own, because the libraries' messages carry URLs with their queries. Whether anything was sent is
    not read off the exception: the exchange knows.
    """
    if isinstance(error, TransportError):
        return error
    sent = exchange.sent
    if exchange.expired or time.monotonic() >= exchange.ends_at:
        return TransportError(
            f"{where}: no complete answer within {seconds_text(exchange.deadline_s)} s",
            sent=sent,
            hint="the service or the network is slow; the same command later may help",
        )
    causes = tuple(_causes(error))
    certificate = next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None)
    if certificate is not None and not sent:
        return CertificateRefused(
            f"{where}: the server's certificate is not trusted ({certificate.verify_message})",
            sent=False,
            hint="for a private certificate authority set REQUESTS_CA_BUNDLE to its bundle",
        )
    if never_met and not sent and any(isinstance(c, socket.gaierror) and c.errno in _NO_SUCH_NAME for c in causes):
        # A name that was right once may fail to be looked up for a moment; one that never was is misspelt.
        return HostUnknown(f"{where}: there is no host of that name", sent=False, hint=_HINTS[_NOT_KNOWN])
    words = next(
        (words for kind, words in _WORDS if any(isinstance(cause, kind) for cause in causes)), "the connection failed"
    )
    system = next((c.strerror for c in causes if isinstance(c, OSError) and isinstance(c.strerror, str)), None)
    detail = f" ({system})" if system else ""
    return TransportError(
        f"{where}: {words}{detail}", sent=sent, timed_out=words == "no answer in time", hint=_HINTS.get(words, "")
    )


_NO_SUCH_NAME = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
_NOT_KNOWN = "the host name is not known"

# The first that fits names the failure.
_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (urllib3.exceptions.NameResolutionError, _NOT_KNOWN),
    (requests.exceptions.ProxyError, "the proxy does not let us through"),
    (urllib3.exceptions.ProxyError, "the proxy does not let us through"),
    (ConnectionRefusedError, "the connection is refused"),
    (requests.exceptions.ConnectTimeout, "no connection in time"),
    (urllib3.exceptions.NewConnectionError, "no connection"),
    (urllib3.exceptions.ConnectTimeoutError, "no connection in time"),
    (requests.exceptions.ReadTimeout, "no answer in time"),
    (urllib3.exceptions.ReadTimeoutError, "no answer in time"),
    (urllib3.exceptions.TimeoutError, "no answer in time"),
    (requests.exceptions.Timeout, "no answer in time"),
    (TimeoutError, "no answer in time"),
    (requests.exceptions.SSLError, "the TLS connection failed"),
    (urllib3.exceptions.SSLError, "the TLS connection failed"),
    (ssl.SSLError, "the TLS connection failed"),
    (urllib3.exceptions.IncompleteRead, "the answer was cut off"),
    (urllib3.exceptions.InvalidChunkLength, "the answer was cut off"),
    (urllib3.exceptions.InvalidHeader, "the answer's headers make no sense"),
    (requests.exceptions.InvalidHeader, "a header cannot be sent"),
    (requests.exceptions.ContentDecodingError, "the answer is damaged"),
    (urllib3.exceptions.DecodeError, "the answer is damaged"),
    (requests.exceptions.InvalidProxyURL, "the proxy's address makes no sense"),
    (requests.exceptions.InvalidURL, "the address makes no sense"),
    (urllib3.exceptions.LocationValueError, "the address makes no sense"),
    (ConnectionError, "the connection broke"),
    (urllib3.exceptions.ProtocolError, "the connection broke"),
    (requests.exceptions.ConnectionError, "the connection broke"),
    (requests.exceptions.ChunkedEncodingError, "the answer was cut off"),
    (HTTPException, "the answer is not HTTP"),
)

_HINTS = {
    _NOT_KNOWN: "check the spelling of service.endpoint, and the network",
    "the connection is refused": "check that the service runs at service.endpoint",
    "the proxy does not let us through": "check HTTPS_PROXY and NO_PROXY",
    "the proxy's address makes no sense": "check HTTPS_PROXY",
}


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that it wraps: causes, contexts, a `reason`, and exceptions among its arguments."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        nested = [one.__cause__, one.__context__, getattr(one, "reason", None), getattr(one, "original_error", None)]
        waiting += [inner for inner in (*nested, *one.args) if isinstance(inner, BaseException)]
