"""Show results in a window, at the expense of nothing else."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from multiprocessing import Pipe
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, Literal, Protocol

from streamavis.clock import Clock, MonotonicClock
from streamavis.errors import OutputError
from streamavis.sinks.window.link import (
    Asked,
    Closed,
    End,
    Event,
    FromWindow,
    Introduced,
    Said,
    Saved,
    Shown,
    Told,
    ToWindow,
    WindowPicture,
    WindowReady,
    WindowSound,
    receive_from_window,
    send,
)
from streamavis.types import AudioChunk, Heard, SourceEvent, Stage
from streamavis.viz.kinds import MOST_KINDS
from streamavis.viz.screen import Action, ScreenHealth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from multiprocessing.connection import Connection

    from streamavis.status import EngineReport
    from streamavis.types import AudioGap, Candidate, FrameResult, VideoFrame
    from streamavis.viz.kinds import Kinds

__all__ = ["RecordSwitch", "WindowSink", "display_problem"]

_LOG = logging.getLogger(__name__)
_PROBE = "import cv2; cv2.namedWindow('streamavis'); cv2.destroyAllWindows()"
_CHILD = "from streamavis.sinks.window.child import show; show({arguments})"
_OPEN_S = 20  # what a display is granted to answer
_LEAVE_S = 0.3  # what a window is granted to close
_HEALTH_S = 0.5  # between two reports to the window
_WAITING = 2000  # messages for a window that does not take them; the oldest give way
_NO_WINDOW = "OpenCV cannot open a window on this display"


class RecordSwitch(Protocol):
    """A recording that can be started and stopped while the stream runs, from any thread."""

    @property
    def recording(self) -> str:
        """The file that is being written, or empty."""

    @property
    def recorded_s(self) -> float:
        """Its length so far."""

    def toggle(self) -> str:
        """Start or stop; a sentence says which, and where."""


def display_problem() -> str | None:
    """Say why no window can be opened here, or None when one can.

    Tries it in a child process: OpenCV aborts the process that asks where there is no display.
    """
    if problem := _no_display():
        return problem
    command = [sys.executable, "-c", _PROBE]
    try:
        probe = subprocess.run(command, capture_output=True, timeout=_OPEN_S, check=False)
    except subprocess.TimeoutExpired:
        return f"the display does not answer within {_OPEN_S} s"
    return None if probe.returncode == 0 else _NO_WINDOW


class WindowSink:
    """A window with pictures, objects and sound, in a process of its own.

    `write` never waits: the window gets the newest frame once it has shown the one before. It
    reacts to keys while no frames come, and neither a slow nor a dying display holds up or ends
    the stream. `q` and Escape stop the stream, closing the window does not.
    """

    name: Literal["window"] = "window"
    inline: Literal[True] = True
    max_hz = 30.0

    def __init__(
        self,
        title: str,
        *,
        on_quit: Callable[[], object],
        on_pause: Callable[[bool], object] | None = None,
        folder: str | Path = ".",
        clock: Clock | None = None,
    ) -> None:
        """Start the window's process; the window opens at once.

        Args:
            title: of the window.
            on_quit: called on a thread of the sink when the user asks to stop; `Engine.stop`.
            on_pause: of a replay, which can pause: called likewise with True or False. None: the
                source is live, only the screen pauses.
            folder: where screenshots go.
            clock: the engine's, by which frames are stamped.

        Raises:
            OutputError: there is no display.
        """
        self._on_quit = on_quit
        self._on_pause = on_pause
        self.recording: RecordSwitch | None = None  # what `r` starts and stops
        self._classes: Sequence[str] = ()  # names of the kinds of sound, by class_id
        self._clock = clock or MonotonicClock()
        self._changed = threading.Condition()
        self._words: deque[ToWindow] = deque(maxlen=_WAITING)
        self._picture: tuple[VideoFrame, FrameResult, Sequence[Candidate], Kinds | None] | None
        self._picture = None  # the newest
        self._candidates: Sequence[Candidate] = ()
        self._heard: Heard | None = None
        self._free = True  # the window has shown what it got
        self._over = self._dismissed = self._asks = False
        self._failure = ""
        self._report: Callable[[], EngineReport] | None = None
        self._told_ns, self._counted, self._rate = 0, 0, 0.0  # when, results by then, per second
        self._hurry = False  # the window is to be told at once
        self._pipe, self._process = _open(title, Path(folder), live=on_pause is None)
        self._threads = [
            threading.Thread(target=work, name=f"streamavis-window-{name}", daemon=True)
            for name, work in (("out", self._speak), ("in", self._listen))
        ]
        for thread in self._threads:
            thread.start()

    @property
    def inspects(self) -> bool:
        """True while the window shows what the frame queries propose."""
        return self._asks

    def introduce(self, model: str, classes: Sequence[str]) -> None:
        """Say which model looks and what it can find; the window shows both."""
        self._classes = classes
        self._put(Introduced(model, tuple(classes)))

    def start(self, report: Callable[[], EngineReport]) -> None:
        """From now on the window tells how the stream is doing."""
        self._report = report

    def inspect(self, candidates: Sequence[Candidate]) -> None:
        """Keep them for the frame that comes next."""
        self._candidates = candidates

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Pass sound and states of sources on; sound that is missing is seen by its time.

        What the model hears is kept for the frame it was heard at, which comes next.
        """
        if isinstance(item, AudioChunk):
            self._put(WindowSound(item.start_time_ns, item.samples.tobytes()))
        elif isinstance(item, SourceEvent):
            self._put(Event(item))
        elif isinstance(item, Heard):
            self._heard = item

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Offer a frame to the window.

        Raises:
            OutputError: the window's process died.
        """
        if self._failure:
            raise OutputError(self._failure)
        heard, kinds = self._heard, None
        current = heard is not None and heard.capture_time_ns == result.capture_time_ns
        # Through a gap the model hears silence where there may be sound: that is unknown.
        if heard is not None and current and result.audio == "ok":
            kinds = heard.top(self._classes, MOST_KINDS)
        with self._changed:
            self._picture = (frame, result, self._candidates, kinds)
            self._candidates = ()
            self._changed.notify_all()

    def close(self, report: EngineReport) -> None:
        """Close the window."""
        self.dismiss()

    def dismiss(self) -> None:
        """Close the window; safe to call twice, and without an engine."""
        if self._over:
            return
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self._threads[0].join(_LEAVE_S)  # it tells the window's process to end
        try:
            self._process.wait(_LEAVE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._threads[1].join(_LEAVE_S)
        self._pipe.close()

    def _put(self, message: ToWindow) -> None:
        if self._dismissed or self._failure:
            return
        with self._changed:
            self._words.append(message)
            self._changed.notify_all()

    def _speak(self) -> None:
        """Send what waits until the stream or the window is over."""
        with suppress(OSError):  # the window's process ended; `_listen` says so
            while True:
                with self._changed:
                    self._changed.wait_for(self._has_news, _HEALTH_S)
                    if self._over or self._dismissed or self._failure:
                        break
                    words, picture = list(self._words), None
                    self._words.clear()
                    if self._free and self._picture is not None:
                        picture, self._picture, self._free = self._picture, None, False
                for message in words:
                    send(self._pipe, message)
                if (told := self._health()) is not None:
                    send(self._pipe, told)
                if picture is not None:
                    self._show(*picture)
            send(self._pipe, End())

    def _has_news(self) -> bool:
        fresh = self._free and self._picture is not None
        return bool(self._over or self._dismissed or self._failure or self._words or fresh)

    def _show(
        self,
        frame: VideoFrame,
        result: FrameResult,
        candidates: Sequence[Candidate],
        kinds: Kinds | None,
    ) -> None:
        now_ns = self._clock.now_ns()
        captured_ns = result.stamps.get(Stage.CAPTURE, now_ns)
        height, width = frame.image.shape[:2]
        message = WindowPicture(
            result,
            (height, width),
            now_ns - captured_ns,
            monotonic_ns(),
            list(candidates),
            None if kinds is None else list(kinds),
        )
        send(self._pipe, message, frame.image)

    def _health(self) -> Told | None:
        """How the stream is doing, twice a second; computing it costs a millisecond."""
        passed_s = (monotonic_ns() - self._told_ns) / 1e9
        if self._report is None or (passed_s < _HEALTH_S and not self._hurry):
            return None
        report, recording, self._hurry = self._report(), self.recording, False
        if passed_s >= _HEALTH_S:
            self._rate = (report.processed - self._counted) / passed_s if self._counted else 0.0
            self._counted, self._told_ns = report.processed, monotonic_ns()
        return Told(
            ScreenHealth(
                frames_per_s=self._rate or report.frames_per_s,
                dropped=dict(report.dropped),
                recording=recording.recording if recording else "",
                recorded_s=recording.recorded_s if recording else 0.0,
                trouble="; ".join(f"{sink}: {why}" for sink, why in report.sink_failures.items()),
            )
        )

    def _listen(self) -> None:
        """Do what the window asks for, until it is gone."""
        try:
            while True:
                self._react(receive_from_window(self._pipe))
        except (EOFError, OSError):
            if not (self._over or self._dismissed):
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(_LEAVE_S)
                code = self._process.poll()
                self._failure = f"the window's process ended by itself (exit code {code})"
                if self._on_pause is not None:
                    self._on_pause(False)  # nobody is left to end a pause
        with self._changed:
            self._changed.notify_all()

    def _react(self, message: FromWindow) -> None:
        if isinstance(message, Shown):
            with self._changed:
                self._free = True
                self._changed.notify_all()
        elif isinstance(message, Closed):
            self._dismissed = True
            if self._on_pause is not None:
                self._on_pause(False)  # nobody is left to end a pause
        elif isinstance(message, Saved):
            _LOG.info("screenshot %s", message.path)
        elif isinstance(message, Asked):
            self._do(message.action, message.on)

    def _do(self, action: Action, on: bool) -> None:
        if action is Action.QUIT:
            self._on_quit()
        elif action is Action.QUERIES:
            self._asks = on
        elif action is Action.PAUSE and self._on_pause is not None:
            self._on_pause(on)
        elif action is Action.RECORD:
            if self.recording is None:
                self._put(Said("nothing can be recorded here"))
            else:
                words = self.recording.toggle()
                self._hurry = True
                self._put(Said(words))


def _no_display() -> str | None:
    if sys.platform == "linux" and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"
    return None


def _open(title: str, folder: Path, *, live: bool) -> tuple[Connection, subprocess.Popen[bytes]]:
    """Start a window's process and wait until its window is open.

    Raises:
        OutputError: it cannot be.
    """
    problem = _no_display()
    if problem is None:
        ours, theirs = Pipe()
        name = re.sub(r"[^A-Za-z0-9]+", "-", Path(title).stem).strip("-").lower() or "streamavis"
        arguments = (
            f"{theirs.fileno()}, {title!r}, live={live}, folder={str(folder)!r}, name={name!r}"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", _CHILD.format(arguments=arguments)],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the engine, which then closes the window
        )
        theirs.close()
        problem = f"the display does not answer within {_OPEN_S} s"
        with suppress(EOFError, OSError):
            if ours.poll(_OPEN_S):
                problem = _NO_WINDOW
                if isinstance(receive_from_window(ours), WindowReady):
                    return ours, process
        process.kill()
        process.wait()
        ours.close()
    raise OutputError(f"cannot open a window: {problem}; record to a file instead")
