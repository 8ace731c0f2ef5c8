"""The wire and the window as sinks of a running stream."""

from __future__ import annotations

import sys
import threading
from contextlib import nullcontext

import cv2
import numpy as np
import pytest
from runtime_fakes import CLASSES, FakeModel, FakeSource, clip

from streamavis.errors import OutputError, TruncatedInputError
from streamavis.runtime import window
from streamavis.runtime.clock import ManualClock
from streamavis.runtime.engine import Engine
from streamavis.runtime.session import Session
from streamavis.runtime.sinks import PublishSink
from streamavis.runtime.window import WindowSink, display_problem
from streamavis.types import FrameResult, VideoFrame
from streamavis.wire import EndOfStream, Hello, Message, Status, Subscriber


def publish(source: FakeSource, error: type[Exception] | None = None) -> list[Message]:
    """Run `source` into a publisher once its reader is there; everything the reader got."""
    hello = Hello(model="fake", classes=CLASSES, size=(90, 160), fps=10.0)
    sink = PublishSink("tcp://127.0.0.1:*", "cam", hello)
    session = Session(FakeModel(), stream="cam")
    engine = Engine(source, session, sinks=[sink], boot_id=sink.boot_id, speed=None)
    got: list[Message] = []
    greeted = threading.Event()

    def read() -> None:
        kinds = ("frame", "status", "hello")
        with Subscriber(sink.endpoint, stream="cam", kinds=kinds) as subscriber:
            while (message := subscriber.receive()) is not None:
                got.append(message)
                if isinstance(message, Hello):
                    greeted.set()
            got.append(subscriber.end)

    reader = threading.Thread(target=read)
    reader.start()
    greeted.wait()
    with nullcontext() if error is None else pytest.raises(error):
        engine.run()
    reader.join()
    assert {message.boot_id for message in got} == {engine.boot_id}
    return got


def test_readers_get_results_status_and_the_end():
    got = publish(FakeSource(clip(60)))
    frames = [message for message in got if isinstance(message, FrameResult)]
    assert frames, "at full speed a reader may lose some, never all"
    assert all(len(frame.tracks) == 2 for frame in frames if frame.seq)
    assert frames[-1].stamps["publish"] >= frames[-1].stamps["post"]
    (end,) = [message for message in got if isinstance(message, EndOfStream)]
    assert (end.reason, end.seq, end.captured, end.processed) == ("ended", 59, 60, 60)
    states = {message.source for message in got if isinstance(message, Status)}
    assert states <= {"starting", "running", "ended"}


def test_readers_are_told_that_the_input_broke_off():
    source = FakeSource(clip(5), error=TruncatedInputError("breaks off"))
    end = publish(source, TruncatedInputError)[-1]
    assert (end.reason, end.detail, end.processed) == ("failed", "the input broke off", 5)


def test_the_status_follows_the_stream():
    hello = Hello(model="fake", classes=CLASSES, size=(90, 160), has_audio=False)
    sink = PublishSink("tcp://127.0.0.1:*", "cam", hello)
    assert sink._status().source == "starting"
    assert sink._status().audio == "absent"
    session = Session(FakeModel(), stream="cam", has_audio=False)
    engine = Engine(FakeSource(clip(9)), session, sinks=[sink], boot_id=sink.boot_id, speed=None)
    for result in engine.results():
        if result.seq == 4:
            status = sink._status()
            assert (status.source, status.processed, status.seq) == ("running", 5, 4)
    status = sink._status()
    assert (status.source, status.processed, status.dropped) == ("ended", 9, {})
    assert status.latency["model"].max_ms >= status.latency["model"].p50_ms > 0


class Screen:
    """OpenCV's window functions, without a display."""

    WND_PROP_VISIBLE, COLOR_RGB2BGR = cv2.WND_PROP_VISIBLE, cv2.COLOR_RGB2BGR

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.shown, self.key, self.visible, self.closed = clock, [], -1, 1.0, 0
        self.cvtColor = cv2.cvtColor

    def imshow(self, title, image):
        self.shown.append(image)

    def waitKey(self, ms):
        self.clock.advance(10_000_000)
        return self.key

    def getWindowProperty(self, title, what):
        return self.visible

    def destroyAllWindows(self):
        self.closed += 1


@pytest.fixture
def show(monkeypatch):
    """A window on a pretended screen: (screen, sink, quit event, show(frame time in ms))."""
    clock, quit_asked = ManualClock(), threading.Event()
    screen = Screen(clock)
    monkeypatch.setattr(window, "cv2", screen)
    monkeypatch.setattr(window, "display_problem", lambda: None)
    sink = WindowSink("title", draw=lambda image, _: image, on_quit=quit_asked.set, clock=clock)
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 255
    return screen, sink, quit_asked, lambda: sink.write(VideoFrame(image, 0, 0, "pts"), None)


def test_a_window_takes_a_fifth_of_the_time(show):
    screen, _, _, write = show
    for _ in range(100):  # a frame each 5 ms; showing one takes 10 ms
        write()
        screen.clock.advance(5_000_000)
    assert len(screen.shown) == pytest.approx(100 * 5 / (50 - 10), abs=2)
    assert screen.shown[0][0, 0].tolist() == [0, 0, 255], "BGR"


def test_q_stops_the_stream_and_closing_the_window_does_not(show):
    screen, sink, quit_asked, write = show
    write()
    screen.clock.advance(10**9)
    screen.visible = 0.0
    for _ in range(3):
        write()
    assert (len(screen.shown), quit_asked.is_set()) == (1, False)
    sink.close(None)
    assert screen.closed == 1


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_keys_that_stop(show, key):
    screen, _, quit_asked, write = show
    screen.key = key
    write()
    assert quit_asked.is_set()


@pytest.mark.skipif(sys.platform != "linux", reason="the variables are X11's and Wayland's")
def test_without_a_display_the_window_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "DISPLAY" in display_problem()
    with pytest.raises(OutputError, match="cannot open a window: no display"):
        WindowSink("title", draw=lambda image, _: image, on_quit=print)


@pytest.mark.skipif(sys.platform != "linux", reason="the variables are X11's and Wayland's")
def test_a_display_that_is_not_there_is_noticed_in_a_child(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "cannot open a window" in display_problem()
