"""`streamavis bench segment`: what a recording of any length costs, in time and in memory."""

from __future__ import annotations

import resource
import sys
import time
from typing import TYPE_CHECKING, TypedDict

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import describe_machine, write
from streamavis_apps.machine import Machine, machine
from streamavis_apps.terminal import Terminal
from streamavis_kernels import backend

from streamavis.model.segmentation import segment
from streamavis_benchmarks.offline.network import network, pictures, sound

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console
    from streamavis_apps.commands.options import Size

__all__ = ["SegmentFigures", "run"]

_STAGES = ("seeing", "drawing")


class SegmentFigures(TypedDict):
    """What is measured, and on what, ready for JSON."""

    benchmark: str
    model: str
    size: tuple[int, int]  # height, width
    frames: int
    objects: int
    seconds_per_frame: float
    loaded_mib: float  # resident, before the first frame
    peak_mib: float  # the most that was resident at once, the weights and Python included
    torch_threads: int
    kernels: str
    machine: Machine


def run(
    *,
    model: Path | None,
    size: Size,
    frames: int,
    threads: int | None = None,
    json_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Segment a drawn recording, and print and write what it took.

    Args:
        model: AVISM weights; None: untrained ones.
        size: of the recording; frames: of it.
        threads: of torch; None: as torch chooses.
        json_path: where the figures go as well; replaced.
        console: standard output by default.

    Raises:
        CheckpointError: the weights are not usable.
        OutputError: `json_path` is not writable.
    """
    console = console or Terminal()
    if threads is not None:
        torch.set_num_threads(threads)
    about = machine()
    loaded, name = network(model)
    heard = sound(loaded, frames)
    before = _peak_mib()
    columns = (TextColumn("{task.description:8}"), BarColumn(), MofNCompleteColumn())
    start = time.perf_counter()
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    ) as progress:
        tasks = {stage: progress.add_task(stage, total=frames) for stage in _STAGES}
        found = segment(
            loaded,
            pictures(frames, size),
            heard,
            progress=lambda stage, done: progress.update(tasks[stage], completed=done),
        )
    figures: SegmentFigures = {
        "benchmark": "segment",
        "model": name,
        "size": (size.height, size.width),
        "frames": frames,
        "objects": len(found),
        "seconds_per_frame": round((time.perf_counter() - start) / frames, 3),
        "loaded_mib": round(before),
        "peak_mib": round(_peak_mib()),
        "torch_threads": torch.get_num_threads(),
        "kernels": backend(),
        "machine": about,
    }
    for line in (
        f"{frames} frames of {size.width}x{size.height}, {name}, {len(found)} objects kept: "
        f"{figures['seconds_per_frame']} s per frame, {figures['peak_mib']:.0f} MiB at most, "
        f"{figures['loaded_mib']:.0f} MiB before the first frame",
        describe_machine(about, figures["torch_threads"], figures["kernels"]),
    ):
        console.print(line, markup=False, soft_wrap=True)
    write(console, json_path, figures)
    return ExitCode.DONE


def _peak_mib() -> float:
    """The most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
