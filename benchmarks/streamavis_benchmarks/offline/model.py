"""`streamavis bench model --offline`: AVISM beside the way the published code computes it."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict

import torch
from rich import box
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import Spread, describe_machine, spread, write
from streamavis_apps.machine import Machine, machine
from streamavis_apps.terminal import Terminal
from streamavis_kernels import backend

from streamavis.model.segmentation import Segmenter
from streamavis_benchmarks.offline.network import network, pictures, sound
from streamavis_benchmarks.offline.published import PublishedSegmenter, as_published

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from rich.console import Console
    from streamavis_apps.commands.options import Size
    from torch.utils.hooks import RemovableHandle

    from streamavis.model import AVISM

__all__ = ["ModelFigures", "PartTime", "Stopwatch", "Times", "Way", "run"]

Way = Literal["baseline", "candidate"]

# Parts of the network, by the module that is timed; what is left of a run is "post".
_PARTS = {
    "backbone": "backbone",
    "pixel_decoder": "pixel decoder",
    "localizer": "frame decoder",
    "video_mask_features": "video mask conv",
    "object_encoder": "tracker",
    "object_decoder": "tracker",
}
_ROWS = (*dict.fromkeys(_PARTS.values()), "post", "whole")


class PartTime(TypedDict):
    """Milliseconds per frame of one part, over the rounds, and its share of the whole."""

    wall_ms: Spread
    cpu_ms: Spread
    cpu_share: float  # of medians


class ModelFigures(TypedDict):
    """What is measured, and on what, ready for JSON."""

    benchmark: str
    model: str
    size: tuple[int, int]  # height, width
    frames: int
    rounds: int
    objects: int  # kept by the candidate
    parts: dict[Way, dict[str, PartTime]]
    wall_ratio: Spread  # baseline over candidate, round by round
    cpu_ratio: Spread
    torch_threads: int
    kernels: str
    machine: Machine


@dataclass
class Times:
    """Seconds on two clocks."""

    wall: float = 0.0
    cpu: float = 0.0  # of the whole process, threads that wait included

    @staticmethod
    def now() -> Times:
        """What the clocks show."""
        return Times(time.perf_counter(), time.process_time())

    def add_since(self, start: Times) -> None:
        """Add what has passed since `start`."""
        end = Times.now()
        self.wall += end.wall - start.wall
        self.cpu += end.cpu - start.cpu


class Stopwatch:
    """Times the parts of a network while it is open, and everything else as "post"."""

    def __init__(self, model: AVISM) -> None:
        self._model = model
        self.parts: dict[str, Times] = defaultdict(Times)
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> Self:
        for name, part in _PARTS.items():
            module = self._model.get_submodule(name)
            starts: list[Times] = []
            self._handles += [
                module.register_forward_pre_hook(_starter(starts)),
                module.register_forward_hook(_stopper(starts, self.parts[part])),
            ]
        self._start = Times.now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        whole = Times()
        whole.add_since(self._start)
        for handle in self._handles:
            handle.remove()
        parts = self.parts.values()
        post = Times(whole.wall - sum(p.wall for p in parts), whole.cpu - sum(p.cpu for p in parts))
        self.parts |= {"post": post, "whole": whole}


def _starter(starts: list[Times]) -> Any:
    return lambda module, inputs: starts.append(Times.now())


def _stopper(starts: list[Times], total: Times) -> Any:
    return lambda module, inputs, output: total.add_since(starts.pop())


def run(
    *,
    model: Path | None,
    size: Size,
    frames: int,
    rounds: int,
    threads: int | None = None,
    json_path: Path | None = None,
    console: Console | None = None,
) -> ExitCode:
    """Segment the same recording both ways in turn, and print and write what each part took.

    Args:
        model: AVISM weights; None: untrained ones.
        size: of the recording; frames: of it; rounds: how often each way runs.
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
    candidate, name = network(model)
    ways: dict[Way, AVISM] = {"baseline": as_published(candidate), "candidate": candidate}
    recording = list(pictures(frames, size))
    taken: dict[Way, list[dict[str, Times]]] = {way: [] for way in ways}
    objects = 0
    for way, network_of in ways.items():
        _measure(way, network_of, recording[:1])
    for way in _turns(console, rounds):
        objects, parts = _measure(way, ways[way], recording)
        taken[way].append(parts)
    whole = {way: [parts["whole"] for parts in runs] for way, runs in taken.items()}
    pairs = list(zip(whole["baseline"], whole["candidate"], strict=True))
    figures: ModelFigures = {
        "benchmark": "model --offline",
        "model": name,
        "size": (size.height, size.width),
        "frames": frames,
        "rounds": rounds,
        "objects": objects,
        "parts": {way: _summary(runs, frames) for way, runs in taken.items()},
        "wall_ratio": spread([slow.wall / fast.wall for slow, fast in pairs]),
        "cpu_ratio": spread([slow.cpu / fast.cpu for slow, fast in pairs]),
        "torch_threads": torch.get_num_threads(),
        "kernels": backend(),
        "machine": about,
    }
    _print(console, figures)
    write(console, json_path, figures)
    return ExitCode.DONE


