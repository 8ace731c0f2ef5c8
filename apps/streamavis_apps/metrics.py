"""`--metrics HOST:PORT`: how the streams are doing, for Prometheus and for scripts."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING

from streamavis.errors import WireAddressError, WireError
from streamavis.runtime.prometheus import as_json, as_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamavis.runtime.delivery import EngineReport

__all__ = ["loopback", "serve_metrics"]

_TIMEOUT_S = 2.0  # what a client is granted to ask its question


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

    class Handler(BaseHTTPRequestHandler):
        timeout = _TIMEOUT_S

        def do_GET(self) -> None:
            answers = {
                "/metrics": ("text/plain; version=0.0.4", lambda: as_text(reports())),
                "/stats": ("application/json", lambda: json.dumps(as_json(reports()))),
            }
            kind, answer = answers.get(self.path, ("", None))
            if answer is None:
                self.send_error(404, "there are /metrics and /stats")
                return
            body = answer().encode()
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A question every few seconds is no news."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise WireError(f"--metrics {address}: {error.strerror}") from error
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, name="streamavis-metrics", daemon=True)
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
