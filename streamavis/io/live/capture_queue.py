"""The queue between capture threads and the reader of a live source: bounded, drops counted."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from streamavis.audio_ring import NS_PER_SAMPLE
from streamavis.types import (
    AudioChunk,
    AudioGap,
    SoundBearing,
    SourceEvent,
    SourceItem,
    VideoFrame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamavis.protocols import Receiver

__all__ = ["CaptureQueue"]

_MOST_FRAMES = 4
_MOST_SOUND_NS = 10_000_000_000
_MOST_NOTES = 256  # events, gaps and bearings


class CaptureQueue:
    """A queue of everything a live source says, in the order it was said; never blocks a writer.

    Where its reader is late, the oldest frames go first (`dropped_frames` counts them, their
    `index` shows the hole); sound beyond 10 s becomes a gap of its length; of events, gaps
    and bearings the newest 256 are kept.
    """

    def __init__(self) -> None:
        self.dropped_frames = 0
        self._items: deque[SourceItem] = deque()
        self._frames = 0
        self._sound_ns = 0
        self._notes = 0
        self._finished = False  # nothing more comes; what waits is delivered
        self._closed = False  # nothing more is wanted
        self._receiver: Receiver | None = None  # gets everything instead of the queue
        self._changed = threading.Condition()

    def put(self, item: SourceItem) -> None:
        """Add an item; ignored once the queue is finished or closed."""
        with self._changed:
            if self._finished or self._closed:
                return
            if self._receiver is not None:
                # Under the lock: a camera's thread and a microphone's take turns.
                self._closed = not self._receiver.put(item)
                return
            self._append(item)
            self._changed.notify_all()

    def connect(self, receiver: Receiver) -> None:
        """Give `receiver` what waits, then every item on the thread that puts it."""
        with self._changed:
            self._receiver = receiver
            while self._items and not self._closed:
                item = self._items.popleft()
                self._count(item, -1)
                self._closed = not receiver.put(item)
            if self._finished:
                receiver.close()

    def finish(self) -> None:
        """Writer: nothing more comes. What waits is still delivered."""
        with self._changed:
            self._finished = True
            if self._receiver is not None:
                self._receiver.close()
            self._changed.notify_all()

    def close(self) -> None:
        """Reader, from any thread: nothing more is wanted. A blocked iteration ends at once."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[SourceItem]:
        while (item := self._take()) is not None:
            yield item

    def _take(self) -> SourceItem | None:
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._finished or self._closed)
            if not self._items:
                return None
            item = self._items.popleft()
            self._count(item, -1)
            return item

    def _append(self, item: SourceItem) -> None:
        self._items.append(item)
        self._count(item, 1)
        if self._frames > _MOST_FRAMES:
            self._count(self._oldest(VideoFrame), -1)
            self.dropped_frames += 1
        if self._notes > _MOST_NOTES:
            self._count(self._oldest(SourceEvent, AudioGap, SoundBearing), -1)
        if self._sound_ns > _MOST_SOUND_NS:
            self._lose_sound()

    def _lose_sound(self) -> None:
        """The oldest chunk becomes a gap, one with the gap that ended where it began."""
        place = next(n for n, item in enumerate(self._items) if isinstance(item, AudioChunk))
        chunk = self._items[place]
        assert isinstance(chunk, AudioChunk), "just looked for one"
        self._count(chunk, -1)
        gap = AudioGap(chunk.start_time_ns, _duration_ns(chunk), "reader is late")
        for before, item in enumerate(self._items):
            if (
                isinstance(item, AudioGap)
                and item.start_time_ns + item.duration_ns == gap.start_time_ns
            ):
                duration_ns = item.duration_ns + gap.duration_ns
                self._items[before] = AudioGap(item.start_time_ns, duration_ns, gap.cause)
                del self._items[place]
                return
        self._items[place] = gap
        self._count(gap, 1)

    def _oldest(self, *kinds: type) -> SourceItem:
        place = next(n for n, item in enumerate(self._items) if isinstance(item, kinds))
        item = self._items[place]
        del self._items[place]
        return item

    def _count(self, item: SourceItem, sign: int) -> None:
        if isinstance(item, VideoFrame):
            self._frames += sign
        elif isinstance(item, AudioChunk):
            self._sound_ns += sign * _duration_ns(item)
        else:
            self._notes += sign


def _duration_ns(chunk: AudioChunk) -> int:
    return len(chunk.samples) * NS_PER_SAMPLE
