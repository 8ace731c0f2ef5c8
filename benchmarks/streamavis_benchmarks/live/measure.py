"""One run: a rig, the live command on it, a subscriber, and optional faults."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from streamavis.errors import InputError
from streamavis.io.media import MediaSource
from streamavis.types import VideoFrame
from streamavis_benchmarks.faults.figures import figures_of
from streamavis_benchmarks.faults.watch import FaultPlan, Watched, run_faults
from streamavis_benchmarks.live.command import STREAMAVIS, LiveCommand
from streamavis_benchmarks.live.faults import RigFaults
from streamavis_benchmarks.live.latency import latency_figures
from streamavis_benchmarks.live.match import Account, Matched, account_for, match
from streamavis_benchmarks.live.robot import Robot
from streamavis_benchmarks.process_watch import ProcessWatch
from streamavis_benchmarks.rigs import SoundServer
from streamavis_benchmarks.rigs.process import RigProcess
from streamavis_benchmarks.rigs.program import RigPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from streamavis_apps.exits import Stop

    from streamavis_benchmarks.faults.watch import FaultRecord

__all__ = ["Camera", "Run", "measure"]

_NS = 1_000_000_000
_FIRST_S = 60.0  # until the first result
_WARM_UP_S = 1.0  # after it: pictures that waited for the model's first step
_DRAIN_S = 5.0  # for what is under way to arrive
_SETTLE_NS = _NS  # after a fault: what piled up meanwhile
_END_S = 10.0


@dataclass(frozen=True)
class Camera:
    """What the rig's camera gives."""

    width: int = 640
    height: int = 360
    fps: float = 10.0

    def __str__(self) -> str:
        return f"{self.width}x{self.height}@{self.fps:g}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """What to run."""

    camera: Camera = Camera()
    model: str = "nano"
    microphone: bool = True  # of a private PulseAudio; False: none
    sound: Path | None = None  # what is played to it; None: beeps in a noisy room
    record: bool = False
    threads: int | None = None  # of the model; None: torch's choice
    plan: FaultPlan = field(default_factory=lambda: FaultPlan(minutes=0.5, faults=()))
    command: Sequence[str] = STREAMAVIS


def measure(run: Run, console: Console, stop: Stop) -> dict[str, Any]:
    """Run it and give its figures.

    Raises:
        InputError: something did not start, or ended by itself; says what it wrote.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="avis-")))
        server: SoundServer | None = None
        if run.microphone:
            (folder / "sound").mkdir()
            server = SoundServer(folder / "sound")
            stack.callback(server.kill)
            server.start()
        rig = stack.enter_context(RigProcess(_rig_plan(run, server)))
        record = folder / "out.mp4" if run.record else None
        environment = {} if server is None else dict(server.environment)
        if run.threads is not None:
            environment["OMP_NUM_THREADS"] = str(run.threads)
        live = stack.enter_context(
            LiveCommand(
                rig.url,
                "none" if server is None else "mic:mic",
                model=run.model,
                record=record,
                environment=environment,
                command=run.command,
            )
        )
        robot = stack.enter_context(Robot(live.endpoint))
        return _Measurement(run, rig, server, live, robot, record).take(console, stop)


def _rig_plan(run: Run, server: SoundServer | None) -> RigPlan:
    return RigPlan(
        size=(run.camera.width, run.camera.height),
        fps=run.camera.fps,
        speaker=None if server is None else server.address,
        sound=None if run.sound is None else str(run.sound),
    )


@dataclass
class _Measurement:
    run: Run
    rig: RigProcess
    server: SoundServer | None
    live: LiveCommand
    robot: Robot
    record: Path | None

    def take(self, console: Console, stop: Stop) -> dict[str, Any]:
        process = ProcessWatch(self.live.pid)
        begin_s = time.monotonic()

        def look(at_s: float) -> None:
            self.live.check()
            process.read(at_s)

        self._wait(lambda: bool(self.robot.arrivals), _FIRST_S, stop)
        with RigFaults(
            self.rig, self.server, self.robot.seen, self.live.pid, self.live.endpoint
        ) as faults:
            watched = Watched(self.robot.seen, faults.set_fault, look, faults.has_recovered)
            records: list[FaultRecord] = []
            for plan in _in_order(self.run.plan):
                records += run_faults(plan, watched, console, stop)
        minutes = (time.monotonic() - begin_s) / 60
        self._drain(stop)
        stopped_s, code = self.live.stop()
        end = self.robot.wait_end(_END_S)
        if end is None:
            raise InputError("the stream's last message did not come")
        matched = match(self.rig.departures, self.robot.arrivals)
        account = account_for(
            self.rig.departures,
            matched,
            captured=end.captured,
            processed=end.processed,
            dropped=end.dropped,
        )
        return {
            "camera": str(self.run.camera),
            "model": self.run.model,
            "threads": self.run.threads,
            "microphone": self.server is not None,
            "recording": self.record is not None,
            "minutes": round(minutes, 2),
            "latency": latency_figures(_undisturbed(matched, records)),
            "frames": _frames(account),
            "faults": figures_of(records),
            "process": process.figures(),
            "stopped_s": round(stopped_s, 2),
            "exit_code": code,
            **self._recorded(),
        }

    def _wait(self, met: Any, seconds: float, stop: Stop) -> None:
        deadline_s = time.monotonic() + seconds
        while not met() and time.monotonic() < deadline_s and not stop.event.wait(0.01):
            self.live.check()

    def _drain(self, stop: Stop) -> None:
        """Let the camera rest until the results of all that left have come."""
        self.rig.say("hang")
        stop.event.wait(2 / self.run.camera.fps)  # the picture that leaves just now
        last = self.rig.departures[-1]

        def arrived() -> bool:
            matched = match(self.rig.departures, self.robot.arrivals)
            return bool(matched) and matched[-1].departure >= last

        self._wait(arrived, _DRAIN_S, stop)

    def _recorded(self) -> dict[str, int]:
        """Pictures that the recording holds, once it is closed."""
        if self.record is None:
            return {}
        with MediaSource(self.record) as source:
            pictures = sum(isinstance(item, VideoFrame) for item in source)
        return {"recorded_pictures": pictures}


def _in_order(plan: FaultPlan) -> list[FaultPlan]:
    """A full disk ends the recording, so it is injected once, as the last fault."""
    if "disk" not in plan.faults:
        return [plan]
    others = [fault for fault in plan.faults if fault != "disk"]
    last_s = plan.every_s + plan.held_s
    return [
        replace(plan, faults=others, minutes=max(0.0, plan.minutes - last_s / 60)),
        replace(plan, faults=("disk",), minutes=last_s / 60),
    ]


def _undisturbed(matched: Sequence[Matched], records: Sequence[FaultRecord]) -> list[Matched]:
    """Results from outside of faults, without the first second."""
    begin_ns = matched[0].arrival.received_ns + round(_WARM_UP_S * _NS) if matched else 0
    spans = [(one.begun_ns, one.over_ns + _SETTLE_NS) for one in records]
    return [
        one
        for one in matched
        if one.departure.left_ns >= begin_ns
        and not any(begun <= one.arrival.received_ns <= over for begun, over in spans)
    ]


def _frames(account: Account) -> dict[str, Any]:
    return {
        "left_the_camera": account.left,
        "on_the_way_when_cut": account.on_the_way,
        "before_the_engine_began": account.early,
        "captured": account.captured,
        "processed": account.processed,
        "dropped": account.dropped,
        "received": account.received,
        "before_the_robot_joined": account.unheard,
        "without_result_between": account.missed,
        "adds_up": account.adds_up,
    }
