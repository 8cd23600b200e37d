"""Which addresses a download may reach, and connections that reach no other.

A name is resolved once per connection, every address of it is checked, and the connection goes to one that was checked:
a name that answers with another address the second time it is asked gains nothing. TLS and the Host header keep the
name. Because the check sits in the connection, a redirect cannot get around it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Collection
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import create_connection

from hume_runner.http.deadline import Exchange

# resolve(host, port) -> numeric addresses; raises OSError.
Resolve = Callable[[str, int], Collection[str]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NEVER = (
    ipaddress.ip_network("192.0.0.0/24"),  # older Pythons count most of it as global; one cloud keeps metadata there
    ipaddress.ip_network("168.63.129.16/32"),  # a public address that is a cloud's own service in every network there
    ipaddress.ip_network("64:ff9b:1::/48"),  # a network's own translation to IPv4
)


class AddressRefused(Exception):
    """A host that is, or might be, inside somebody's network."""


def system_resolve(host: str, port: int) -> tuple[str, ...]:
    """What this machine makes of a name, in the order that it prefers."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def is_public(address: str) -> bool:
    """Whether an address is on the open internet: not private, loopback, link-local, shared, reserved or multicast,
    and not an IPv6 address that carries such an IPv4 address inside."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if parsed.is_multicast or not parsed.is_global or any(parsed in network for network in _NEVER):
        return False
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = [parsed.ipv4_mapped, parsed.sixtofour, *(parsed.teredo or ())]
        if parsed in _NAT64:
            inner.append(ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF))
        return all(is_public(str(one)) for one in inner if one is not None)
    return True


class AddressRule:
    """Public addresses, and the hosts that the manifest names (`host` or `host:port`) whatever their addresses."""

    def __init__(self, allow_hosts: Collection[str] = (), resolve: Resolve = system_resolve) -> None:
        self._allowed = frozenset(_plain(host) for host in allow_hosts)
        self._resolve = resolve

    def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Where to connect. Raises: AddressRefused if any address of the host is not public; OSError if it has none."""
        name = _plain(host)
        found = tuple(self._resolve(host.strip("[]"), port))
        if name in self._allowed or f"{name}:{port}" in self._allowed:
            return found
        for address in found:
            if not is_public(address):
                raise AddressRefused(f"{host} is at {address}, which is not a public address")
        return found


def _plain(host: str) -> str:
    return host.lower().rstrip(".").replace("[", "").replace("]", "")


class CheckedAdapter(HTTPAdapter):
    """An adapter whose connections go to checked addresses, never through a proxy, and report to an exchange."""

    def __init__(self, rule: AddressRule, exchange: Exchange) -> None:
        self._pools = _pool_classes(rule, exchange)
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools


def _pool_classes(rule: AddressRule, exchange: Exchange) -> dict[str, type[HTTPConnectionPool]]:
    """The library makes connections by class, with no place for an argument; so the classes are made here."""

    def connect(connection: HTTPConnection) -> socket.socket:
        refused: OSError | None = None
        for address in rule.addresses(connection.host, connection.port):
            try:
                sock = create_connection(
                    (address, connection.port),
                    connection.timeout,
                    source_address=connection.source_address,
                    socket_options=connection.socket_options,
                )
            except OSError as error:
                refused = error
                continue
            exchange.attach(sock)
            return sock
        raise refused or OSError(f"{connection.host} has no address")

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return connect(self)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}
