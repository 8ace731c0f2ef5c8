"""Addresses: this machine's own for everybody, a network's only for those who say how."""

from __future__ import annotations

import ipaddress
import re
import socket
from functools import cache
from pathlib import Path

from streamavis.errors import WireAddressError, WireError

__all__ = ["host_boot_id", "is_local", "to_bind", "to_connect"]

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.]+\]|[^:/;\[\]\s]+):(?P<port>\*|\d{1,5})")
_IPC = re.compile(r"ipc://(?P<path>[^\0*][^\0]*)")
# A host name of RFC 1123; one whose last label is a number would be read as an address.
_NAME = re.compile(
    r"(?!.{254})(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*"
    r"(?![0-9]+$)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
_TO_BIND = "tcp://127.0.0.1:PORT, tcp://127.0.0.1:* (any free port) or ipc://PATH"
_TO_CONNECT = "tcp://HOST:PORT, as the publisher says it, or ipc://PATH"


def to_bind(address: str, *, beyond: bool = False) -> str:
    """Return what a publisher may bind for `address`.

    Args:
        address: a port of this machine or a local socket.
        beyond: it may be one that other machines reach.

    Raises:
        WireAddressError: it is malformed or out of bounds.
        WireError: it is a file that a bind would destroy, or in use.
    """
    if match := _IPC.fullmatch(address):
        _check_ipc(Path(match["path"]))
        return address
    host, port = _parts(address)
    host = "0.0.0.0" if host == "*" else host
    ip = _ip(host)
    if ip is None and beyond:
        raise WireAddressError(
            f"{address} names no address of this machine; bind tcp://0.0.0.0:{port}"
        )
    if not beyond and not _is_loopback(host):
        raise WireAddressError(
            f"{address} can be reached from other machines, and without keys nothing leaves this "
            f"one; make some (streamavis keys init, then add NAME) and publish with them, say "
            f"--insecure (insecure=True) where anybody may listen, or use {_TO_BIND}"
        )
    return _endpoint(host, port)


def to_connect(address: str, *, beyond: bool = False) -> str:
    """Return what a subscriber may connect to for `address`.

    Args:
        address: a publisher's.
        beyond: it may be one on another machine.

    Raises:
        WireAddressError: it is malformed, out of bounds, or names no port or machine.
    """
    if _IPC.fullmatch(address):
        return address
    host, port = _parts(address, _TO_CONNECT)
    ip = _ip(host)
    if port == "*":
        raise WireAddressError(f"{address} names no port; connect to the publisher's `endpoint`")
    if host == "*" or (ip is not None and ip.is_unspecified):
        raise WireAddressError(f"{address} names no machine; use the address of the publisher's")
    if not beyond and not _is_loopback(host):
        raise WireAddressError(
            f"{address} is another machine, and without a key anybody could answer for it; read "
            "with the key file made there by `streamavis keys add NAME`: --key FILE (key=FILE), "
            "or say --insecure (insecure=True)"
        )
    if ip is None and not _NAME.fullmatch(host):
        raise WireAddressError(
            f"{address} names no machine: {host!r} is neither an address nor a name"
        )
    return _endpoint(host, port)


def is_local(address: str) -> bool:
    """Say whether only this machine can reach `address`.

    Raises:
        WireAddressError: it is malformed.
    """
    return _IPC.fullmatch(address) is not None or _is_loopback(_parts(address)[0])


@cache
def host_boot_id() -> str | None:
    """Identify this boot of this machine, whose processes share one monotonic clock."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:  # not Linux
        return None


def _parts(address: str, forms: str = _TO_BIND) -> tuple[str, str]:
    """Return host and port of a TCP address; the port in plain digits, or `*`."""
    match = _TCP.fullmatch(address)
    if match is None:
        meant = f"tcp://{address.rpartition('//')[2]}"  # the scheme is missing, or another one
        guess = f"did you mean {meant}? " if _TCP.fullmatch(meant) else ""
        raise WireAddressError(f"{address[:200]!r} is no address; {guess}use {forms}")
    host, port = match["host"].strip("[]"), match["port"]
    if port != "*" and int(port) > 65_535:
        raise WireAddressError(f"{address} has port {port}, expected 1 to 65535 or *")
    port = "*" if port == "*" or int(port) == 0 else str(int(port))
    return "127.0.0.1" if host == "localhost" else host, port


def _endpoint(host: str, port: str) -> str:
    # Built anew from the parts that were understood, so that nothing else reaches the library.
    ip = _ip(host)
    if ip is None:
        return f"tcp://{host}:{port}"
    return f"tcp://[{ip}]:{port}" if ip.version == 6 else f"tcp://{ip}:{port}"


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_loopback(host: str) -> bool:
    ip = _ip(host)
    return ip is not None and ip.is_loopback


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
