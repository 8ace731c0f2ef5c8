"""The web viewer as a program starts it: a server on a thread of its own, sinks for engines."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self

from aiohttp import web

from streamavis.errors import WireError
from streamavis_apps.web.channel import Channel, WebSink
from streamavis_apps.web.door import BACKLOG, Connection, Door
from streamavis_apps.web.guard import Guard, is_loopback, new_token
from streamavis_apps.web.server import Server
from streamavis_apps.web.settings import Controls
from streamavis_apps.web.sparing import SparingLoop

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from streamavis.wire import Hello
    from streamavis_apps.web.browser import BrowserSource
    from streamavis_apps.web.playback import Playback

__all__ = ["DEFAULT_PORT", "WebView"]

DEFAULT_PORT: Final = 8765
_QUEUE: Final = 1_024  # connections that wait to be accepted
_POLL_S: Final = 0.1
_START_S: Final = 10.0
# A stop takes 2 s at most in all; the page has a third of it.
_END_S: Final = 0.2  # for viewers to receive the end-of-stream message
_CLOSE_S: Final = 0.1  # for handlers to end
_LEAVE_S: Final = 0.3  # then connections are cut
_STOP_S: Final = 1.0  # when the thread is left behind


class WebView:
    """Serves the viewer from construction to `close`; one page for all streams.

        with WebView() as view:
            print(view.url)
            streamavis.open("clip.mp4", speed=1.0, sinks=[view.sink("clip", hello)])

    Attributes:
        controls: the settings in force.
        url: what to open, with the token where one is required.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        token: str | None = None,
        controls: Controls | None = None,
        source: BrowserSource | None = None,
    ) -> None:
        """Listen.

        Args:
            host: address to listen on, 0.0.0.0 or :: for every network, or the name of one: other
                names than this machine's own and this one are refused.
            port: TCP port; 0: any that is free.
            token: required of all clients; None: a random one where `host` is beyond loopback.
            controls: settings to start with.
            source: takes the camera and microphone of a browser.

        Raises:
            WireError: `host` and `port` cannot be listened on, or `token` can be guessed.
        """
        if token is None and not is_loopback(host):
            token = new_token()
        self.controls = controls or Controls()
        self.url = ""
        self._host, self._port, self._token = host, port, token
        self._source = source
        self._channels: dict[str, Channel] = {}
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="streamavis-jpeg")
        self._server = Server(Guard(token, (host,)), self.controls, self._channels, source)
        self._loop = SparingLoop()
        self._stop = asyncio.Event()
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="streamavis-web", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_S) or self._failure is not None:
            self.close()
            raise WireError(self._complaint())
        self.controls.follow(lambda settings: self._post(self._server.announce, settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def sink(
        self, stream: str, hello: Hello, *, shared: bool = False, playback: Playback | None = None
    ) -> WebSink:
        """A sink that shows one stream; another run of the same name replaces it.

        Args:
            stream: its name.
            hello: what is known of it.
            shared: its camera is a browser's; its pictures are deleted when that leaves.
            playback: how viewers steer a recording; None: the stream is live.
        """
        channel = Channel(
            stream,
            hello,
            self.controls,
            self._post,
            self._encoder,
            shared=self._source if shared else None,
            playback=playback,
        )
        if playback is not None:
            playback.follow(lambda: self._post(channel.tell_playback))
        self._post(self._add, channel)
        return WebSink(channel)

    def wait(self, cancelled: threading.Event) -> bool:
        """Wait for the first viewer; False when `cancelled` was set meanwhile."""
        while not self._server.watched.wait(_POLL_S):
            if cancelled.is_set():
                return False
        return True

    @property
    def watched(self) -> bool:
        """Whether there are viewers now."""
        return any(channel.viewers for channel in list(self._channels.values()))

    def close(self) -> None:
        """Send the end to viewers, and close the port; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._post(self._stop.set)
        self._thread.join(_STOP_S)
        self._encoder.shutdown(wait=False, cancel_futures=True)

    def _add(self, channel: Channel) -> None:
        before = self._channels.get(channel.stream)
        self._channels[channel.stream] = channel
        if before is not None:
            for viewer in before.viewers:
                viewer.move(channel)
                channel.join(viewer)
        self._server.announce_streams()

    def _post(self, call: Callable[..., Any], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed: no viewers
            self._loop.call_soon_threadsafe(call, *args)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._started.set()
            self._loop.close()

    async def _serve(self) -> None:
        runner = web.AppRunner(self._server.app, access_log=None, shutdown_timeout=_CLOSE_S)
        await runner.setup()
        assert runner.server is not None, "set up"
        try:
            listening = await self._loop.create_server(
                Door(runner.server, self._loop), self._host, self._port, backlog=BACKLOG
            )
            for bound in listening.sockets:
                _lengthen_queue(bound.fileno())
            self.url = self._address(listening.sockets[0].getsockname()[1])
            ticking = asyncio.create_task(self._server.tick())
            self._started.set()
            await self._stop.wait()
            self._loop.hurry()
            listening.close()
            await asyncio.sleep(_END_S if self.watched else 0)
            ticking.cancel()
        finally:
            await _cut(runner)

    def _address(self, port: int) -> str:
        host = socket.gethostname() if self._host in {"0.0.0.0", "::"} else self._host
        host = f"[{host}]" if ":" in host else host
        ticket = f"?token={self._token}" if self._token else ""
        return f"http://{host}:{port}/{ticket}"

    def _complaint(self) -> str:
        cause = "it did not start in time" if self._failure is None else self._failure.strerror
        return (
            f"cannot serve the web viewer on {self._host}:{self._port}: {cause}; "
            "choose another address with --listen HOST:PORT"
        )


async def _cut(runner: web.AppRunner) -> None:
    """Close every connection, in bounded time: a client may neither read nor answer."""
    assert runner.server is not None, "set up"
    connections = list(runner.server.connections)
    with suppress(TimeoutError):
        async with asyncio.timeout(_LEAVE_S):
            await runner.cleanup()
    for connection in connections:
        if isinstance(connection, Connection):
            connection.drop()
    # Connections that were closed just now: their tasks end with the loop.
    if rest := asyncio.all_tasks() - {asyncio.current_task()}:
        for task in rest:
            task.cancel()
        await asyncio.wait(rest, timeout=_CLOSE_S)


def _lengthen_queue(descriptor: int) -> None:
    """Let connections wait in the system, without a descriptor; asyncio accepts `BACKLOG` a turn.

    A client that finds the queue full tries again only a second later.
    """
    with socket.socket(fileno=os.dup(descriptor)) as same:
        same.listen(_QUEUE)
