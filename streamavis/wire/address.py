"""Addresses this version may use: loopback and local sockets, nothing a network can reach."""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import cache
from pathlib import Path

from streamavis.errors import WireError

__all__ = ["host_boot_id", "to_bind", "to_connect"]

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/;\[\]\s]+):(?P<port>\*|\d{1,5})")
_IPC = re.compile(r"ipc://(?P<path>[^\0*][^\0]*)")
_FORMS = "tcp://127.0.0.1:PORT, tcp://127.0.0.1:* (any free port) or ipc://PATH"


def to_bind(address: str) -> str:
    """Return what a publisher may bind for `address`.

    Raises:
        WireError: it is malformed, not loopback, or a file that a bind would destroy.
    """
    if match := _IPC.fullmatch(address):
        _check_ipc(Path(match["path"]))
        return address
    return _loopback(address)


def to_connect(address: str) -> str:
    """Return what a subscriber may connect to for `address`.

    Raises:
        WireError: it is malformed, not loopback, or names no port.
    """
    if _IPC.fullmatch(address):
        return address
    endpoint = _loopback(address)
    if endpoint.endswith(":*"):
        raise WireError(f"{address} names no port; connect to the publisher's `endpoint`")
    return endpoint


@cache
def host_boot_id() -> str | None:
    """Identify this boot of this machine, whose processes share one monotonic clock."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux
        return None


def _loopback(address: str) -> str:
    # Built anew from the parts that were understood, so that nothing else reaches the library.
    match = _TCP.fullmatch(address)
    if match is None:
        raise WireError(f"{address[:200]!r} is no address; use {_FORMS}")
    host, port = match["host"].strip("[]"), match["port"]
    if port != "*" and int(port) > 65_535:
        raise WireError(f"{address} has port {port}, expected 1 to 65535 or *")
    if host == "localhost":
        host = "127.0.0.1"
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        ip = None
    if ip is None or not ip.is_loopback:
        raise WireError(
            f"{address} is not loopback, and keys are not part of this version: "
            f"without them nothing may be reachable from a network; use {_FORMS}"
        )
    port = "*" if port == "*" or int(port) == 0 else str(int(port))
    return f"tcp://[{ip}]:{port}" if ip.version == 6 else f"tcp://{ip}:{port}"


def _check_ipc(path: Path) -> None:
    # ZeroMQ unlinks whatever lies at the path before it binds, a running publisher's too.
    if not path.exists():
        return
    if not path.is_socket():
        raise WireError(f"ipc://{path} is a file that exists; name a path that is free")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:  # left behind by a publisher that is gone
            return
    raise WireError(f"ipc://{path} is in use by another publisher; choose another path")
