"""What tests of this folder talk to: see tests/wire.py."""

from tests.wire import _shared_emulator, connect, emulator, serve, tls_bundle, tls_server, unused_port

__all__ = ["_shared_emulator", "connect", "emulator", "serve", "tls_bundle", "tls_server", "unused_port"]
