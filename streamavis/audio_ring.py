"""The sound of the last seconds, looked up by time.

The A/V join is a lookup, not a rendezvous: sound is written as it comes, and a frame asks for the
0.96 s that end with it. Time is exact: sample n was taken at n * 62,500 ns, no float in between.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from streamavis.clock import RESTART_NS
from streamavis.errors import ArgumentError, ShapeError, StreamStateError
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES, AudioChunk, AudioGap, AudioState

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NS_PER_SAMPLE", "AudioRing", "AudioSlice", "AudioWindow", "level_dbfs"]

NS_PER_SAMPLE = 1_000_000_000 // SAMPLE_RATE  # exactly 62,500
_JITTER_SAMPLES = SAMPLE_RATE * 5 // 1000  # 5 ms: half a hop of the log-mel grid
_LOST_SAMPLES = SAMPLE_RATE // 2  # nothing heard for 0.5 s: the microphone is gone
_LEVEL_SAMPLES = SAMPLE_RATE // 10  # a level is the mean of 100 ms
_FLOOR_DBFS = -100.0
_RESTART_SAMPLES = RESTART_NS // NS_PER_SAMPLE  # back: no overlap, its clock began anew


class AudioWindow(NamedTuple):
    """What one frame hears."""

    samples: NDArray[np.float32]  # (15360,), zeros where nothing was heard; owned by the caller
    state: AudioState


class AudioSlice(NamedTuple):
    """Any stretch of what was heard."""

    samples: NDArray[np.float32]  # (samples,), zeros where nothing was heard; owned by the caller
    heard: int  # how many of them were heard and are still kept


_FAR = 1 << 62  # samples: far from the end of int64


class _Saved(msgspec.Struct):
    samples: bytes
    origin: int | None
    head: int | None
    gaps: list[tuple[int, int]]


class AudioRing:
    """A preallocated ring of 16 kHz mono samples; one thread may write while another reads.

    Start times are trusted to 5 ms. A chunk that begins within that of the end of what is
    there is joined to it without a seam (containers round their stamps; a shift of a few samples
    would tear the sound). Beyond it:

    * forward: the time between is a gap, zero-filled and remembered;
    * backward by less than 1 s: what overlaps is dropped, what was heard first stays;
    * backward by 1 s or more: the source's clock began anew, and so does the ring.

    The stream starts with its first sample or, if that comes over 0.5 s late, with the first
    window asked for. What lies before the start is silence, not a gap, so a clip's first second
    is `ok`. A reader never sees a sample that was taken after the time it asks for.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        """Allocate `seconds` of sound, at least one window of 0.96 s.

        Raises:
            ArgumentError: `seconds` is shorter than a window.
        """
        capacity = round(seconds * SAMPLE_RATE)
        if capacity < WINDOW_SAMPLES:
            raise ArgumentError(f"an audio ring holds at least 0.96 s, got seconds={seconds}")
        self._samples = np.zeros(capacity, np.float32)  # sample n lives at n mod capacity
        self._origin: int | None = None  # first sample of the stream
        self._head: int | None = None  # one past the newest sample
        self._gaps: list[tuple[int, int]] = []  # [start, end) never heard, ascending, disjoint
        self._lock = threading.Lock()

    def write(self, chunk: AudioChunk) -> None:
        """Add a chunk; one with samples that are not finite counts as a gap.

        Raises:
            ShapeError: the samples are not one-dimensional float32.
        """
        samples = chunk.samples
        if samples.ndim != 1 or samples.dtype != np.float32:
            raise ShapeError(
                f"expected (samples,) float32 but got {samples.shape} {samples.dtype}; "
                f"mix to mono and convert before AudioRing.write"
            )
        if not len(samples):
            return
        start = (chunk.start_time_ns + NS_PER_SAMPLE // 2) // NS_PER_SAMPLE
        with self._lock:
            head = self._place(start)
            if abs(start - head) <= _JITTER_SAMPLES:
                start = head
            if start > head:
                self._miss(head, start)
            samples = samples[max(0, head - start) :]
            start = max(start, head)
            finite = np.isfinite(samples)
            if not finite.all():
                samples = np.where(finite, samples, np.float32(0))
                self._note_gap(start, start + len(samples))
            self._put(start, samples)

    def miss(self, gap: AudioGap) -> None:
        """Add sound that was lost: silence that is known to be none. What was heard stays."""
        start, end = (
            (time_ns + NS_PER_SAMPLE // 2) // NS_PER_SAMPLE
            for time_ns in (gap.start_time_ns, gap.start_time_ns + gap.duration_ns)
        )
        with self._lock:
            head = self._place(start)
            if end > head:
                self._miss(head, end)

    def window(self, end_time_ns: int) -> AudioWindow:
        """What was heard in the 15,360 samples up to `end_time_ns`, whole samples only.

        The state is `lost` when nothing was heard in the last 0.5 s of it, `gap` when over 5 ms
        of it are missing, else `ok`. (`absent`, no microphone at all, is the session's to say.)
        """
        end = end_time_ns // NS_PER_SAMPLE
        begin = end - WINDOW_SAMPLES
        with self._lock:
            if self._origin is None:
                self._origin = end
            return AudioWindow(self._copy(begin, end), self._state(begin, end))

    @property
    def end_time_ns(self) -> int | None:
        """When the newest sample ends; None before the first."""
        with self._lock:
            return None if self._head is None else self._head * NS_PER_SAMPLE

    def read(self, start_time_ns: int, count: int) -> AudioSlice:
        """`count` samples from `start_time_ns` on, for those who draw or record the sound.

        What is not heard yet, was never heard or is no longer kept is silence, and not counted.
        """
        begin = (start_time_ns + NS_PER_SAMPLE // 2) // NS_PER_SAMPLE
        end = begin + count
        with self._lock:
            heard = 0
            if self._origin is not None and self._head is not None:
                heard = self._heard(max(begin, self._origin), end, self._head)
            return AudioSlice(self._copy(begin, end), heard)

    def reset(self) -> None:
        """Forget everything, as a new stream does."""
        with self._lock:
            self._forget()

    def to_bytes(self) -> bytes:
        """Everything needed to go on in another process."""
        with self._lock:
            saved = _Saved(self._samples.tobytes(), self._origin, self._head, self._gaps)
            return msgspec.msgpack.encode(saved)

    @classmethod
    def from_bytes(cls, data: bytes) -> AudioRing:
        """Restore what `to_bytes` gave, on a machine of the same byte order.

        Raises:
            StreamStateError: `data` is not a saved audio ring.
        """
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
            ring = cls(len(saved.samples) / 4 / SAMPLE_RATE)
            ring._samples[:] = np.frombuffer(saved.samples, np.float32)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise StreamStateError(
                f"expected the bytes of AudioRing.to_bytes but cannot read them: {error}"
            ) from error
        _check(saved, ring._samples)
        ring._origin, ring._head, ring._gaps = saved.origin, saved.head, saved.gaps
        return ring

    def _place(self, start: int) -> int:
        """Where the ring ends, once it has taken note that a chunk begins at `start`."""
        if self._head is not None and start <= self._head - _RESTART_SAMPLES:
            self._forget()
        if self._head is None:
            if self._origin is None or start - self._origin <= _LOST_SAMPLES:
                self._origin = start
            self._head = self._origin
        return self._head

    def _miss(self, start: int, end: int) -> None:
        """Leave [start, end) empty and remember it."""
        self._note_gap(start, end)
        kept = min(end - start, len(self._samples))
        self._put(end - kept, np.zeros(kept, np.float32))

    def _note_gap(self, start: int, end: int) -> None:
        oldest = end - len(self._samples)
        self._gaps = [gap for gap in self._gaps if gap[1] > oldest]
        if self._gaps and self._gaps[-1][1] == start:
            start = self._gaps.pop()[0]
        self._gaps.append((start, end))

    def _put(self, start: int, samples: NDArray[np.float32]) -> None:
        """Write samples from `start` on, which is where the ring ends or later."""
        self._head = start + len(samples)
        samples = samples[-len(self._samples) :]
        places = np.arange(self._head - len(samples), self._head) % len(self._samples)
        self._samples[places] = samples

    def _copy(self, begin: int, end: int) -> NDArray[np.float32]:
        """Samples [begin, end), zeros where there are none."""
        out = np.zeros(end - begin, np.float32)
        if self._origin is not None and self._head is not None:
            first = max(begin, self._head - len(self._samples), self._origin)
            last = min(end, self._head)
            if last > first:
                places = np.arange(first, last) % len(self._samples)
                out[first - begin : last - begin] = self._samples[places]
        return out

    def _state(self, begin: int, end: int) -> AudioState:
        origin = end if self._origin is None else self._origin
        if self._head is None:  # until the first sample comes, it may only be a late start
            return "lost" if end - origin > _LOST_SAMPLES else "ok"
        if end > origin and not self._heard(max(origin, end - _LOST_SAMPLES), end, self._head):
            return "lost" if end - origin > _LOST_SAMPLES else "gap"
        begin = max(begin, origin)
        missing = end - begin - self._heard(begin, end, self._head)
        return "gap" if missing > _JITTER_SAMPLES else "ok"

    def _heard(self, begin: int, end: int, head: int) -> int:
        """How many samples of [begin, end) came and are still kept."""
        begin = max(begin, head - len(self._samples))
        end = min(end, head)
        missing = sum(max(0, min(end, b) - max(begin, a)) for a, b in self._gaps)
        return max(0, end - begin) - missing

    def _forget(self) -> None:
        self._origin = self._head = None
        self._gaps = []


def _check(saved: _Saved, samples: NDArray[np.float32]) -> None:
    """Refuse a ring that no stream can have filled.

    Raises:
        StreamStateError: says what contradicts what.
    """
    if not np.isfinite(samples).all():
        raise StreamStateError("the audio ring: a sample is NaN or infinite")
    origin, head = saved.origin, saved.head
    if head is not None and (origin is None or not -_FAR <= origin <= head <= _FAR):
        raise StreamStateError(f"the audio ring begins at sample {origin}, but ends at {head}")
    if head is None and (saved.gaps or (origin is not None and not -_FAR <= origin <= _FAR)):
        raise StreamStateError(
            f"the audio ring has {len(saved.gaps)} gaps and begins at {origin}, but no end"
        )
    before = -_FAR
    for start, end in saved.gaps:
        if head is None or not before <= start < end <= head:
            raise StreamStateError(
                f"the audio ring: the gap ({start}, {end}) is not between {before} and {head}"
            )
        before = end


def level_dbfs(ring: AudioRing, time_ns: int) -> float | None:
    """Level of the 100 ms up to `time_ns`, RMS of full scale; None: nothing of them was heard."""
    samples, heard = ring.read(time_ns - _LEVEL_SAMPLES * NS_PER_SAMPLE, _LEVEL_SAMPLES)
    if not heard:
        return None
    power = float(samples @ samples) / heard
    return max(10 * math.log10(power + 1e-12), _FLOOR_DBFS)
