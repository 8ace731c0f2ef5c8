"""A viewer served in this process, and Chromium as a visitor with a camera and a microphone."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from runtime_fakes import CLASSES, picture

from streamavis.masks import encode
from streamavis.status import EngineReport
from streamavis.types import FrameResult, Track, VideoFrame
from streamavis.wire import Hello

DEADLINE_S = 60.0
EXECUTABLE = shutil.which("chromium") or shutil.which("chromium-browser")
SIZE = (90, 160)
HELLO = Hello(model="fake", classes=CLASSES, size=SIZE, fps=10.0)
REPORT = EngineReport("running", 0, 0, {}, {}, 0.0, 1)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
]


def until(condition: Callable[[], Any], what: str, deadline_s: float = DEADLINE_S) -> Any:
    """Wait for `condition` to be true; return what it gave."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {deadline_s} s for {what}"
        pause.wait(0.02)
    return value


def track(
    number: int, box: tuple[int, int, int, int], *, label: str = CLASSES[0], sounding: float | None
) -> Track:
    """An object that fills its box of a picture of `SIZE`."""
    x, y, w, h = box
    mask = np.zeros(SIZE, bool)
    mask[y : y + h, x : x + w] = True
    centre = (x + w / 2, y + h / 2)
    class_id = CLASSES.index(label)
    rle = encode(mask)
    return Track(number, label, class_id, 0.9, sounding, None, box, centre, w * h, rle)


def shot(seq: int, *tracks: Track, boot_id: str = "boot") -> tuple[VideoFrame, FrameResult]:
    """A picture and its result, 100 ms after the one before."""
    image = picture(*((t.class_id, *t.box) for t in tracks))
    time_ns = seq * 100_000_000
    frame = VideoFrame(image, time_ns, seq, "pts")
    result = FrameResult("cam", 0, seq, time_ns, SIZE, "ok", 0.0, "ok", "pts", list(tracks))
    result.boot_id = boot_id
    return frame, result


def visited(context: Any, url: str, **options: Any) -> Any:
    """A new page of a browser or a context, at `url`, that waits as patiently as tests do."""
    page = context.new_page(**options)
    page.set_default_timeout(DEADLINE_S * 1000)
    page.goto(url)
    return page


@contextlib.contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """A headless Chromium of this system, for tests marked `browser`."""
    from playwright import sync_api

    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=EXECUTABLE,
            headless=True,
            args=[*FLAGS, *flags],
            timeout=DEADLINE_S * 1000,
        )
        try:
            yield browser
        finally:
            browser.close()
