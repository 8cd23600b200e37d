"""What a host's name says about where it is."""

from __future__ import annotations

import ipaddress

# The endpoint that is no host: an emulator is started for the run.
EMULATOR = "emulator"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    host = host.strip("[]").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
