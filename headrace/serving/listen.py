"""Where the servers listen: a host as an address that they understand, and that their clients do."""

from __future__ import annotations

import ipaddress
import socket

from headrace.errors import StartupError


def resolve(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of a host name, or the address itself. Raises `StartupError`.

    Triton is never given a name: its HTTP server takes one for 255.255.255.255.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        return ipaddress.ip_address(found[0][4][0])
    except (OSError, ValueError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StartupError(
            f"server.host: {host!r} is no address of this machine ({reason}); use 127.0.0.1, 0.0.0.0 or ::"
        ) from None


def own(host: str) -> str:
    """The same host, as a client of this machine writes it in an address."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"[{host}]" if ":" in host else host


def http_address(host: str) -> str:
    """For Triton's HTTP and metrics servers."""
    address = resolve(host)
    return f"ipv6:{address}" if address.version == 6 else str(address)


def grpc_address(host: str) -> str:
    """For Triton's gRPC server, which adds the port."""
    address = resolve(host)
    return f"[{address}]" if address.version == 6 else str(address)
