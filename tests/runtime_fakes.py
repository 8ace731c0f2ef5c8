"""A model, sources and sinks that behave exactly as told, for tests of the runtime."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import nan
from queue import SimpleQueue

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from streamavis.clock import ManualClock
from streamavis.status import EngineReport
from streamavis.types import SAMPLE_RATE, AudioChunk, FrameResult, SourceItem, VideoFrame

CLASSES = ("red thing", "green thing", "blue thing")
NS = 1_000_000_000


@dataclass(frozen=True)
class FakeConfig:
    classes: tuple[str, ...] = CLASSES
    short_side: int = 64
    slots: int = 3
    score_on: float = 0.7
    score_off: float = 0.5


@dataclass
class FakeState:
    steps: Tensor  # (B,)

    def reset(self, streams: Tensor) -> None:
        self.steps.masked_fill_(streams, 0)

    def view(self, stream: int) -> FakeState:
        return FakeState(self.steps[stream : stream + 1])

    def select(self, streams: Sequence[int]) -> FakeState:
        return FakeState(self.steps[list(streams)])

    def assign(self, streams: Sequence[int], other: FakeState) -> None:
        self.steps[list(streams)] = other.steps

    def tensors(self) -> list[Tensor]:
        return [self.steps]

    def check(self) -> None:
        """Any number of steps will do."""


@dataclass
class FakeOutput:
    class_logits: Tensor
    mask_logits: Tensor
    sounding_logits: Tensor
    visible_logits: Tensor | None
    identity: Tensor
    heard_logits: Tensor | None = None


@dataclass
class FakeModel:
    """Slot k shows what is of colour k; everything red sounds when there is sound."""

    config: FakeConfig = field(default_factory=FakeConfig)
    break_at: int | None = None  # steps before it gives NaN
    knows_visible: bool = True
    on_step: Callable[[int], object] | None = None  # called with the step's number, first
    calls: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    state: FakeState | None = None
    compute_dtype: torch.dtype = torch.float32
    device: str = "cpu"

    def to(self, device: torch.device) -> FakeModel:
        return self

    def parameters(self) -> Iterator[Tensor]:
        return iter(())

    def init_state(self, streams: int) -> FakeState:
        self.state = FakeState(torch.zeros(streams, dtype=torch.int64))
        return self.state

    def step(
        self, frames: Tensor, audio: Tensor, state: FakeState, *, times_s: Tensor
    ) -> FakeOutput:
        assert times_s.dtype == torch.float64
        batch = len(frames)
        assert audio.shape == (batch, 15_360)
        assert state.steps.shape == times_s.shape == (batch,)
        assert audio.dtype == torch.float32
        if self.on_step is not None:
            self.on_step(len(self.calls))
        self.calls.append((frames.clone(), audio.clone(), times_s.clone()))
        height, width = frames.shape[2:]
        padded = pad(frames.float(), (0, -width % 32, 0, -height % 32))
        others = padded.sum(1, keepdim=True) - padded
        masks = avg_pool2d(padded - others, 4) / 16 - 8  # > 0 where one colour dominates
        shown = (masks > 0).flatten(2).any(2)
        class_logits = torch.full((batch, 3, 4), -4.0)
        for row in range(batch):
            for slot in range(3):
                class_logits[row, slot, slot if shown[row, slot] else 3] = 4.0 - slot
        sounding = torch.full((batch, 3), -4.0)
        sounding[:, 0] = torch.where(audio.pow(2).mean(1) > 1e-4, 4.0, -4.0)
        if self.break_at is not None:
            masks = masks.masked_fill((state.steps >= self.break_at)[:, None, None, None], nan)
        state.steps += 1
        visible = torch.where(shown, 4.0, -4.0) if self.knows_visible else None
        identity = 3 * torch.eye(3).expand(batch, 3, 3)
        return FakeOutput(class_logits, masks, sounding, visible, identity, sounding.clone())


def picture(
    *boxes: tuple[int, int, int, int, int], height: int = 90, width: int = 160
) -> np.ndarray:
    """(H, W, 3) with filled boxes (colour, x, y, w, h) on black."""
    image = np.zeros((height, width, 3), np.uint8)
    for colour, x, y, w, h in boxes:
        image[y : y + h, x : x + w, colour] = 255
    return image


def clip(
    frames: int,
    *,
    fps: float = 10.0,
    sound: bool = True,
    at: Callable[[int], int] | None = None,
) -> Iterator[AudioChunk | VideoFrame]:
    """A red box that moves and a green one that rests; all sound up to a frame comes before it.

    `at` maps a frame's number to its time in ns.
    """
    heard = 0
    noise = np.random.default_rng(0)
    for n in range(frames):
        time_ns = at(n) if at else round(n / fps * NS)
        until = time_ns * SAMPLE_RATE // NS
        if sound and until > heard:
            samples = noise.normal(0, 0.1, until - heard).astype(np.float32)
            yield AudioChunk(samples, heard * NS // SAMPLE_RATE)
            heard = until
        image = picture((0, 10 + n % 40, 10, 40, 30), (1, 100, 50, 30, 30))
        yield VideoFrame(image, time_ns, index=n, clock="pts")


@dataclass
class FakeSource:
    """Yields `items`, then raises `error` if there is one."""

    items: Iterable[SourceItem]
    error: Exception | None = None

    def __iter__(self) -> Iterator[SourceItem]:
        yield from self.items
        if self.error is not None:
            raise self.error


@dataclass
class ListSink:
    """Keeps what it gets; waits for `gate` or breaks at result `break_at` if asked to."""

    name: str = "list"
    inline: bool = False
    break_at: int | None = None
    break_start: bool = False
    break_close: bool = False
    gate: threading.Event | None = None
    results: list[FrameResult] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    closed: list[EngineReport] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    report: Callable[[], EngineReport] | None = None

    def start(self, report: Callable[[], EngineReport]) -> None:
        self.report = report
        if self.break_start:
            raise OSError("no network")

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        self.threads.add(threading.get_ident())
        if self.gate is not None:
            self.gate.wait(60)
        if len(self.results) == self.break_at:
            raise OSError("no space left on device")
        self.results.append(result)
        self.pictures.append(frame.image)

    def close(self, report: EngineReport) -> None:
        self.closed.append(report)
        if self.break_close:
            raise OSError("cannot finish the file")


def until(condition: Callable[[], object], deadline_s: float = 60.0) -> None:
    """Wait for what another thread does."""
    pause, given_up = threading.Event(), time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < given_up, f"not within {deadline_s} s"
        pause.wait(0.001)


def our_threads() -> int:
    """How many threads are ours; one that was told to end may still be on its way out."""
    return sum(thread.name.startswith("streamavis") for thread in threading.enumerate())


def assert_no_threads(prefix: str = "streamavis") -> None:
    """Every thread of this name is told to end; it may take a moment on a loaded machine."""
    for thread in threading.enumerate():
        if thread.name.startswith(prefix):
            thread.join(60)
            assert not thread.is_alive(), f"left behind: {thread.name}"


class Tap:
    """A live source that yields what a test gives it, when it gives it; `None` ends it."""

    def __init__(self, clock: ManualClock, *, has_audio: bool = False) -> None:
        self.clock, self.has_audio = clock, has_audio
        self.index = 0
        self.stopped = threading.Event()
        self._items: SimpleQueue[SourceItem | Exception | None] = SimpleQueue()

    def __iter__(self) -> Iterator[SourceItem]:
        while (item := self._items.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield item

    def stop(self) -> None:
        self.stopped.set()
        self._items.put(None)

    def give(self, item: SourceItem | Exception | None) -> None:
        self._items.put(item)

    def frame(self, **changes: object) -> None:
        """A picture taken now, of a red and a green box."""
        image = picture((0, 10, 10, 40, 30), (1, 100, 50, 30, 30))
        now_ns = self.clock.now_ns()
        fields = {"capture_time_ns": now_ns, "index": self.index, "clock": "driver"} | changes
        self.index += 1
        self.give(VideoFrame(fields.pop("image", image), **fields))

    def sound(self, seconds: float) -> None:
        """Noise that ends now."""
        samples = np.random.default_rng(0).normal(0, 0.1, round(seconds * SAMPLE_RATE))
        start_ns = self.clock.now_ns() - round(seconds * NS)
        self.give(AudioChunk(samples.astype(np.float32), start_ns))
