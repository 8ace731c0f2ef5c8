"""Who may come in: the token, the Host and Origin of every request, and what a page may load."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from aiohttp import web

from streamavis.errors import WireError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["Guard", "is_loopback", "new_token"]

_MIN_TOKEN: Final = 16  # characters; a random one has 43
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

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < _MIN_TOKEN:
            raise WireError(
                f"a token of {len(self.token)} characters can be guessed: give it {_MIN_TOKEN} or "
                "more, or none to have one made"
            )

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse, or pass on and add the headers that keep a page to itself."""
        if not self._knows_host(request):
            raise web.HTTPMisdirectedRequest(
                text="This server has another name; use its address, or --listen NAME:PORT.\n"
            )
        if _needs_origin(request) and not _same_origin(request):
            raise web.HTTPForbidden(text="Only pages of this server may do that.\n")
        if (traded := self._trade(request)) is not None:
            return traded
        if not self._admits(request):
            return web.Response(
                status=401, text=_NO_TOKEN, content_type="text/html", headers=_headers(request)
            )
        response = await handler(request)
        if not response.prepared:
            response.headers.update(_headers(request))
        return response

    def _knows_host(self, request: web.Request) -> bool:
        host = urlsplit(f"//{request.host}").hostname or ""
        if host == "localhost" or host in {name.lower() for name in (*self.names, *self._own)}:
            return True
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return False
        return True

    def _admits(self, request: web.Request) -> bool:
        if self.token is None:
            return True
        kind, _, bearer = request.headers.get("Authorization", "").partition(" ")
        offered = bearer if kind.lower() == "bearer" else request.cookies.get(_cookie(request), "")
        return self._is_token(offered)

    def _trade(self, request: web.Request) -> web.StreamResponse | None:
        """The answer to `/?token=...`: a cookie and the plain address."""
        if request.path != "/" or "token" not in request.query:
            return None
        if self.token is not None and not self._is_token(request.query["token"]):
            return None
        response = web.Response(status=303, headers={"Location": "/", **_headers(request)})
        if self.token is not None:
            response.set_cookie(
                _cookie(request), self.token, httponly=True, samesite="Lax", path="/"
            )
        return response

    def _is_token(self, offered: str) -> bool:
        assert self.token is not None, "asked where a token is required"
        return hmac.compare_digest(offered.encode(), self.token.encode())


def _cookie(request: web.Request) -> str:
    """Cookies do not tell ports apart: two servers on one machine need two names."""
    return f"streamavis-{urlsplit(f'//{request.host}').port or 0}"


def _needs_origin(request: web.Request) -> bool:
    upgrade = request.headers.get("Upgrade", "").lower()
    return upgrade == "websocket" or request.method in _CHANGING


def _same_origin(request: web.Request) -> bool:
    origin = urlsplit(request.headers.get("Origin", ""))
    return origin.scheme in {"http", "https"} and origin.netloc.lower() == request.host.lower()


def _headers(request: web.Request) -> dict[str, str]:
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
        f"connect-src 'self' ws://{request.host} wss://{request.host}; worker-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
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
