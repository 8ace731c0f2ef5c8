"""Show results in a window, at the expense of nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Literal

import cv2

from streamavis.errors import OutputError
from streamavis.runtime.clock import Clock, MonotonicClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.runtime.delivery import EngineReport
    from streamavis.runtime.sinks import Draw
    from streamavis.types import FrameResult, VideoFrame

__all__ = ["WindowSink", "display_problem"]

_PROBE = "import cv2; cv2.namedWindow('streamavis'); cv2.destroyAllWindows()"
_PROBE_S = 20
_SHARE = 5  # one part in this many of the engine's time may go into showing
_QUIT = (ord("q"), 27)  # or Escape


def display_problem() -> str | None:
    """Say why no window can be opened here, or None when one can.

    Tries it in a child process: OpenCV aborts the process that asks where there is no display.
    """
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    command = [sys.executable, "-c", _PROBE]
    try:
        probe = subprocess.run(command, capture_output=True, timeout=_PROBE_S, check=False)
    except subprocess.TimeoutExpired:
        return f"the display does not answer within {_PROBE_S} s"
    return None if probe.returncode == 0 else "OpenCV cannot open a window on this display"


class WindowSink:
    """A window with the annotated frames; `q` or Escape stops the stream, closing it does not.

    It belongs to the thread that asks the engine for results, which must be the program's main
    one, and leaves out frames so that showing takes at most a fifth of that thread's time.
    """

    name: Literal["window"] = "window"
    inline: Literal[True] = True

    def __init__(
        self, title: str, *, draw: Draw, on_quit: Callable[[], object], clock: Clock | None = None
    ) -> None:
        """Check that a window can be opened; it opens with the first frame.

        Args:
            title: of the window.
            draw: annotates a picture; `streamavis.viz.draw`.
            on_quit: called when the user asks to stop; `Engine.stop`.
            clock: measures what showing costs.

        Raises:
            OutputError: there is no display.
        """
        problem = display_problem()
        if problem:
            raise OutputError(f"cannot open a window: {problem}; record to a file instead")
        self._title = title
        self._draw = draw
        self._on_quit = on_quit
        self._clock = clock or MonotonicClock()
        self._next_ns = 0  # no frame is shown before
        self._shown = self._dismissed = False

    def start(self, report: Callable[[], EngineReport]) -> None:
        """Nothing to prepare."""

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Show a frame if the last one has been paid for."""
        begin_ns = self._clock.now_ns()
        if begin_ns < self._next_ns or self._dismissed:
            return
        if self._shown and cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1:
            self._dismissed = True
            return
        image = self._draw(frame.image, result)
        cv2.imshow(self._title, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        self._shown = True
        if cv2.waitKey(1) & 0xFF in _QUIT:
            self._on_quit()
        end_ns = self._clock.now_ns()
        self._next_ns = end_ns + (_SHARE - 1) * (end_ns - begin_ns)

    def close(self, report: EngineReport) -> None:
        """Close the window."""
        if self._shown:
            cv2.destroyAllWindows()
