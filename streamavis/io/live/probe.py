"""Whether it is worth while to open a device: found out in a moment, without opening it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from streamavis.io.live.address import DeviceAddress

__all__ = ["is_waited_for", "network_problem"]

_PORTS = {"rtsp": 554, "rtsps": 322, "rtmp": 1935, "http": 80, "https": 443}


def network_problem(address: DeviceAddress, patience_s: float) -> str:
    """Why nothing can come from a network address now; "" where something answers at its port.

    Connects and hangs up, which sends nothing. "" as well where that would prove nothing: to
    whom one listens, and what is reached through a proxy.
    """
    parts = urlsplit(address.target)
    host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    if is_waited_for(address) or host is None or port is None:
        return ""
    if parts.scheme in getproxies() and not proxy_bypass(host):
        return ""
    try:
        socket.create_connection((host, port), patience_s).close()
    except TimeoutError:
        return f"{address.name}: no answer within {patience_s:g} s"
    except (socket.gaierror, UnicodeError):
        return f"{address.name}: there is no such host"
    except OSError as error:
        return f"{address.name}: {_cause(error)}"
    return ""


def is_waited_for(address: DeviceAddress) -> bool:
    """True where the other side begins: there is nobody to call, and to wait costs nothing."""
    parts = urlsplit(address.target)
    listens = parse_qs(parts.query).get("listen", ["0"])[-1] not in ("", "0")
    return parts.scheme == "udp" or listens


def _cause(error: OSError) -> str:
    cause = error.strerror or str(error)
    return cause[:1].lower() + cause[1:]
