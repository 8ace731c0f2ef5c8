"""The views of `streamavis live`, by name: each makes a sink per stream."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from streamavis_apps.commands.options import LiveView

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.runtime.delivery import Sink
    from streamavis.wire import Hello
    from streamavis_apps.exits import Stop

__all__ = ["Views", "open_view"]


class Views(Protocol):
    """A way to look at streams."""

    @property
    def where(self) -> str:
        """What to open to see them; empty where they are in view already."""

    def sink(self, stream: str, hello: Hello) -> Sink:
        """A sink that shows one stream."""


class _Windows:
    """A window for each stream."""

    where = ""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def sink(self, stream: str, hello: Hello) -> Sink:
        from streamavis.runtime.window import WindowSink
        from streamavis.viz import draw

        return WindowSink(f"StreamAVIS: {stream}", draw=draw, on_quit=self._stop.event.set)


@contextmanager
def open_view(view: LiveView, stop: Stop) -> Iterator[Views | None]:
    """Open the view of this name; None where nothing is to be seen.

    Raises:
        OutputError: there is no display.
    """
    if view is LiveView.WINDOW:
        yield _Windows(stop)
    else:
        yield None
