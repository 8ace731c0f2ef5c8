"""The web server's connections: how many, for how long, and what is logged of them.

A silent or slow connection costs a descriptor and nothing else, and not for long. Clients get in
beside it: see `limits.Places`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from streamavis.limits import LogLimiter, Places, scarce

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "BACKLOG",
    "HEAD_S",
    "MAX_CLIENTS",
    "MAX_NEW",
    "PLAIN_S",
    "Connection",
    "Door",
    "headers_for",
]

# Connections without a request that was let in yet. A page opens 6 and sends requests at once.
MAX_NEW: Final = 64
_MAX_NEW_EACH: Final = 32  # of one address
# Connections of clients: 32 viewers with a WebSocket and a few requests each.
MAX_CLIENTS: Final = 128
_MAX_CLIENTS_EACH: Final = 112  # of one address, which may be a proxy's or a tunnel's
HEAD_S: Final = 10.0  # from connecting, or the last answer, to a whole request head
# Age at which a connection that is no WebSocket is closed: bounds slow bodies and slow readers.
PLAIN_S: Final = 60.0
BACKLOG: Final = 32  # accepted at once: fewer than the reserved descriptors

_log = logging.getLogger(__name__)


def headers_for(host: str | None) -> Mapping[str, str]:
    """Headers of every answer; `host` as a page may connect to it, None: it may not at all."""
    connect = f"connect-src 'self' ws://{host} wss://{host}; " if host else ""
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        f"{connect}worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
    }


class Door:
    """Makes a `Connection` for each that is accepted; give it to `loop.create_server`."""

    def __init__(self, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        """Prepare; `server` is a set-up runner's."""
        self._server = server
        self._loop = loop
        self._lines = LogLimiter(_log.warning, time.monotonic_ns)
        self._places = Places(
            new=MAX_NEW,
            new_each=_MAX_NEW_EACH,
            proven=MAX_CLIENTS,
            proven_each=_MAX_CLIENTS_EACH,
        )
        self._errors = logging.getLogger(f"{__name__}.errors")
        self._errors.filters = [self._may_log]
        loop.set_exception_handler(self._complain)

    def __call__(self) -> Connection:
        return Connection(
            self._server,
            self,
            loop=self._loop,
            access_log=None,
            keepalive_timeout=HEAD_S,
            logger=self._errors,
        )

    def enter(self, connection: Connection, transport: asyncio.Transport) -> bool:
        """A connection was accepted; False: there is no descriptor for it."""
        address = str((transport.get_extra_info("peername") or ("?",))[0])
        if scarce(transport.get_extra_info("socket").fileno()):
            self._lines.tell(
                "descriptors", f"web viewer: too few descriptors (ulimit -n): refused {address}"
            )
            return False
        for key in self._places.take(connection, address):
            assert isinstance(key, Connection), "only connections are kept"
            key.drop()
            self._lines.tell(
                ("silent", address),
                f"web viewer: {address} opens connections, sends no requests",
            )
        return True

    def prove(self, connection: Connection) -> bool:
        """A connection's request was let in; False: there are too many clients."""
        return self._places.prove(connection)

    def leave(self, connection: Connection) -> None:
        """A connection is closed."""
        self._places.leave(connection)

    def _may_log(self, record: logging.LogRecord) -> bool:
        cause = record.exc_info[0] if record.exc_info else None
        text = self._lines.admit((record.msg, cause), record.getMessage())
        record.msg, record.args = text, ()
        return text is not None

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        what = str(context.get("message", "an error"))
        self._lines.tell(what, f"web viewer: {what}: {context.get('exception')!r}")


class Connection(web.RequestHandler):
    """One connection of a client, or without an admitted request."""

    __slots__ = ("_door", "_overdue", "_raw", "_refused")

    def __init__(self, server: web.Server, door: Door, **options: Any) -> None:
        super().__init__(server, **options)
        self._door = door
        self._refused = False
        self._overdue: asyncio.TimerHandle | None = None
        self._raw: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it, or close it at once."""
        assert isinstance(transport, asyncio.Transport), "a stream"
        self._raw = transport
        if not self._door.enter(self, transport):
            self._refused = True
            transport.abort()
            return
        self._overdue = asyncio.get_running_loop().call_later(PLAIN_S, self.drop)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free its place."""
        self._door.leave(self)
        self.upgraded()
        if not self._refused:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass on, unless it was refused."""
        if not self._refused:
            super().data_received(data)

    def prove(self) -> bool:
        """A request was let in; False: there are too many clients."""
        return self._door.prove(self)

    def upgraded(self) -> None:
        """It is a WebSocket now, which has a heartbeat and stays while it answers."""
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def drop(self) -> None:
        """Close at once; what is to be sent is lost."""
        if self._raw is not None:
            self._raw.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that is none (400, not logged), or to an error of ours."""
        if status >= 500:
            response = super().handle_error(request, status, exc, message)
        else:
            response = web.Response(status=status, text=f"{status}: malformed request\n")
            response.force_close()
        response.headers.update(headers_for(None))
        return response
