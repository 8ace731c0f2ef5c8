"""The views of `streamavis live`, by name: each makes a sink per stream."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

from streamavis_apps.commands.options import View

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.runtime.delivery import Sink
    from streamavis.runtime.recording import RecordSink
    from streamavis.wire import Hello
    from streamavis_apps.exits import Stop

__all__ = ["Views", "open_view"]


class Views(Protocol):
    """A way to look at streams."""

    @property
    def where(self) -> str:
        """What to open to see them; empty where they are in view already."""

    def sink(self, stream: str, hello: Hello, recording: RecordSink) -> Sink:
        """A sink that shows one stream and may start and stop `recording`."""


class _Windows:
    """A window for each stream."""

    where = ""

    def __init__(self, stop: Stop, closing: ExitStack) -> None:
        self._stop = stop
        self._closing = closing

    def sink(self, stream: str, hello: Hello, recording: RecordSink) -> Sink:
        from streamavis.runtime.window import WindowSink

        window = WindowSink(f"StreamAVIS {stream}", on_quit=self._stop.event.set)
        self._closing.callback(window.dismiss)
        window.recording = recording
        return window


@contextmanager
def open_view(view: View, stop: Stop) -> Iterator[Views | None]:
    """Open the view of this name; None where nothing is to be seen.

    Raises:
        OutputError: there is no display.
    """
    if view is View.WINDOW:
        with ExitStack() as closing:
            yield _Windows(stop, closing)
    else:
        yield None