def _turns(console: Console, rounds: int) -> Iterator[Way]:
    """Name the ways in turn, each round beginning with the other."""
    columns = (TextColumn("{task.description:10}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=2 * rounds)
        order: list[Way] = ["baseline", "candidate"]
        for number in range(rounds):
            for way in order[:: 1 - 2 * (number % 2)]:
                progress.update(task, description=way)
                yield way
                progress.advance(task)


def _measure(
    way: Way, model: AVISM, recording: list[NDArray[np.uint8]]
) -> tuple[int, dict[str, Times]]:
    """Objects found, and the time each part took."""
    heard = sound(model, len(recording))
    run = PublishedSegmenter(model) if way == "baseline" else Segmenter(model)
    with Stopwatch(model) as watch:
        found = run.segment(recording, heard)
    return len(found), dict(watch.parts)


def _summary(runs: list[dict[str, Times]], frames: int) -> dict[str, PartTime]:
    parts: dict[str, PartTime] = {}
    for part in _ROWS:
        parts[part] = {
            "wall_ms": spread([1000 * times[part].wall / frames for times in runs]),
            "cpu_ms": spread([1000 * times[part].cpu / frames for times in runs]),
            "cpu_share": 0.0,
        }
    whole = parts["whole"]["cpu_ms"]["median"]
    for time_of in parts.values():
        time_of["cpu_share"] = round(time_of["cpu_ms"]["median"] / whole, 3)
    return parts


def _print(console: Console, figures: ModelFigures) -> None:
    height, width = figures["size"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("ms per frame", no_wrap=True)
    for way in figures["parts"]:
        for column in (way, "cpu", "share"):
            table.add_column(column, justify="right", no_wrap=True)
    for part in _ROWS:
        cells = []
        for parts in figures["parts"].values():
            cells += [_text(parts[part]["wall_ms"]), f"{parts[part]['cpu_ms']['median']:.0f}"]
            cells.append(f"{parts[part]['cpu_share']:.1%}")
        table.add_row(part, *cells, style="bold" if part == "whole" else "")
    ratio, by_cpu = figures["wall_ratio"], figures["cpu_ratio"]
    lines = (
        f"{figures['frames']} frames of {width}x{height}, {figures['rounds']} rounds in turn, "
        f"{figures['model']}, {figures['objects']} objects kept",
        describe_machine(figures["machine"], figures["torch_threads"], figures["kernels"]),
    )
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    console.print(table)
    console.print(
        f"candidate is {ratio['median']:.2f} times as fast "
        f"({ratio['min']:.2f}-{ratio['max']:.2f}); "
        f"by CPU time {by_cpu['median']:.2f} ({by_cpu['min']:.2f}-{by_cpu['max']:.2f})",
        markup=False,
        soft_wrap=True,
    )


def _text(figure: Spread) -> str:
    return f"{figure['median']:.0f} ±{(figure['max'] - figure['min']) / 2:.0f}"
