"""The window: its process, what it is told, what its keys do, and what its end costs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from multiprocessing import Pipe

import cv2
import numpy as np
import pytest
from runtime_fakes import FakeModel, FakeSource, assert_no_threads, clip

from streamavis.errors import OutputError
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.session import Session
from streamavis.sinks.window import sink as window
from streamavis.sinks.window.child import WindowLoop, framed
from streamavis.sinks.window.sink import WindowSink, display_problem
from streamavis.types import AudioChunk, FrameResult, Heard, SourceEvent, VideoFrame

NS = 1_000_000_000
PATIENCE_S = 60.0


@dataclass
class FakeGui:
    """A screen without a display: shows by keeping, presses what is laid in `pressed`."""

    pictures: list[np.ndarray] = field(default_factory=list)
    pressed: list[int] = field(default_factory=list)
    closed: bool = False
    shown: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    gate: threading.Event | None = None  # a toolkit that hangs until it is set

    def open(self) -> None:
        pass

    def show(self, picture):
        if self.gate is not None:
            assert self.gate.wait(PATIENCE_S)
        self.pictures.append(picture.copy())
        self.shown.release()
        return self.keys()

    def keys(self) -> int:
        return self.pressed.pop(0) if self.pressed else -1


class FakeProcess:
    """The window's process, as a thread of this one."""

    def __init__(self, thread: threading.Thread, pipe) -> None:
        self.thread, self.pipe = thread, pipe

    def wait(self, timeout=None) -> int:
        self.thread.join(timeout)
        if self.thread.is_alive():
            raise subprocess.TimeoutExpired("window", timeout)
        return 0

    def poll(self) -> int | None:
        return None if self.thread.is_alive() else 0

    def kill(self) -> None:
        self.pipe.close()


@dataclass
class Recording:
    recording: str = ""
    recorded_s: float = 0.0
    toggled: threading.Event = field(default_factory=threading.Event)

    def toggle(self) -> str:
        self.toggled.set()
        return "recording to a.mp4"


@pytest.fixture
def gui(monkeypatch, tmp_path):
    """A pretended display on which `WindowSink` opens its window."""
    screen = FakeGui()

    def open_window(title, folder, *, live):
        ours, theirs = Pipe()
        loop = WindowLoop(theirs, screen, live=live, folder=tmp_path, name="shot")

        def run() -> None:
            loop.run()
            theirs.close()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        ours.recv_bytes()  # ready
        return ours, FakeProcess(thread, theirs)

    monkeypatch.setattr(window, "_open", open_window)
    return screen


