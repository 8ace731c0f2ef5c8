"""What a source and a sink are: the engine takes anything that is one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streamavis.status import EngineReport
    from streamavis.types import (
        AudioChunk,
        AudioGap,
        Candidate,
        FrameResult,
        Heard,
        SourceEvent,
        SourceItem,
        VideoFrame,
    )

__all__ = [
    "Delayed",
    "InspectorSink",
    "NoticeSink",
    "PushingSource",
    "Receiver",
    "Sink",
    "Source",
    "Stoppable",
    "ViewerSink",
]


class Source(Protocol):
    """What comes in, in order: of a recording all sound up to t comes before the frame at t.

    A live source's times are those of the engine's clock.
    """

    def __iter__(self) -> Iterator[SourceItem]: ...


@runtime_checkable
class Stoppable(Protocol):
    """A source that can be told from another thread to end its iteration soon."""

    def stop(self) -> None: ...


@runtime_checkable
class Delayed(Protocol):
    """A source that measures how much later than a picture its sound is available."""

    @property
    def audio_delay_s(self) -> float: ...


class Receiver(Protocol):
    """Takes what a source captures, from any of its threads, one at a time; never blocks."""

    def put(self, item: SourceItem) -> bool:
        """Take an item; False: nothing more is wanted."""

    def close(self) -> None:
        """Nothing more comes."""


@runtime_checkable
class PushingSource(Protocol):
    """A live source that hands over what it captures, on its own threads, instead of yielding it.

    What it captured before it is connected waits, as much as it has room for.
    """

    def connect(self, receiver: Receiver) -> None:
        """Give `receiver` what waits, then everything as it is captured; called once."""


class Sink(Protocol):
    """A consumer of results. After `start`, all calls come from one thread; `close` is the last.

    An `inline` sink is called on the thread that asks the engine for results: for those that
    never wait, and for windows, which belong to a program's main thread. Any other has a thread
    and a bounded queue of its own. In a replay the engine waits for it: it gets every result. Live
    nothing waits: what a slow sink has no room for pushes its oldest result out, and is counted.
    """

    @property
    def name(self) -> str: ...

    @property
    def inline(self) -> bool: ...

    def start(self, report: Callable[[], EngineReport]) -> None:
        """The stream begins; `report` tells from any thread, at any time, how it is doing."""

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Take a result and the picture it was made from; neither may be changed."""

    def close(self, report: EngineReport) -> None:
        """The stream is over, or this sink failed; leave everything written readable."""


@runtime_checkable
class NoticeSink(Protocol):
    """A sink that also follows the sound, what the model hears, how the sources are doing."""

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Take what came between pictures, in order; on any thread, and must return at once."""


@runtime_checkable
class ViewerSink(Protocol):
    """A sink for people's eyes, the first to lose when a live machine is short of time."""

    @property
    def max_hz(self) -> float:
        """Results per second it has a use for."""


@runtime_checkable
class InspectorSink(Protocol):
    """A sink that can show what the model weighed before it decided, at a cost per frame."""

    @property
    def inspects(self) -> bool:
        """Whether it asks now; from any thread."""

    def inspect(self, candidates: Sequence[Candidate]) -> None:
        """Take the candidates of the result that is put next; must return at once."""
