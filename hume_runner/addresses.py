"""Which ways of writing an address are one address. Pure."""

from __future__ import annotations

import re
from urllib.parse import quote

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PORTS = {"http": "80", "https": "443"}
# What stands in an address as it is; a "%" begins an octet, or is one by itself.
_STANDS = "!#$%&'()*+,/:;=?@[]-._~"


def one_address(url: str) -> str:
    """The form that all ways of writing one address have in common, and no other address has.

    RFC 3986, 6.2.2 and 6.2.3: scheme and host in small letters, no default port, unreserved characters as they are,
    other octets in capitals, "/" for no path. What may not stand in an address is written as every client sends it, as
    octets of UTF-8. The fragment is not sent to anybody. Nothing else is brought to one form: the query, the path's
    letters and "http" for "https" may each name something else.
    """
    plain = url.strip().partition("#")[0]
    scheme, mark, rest = plain.partition("://")
    if not mark:
        return _octets(plain)
    end = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
    scheme = scheme.lower()
    after = _octets(rest[end:])
    return f"{scheme}://{_authority(scheme, rest[:end])}{after if after.startswith('/') else '/' + after}"


def _authority(scheme: str, authority: str) -> str:
    user, at, place = authority.rpartition("@")
    host, colon, port = place.rpartition(":")
    if not colon or not (port.isdigit() or not port):  # without a port; the colons may be an IPv6 address's
        host, port = place, ""
    kept = f":{port}" if port and port != _PORTS.get(scheme) else ""
    return _octets(user) + at + _octets(host).lower() + kept


def _octets(part: str) -> str:
    def shown(octet: re.Match[str]) -> str:
        number = int(octet[1], 16)
        return chr(number) if number in _UNRESERVED else octet[0].upper()

    safe = quote(part, safe=_STANDS, errors="surrogatepass")
    return re.sub("%([0-9A-Fa-f]{2})", shown, safe)
