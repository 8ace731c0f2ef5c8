"""The process that owns a window: it draws, shows, and listens to keys.

A process of its own, because a toolkit may end the process it lives in when its display goes away,
insists on the main thread, and should not take a core from the engine that the engine needs.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from streamavis.clock import Clock, MonotonicClock
from streamavis.sinks.window.link import (
    Asked,
    Closed,
    End,
    Event,
    Introduced,
    Said,
    Saved,
    Shown,
    ToWindow,
    WindowPicture,
    WindowReady,
    WindowSound,
    chunk_of,
    receive_by_window,
    send,
)
from streamavis.viz.hud import fill
from streamavis.viz.screen import Action, StreamScreen

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CvGui", "Gui", "WindowLoop", "framed", "show"]

_NICE = 5  # the viewer is the first to lose
_WAIT_S = 0.02  # for a message, before keys are looked at
_REDRAW_NS = 200_000_000  # without anything new: sentences fade, a resized window fills


class Gui(Protocol):
    """What a loop asks of a toolkit."""

    def open(self) -> None:
        """Open the window."""

    def show(self, picture: NDArray[np.uint8]) -> int:
        """Show an RGB picture and look at the keys; the key that was pressed, or -1."""

    def keys(self) -> int:
        """Look at the keys."""

    @property
    def closed(self) -> bool:
        """True once somebody has closed the window."""


class CvGui:
    """OpenCV's window, which can be resized."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._size = (0, 0)

    def open(self) -> None:
        """Open the window."""
        cv2.namedWindow(
            self._title, cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL
        )

    def show(self, picture: NDArray[np.uint8]) -> int:
        """Show a picture; the window takes its size when that changes.

        In a window of another shape, such as a maximised one, it keeps its own within margins.
        """
        if picture.shape[:2] != self._size:
            self._size = picture.shape[0], picture.shape[1]
            cv2.resizeWindow(self._title, self._size[1], self._size[0])
        _, _, width, height = cv2.getWindowImageRect(self._title)
        picture = framed(picture, (height, width))
        cv2.imshow(self._title, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return self.keys()

    def keys(self) -> int:
        """Look at the keys, which also keeps the window alive."""
        return cv2.waitKey(1)

    @property
    def closed(self) -> bool:
        """True once somebody has closed the window."""
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) < 1


def framed(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A (H, W, 3) picture as large as `size` (height, width) allows, in its shape, on dark.

    A side of 0 or less, of a window that does not tell its size, leaves it as it is.
    """
    height, width = picture.shape[:2]
    if min(size) <= 0 or size == (height, width):
        return picture
    scale = min(size[0] / height, size[1] / width)
    tall, wide = max(1, round(height * scale)), max(1, round(width * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    canvas = np.empty((*size, 3), np.uint8)
    fill(canvas)
    top, left = (size[0] - tall) // 2, (size[1] - wide) // 2
    cv2.resize(
        picture, (wide, tall), dst=canvas[top : top + tall, left : left + wide], interpolation=way
    )
    return canvas


class WindowLoop:
    """Shows what comes through a pipe until that or the window is closed."""

    def __init__(
        self,
        pipe: Connection,
        gui: Gui,
        *,
        live: bool,
        folder: Path,
        name: str,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing opens before `run`.

        Args:
            pipe: to the `WindowSink`.
            gui: the window.
            live: as `StreamScreen`.
            folder: where screenshots go.
            name: what their names begin with.
            clock: the machine's monotonic one.
        """
        self._pipe = pipe
        self._gui = gui
        self._folder = folder
        self._name = name
        self._clock = clock or MonotonicClock()
        self._screen = StreamScreen(live=live)
        self._captured_ns: int | None = None  # of the picture to be shown, on our clock
        self._drawn_ns = 0

    def run(self) -> None:
        """Show until the pipe or the window is closed."""
        self._gui.open()
        self._gui.show(self._screen.render(self._clock.now_ns()))  # says that it starts
        with suppress(EOFError, OSError):  # the engine's process is done, or gone
            send(self._pipe, WindowReady())
            while True:
                fresh = self._listen()
                if fresh or self._clock.now_ns() - self._drawn_ns > _REDRAW_NS:
                    self._draw()
                else:
                    self._press(self._gui.keys())
                if self._gui.closed:
                    send(self._pipe, Closed())
                    return

    def _listen(self) -> bool:
        """Take in what has come; True when there is a new picture."""
        fresh, wait_s = False, _WAIT_S
        while self._pipe.poll(wait_s):
            message, image = receive_by_window(self._pipe)
            fresh |= self._take(message, image)
            wait_s = 0.0
        return fresh

    def _take(self, message: ToWindow, image: NDArray[np.uint8] | None) -> bool:
        screen = self._screen
        if isinstance(message, WindowPicture):
            assert image is not None, "a picture comes with its pixels"
            screen.see(image, message.result, message.candidates, message.kinds)
            self._captured_ns = message.sent_ns - message.age_ns
            return True
        if isinstance(message, WindowSound):
            screen.hear(chunk_of(message))
        elif isinstance(message, Event):
            screen.notice(message.event)
        elif isinstance(message, Introduced):
            screen.introduce(message.model, message.classes)
            self._drawn_ns = 0
        elif isinstance(message, Said):
            screen.say(message.words, self._clock.now_ns())
        elif isinstance(message, End):
            raise EOFError
        else:
            screen.tell(message.health, self._clock.now_ns())
        return False

    def _draw(self) -> None:
        self._drawn_ns = self._clock.now_ns()
        key = self._gui.show(self._screen.render(self._drawn_ns))
        if self._captured_ns is not None:
            if not self._screen.paused:
                self._screen.was_seen(self._clock.now_ns() - self._captured_ns)
            self._captured_ns = None
            send(self._pipe, Shown())
        self._press(key)

    def _press(self, key: int) -> None:
        if key < 0:
            return
        action = self._screen.press(key & 0xFF)
        if action is Action.SCREENSHOT:
            self._save()
        elif action is not None:
            on = {Action.PAUSE: self._screen.paused, Action.QUERIES: self._screen.queries}
            send(self._pipe, Asked(action, on.get(action, True)))
        self._drawn_ns = 0  # what a key did shows at once

    def _save(self) -> None:
        """Write the screen without its plates; the screen says where, or why not."""
        stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        path = self._folder / f"{self._name}-{stamp}.png"
        number = 1
        while path.exists():
            number += 1
            path = self._folder / f"{self._name}-{stamp}-{number}.png"
        now_ns = self._clock.now_ns()
        picture = self._screen.render(now_ns, plates=False)
        data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
        try:
            path.write_bytes(data.tobytes())
        except OSError as error:
            self._screen.say(f"no screenshot: {self._folder}: {error.strerror}", now_ns)
            return
        self._screen.say(f"saved {path}", now_ns)
        send(self._pipe, Saved(str(path)))


def show(descriptor: int, title: str, *, live: bool, folder: str, name: str) -> None:
    """Be a window's process: `descriptor` is the inherited end of the pipe."""
    os.nice(_NICE)
    cv2.setNumThreads(1)
    with Connection(descriptor) as pipe:
        WindowLoop(pipe, CvGui(title), live=live, folder=Path(folder), name=name).run()
