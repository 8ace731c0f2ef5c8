"""Injects faults and measures when a robot gets the report and when its results recover."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias

from streamavis.types import FrameResult
from streamavis.wire import Message, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import Console
    from streamavis_apps.exits import Stop

    from streamavis.types import NoticeKind

__all__ = [
    "GOALS_S",
    "Fault",
    "FaultPlan",
    "FaultRecord",
    "Seen",
    "Watched",
    "has_recovered",
    "run_faults",
    "seconds",
]

Fault: TypeAlias = Literal[
    "close", "hang", "freeze", "mic", "mic-hang", "xrun", "raise", "nan", "slow", "reader", "disk"
]
# Seconds from a fault to its report, and from its end to good results.
GOALS_S: dict[Fault, tuple[float | None, float]] = {
    "close": (0.5, 2.0),
    "hang": (0.5, 2.0),
    "freeze": (2.0, 2.0),
    "mic": (0.5, 2.0),
    "mic-hang": (0.5, 2.0),
    "xrun": (1.0, 1.5),
    "raise": (1.0, 10.0),
    "nan": (1.0, 10.0),
    "slow": (None, 2.0),
    "reader": (None, 2.0),
    "disk": (1.0, 2.0),
}
_NOTICES: dict[Fault, NoticeKind] = {"raise": "model", "nan": "model", "disk": "sink"}
_PATIENCE_S = 20.0  # timeout for the report, and for the recovery
_LOOK_S = 0.005


@dataclass(frozen=True, kw_only=True)
class FaultPlan:
    """Which faults, how often, for how long."""

    minutes: float
    faults: Sequence[Fault]  # in turn; none: no fault at all
    every_s: float = 30.0  # from one fault's recovery to the next
    held_s: float = 3.0  # how long a fault lasts


@dataclass
class Seen:
    """The latest messages at the robot; one thread writes."""

    status: Status | None = None
    result: FrameResult | None = None
    notices: set[tuple[int, str]] = field(default_factory=set)  # number and kind

    def take(self, message: Message) -> None:
        """A message came."""
        if isinstance(message, Status):
            self.status = message
            self.notices = {(notice.number, notice.kind) for notice in message.notices}
        elif isinstance(message, FrameResult):
            self.result = message

    def latest_notice(self, kind: NoticeKind | None) -> int:
        """The number of the newest notice of a kind; 0: there is none."""
        return max((number for number, its in self.notices if its == kind), default=0)


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """One fault, its report and its recovery."""

    fault: Fault
    begun_ns: int
    over_ns: int  # results had recovered
    reported_s: float | None  # after it began; None: never
    recovered_s: float | None  # after it ended; None: never


@dataclass(frozen=True)
class Watched:
    """What a run of faults observes and changes."""

    seen: Seen
    set_fault: Callable[[Fault | None], None]  # break something; or mend it, and then return
    look: Callable[[float], None]  # called all the time, with the seconds since the begin
    has_recovered: Callable[[Fault, int], bool]  # have results recovered since that moment (ns)?


def seconds(value: float | None) -> str:
    """A time for people."""
    return "never" if value is None else f"{value:.2f}"


def has_recovered(seen: Seen, fault: Fault, cleared_ns: int) -> bool:
    """Whether a robot has a good result that was captured after `cleared_ns`."""
    result = seen.result
    if result is None or result.capture_time_ns < cleared_ns or result.video != "ok":
        return False
    return fault not in ("mic", "mic-hang", "xrun") or result.audio in ("ok", "gap")


def run_faults(
    plan: FaultPlan, watched: Watched, console: Console, stop: Stop
) -> list[FaultRecord]:
    """Break one thing after the other, for as long as `plan` says."""
    seen, begin_s = watched.seen, time.monotonic()
    end_s = begin_s + plan.minutes * 60
    records: list[FaultRecord] = []

    def wait(until_s: float, met: Callable[[], bool] = lambda: False) -> float | None:
        """Wait for `met`; seconds it took, None when it was not met."""
        start_s = time.monotonic()
        while (now_s := time.monotonic()) < until_s and not stop.event.is_set():
            if met():
                return now_s - start_s
            watched.look(now_s - begin_s)
            stop.event.wait(_LOOK_S)
        return None

    wait(time.monotonic() + _PATIENCE_S, lambda: seen.result is not None)
    while not stop.event.is_set():
        wait(min(end_s, time.monotonic() + plan.every_s))
        if time.monotonic() >= end_s or stop.event.is_set():
            break
        if not plan.faults:
            continue
        fault = plan.faults[len(records) % len(plan.faults)]
        noted = seen.latest_notice(_NOTICES.get(fault))
        begun_s, begun_ns = time.monotonic(), time.monotonic_ns()
        watched.set_fault(fault)
        reported_s = wait(
            begun_s + _PATIENCE_S, partial(_is_reported, fault, seen, noted, begun_ns)
        )
        wait(begun_s + plan.held_s)
        watched.set_fault(None)
        cleared_ns, patience_s = time.monotonic_ns(), time.monotonic() + _PATIENCE_S
        recovered_s = wait(patience_s, partial(watched.has_recovered, fault, cleared_ns))
        if stop.event.is_set():
            break
        records.append(FaultRecord(fault, begun_ns, time.monotonic_ns(), reported_s, recovered_s))
        reported, recovered = seconds(reported_s), seconds(recovered_s)
        console.print(f"{fault}: reported after {reported}, recovered after {recovered}")
    return records


def _is_reported(fault: Fault, seen: Seen, noted: int, begun_ns: int) -> bool:
    status, result = seen.status, seen.result
    if status is None or result is None:
        return False
    match fault:
        case "close" | "hang":
            return status.video == "lost"
        case "freeze":
            return status.video == "stale"
        case "mic" | "mic-hang":
            return status.audio == "lost"
        case "xrun":
            return result.audio == "gap" and result.capture_time_ns > begun_ns
        case "raise" | "nan" | "disk":
            return seen.latest_notice(_NOTICES[fault]) > noted
        case "slow" | "reader":
            return True
