"""What every driver of a camera or microphone looks like to its supervisor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from streamavis.types import (
    AudioChunk,
    AudioGap,
    Modality,
    SoundBearing,
    SourceEvent,
    VideoFrame,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from streamavis.clock import Clock

__all__ = ["Capture", "Captured", "Device", "TellsTiming"]

Captured: TypeAlias = VideoFrame | AudioChunk | AudioGap | SoundBearing | SourceEvent


class Capture(Protocol):
    """One attempt at a device: made, iterated once on a worker thread, thrown away.

    Making it takes no time and cannot fail; opening happens as the iteration begins.

    Attributes:
        fps: nominal frames per second, once the first item came; None: unknown.
        has_sound: whether sound is among the items, once the first item came.
    """

    fps: float | None
    has_sound: bool

    def __iter__(self) -> Iterator[Captured]:
        """Yield what is captured, on the clock it was made with; to end is to have ended.

        Raises:
            InputError: it cannot be opened or broke; one sentence without credentials.
        """

    def abort(self) -> None:
        """From any thread: make a blocked iteration end as soon as the driver allows."""


@runtime_checkable
class TellsTiming(Protocol):
    """A capture that knows how its sound is timed."""

    @property
    def timing(self) -> str:
        """One phrase for people."""


@dataclass(frozen=True, slots=True)
class Device:
    """A camera or microphone that can be opened again and again.

    The supervisor numbers the frames and calls for a new capture whenever one broke.
    """

    name: str  # for people and events: no credentials
    modality: Modality
    open: Callable[[Clock], Capture]
    stall_s: float = 0.5  # nothing for this long (or 5 frame periods): it is stalled
    give_up_s: float = 1.5  # nothing for this long: it is opened anew
    opening_s: float = 10.0  # what opening may take
    longest_delay_s: float = 0.06  # its sound is waited for no longer than this
    longest_pause_s: float = 5.0  # between two attempts to open it
    # Why it certainly cannot be opened now, "" otherwise: asked in a moment (patience in s), where
    # to open it is dear.
    problem: Callable[[float], str] | None = None
