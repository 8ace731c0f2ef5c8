"""`streamavis bench soak --seconds N --faults`: the live engine, with a fault now and then.

A synthetic camera and microphone, the real supervisors, engine, model, wire and subscriber. What
is measured at the robot: when it gets the report of a fault, and when results have recovered.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal

from streamavis import checkpoint
from streamavis.clock import MonotonicClock
from streamavis.io.live import LiveSource
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.runtime.governor import Governor
from streamavis.session import Session
from streamavis.sinks.publish import PublishSink
from streamavis.wire import Hello, Subscriber
from streamavis_benchmarks.faults.figures import figures_of, missed_goals, table_of
from streamavis_benchmarks.faults.watch import FaultPlan, Seen, Watched, has_recovered, run_faults
from streamavis_benchmarks.process_watch import ProcessWatch, as_sentence, missed_slope
from streamavis_benchmarks.soak.world import FAULTS, FaultyModel, World

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from streamavis.runtime.step import StepModel
    from streamavis_benchmarks.faults.watch import Fault

__all__ = ["LiveSoak", "run_live"]


@dataclass(frozen=True, kw_only=True)
class LiveSoak(FaultPlan):
    """What to run."""

    faults: Sequence[Fault] = FAULTS
    model: str = "nano"
    size: tuple[int, int] = (360, 640)  # height, width of the pictures
    fps: float = 10.0


def run_live(
    plan: LiveSoak,
    *,
    json_path: Path | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """LiveSoak, print the figures and write them; FAILED where a goal is missed.

    Raises:
        StreamAVISError: the model is not usable, or `json_path` cannot be written.
    """
    console = console or Terminal()
    about = machine()
    with stop_on_signals(stop) as stop:
        measured = _soak(plan, console, stop)
    figures = {"benchmark": "soak live", **measured, "machine": about}
    missed = _missed(figures)
    figures["missed"] = missed
    _print(console, figures)
    write(console, json_path, figures)
    return ExitCode.FAILED if missed else stop.exit_code


def _soak(plan: LiveSoak, console: Console, stop: Stop) -> dict[str, Any]:
    clock = MonotonicClock()
    world = World(plan.size, plan.fps)
    inner = checkpoint.load(plan.model)
    model = cast("StepModel", FaultyModel(inner, world, clock))
    hello = Hello(model=plan.model, classes=inner.config.classes, size=plan.size, fps=plan.fps)
    seen, process, over = Seen(), ProcessWatch(), threading.Event()
    with ExitStack() as stack:
        source = stack.enter_context(LiveSource(world.camera(), world.microphone(), clock))
        wire = PublishSink("tcp://127.0.0.1:*", "soak", hello)
        session = Session(model, stream="soak", clock=clock)
        engine = Engine(
            [Feed(source, session, [wire])], Policy(live=True),
            clock=clock, boot_id=wire.boot_id, cancelled=stop.event, governor=Governor(),
        )  # fmt: skip
        threads = [
            threading.Thread(target=engine.run, name="streamavis-engine"),
            threading.Thread(target=_listen, args=(wire.endpoint, seen, over), name="robot"),
        ]
        for thread in threads:
            thread.start()
        begin_s = time.monotonic()
        watched = Watched(
            seen, partial(setattr, world, "fault"), process.read, partial(has_recovered, seen)
        )
        records = run_faults(plan, watched, console, stop)
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
        "faults": figures_of(records),
        "captured": report.captured,
        "processed": report.processed,
        "dropped": report.dropped,
        "adds_up": report.captured == report.processed + sum(report.dropped.values()),
        "latency_ms": {k: v for k, v in report.stages.get("total", {}).items() if k != "count"},
        "degraded": report.degraded,
        **process.figures(),
    }


def _listen(endpoint: str, seen: Seen, over: threading.Event) -> None:
    with Subscriber(endpoint, kinds=("frame", "status")) as robot:
        while not over.is_set():
            message = robot.receive(0.05)
            if message is not None:
                seen.take(message)


def _missed(figures: dict[str, Any]) -> list[str]:
    """The goals that were missed, one sentence each."""
    missed = [] if figures["adds_up"] else ["frames do not add up"]
    missed += missed_goals(figures["faults"])
    missed += missed_slope(figures, figures["minutes"])
    return missed


def _print(console: Console, figures: dict[str, Any]) -> None:
    console.print(table_of(figures["faults"]))
    dropped = ", ".join(f"{n} {cause}" for cause, n in figures["dropped"].items()) or "none"
    for line in (
        f"{figures['captured']} frames captured = {figures['processed']} processed + {dropped}: "
        f"{'adds up' if figures['adds_up'] else 'DOES NOT ADD UP'}",
        as_sentence(figures),
        *(f"MISSED {sentence}" for sentence in figures["missed"]),
    ):
        console.print(line, markup=False, soft_wrap=True)
