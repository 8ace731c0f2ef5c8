"""Whether a window can be opened here: OpenCV aborts the process where none can."""

from __future__ import annotations

import os
import subprocess
import sys

from streamavis.errors import OutputError

__all__ = ["display_problem", "require_display"]

_PROBE = "import cv2; cv2.namedWindow('streamavis'); cv2.destroyAllWindows()"


def display_problem() -> str | None:
    """Say why no window can be opened, or None when one can.

    Tries it in a child process: a wrong DISPLAY, a missing Qt plugin and a headless OpenCV build
    end the process that asks, whatever it catches.
    """
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=20, check=False
        )
    except subprocess.TimeoutExpired:
        return "the display does not answer within 20 s"
    if probe.returncode == 0:
        return None
    lines = [line for line in probe.stderr.splitlines() if line.strip()]
    return f"OpenCV cannot open a window here ({lines[-1].strip() if lines else 'it aborted'})"


def require_display() -> None:
    """Refuse a window before anything starts.

    Raises:
        OutputError: no window can be opened; the message says why and what to do instead.
    """
    problem = display_problem()
    if problem:
        raise OutputError(f"--view window: {problem}; use --view none, with --record to keep it")
