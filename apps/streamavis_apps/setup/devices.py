"""`streamavis devices`: cameras and microphones, their modes, and microphone levels."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from streamavis.clock import MonotonicClock
from streamavis.errors import StreamAVISError
from streamavis.io.live.cameras import list_cameras
from streamavis.io.live.device_supervisor import DeviceSupervisor
from streamavis.io.live.devices import sound_device
from streamavis.io.live.microphone import list_microphones
from streamavis.types import AudioChunk, SourceEvent
from streamavis_apps.exits import ExitCode, Stop, stop_on_signals
from streamavis_apps.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from streamavis.io.child.messages import FoundMicrophone
    from streamavis.io.live.cameras import LocalCamera
    from streamavis.types import SourceItem

__all__ = ["run"]

_DRAW_S = 0.1
_PLAIN_S = 3.0  # without a terminal: listen this long, then say how loud it was
_BAR = 40
_FLOOR_DB = -60.0
_MOST_MODES = 6


def run(
    *,
    levels: bool = False,
    seconds: float | None = None,
    console: Console | None = None,
    stop: Stop | None = None,
) -> ExitCode:
    """Print what there is; with `levels`, meters until `stop` is asked for."""
    console = console or Terminal(markup=True)
    with console.status("asking the drivers"):
        cameras = list_cameras()
        try:
            microphones, problem = list_microphones(), ""
        except StreamAVISError as error:
            microphones, problem = [], str(error)
    _tell_cameras(cameras, console)
    _tell_microphones(microphones, problem, console)
    if not levels or not microphones:
        return ExitCode.DONE
    with stop_on_signals(stop) as stop, _listening([m.name for m in microphones]) as meters:
        if console.is_terminal:
            _draw(meters, console, stop, seconds)
        else:
            stop.event.wait(seconds or _PLAIN_S)
            for meter in meters:
                console.print(escape(f"  mic:{meter.name}  {meter.loudest()}"))
    return stop.exit_code


@dataclass
class _Meter:
    """How loud one microphone is; written by its thread, read by the screen's."""

    name: str
    lock: threading.Lock = field(default_factory=threading.Lock)
    power: float = 0.0  # of the loudest chunk since it was drawn
    peak: float = 0.0  # of all
    state: str = "starting"

    def put(self, item: SourceItem) -> None:
        with self.lock:
            if isinstance(item, SourceEvent):
                self.state = item.state if not item.reason else f"{item.state}: {item.reason}"
            elif isinstance(item, AudioChunk) and len(item.samples):
                power = float(np.square(item.samples).mean())
                self.power, self.peak = max(self.power, power), max(self.peak, power)

    def draw(self) -> str:
        with self.lock:
            power, self.power = self.power, 0.0
            if self.state != "running":
                return escape(self.state)
        level = _db(power)
        full = round(_BAR * (1 - max(level, _FLOOR_DB) / _FLOOR_DB))
        return f"[green]{'█' * full}[/][dim]{'·' * (_BAR - full)}[/] {level:6.1f} dBFS"

    def loudest(self) -> str:
        with self.lock:
            return self.state if self.state != "running" else f"{_db(self.peak):.1f} dBFS at most"


def _db(power: float) -> float:
    return 10 * math.log10(max(power, 1e-12))


@contextmanager
def _listening(names: list[str]) -> Iterator[list[_Meter]]:
    """Every microphone at once, each with its meter."""
    meters = [_Meter(name) for name in names]
    clock = MonotonicClock()
    supervisors = [DeviceSupervisor(sound_device(f"mic:{m.name}"), m.put, clock) for m in meters]
    try:
        for supervisor in supervisors:
            supervisor.start()
        yield meters
    finally:
        for supervisor in supervisors:
            supervisor.stop()


def _draw(meters: list[_Meter], console: Console, stop: Stop, seconds: float | None) -> None:
    left = math.inf if seconds is None else seconds
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while left > 0 and not stop.event.wait(_DRAW_S):
            left -= _DRAW_S
            table = Table.grid(padding=(0, 2))
            for meter in meters:
                table.add_row(escape(f"mic:{meter.name}"), meter.draw())
            live.update(table, refresh=True)


def _tell_cameras(cameras: list[LocalCamera], console: Console) -> None:
    console.print("[bold]Cameras[/]")
    if not cameras:
        console.print("  none on this machine; rtsp://, http://, udp:// and files work as well")
    for camera in cameras:
        console.print(f"  [bold]{escape(camera.address)}[/]  {escape(camera.name)}", camera.problem)
        for mode in camera.modes[:_MOST_MODES]:
            rates = ", ".join(f"{rate:g}" for rate in mode.fps[:4]) or "any"
            size = f"{mode.width}x{mode.height}"
            console.print(f"    {size:>10}  {escape(mode.format)}  {rates} frames/s")
        if len(camera.modes) > _MOST_MODES:
            console.print(f"    and {len(camera.modes) - _MOST_MODES} more")


def _tell_microphones(microphones: list[FoundMicrophone], problem: str, console: Console) -> None:
    console.print("[bold]Microphones[/]")
    if problem or not microphones:
        console.print(f"  {escape(problem) or 'none'}")
    for microphone in microphones:
        default = "  [green](default)[/]" if microphone.default else ""
        plural = "" if microphone.channels == 1 else "s"
        console.print(
            f"  [bold]{escape(f'mic:{microphone.name}')}[/]  {microphone.rate} Hz, "
            f"{microphone.channels} channel{plural}{default}"
        )
