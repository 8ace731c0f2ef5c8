"""How the streams are doing, over HTTP on this machine: for Prometheus and for scripts."""

from __future__ import annotations

import json
import logging
import re
import socket
import sys
import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from streamavis.errors import WireAddressError, WireError
from streamavis.limits import LogLimiter, Places, scarce
from streamavis.sinks.prometheus import as_json, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamavis.status import EngineReport

__all__ = ["loopback", "serve_metrics"]

_TIMEOUT_S = 2.0  # what a client is granted between two parts of its question
_POLL_S = 0.1  # how soon a stop is noticed
# Connections at once; each has a thread. For one more, the oldest is closed, so that silent or
# slow ones do not keep Prometheus out.
_MAX_CONNECTIONS: Final = 16
_lines: Final = LogLimiter(logging.getLogger(__name__).error, time.monotonic_ns)
_HOST: Final = re.compile(r"(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d{1,5})?")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection; `answers` has kind and text of each path."""

    timeout = _TIMEOUT_S
    answers: ClassVar[dict[str, tuple[str, Callable[[], str]]]] = {}

    def do_GET(self) -> None:
        # A page of another site that points its name at this machine (DNS rebinding).
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
            self.send_error(421, "ask for 127.0.0.1 or localhost")
            return
        kind, answer = self.answers.get(self.path, ("", None))
        if answer is None:
            self.send_error(404, "there are /metrics and /stats")
            return
        body = answer().encode()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        """Of errors too."""
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """A question every few seconds is no news."""


class _Server(ThreadingHTTPServer):
    """A thread for each connection, and a number of connections."""

    daemon_threads = True
    request_queue_size = 32  # accepted by the system while a thread starts

    def __init__(self, address: tuple[str, int], handler: type[_Handler]) -> None:
        self._lock = threading.Lock()
        self._places = Places(
            new=_MAX_CONNECTIONS, new_each=_MAX_CONNECTIONS, proven=0, proven_each=0
        )
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Take a connection; the oldest leaves where there are too many."""
        with self._lock:
            leaving = self._places.take(request, str(client_address[0]))
        for each in leaving:
            with suppress(OSError):  # it is gone already
                cast("socket.socket", each).shutdown(socket.SHUT_RDWR)
        if scarce(request.fileno()):
            self.shutdown_request(request)
        else:
            super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection is over."""
        with self._lock:
            self._places.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves early is no news; an error of ours is, once a minute."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _lines.tell(str(type(error)), f"--metrics: an answer failed: {error!r}")


@contextmanager
def serve_metrics(address: str, reports: Callable[[], dict[str, EngineReport]]) -> Iterator[str]:
    """Answer `GET /metrics` (Prometheus) and `GET /stats` (JSON) on this machine.

    Args:
        address: `127.0.0.1:PORT`, `localhost:PORT` or `[::1]:PORT`; port 0: any that is free.
        reports: asked for every answer.

    Yields:
        The URL of the metrics.

    Raises:
        WireAddressError: the address is malformed or not loopback.
        WireError: it is in use.
    """
    host, port = loopback(address)

    class Handler(_Handler):
        answers: ClassVar = {
            "/metrics": ("text/plain; version=0.0.4", lambda: as_text(reports())),
            "/stats": ("application/json", lambda: json.dumps(as_json(reports()))),
        }

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        raise WireError(f"--metrics {address}: {error.strerror}") from error
    thread = threading.Thread(
        target=server.serve_forever, args=(_POLL_S,), name="streamavis-metrics", daemon=True
    )
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        server.server_close()


def loopback(address: str) -> tuple[str, int]:
    """Host and port of an address of this machine.

    Raises:
        WireAddressError: it is malformed or not loopback.
    """
    host, colon, port = address.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        is_here = ip_address(host).is_loopback and colon == ":"
    except ValueError:
        is_here = False
    if not is_here or not port.isdecimal() or int(port) > 65_535:
        raise WireAddressError(
            f"--metrics {address}: expected 127.0.0.1:PORT; to let other machines read it, "
            "put a proxy that asks for a password before it"
        )
    return host, int(port)
