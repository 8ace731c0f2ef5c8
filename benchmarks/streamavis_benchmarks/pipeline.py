"""`streamavis bench pipeline`: how fast this machine is, and where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from streamavis_apps.commands.options import AUTO, Compute
from streamavis_apps.exits import ExitCode, stop_on_signals
from streamavis_apps.figures import describe_machine, write
from streamavis_apps.machine import machine
from streamavis_apps.replay.progress import ReplayProgress
from streamavis_apps.replay.replay import Replay, ready
from streamavis_apps.results.summary import stages_of
from streamavis_apps.results.tables import latency_table
from streamavis_apps.terminal import Terminal
from streamavis_kernels import backend

from streamavis.device import place

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from streamavis_apps.machine import Machine

    from streamavis.status import LatencySummary

__all__ = ["PipelineFigures", "run"]


class PipelineFigures(TypedDict):
    """What is measured, and on what, ready for JSON."""

    benchmark: str
    file: str
    size: tuple[int, int]  # height, width of the source frames
    model: str
    frames: int
    seconds: float
    frames_per_s: float
    stages: dict[str, LatencySummary]
    device: str
    torch_threads: int
    kernels: str
    machine: Machine


def run(
    file: Path,
    *,
    model: str = "nano",
    compute: Compute = AUTO,
    json_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Replay `file` as fast as possible into no output, and print and write the figures.

    Args:
        file: video to decode.
        model: shipped name or file.
        compute: where the model runs.
        json_path: where the figures go as well; replaced.
        console: standard output by default.

    Raises:
        StreamAVISError: the input or the model is not usable, or `json_path` is not writable.
    """
    console = console or Terminal()
    about = machine()
    placement = place(compute.device, compute.dtype)
    plan = Replay(source=file, speed=None, model=model, compute=compute)
    with stop_on_signals() as stop, ready(plan, stop, console) as replay:
        info = replay.results.info
        with ReplayProgress(console, file.name, info.duration_s) as progress:
            for result in replay.results:
                progress.update(result, lambda: replay.results.report)
        report = replay.results.report
    if stop.signal is not None:
        return stop.exit_code
    figures: PipelineFigures = {
        "benchmark": "pipeline",
        "file": file.name,
        "size": (info.height, info.width),
        "model": model,
        "frames": report.processed,
        "seconds": round(report.duration_s, 3),
        "frames_per_s": round(report.frames_per_s, 2),
        "stages": stages_of(report),
        "device": str(placement.device),
        "torch_threads": report.torch_threads,
        "kernels": backend(placement.device.type),
        "machine": about,
    }
    _print(console, figures)
    write(console, json_path, figures)
    return ExitCode.DONE


def _print(console: Console, figures: PipelineFigures) -> None:
    about = figures["machine"]
    height, width = figures["size"]
    for line in (
        f"{figures['frames_per_s']} frames/s: {figures['frames']} frames of {figures['file']}, "
        f"{width}x{height}, in {figures['seconds']:.1f} s",
        describe_machine(about, figures["torch_threads"], figures["kernels"])
        + f", model {figures['model']}",
    ):
        console.print(line, markup=False, soft_wrap=True)
    console.print(latency_table(figures["stages"], "ms per frame"))
