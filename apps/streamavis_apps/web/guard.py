"""Who may come in: the token, the Host and Origin of every request, and what a page may load.

Every answer has the headers of `headers_for`, errors too. A wrong Host, Origin or token is
answered with a 4xx status and is no error of the server.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import re
import secrets
import socket
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web

from streamavis.errors import WireError
from streamavis.limits import LogLimiter, RateLimit
from streamavis_apps.web.door import Connection, headers_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["GUESSES", "GUESS_WAIT_S", "Guard", "is_loopback", "new_token"]

GUESSES: Final = 5  # wrong tokens of one address that are answered at once: typing errors
_GUESSES_PER_S: Final = 1 / 12  # so many more as time passes
# Each further wrong token is answered after this time. The right one never waits, so that a
# neighbour behind the same address cannot shut its owner out.
GUESS_WAIT_S: Final = 1.0
_MAX_GUESSERS: Final = 256  # addresses remembered; the one that guessed longest ago is forgotten

_MIN_TOKEN: Final = 16  # characters; a random one has 43
# RFC 9110, 7.2, and narrower: what cannot be part of a header or of a policy is no host.
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_log = logging.getLogger(__name__)
_CHANGING: Final = {"POST", "PUT", "PATCH", "DELETE"}
_NO_TOKEN: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>StreamAVIS: no entry</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<h1>This viewer opens with its link</h1>
<p>Use the address that StreamAVIS printed when it started, the part after <code>?token=</code>
included. After a restart the link is a new one.</p></html>
"""


def new_token() -> str:
    """A random token, 256 bits."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """True when only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Guesses:
    """Wrong tokens, by address."""

    def __init__(self, pause: Callable[[float], Awaitable[None]]) -> None:
        self._pause = pause
        self._paces: OrderedDict[str, RateLimit] = OrderedDict()
        self._lines = LogLimiter(_log.warning, time.monotonic_ns)

    async def slow(self, address: str) -> None:
        """A wrong token came from `address`: wait, where it is not the first."""
        pace = self._paces.pop(address, None) or RateLimit(
            _GUESSES_PER_S, GUESSES, time.monotonic_ns
        )
        self._paces[address] = pace
        if len(self._paces) > _MAX_GUESSERS:
            self._paces.popitem(last=False)
        if not pace.take():
            line = (
                f"web viewer: {address} offers wrong tokens; each is answered {GUESS_WAIT_S} s late"
            )
            self._lines.tell(("token", address), line)
            await self._pause(GUESS_WAIT_S)


@dataclass(frozen=True)
class Guard:
    """Checks every request: pages, WebSockets and API alike.

    * Host must be an address, `localhost`, this machine's name or one of `names`. A page of
      another site that points its own name at us (DNS rebinding) is refused by that.
    * WebSockets and changing requests need an Origin that is this server.
    * Where a token is set it must come as a cookie or `Authorization: Bearer`; `/?token=...`
      trades it for the cookie, so that it does not stay in the address bar.
    """

    token: str | None
    names: tuple[str, ...] = ()
    _own: frozenset[str] = field(
        default_factory=lambda: frozenset({socket.gethostname(), socket.getfqdn()}), repr=False
    )

    _guesses: _Guesses = field(init=False, repr=False, compare=False)
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_guesses", _Guesses(self.pause))
        if self.token is not None and len(self.token) < _MIN_TOKEN:
            raise WireError(
                f"a token of {len(self.token)} characters can be guessed: give it {_MIN_TOKEN} or "
                "more, or none to have one made"
            )

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse, or pass on; and add the headers that keep a page to itself."""
        host = _host(request)
        try:
            response = await self._answer(request, handler, host)
        except web.HTTPException as error:
            error.headers.update(headers_for(host[0] if host else None))
            raise
        if not response.prepared:
            response.headers.update(headers_for(host[0] if host else None))
        return response

    async def _answer(
        self, request: web.Request, handler: Handler, host: tuple[str, str, int] | None
    ) -> web.StreamResponse:
        if host is None or not self._knows(host[1]):
            raise web.HTTPMisdirectedRequest(
                text="This server has another name; use its address, or --listen NAME:PORT.\n"
            )
        if _needs_origin(request) and not _same_origin(request):
            raise web.HTTPForbidden(text="Only pages of this server may do that.\n")
        cookie = f"streamavis-{host[2]}"  # cookies do not tell ports apart
        if (traded := self._trade(request, cookie)) is not None:
            return traded
        offered = self._offered(request, cookie)
        if self.token is not None and not self._is_token(offered):
            if offered:
                await self._guesses.slow(request.remote or "")
            return web.Response(status=401, text=_NO_TOKEN, content_type="text/html")
        if isinstance(request.protocol, Connection) and not request.protocol.prove():
            return web.Response(status=503, text="Too many connections are open.\n")
        return await handler(request)

    def _knows(self, name: str) -> bool:
        if name == "localhost" or name in {own.lower() for own in (*self.names, *self._own)}:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _offered(self, request: web.Request, cookie: str) -> str:
        kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return bearer
        asked = request.query.get("token", "") if request.path == "/" else ""
        return request.cookies.get(cookie, "") or asked

    def _trade(self, request: web.Request, cookie: str) -> web.StreamResponse | None:
        """The answer to `/?token=...`: a cookie and the plain address."""
        if request.path != "/" or "token" not in request.query:
            return None
        if self.token is not None and not self._is_token(request.query["token"]):
            return None
        response = web.Response(status=303, headers={"Location": "/"})
        if self.token is not None:
            response.set_cookie(cookie, self.token, httponly=True, samesite="Lax", path="/")
        return response

    def _is_token(self, offered: str) -> bool:
        assert self.token is not None, "asked where a token is required"
        # Bytes that are no text reach Python as lone surrogates, which UTF-8 does not have.
        sent = offered.encode("utf-8", "backslashreplace")
        return hmac.compare_digest(sent, self.token.encode())


def _host(request: web.Request) -> tuple[str, str, int] | None:
    """The Host as it came, its name and its port (0: none was named); None: it is malformed."""
    (sent,) = found if len(found := request.headers.getall("Host", [])) == 1 else [""]
    match = _HOST.fullmatch(sent)
    if match is None or int(match[2] or 0) > 65_535:
        return None
    return sent, match[1].strip("[]").lower(), int(match[2] or 0)


def _needs_origin(request: web.Request) -> bool:
    upgrade = request.headers.get("Upgrade", "").lower()
    return "websocket" in upgrade or request.method in _CHANGING


def _same_origin(request: web.Request) -> bool:
    scheme, _, netloc = request.headers.get("Origin", "").partition("://")
    return scheme.lower() in {"http", "https"} and netloc.lower() == request.host.lower()
