"""What a URL in a manifest or a list may be, and the endpoint that requests go to.

Messages never repeat a query string, a user name or a password.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from hume_runner.hosts import is_loopback

# One match settles nearly every URL of a list of a million, and gives the parts of its id. No blanks, no control
# characters, no backslash (read as '/' by some), no user name; the host is a name or a bracketed address.
GOOD_URL = re.compile(
    r"[hH][tT][tT][pP][sS]?://"
    r"([^\x00-\x20\x7f/?#@\\:\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    r"(/[^\x00-\x20\x7f?#\\]*)?"
    r"(?:[?#][^\x00-\x20\x7f\\]*)?"
)


def url_fault(url: str) -> tuple[str, str] | None:
    """What is wrong with the URL of a source (message, next step), or None."""
    match = GOOD_URL.fullmatch(url)
    if match and (match[2] is None or int(match[2][1:]) < 65536) and match[1].strip("."):
        path = match[3]
        if path and "/.." in path and ".." in path.split("/"):
            return "has a '..' in its path", "write the path without '..'"
        return None
    return _explain(url)


def _explain(url: str) -> tuple[str, str]:
    scheme, separator, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    faults = (
        (not separator, "is not a URL", "write it with https://, or list a file under sources.files"),
        (scheme.lower() == "file", "is a file, which no service can fetch", "list its path under sources.files"),
        (
            scheme.lower() not in ("http", "https"),
            "must be an http or https URL",
            "use an https URL, or download it and list it under sources.files",
        ),
        (
            re.search(r"[\x00-\x20\x7f\\]", url),
            "has a blank, a backslash or a control character",
            "encode it: a blank is %20",
        ),
        ("@" in authority, "carries a user name or password", "use a signed URL instead"),
        (not authority.strip(".") or authority[0] == ":", "has no host", "write https://HOST/PATH"),
    )
    for wrong, message, hint in faults:
        if wrong:
            return message, hint
    return "has a host or port that cannot be", "write https://HOST/PATH"


def origin_fault(url: str) -> tuple[str, str] | None:
    """What is wrong with a URL that secrets or results are sent to: an endpoint or a callback."""
    fault = url_fault(url)
    if fault:
        # The next step for a source (download it, sign it, list it as a file) is none for these.
        told, hint = fault
        sources = "sources.files" in hint or "signed URL" in hint
        return told, "write https://HOST, and a path if the host needs one" if sources else hint
    parts = urlsplit(url)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        return "must be https: http is only for this machine", "write https://"
    return None


def endpoint_fault(endpoint: str) -> tuple[str, str] | None:
    """What is wrong with `service.endpoint` or `--endpoint`."""
    if endpoint == "emulator":
        return None
    if "://" not in endpoint:
        return "must be 'emulator' or an https URL", "for example https://api.hume.ai, without a path of an operation"
    fault = origin_fault(endpoint)
    if fault:
        return fault
    if re.search(r"[?#]", endpoint):
        return "must not have a query or fragment", "write https://HOST, and a path if the host needs one"
    return None
