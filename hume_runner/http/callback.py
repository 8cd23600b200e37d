"""Tell a URL of the user's that a manifest is finished, for services that do not do so themselves.

The body is signed like many webhooks are: `X-Hume-Runner-Signature: sha256=HEX`, an HMAC-SHA-256 of the bytes of the
body with the manifest's secret. The receiver computes the same and compares.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from urllib.parse import urlsplit

import requests

from hume_runner._version import __version__
from hume_runner.errors import ApiError, ServerError, TransportError
from hume_runner.http.exchanges import tell
from hume_runner.http.retry import RetryPolicy

SIGNATURE_HEADER = "X-Hume-Runner-Signature"
_TIMEOUT_S = (10.0, 30.0)


def signature(body: bytes, secret: str) -> str:
    """The header's value for a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def post_callback(url: str, body: bytes, *, secret: str | None, retry: RetryPolicy) -> None:
    """POST `body` (JSON) to `url`, again while the receiver is unreachable or fails. No redirect is followed.

    Raises: ApiError for the last failure, naming the host alone.
    """
    headers = {"Content-Type": "application/json", "User-Agent": f"hume-runner/{__version__}"}
    if secret is not None:
        headers[SIGNATURE_HEADER] = signature(body, secret)
    host = urlsplit(url).hostname or "the callback"

    def once() -> None:
        began = time.monotonic()
        try:
            response = requests.post(
                url, data=body, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False, stream=True
            )
        except requests.RequestException as error:
            tell("POST", url, status=None, began=began, sent=len(body))
            raise TransportError(f"{host}: {type(error).__name__}", sent=True) from None
        with response:
            status = response.status_code
            tell("POST", url, status=status, began=began, sent=len(body))
        if status >= 500 or status in (408, 429):
            raise ServerError(f"{host} answered {status}", status=503)
        if not 200 <= status < 300:
            raise ApiError(f"{host} answered {status}", status=status)

    retry.call(once)
