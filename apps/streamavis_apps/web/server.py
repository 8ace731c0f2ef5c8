"""The routes: page, WebSockets, API. Runs on one event loop; independent of threads."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
from aiohttp import WSCloseCode, WSMsgType, web

from streamavis.errors import SchemaError
from streamavis.limits import RateLimit
from streamavis_apps.web import feed, messages
from streamavis_apps.web.door import Connection
from streamavis_apps.web.viewer import NoPictures, Viewer
from streamavis_apps.web.wishes import Wishes

if TYPE_CHECKING:
    from streamavis_apps.web.browser import BrowserSource
    from streamavis_apps.web.channel import Channel
    from streamavis_apps.web.guard import Guard
    from streamavis_apps.web.settings import Controls, Settings

__all__ = ["MAX_VIEWERS", "Server"]

MAX_VIEWERS: Final = 32
_STATIC: Final = Path(__file__).parent / "static"
_MAX_TEXT: Final = 64 << 10  # bytes from a viewer: settings with every class hidden
_HEARTBEAT_S: Final = 10.0  # a peer that does not answer is closed
# Messages of one socket. A page that shows 30 pictures a second sends about 35, one that shares its
# devices about 75. Beyond these it is read more slowly, which does not affect others.
_MESSAGES_PER_S: Final = 200
_MESSAGES_AT_ONCE: Final = 400
# Pictures of a shared camera: the page sends 15 a second. Others are not decoded.
_PICTURES_PER_S: Final = 30
_PICTURES_AT_ONCE: Final = 4
_SOUND_S: Final = 0.1
_STATUS_EVERY: Final = 2  # sounds
_BODY_S: Final = 10.0  # for a request's body to come
_GOODBYE_S: Final = 0.1  # for all sockets to be closed
_BEGIN_S: Final = 10.0  # what a feed has to say what it is


class _Drawn(msgspec.Struct, tag_field="kind", tag="drawn"):
    """The page has drawn a picture."""


class _Change(msgspec.Struct, tag_field="kind", tag="settings"):
    """A viewer changed settings."""

    settings: msgspec.Raw


class _Ping(msgspec.Struct, tag_field="kind", tag="ping"):
    """The page asks for the time."""

    at: float  # its own, returned


class _Listen(msgspec.Struct, tag_field="kind", tag="listen"):
    """The page plays the sound from now on, or no longer."""

    on: bool


class _Play(msgspec.Struct, tag_field="kind", tag="play"):
    """A viewer controls a replay."""

    from_s: float | None = None  # None: where it is
    loop: bool | None = None  # None: as it is


_FROM_VIEWER = msgspec.json.Decoder(_Drawn | _Change | _Ping | _Listen | _Play)


class Server:
    """Answers browsers about the streams in `channels`, which grows as engines start."""

    def __init__(
        self,
        guard: Guard,
        controls: Controls,
        channels: dict[str, Channel],
        source: BrowserSource | None,
    ) -> None:
        self._controls = controls
        self._wishes = Wishes(controls)
        self._channels = channels
        self._source = source
        self._sockets: set[web.WebSocketResponse] = set()
        self._viewers: set[Viewer] = set()
        self.watched = threading.Event()  # set by the first viewer
        self.app = web.Application(middlewares=[guard.middleware], client_max_size=_MAX_TEXT)
        self.app.add_routes(
            [
                web.get("/", self._page),
                web.get("/view", self._view),
                web.get("/feed", self._feed),
                web.get("/api/status", self._api_status),
                web.get("/api/settings", self._api_settings),
                web.put("/api/settings", self._api_change),
                web.static("/static", _STATIC),
            ]
        )
        self.app.on_shutdown.append(self._say_goodbye)

    async def tick(self) -> None:
        """Send sound levels and status to viewers; runs for ever."""
        for count in itertools.count():
            await asyncio.sleep(_SOUND_S)
            for channel in list(self._channels.values()):
                if not channel.viewers:
                    continue
                if (sound := channel.sound()) is not None:
                    channel.passing(sound)
                if count % _STATUS_EVERY == 0:
                    channel.state("status", channel.status())

    def announce(self, settings: Settings) -> None:
        """Settings were changed: all viewers get a message and a picture."""
        for viewer in self._viewers:
            viewer.state("settings", messages.text("settings", settings))
        for channel in self._channels.values():
            channel.renew()

    def announce_streams(self) -> None:
        """Streams, or whether a camera can be shared, have changed: all viewers get a message."""
        for viewer in self._viewers:
            viewer.state("streams", self._streams())

    def _streams(self) -> str:
        source = self._source
        camera = None if source is None else {"busy": source.busy}
        return messages.text("streams", names=list(self._channels), camera=camera)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        return web.FileResponse(_STATIC / "index.html")

    async def _api_status(self, request: web.Request) -> web.StreamResponse:
        parts = {name: msgspec.Raw(c.status().encode()) for name, c in self._channels.items()}
        return _json(msgspec.json.encode(parts))

    async def _api_settings(self, request: web.Request) -> web.StreamResponse:
        return _json(msgspec.json.encode(self._controls.settings))

    async def _api_change(self, request: web.Request) -> web.StreamResponse:
        try:
            async with asyncio.timeout(_BODY_S):
                self._wishes.add(await request.read())
                await self._wishes.applied()
        except TimeoutError:
            return web.Response(status=408, text="The settings did not come in time.\n")
        except SchemaError as error:
            return web.Response(status=422, text=f"{error}\n")
        return await self._api_settings(request)

    async def _view(self, request: web.Request) -> web.StreamResponse:
        """Pictures, sound and states of one stream; settings come back."""
        socket = web.WebSocketResponse(max_msg_size=_MAX_TEXT, heartbeat=_HEARTBEAT_S)
        await _upgrade(socket, request)
        if len(self._viewers) >= MAX_VIEWERS:
            reason = f"{MAX_VIEWERS} viewers watch already"
            await _close(socket, WSCloseCode.TRY_AGAIN_LATER, reason)
            return socket
        wanted = request.query.get("stream")
        channel = self._channels.get(wanted or "") or next(iter(self._channels.values()), None)
        viewer = Viewer(socket, channel or NoPictures())
        viewer.state("streams", self._streams())
        viewer.state("settings", messages.text("settings", self._controls.settings))
        if channel is not None:
            channel.join(viewer)
        self._viewers.add(viewer)
        self.watched.set()
        self._sockets.add(socket)
        sending = asyncio.create_task(viewer.serve())
        try:
            await self._obey(socket, viewer)
        finally:
            self._viewers.discard(viewer)
            self._sockets.discard(socket)
            for channel in self._channels.values():
                channel.viewers.discard(viewer)
            sending.cancel()
            with suppress(asyncio.CancelledError, ConnectionError):
                await sending
        return socket

    async def _obey(self, socket: web.WebSocketResponse, viewer: Viewer) -> None:
        pace = _pace()
        async for message in socket:
            await _keep(pace)
            try:
                if message.type is not WSMsgType.TEXT:
                    raise SchemaError("viewers send texts only")
                told = _FROM_VIEWER.decode(message.data)
            except (SchemaError, msgspec.MsgspecError, RecursionError) as error:
                await _close(socket, WSCloseCode.POLICY_VIOLATION, str(error))
                return
            if isinstance(told, _Drawn):
                viewer.drawn()
            elif isinstance(told, _Listen):
                viewer.listens = told.on
            elif isinstance(told, _Ping):
                now_ns = time.monotonic_ns()
                viewer.state("pong", messages.text("pong", at=told.at, monotonic_ns=now_ns))
            elif isinstance(told, _Play):
                self._steer(viewer, told)
            else:
                self._change(viewer, told)

    def _change(self, viewer: Viewer, change: _Change) -> None:
        try:
            self._wishes.add(bytes(change.settings))
        except SchemaError as error:
            viewer.passing(messages.text("refused", reason=str(error)))
            viewer.state("settings", messages.text("settings", self._controls.settings))

    def _steer(self, viewer: Viewer, wish: _Play) -> None:
        channel = next((c for c in self._channels.values() if viewer in c.viewers), None)
        playback = None if channel is None else channel.playback
        if playback is None:
            reason = "this stream is live and cannot be played again"
            viewer.passing(messages.text("refused", reason=reason))
            return
        if wish.loop is not None:
            playback.set_loop(wish.loop)
        if wish.from_s is not None and not playback.go(wish.from_s):
            reason = "files are being written; wait for the end of the recording"
            viewer.passing(messages.text("refused", reason=reason))

    async def _feed(self, request: web.Request) -> web.StreamResponse:
        """A browser's camera and microphone come in."""
        if self._source is None:
            raise web.HTTPNotFound(
                text="This server has its own camera; use --camera browser to share one.\n"
            )
        socket = web.WebSocketResponse(
            max_msg_size=feed.MAX_MESSAGE, heartbeat=_HEARTBEAT_S, compress=False
        )
        await _upgrade(socket, request)
        self._sockets.add(socket)
        try:
            begin = feed.parse_text(await socket.receive_str(timeout=_BEGIN_S))
            if not isinstance(begin, feed.Begin) or not self._source.begin(begin):
                await _close(socket, WSCloseCode.TRY_AGAIN_LATER, "another camera is in use")
                return socket
            self.announce_streams()
            await self._take(socket, self._source)
        except (SchemaError, TypeError, TimeoutError) as error:
            await _close(socket, WSCloseCode.POLICY_VIOLATION, str(error) or "said nothing")
        finally:
            self._sockets.discard(socket)
        return socket

    async def _take(self, socket: web.WebSocketResponse, source: BrowserSource) -> None:
        reason = "the browser left"
        pace = _pace()
        pictures = RateLimit(_PICTURES_PER_S, _PICTURES_AT_ONCE, time.monotonic_ns)
        try:
            await socket.send_str(messages.text("accepted"))
            async for message in socket:
                await _keep(pace)
                if message.type is WSMsgType.TEXT:
                    told = feed.parse_text(message.data)
                    if isinstance(told, feed.Trouble):
                        source.receive(told)
                else:
                    part = feed.parse(message.data)
                    if not isinstance(part, feed.Picture) or pictures.take():
                        source.receive(part)
                    if isinstance(part, feed.Picture):
                        await socket.send_str(messages.text("taken"))
        except SchemaError as error:
            reason = f"the browser was let go: {error}"
            raise
        finally:
            source.end(reason)
            for channel in self._channels.values():
                if channel.shared is source:
                    channel.forget()
            self.announce_streams()

    async def _say_goodbye(self, app: web.Application) -> None:
        closing = [_close(s, WSCloseCode.GOING_AWAY, "the server stops") for s in self._sockets]
        with suppress(TimeoutError):  # a page answers at once; others are cut off
            async with asyncio.timeout(_GOODBYE_S):
                await asyncio.gather(*closing)


def _json(data: bytes) -> web.Response:
    return web.Response(body=data, content_type="application/json")


def _pace() -> RateLimit:
    return RateLimit(_MESSAGES_PER_S, _MESSAGES_AT_ONCE, time.monotonic_ns)


async def _keep(pace: RateLimit) -> None:
    """Wait until one more message is allowed."""
    if not pace.take():
        await asyncio.sleep(pace.wait_s())
        pace.take()


async def _upgrade(socket: web.WebSocketResponse, request: web.Request) -> None:
    await socket.prepare(request)
    if isinstance(request.protocol, Connection):
        request.protocol.upgraded()


async def _close(socket: web.WebSocketResponse, code: WSCloseCode, reason: str) -> None:
    """Close with a reason, which RFC 6455 caps at 123 bytes."""
    with suppress(ConnectionError):
        await socket.close(code=code, message=reason.encode()[:120])
