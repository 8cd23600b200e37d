"""What the environment says of stores, before obstore reads it, which breaks off over an address that is none. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from hume_runner.errors import StoreMisconfigured

# The beginning of the names that obstore reads for a scheme, and those that hold an address.
PREFIX = {"s3": "AWS_", "gs": "GOOGLE_", "az": "AZURE_"}
_ADDRESSES = {
    "s3": (
        *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_ENDPOINT_URL_STS", "AWS_METADATA_ENDPOINT"),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ),
    "gs": ("GOOGLE_BASE_URL", "GOOGLE_ENDPOINT_URL"),
    "az": ("AZURE_ENDPOINT", "AZURE_STORAGE_ENDPOINT", "AZURE_MSI_ENDPOINT", "AZURE_AUTHORITY_HOST"),
}
_NO_SUCH_LETTER = frozenset(' "<>\\^`{|}')


def check(scheme: str, environ: Mapping[str, str]) -> None:
    """Raises: StoreMisconfigured for an address that is none. Its text is not repeated: it may hold a password."""
    for name in _ADDRESSES[scheme]:
        fault = _fault(environ.get(name, ""))
        if fault:
            raise StoreMisconfigured(
                f"the environment variable {name} is no URL: it {fault}",
                hint=f"write it like https://store.example.org:9000, or unset {name}",
            )


def _fault(url: str) -> str:
    """What keeps `url` from being an address, in words; "" for one, and for nothing at all."""
    if not url:
        return ""
    if any(letter in _NO_SUCH_LETTER or not "!" <= letter <= "~" for letter in url):
        return "has a blank, or another letter that no URL has"
    if not url.lower().startswith(("http://", "https://")):
        return "does not begin with http:// or https://"
    try:
        parts = urlsplit(url)
        if not parts.hostname:
            return "names no host"
        if parts.port == 0:
            return "names no port that there is"
    except ValueError:
        return "names no host and port that there are"
    return ""


def holding(scheme: str, value: str, environ: Mapping[str, str]) -> list[str]:
    """The variables of a scheme that hold this."""
    return sorted(name for name, held in environ.items() if name.startswith(PREFIX[scheme]) and held == value)
