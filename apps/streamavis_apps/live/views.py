"""The views of `streamavis live`, by name: each makes a sink per stream."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from streamavis_apps.commands.options import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.io.live.capture import Device
    from streamavis.protocols import Sink
    from streamavis.sinks.record import RecordSink
    from streamavis.wire import Hello
    from streamavis_apps.commands.options import Web
    from streamavis_apps.exits import Stop
    from streamavis_apps.web.browser import BrowserSource
    from streamavis_apps.web.web_view import WebView

__all__ = ["BROWSER", "Views", "open_view"]

BROWSER = "browser"  # the address of a camera that a browser shares
_PATIENT_S = 1e9  # a browser may connect at any time


class Views(Protocol):
    """A way to look at streams."""

    @property
    def where(self) -> str:
        """What to open to see them; empty where they are in view already."""

    @property
    def records(self) -> bool:
        """True where a recording can be started and stopped from it."""

    @property
    def camera(self) -> Device | None:
        """A camera that its user shares; None where there is none."""

    def sink(
        self, stream: str, hello: Hello, recording: RecordSink | None, *, shared: bool = False
    ) -> Sink:
        """A sink that shows one stream, of a browser's camera if `shared`.

        It may start and stop `recording`.
        """

    def stride(self) -> int:
        """One frame in so many is to be looked at."""


class _Windows:
    """A window for each stream."""

    where = ""
    records = True
    camera = None

    def __init__(self, stop: Stop, closing: ExitStack) -> None:
        self._stop = stop
        self._closing = closing

    def stride(self) -> int:
        return 1

    def sink(
        self, stream: str, hello: Hello, recording: RecordSink | None, *, shared: bool = False
    ) -> Sink:
        from streamavis.sinks.window.sink import WindowSink

        window = WindowSink(f"StreamAVIS {stream}", on_quit=self._stop.event.set)
        self._closing.callback(window.dismiss)
        window.recording = recording
        window.introduce(hello.model, hello.classes)
        return window


class _Pages:
    """One page for all streams, from which a browser may share its camera."""

    records = False

    def __init__(self, view: WebView, shared: BrowserSource) -> None:
        self._view = view
        self._shared = shared

    @property
    def where(self) -> str:
        return self._view.url

    @property
    def camera(self) -> Device:
        from streamavis.io.live.capture import Device

        return Device(BROWSER, "video", open=self._shared.capture, opening_s=_PATIENT_S)

    def stride(self) -> int:
        return self._view.controls.stride()

    def sink(
        self, stream: str, hello: Hello, recording: RecordSink | None, *, shared: bool = False
    ) -> Sink:
        return self._view.sink(stream, hello, shared=shared)


@contextmanager
def open_view(
    view: View, stop: Stop, web: Web | None = None, *, sharing: bool = False
) -> Iterator[Views | None]:
    """Open the view of this name; None where nothing is to be seen.

    Args:
        view: its name.
        stop: ends the program; a view may ask for it.
        web: where the one in a browser is served.
        sharing: whether that page offers to share a camera.

    Raises:
        OutputError: there is no display.
        WireError: the address of the one in a browser is refused or in use.
    """
    if view is View.WINDOW:
        with ExitStack() as closing:
            yield _Windows(stop, closing)
    elif view is View.WEB and web is not None:
        from streamavis_apps.web.browser import BrowserSource
        from streamavis_apps.web.web_view import WebView

        shared, address = BrowserSource(), web.address
        with WebView(
            host=address.host,
            port=address.port,
            token=web.token,
            source=shared if sharing else None,
        ) as served:
            yield _Pages(served, shared)
    else:
        yield None
