"""`streamavis bench soak --minutes N --faults`: the live engine, with a fault now and then.

A synthetic camera and microphone, the real supervisors, engine, model, wire and subscriber. What
is measured is what a robot sees: when it is told of a fault, and when results are good again.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from rich.console import Console
from rich.table import Table

from streamavis import checkpoint
from streamavis.io.live import LiveSource
from streamavis.runtime.clock import MonotonicClock
from streamavis.runtime.engine import Engine, Feed
from streamavis.runtime.governor import Governor
from streamavis.runtime.session import Session
from streamavis.runtime.sinks import PublishSink
from streamavis.types import FrameResult
from streamavis.wire import Hello, Message, Status, Subscriber
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.process_watch import ProcessWatch
from streamavis_apps.soak_world import FAULTS, Fault, FaultyModel, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from streamavis.runtime.session import StepModel

__all__ = ["GOALS_S", "Soak", "run_live"]

# How long until a robot is told of a fault, and until results are good after its end.
GOALS_S: dict[Fault, tuple[float | None, float]] = {
    "close": (0.5, 2.0),
    "hang": (0.5, 2.0),
    "freeze": (2.0, 2.0),
    "mic": (0.5, 2.0),
    "xrun": (1.0, 1.5),
    "raise": (1.0, 10.0),
    "nan": (1.0, 10.0),
    "slow": (None, 2.0),
}
SLOPE_MB_H = 1.0  # goal: resident memory may grow this much
_LONG_ENOUGH = 5  # minutes, to say so
_HELD_S = 3.0  # how long a fault lasts
_PATIENCE_S = 20.0  # for a robot to be told, or to get a good result again


@dataclass(frozen=True, kw_only=True)
class Soak:
    """What to run."""

    minutes: float
    faults: Sequence[Fault] = FAULTS  # in turn; none: no fault at all
    every_s: float = 30.0  # from one fault's recovery to the next
    held_s: float = _HELD_S
    model: str = "nano"
    size: tuple[int, int] = (360, 640)  # height, width of the pictures
    fps: float = 10.0


@dataclass
class _Seen:
    """What the robot's side has heard last; one thread writes."""

    status: Status | None = None
    result: FrameResult | None = None
    notices: set[tuple[int, str]] = field(default_factory=set)  # number and kind
    messages: int = 0

    def take(self, message: Message) -> None:
        self.messages += 1
        if isinstance(message, Status):
            self.status = message
            self.notices = {(notice.number, notice.kind) for notice in message.notices}
        elif isinstance(message, FrameResult):
            self.result = message

    def model_notices(self) -> int:
        return max((number for number, kind in self.notices if kind == "model"), default=0)


