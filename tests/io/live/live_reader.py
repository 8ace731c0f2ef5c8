"""Reads a live source for a test that waits for what it wants to see."""

from __future__ import annotations

import queue
import threading
import time

from streamavis.types import SourceEvent, VideoFrame

SOON_S = 60.0


class Reader:
    """Reads a source on a thread; waits for what a test wants to see."""

    def __init__(self, source):
        self.source = source
        self.items = queue.Queue()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.source.close()
        self.thread.join(SOON_S)
        assert not self.thread.is_alive()
        assert self.source.join(SOON_S)

    def _read(self):
        for item in self.source:
            self.items.put(item)

    def until(self, wanted):
        """Everything up to the first item that is wanted."""
        deadline, items = time.monotonic() + SOON_S, []
        while not items or not wanted(items[-1]):
            items.append(self.items.get(timeout=max(0.0, deadline - time.monotonic())))
        return items

    def frames(self, count):
        frames = []
        while len(frames) < count:
            frames.append(self.until(lambda item: isinstance(item, VideoFrame))[-1])
        return frames

    def state(self, wanted):
        return self.until(lambda item: isinstance(item, SourceEvent) and item.state == wanted)[-1]