def picture(n: int) -> tuple[VideoFrame, FrameResult]:
    image = np.full((90, 160, 3), n, np.uint8)
    frame = VideoFrame(image, n * NS // 10, n, "arrival")
    return frame, FrameResult(
        "cam", 0, n, frame.capture_time_ns, (90, 160), "ok", 0.0, "ok", "arrival", []
    )


def until(gui: FakeGui, condition) -> None:
    """Wait for pictures until one fulfils `condition`."""
    while not (gui.pictures and condition(gui.pictures[-1])):
        assert gui.shown.acquire(timeout=PATIENCE_S), "the window shows nothing new"


def level(shown: np.ndarray) -> int:
    """What `picture` was shown: its grey, in the middle of the right edge."""
    return int(shown[shown.shape[0] // 2, -2].mean())


def strip_of(shown: np.ndarray) -> np.ndarray:
    """The end of the strip of sound, where what is heard is named."""
    return shown[-60:, -160:]


def test_a_stream_is_shown_and_its_window_closed(gui):
    sink = WindowSink("title", on_quit=lambda: None)
    session = Session(FakeModel(), stream="cam")
    engine = Engine(
        [Feed(FakeSource(clip(30)), session, [sink])],
        Policy(speed=None),
    )
    engine.run()
    assert engine.report.sink_failures == {}
    until(gui, lambda shown: True)
    assert_no_threads("streamavis-window")


def test_the_newest_picture_is_shown_and_a_window_that_hangs_holds_up_nobody(gui):
    sink = WindowSink("title", on_quit=lambda: None)
    gui.gate = threading.Event()
    for n in range(200):
        sink.write(*picture(n))
        sink.notice(AudioChunk(np.zeros(1600, np.float32), n * NS // 10))
    gui.gate.set()
    until(gui, lambda shown: level(shown) == 199)
    assert len(gui.pictures) < 50
    sink.dismiss()
    sink.dismiss()


def test_it_says_that_it_starts_before_anything_has_come(gui):
    sink = WindowSink("title", on_quit=lambda: None)
    assert gui.pictures, "shown before the sink is ready"
    before = gui.pictures[0]
    sink.introduce("nano", ("person", "dog"))
    until(gui, lambda shown: (shown != before).any())
    sink.dismiss()


@pytest.mark.parametrize("size", [(400, 400), (100, 900), (900, 100), (2000, 1000)])
def test_a_window_of_any_shape_keeps_the_shape_of_the_picture(size):
    shown = framed(np.full((300, 400, 3), 200, np.uint8), size)
    assert shown.shape == (*size, 3)
    ys, xs = np.nonzero(shown[..., 0] > 150)
    tall, wide = np.ptp(ys) + 1, np.ptp(xs) + 1
    assert wide / tall == pytest.approx(400 / 300, abs=0.03)
    assert max(tall / size[0], wide / size[1]) == pytest.approx(1, abs=0.01)
    assert (shown[..., 0] < 30).sum() == size[0] * size[1] - tall * wide, "dark margins"


def test_a_window_that_does_not_tell_its_size_gets_the_picture_as_it_is():
    picture = np.zeros((30, 40, 3), np.uint8)
    assert framed(picture, (-1, -1)) is picture


@pytest.mark.parametrize("key", [ord("q"), 27])
def test_keys_that_stop(gui, key):
    asked = threading.Event()
    sink = WindowSink("title", on_quit=asked.set)
    gui.pressed.append(key)
    assert asked.wait(PATIENCE_S), "a key is heard though no picture has come"
    sink.dismiss()


def test_a_pause_keeps_the_picture_and_is_told(gui):
    said: list[bool] = []
    changed = threading.Semaphore(0)

    def pause(on: bool) -> None:
        said.append(on)
        changed.release()

    sink = WindowSink("title", on_quit=lambda: None, on_pause=pause)
    sink.write(*picture(100))
    until(gui, lambda shown: level(shown) == 100)
    gui.pressed.append(ord(" "))
    assert changed.acquire(timeout=PATIENCE_S)
    sink.write(*picture(200))
    for _ in range(3):  # redrawn, still the old one
        assert gui.shown.acquire(timeout=PATIENCE_S)
    assert level(gui.pictures[-1]) == 100
    gui.pressed.append(ord(" "))
    assert changed.acquire(timeout=PATIENCE_S)
    sink.write(*picture(201))
    until(gui, lambda shown: level(shown) == 201)
    assert said == [True, False]
    sink.dismiss()


def test_closing_the_window_does_not_stop_the_stream_but_ends_a_pause(gui):
    asked, resumed = threading.Event(), threading.Event()
    sink = WindowSink("title", on_quit=asked.set, on_pause=lambda on: None if on else resumed.set())
    gui.closed = True
    assert resumed.wait(PATIENCE_S)
    for n in range(5):
        sink.write(*picture(n))
    assert not asked.is_set()
    sink.dismiss()


def test_r_switches_the_recording(gui):
    sink = WindowSink("title", on_quit=lambda: None)
    sink.recording = recording = Recording()
    gui.pressed.append(ord("r"))
    assert recording.toggled.wait(PATIENCE_S)
    sink.dismiss()


def test_a_screenshot_is_what_was_shown_and_two_in_a_second_are_two(gui, tmp_path):
    sink = WindowSink("title", on_quit=lambda: None)
    sink.write(*picture(77))
    until(gui, lambda shown: level(shown) == 77)
    gui.pressed += [ord("s"), ord("s"), ord("q")]
    asked = threading.Event()
    sink._on_quit = asked.set
    assert asked.wait(PATIENCE_S)
    sink.dismiss()
    shots = sorted(tmp_path.glob("shot-*.png"))
    assert len(shots) == 2
    assert level(cv2.imread(str(shots[0]))) == 77


def test_what_is_heard_is_shown_with_the_frame_it_was_heard_at(gui):
    sink = WindowSink("title", on_quit=lambda: None)
    sink.introduce("nano", ("bell", "dog"))
    frame, seen = picture(50)
    sink.notice(Heard(frame.capture_time_ns, (0.9, 0.1)))
    sink.write(frame, seen)
    until(gui, lambda shown: level(shown) == 50)
    named = strip_of(gui.pictures[-1])
    frame, seen = picture(51)
    sink.notice(Heard(frame.capture_time_ns, (0.1, 0.9)))
    sink.write(frame, seen)
    until(gui, lambda shown: level(shown) == 51)
    assert (strip_of(gui.pictures[-1]) != named).any()
    sink.write(*picture(52))  # nothing was heard at this one: what came before does not stay
    until(gui, lambda shown: level(shown) == 52)
    unknown = strip_of(gui.pictures[-1])
    sink.notice(Heard(0, (0.9, 0.1)))  # of another frame
    sink.write(*picture(53))
    until(gui, lambda shown: level(shown) == 53)
    assert np.array_equal(strip_of(gui.pictures[-1]), unknown)
    frame, seen = picture(54)
    seen.audio = "gap"
    sink.notice(Heard(frame.capture_time_ns, (0.0, 0.0)))
    sink.write(frame, seen)
    until(gui, lambda shown: level(shown) == 54)
    assert np.array_equal(strip_of(gui.pictures[-1]), unknown), "through a gap nothing is known"
    sink.dismiss()


def test_d_asks_for_candidates_until_it_is_pressed_again(gui):
    sink = WindowSink("title", on_quit=lambda: None)
    assert sink.inspects is False
    asked = threading.Event()
    sink._on_quit = asked.set
    gui.pressed += [ord("d"), ord("q")]
    assert asked.wait(PATIENCE_S)
    assert sink.inspects is True
    sink.dismiss()


def test_a_window_whose_process_dies_is_a_failed_sink(gui):
    resumed = threading.Event()
    sink = WindowSink(
        "title", on_quit=lambda: None, on_pause=lambda on: None if on else resumed.set()
    )
    sink._process.kill()
    sink._threads[1].join(PATIENCE_S)
    with pytest.raises(OutputError, match="ended by itself"):
        sink.write(*picture(0))
    assert resumed.is_set(), "nobody is left to end a pause"
    sink.notice(SourceEvent("camera:0", "video", "stalled", 0))
    sink.dismiss()


@pytest.mark.skipif(sys.platform != "linux", reason="the variables are X11's and Wayland's")
def test_without_a_display_the_window_is_refused_in_a_sentence(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "DISPLAY" in display_problem()
    with pytest.raises(OutputError, match="cannot open a window: no display"):
        WindowSink("title", on_quit=print)


@pytest.mark.skipif(sys.platform != "linux", reason="the variables are X11's and Wayland's")
def test_a_display_that_is_not_there_is_noticed_in_a_child(monkeypatch):
    monkeypatch.setattr(window, "_OPEN_S", PATIENCE_S)
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "cannot open a window" in display_problem()
    with pytest.raises(OutputError, match="cannot open a window: OpenCV cannot"):
        WindowSink("title", on_quit=print)


@pytest.fixture
def display(monkeypatch):
    """A virtual display; its number, and its server's process."""
    # Windows are not killed here because a loaded machine is slow to open or to close one.
    monkeypatch.setattr(window, "_OPEN_S", PATIENCE_S)
    monkeypatch.setattr(window, "_LEAVE_S", PATIENCE_S)
    if shutil.which("Xvfb") is None or shutil.which("xdotool") is None:
        pytest.skip("needs Xvfb and xdotool (Debian: xvfb xdotool)")
    reader, writer = os.pipe()
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1000x800x24"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with os.fdopen(reader) as told:
        monkeypatch.setenv("DISPLAY", ":" + told.readline().strip())
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    yield server
    server.terminate()
    server.wait(60)


def test_on_a_real_display_a_key_stops_the_stream(display):
    asked = threading.Event()
    sink = WindowSink("StreamAVIS test", on_quit=asked.set)
    search = ["xdotool", "search", "--sync", "--name", "StreamAVIS test"]
    found = subprocess.run(search, capture_output=True, text=True, check=True, timeout=PATIENCE_S)
    number = found.stdout.split()[0]
    keys = ["xdotool", "windowfocus", "--sync", number, "key", "q"]
    subprocess.run(keys, check=True, timeout=PATIENCE_S)
    assert asked.wait(PATIENCE_S)
    sink.dismiss()
    assert sink._process.returncode == 0


def test_a_display_that_dies_does_not_take_the_stream_along(display):
    sink = WindowSink("StreamAVIS test", on_quit=lambda: None)
    sink.write(*picture(3))
    display.send_signal(signal.SIGKILL)
    sink._threads[1].join(PATIENCE_S)
    with pytest.raises(OutputError, match="ended by itself"):
        sink.write(*picture(4))
    sink.dismiss()