def run_live(
    plan: Soak,
    *,
    json_path: Path | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Soak, print the figures and write them; FAILED where a goal is missed.

    Raises:
        StreamAVISError: the model is not usable, or `json_path` cannot be written.
    """
    console = console or Console(highlight=False)
    about = machine()
    guard: AbstractContextManager[Stop] = nullcontext(stop) if stop else stop_on_signals()
    with guard as stop:
        measured = _soak(plan, console, stop)
    figures = {"benchmark": "soak live", **measured, "machine": about}
    missed = _missed(figures)
    figures["missed"] = missed
    _print(console, figures)
    write(console, json_path, figures)
    return ExitCode.FAILED if missed else stop.exit_code


def _soak(plan: Soak, console: Console, stop: Stop) -> dict[str, Any]:
    clock = MonotonicClock()
    world = World(plan.size, plan.fps)
    inner = checkpoint.load(plan.model)
    model = cast("StepModel", FaultyModel(inner, world, clock))
    hello = Hello(model=plan.model, classes=inner.config.classes, size=plan.size, fps=plan.fps)
    seen, process, over = _Seen(), ProcessWatch(), threading.Event()
    with ExitStack() as stack:
        source = stack.enter_context(LiveSource(world.camera(), world.microphone(), clock))
        wire = PublishSink("tcp://127.0.0.1:*", "soak", hello)
        session = Session(model, stream="soak", clock=clock)
        engine = Engine.live(
            [Feed(source, session, [wire])],
            clock=clock, boot_id=wire.boot_id, cancelled=stop.event, governor=Governor(),
        )  # fmt: skip
        threads = [
            threading.Thread(target=engine.run, name="streamavis-engine"),
            threading.Thread(target=_listen, args=(wire.endpoint, seen, over), name="robot"),
        ]
        for thread in threads:
            thread.start()
        begin_s = time.monotonic()
        times = _rounds(plan, world, seen, process, begin_s, console, stop)
        engine.stop()
        threads[0].join()
        over.set()
        threads[1].join()
    report = engine.report
    return {
        "model": plan.model,
        "minutes": round((time.monotonic() - begin_s) / 60, 2),
        "size": plan.size,
        "fps": plan.fps,
        "faults": {name: _spread(pairs) for name, pairs in times.items()},
        "captured": report.captured,
        "processed": report.processed,
        "dropped": report.dropped,
        "adds_up": report.captured == report.processed + sum(report.dropped.values()),
        "latency_ms": {k: v for k, v in report.stages.get("total", {}).items() if k != "count"},
        "degraded": report.degraded,
        **process.figures(),
    }


def _listen(endpoint: str, seen: _Seen, over: threading.Event) -> None:
    with Subscriber(endpoint, kinds=("frame", "status")) as robot:
        while not over.is_set():
            message = robot.receive(0.05)
            if message is not None:
                seen.take(message)


def _rounds(
    plan: Soak, world: World, seen: _Seen, process: ProcessWatch, begin_s: float,
    console: Console, stop: Stop,
) -> dict[str, list[tuple[float | None, float | None]]]:  # fmt: skip
    """Break one thing after the other; when the robot was told, when all was good again."""
    times: dict[str, list[tuple[float | None, float | None]]] = defaultdict(list)
    end_s = begin_s + plan.minutes * 60

    def wait(until_s: float, met: Callable[[], bool] = lambda: False) -> float | None:
        """Wait for `met`; seconds it took, None when it was not met."""
        start_s = time.monotonic()
        while (now_s := time.monotonic()) < until_s and not stop.event.is_set():
            if met():
                return now_s - start_s
            process.read(now_s - begin_s)
            stop.event.wait(0.005)
        return None

    wait(time.monotonic() + _PATIENCE_S, lambda: seen.result is not None)
    number = 0
    while not stop.event.is_set():
        if wait(min(end_s, time.monotonic() + plan.every_s)) or time.monotonic() >= end_s:
            break
        if not plan.faults:
            continue
        fault = plan.faults[number % len(plan.faults)]
        number += 1
        noted = seen.model_notices()
        world.fault = fault
        begun_s, begun_ns = time.monotonic(), time.monotonic_ns()
        told_s = wait(begun_s + _PATIENCE_S, partial(_is_told, fault, seen, noted, begun_ns))
        wait(begun_s + plan.held_s)
        cleared_ns = time.monotonic_ns()
        world.fault = None
        patience_s = time.monotonic() + _PATIENCE_S
        good_s = wait(patience_s, partial(_is_good, fault, seen, cleared_ns))
        if stop.event.is_set():
            break
        times[fault].append((told_s, good_s))
        console.print(f"{fault}: told after {_s(told_s)}, good again after {_s(good_s)}")
    return dict(times)


def _is_told(fault: Fault, seen: _Seen, noted: int, begun_ns: int) -> bool:
    status, result = seen.status, seen.result
    if status is None or result is None:
        return False
    match fault:
        case "close" | "hang":
            return status.video == "lost"
        case "freeze":
            return status.video == "stale"
        case "mic":
            return status.audio == "lost"
        case "xrun":
            return result.audio == "gap" and result.capture_time_ns > begun_ns
        case "raise" | "nan":
            return seen.model_notices() > noted
        case "slow":
            return True


def _is_good(fault: Fault, seen: _Seen, cleared_ns: int) -> bool:
    result = seen.result
    if result is None or result.capture_time_ns < cleared_ns or result.video != "ok":
        return False
    return fault not in ("mic", "xrun") or result.audio in ("ok", "gap")


def _spread(pairs: list[tuple[float | None, float | None]]) -> dict[str, Any]:
    """Count, what never happened, median and maximum of both times."""
    figures: dict[str, Any] = {"count": len(pairs)}
    for place, name in enumerate(("told_s", "good_s")):
        values = [pair[place] for pair in pairs]
        met = [value for value in values if value is not None]
        figures[name] = {
            "never": len(values) - len(met),
            "p50": round(float(np.median(met)), 3) if met else None,
            "max": round(max(met), 3) if met else None,
        }
    return figures


def _missed(figures: dict[str, Any]) -> list[str]:
    """The goals that were missed, one sentence each."""
    missed = [] if figures["adds_up"] else ["frames do not add up"]
    for name, spread in figures["faults"].items():
        for what, goal in zip(("told_s", "good_s"), GOALS_S[name], strict=True):
            times = spread[what]
            if goal is not None and (times["never"] or times["max"] > goal):
                missed.append(f"{name}: {what} at most {times['max']}, goal {goal}")
    slope = figures["slope_mb_per_h"]
    if figures["minutes"] >= _LONG_ENOUGH and slope > SLOPE_MB_H:
        missed.append(f"memory grows {slope} MB/h, goal {SLOPE_MB_H}")
    return missed


def _print(console: Console, figures: dict[str, Any]) -> None:
    table = Table(box=None, header_style="dim")
    for heading in ("fault", "times", "told s, p50", "max", "goal", "good s, p50", "max", "goal"):
        table.add_column(heading, justify="left" if heading == "fault" else "right")
    for name, spread in figures["faults"].items():
        told, good = spread["told_s"], spread["good_s"]
        goals = [("-" if goal is None else f"{goal:g}") for goal in GOALS_S[name]]
        table.add_row(
            name, str(spread["count"]), _s(told["p50"]), _s(told["max"]), goals[0],
            _s(good["p50"]), _s(good["max"]), goals[1],
        )  # fmt: skip
    console.print(table)
    dropped = ", ".join(f"{n} {cause}" for cause, n in figures["dropped"].items()) or "none"
    for line in (
        f"{figures['captured']} frames captured = {figures['processed']} processed + {dropped}: "
        f"{'adds up' if figures['adds_up'] else 'DOES NOT ADD UP'}",
        f"memory {figures['resident_mb']['first']} -> {figures['resident_mb']['last']} MB, "
        f"{_slope(figures['slope_mb_per_h'])}; threads {figures['threads']['least']} to "
        f"{figures['threads']['most']}, descriptors {figures['descriptors']['least']} to "
        f"{figures['descriptors']['most']}",
        *(f"MISSED {sentence}" for sentence in figures["missed"]),
    ):
        console.print(line, markup=False, soft_wrap=True)


def _slope(mb_per_h: float | None) -> str:
    return "too short for a slope" if mb_per_h is None else f"{mb_per_h:+.2f} MB/h"


def _s(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.2f}"
