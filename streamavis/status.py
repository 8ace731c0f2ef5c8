"""How a stream is doing: one record, which engine, sinks, wire and pages read. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypedDict

if TYPE_CHECKING:
    from streamavis.types import (
        AudioState,
        InputStatus,
        ModelHealth,
        Notice,
        SourceState,
        VideoState,
    )

__all__ = ["STUCK_AFTER_S", "EngineReport", "LatencySummary", "Phase", "Pulse"]

STUCK_AFTER_S = 10.0  # at work on one thing

Phase = Literal["running", "ended", "stopped", "truncated", "failed"]


class LatencySummary(TypedDict):
    """Milliseconds, except `count`. Zeros while nothing was recorded."""

    count: int
    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(slots=True, frozen=True)
class Pulse:
    """What a worker does, and for how long."""

    doing: Literal["working", "waiting", "ended"]
    for_s: float

    @property
    def stuck(self) -> bool:
        """True when it has been at one piece of work for 10 s: to wait is no fault."""
        return self.doing == "working" and self.for_s > STUCK_AFTER_S


@dataclass
class EngineReport:
    """What became of a stream, so far or in the end.

    Once it is over, `captured == processed + sum(dropped.values())`, exactly.
    """

    phase: Phase
    captured: int  # frames the source gave
    processed: int  # frames with a result
    dropped: dict[str, int]  # cause -> frames without one
    stages: dict[str, LatencySummary]  # Stage, "total" and, when paced, "lateness"
    duration_s: float  # since the first result was asked for
    torch_threads: int  # the same number gives the same results
    sink_failures: dict[str, str] = field(default_factory=dict)  # sink -> cause
    stream: str = ""
    # What follows is known of live streams only.
    source: SourceState = "running"  # of the camera
    model: ModelHealth = "ok"
    audio: AudioState | None = None  # None: as the latest result says
    video: VideoState | None = None
    inputs: list[InputStatus] = field(default_factory=list)  # camera and microphone
    notices: list[Notice] = field(default_factory=list)  # the newest ones, oldest first
    degraded: list[str] = field(default_factory=list)  # what is given up to keep up, in order
    sink_dropped: dict[str, int] = field(
        default_factory=dict
    )  # sink -> results it was too slow for
    workers: dict[str, Pulse] = field(default_factory=dict)  # thread -> what it does

    @property
    def frames_per_s(self) -> float:
        """Results per second of `duration_s`."""
        return self.processed / self.duration_s if self.duration_s > 0 else 0.0
