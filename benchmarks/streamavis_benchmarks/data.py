"""`streamavis bench data`: whether the loader keeps up with a network."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from streamavis_apps.data.check import counting
from streamavis_apps.exits import ExitCode
from streamavis_apps.figures import write
from streamavis_apps.machine import machine
from streamavis_apps.terminal import Terminal

from streamavis.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from streamavis_training.batch import Batch
    from streamavis_training.data.loader import Loader
    from streamavis_training.data.sample import Source

__all__ = ["DataBenchPlan", "run"]

_GOAL = 0.05  # of a step that the network may wait
_POOL = "pool:"
_WARM_UP = 2  # batches that each worker makes ahead, which are not timed
_STEPS = 3  # of the network alone
_SEED = 0


@dataclass(frozen=True)
class DataBenchPlan:
    """What is loaded, and for which network."""

    sources: list[str]
    classes: tuple[str, ...] | None
    network: str | None
    step_s: float | None  # given by the user; None: measured
    clips: int
    frames: int
    size: tuple[int, int]  # height, width
    batches: int
    workers: tuple[int, ...]


@dataclass
class _Row:
    """Of one number of workers."""

    workers: int
    clips_per_s: float
    batch_ms: float
    waiting: float | None = None  # for a batch, share of a step; None: no network to wait
    measured: bool = False  # between the network's own steps, not computed from the rates


def run(plan: DataBenchPlan, *, json_path: Path | None, console: Console | None = None) -> ExitCode:
    """Time the loader and print what a network would wait.

    Raises:
        InputError: a data set cannot be read.
        ArgumentError: a data set or its weight is named wrongly.
        OutputError: the figures cannot be written.
    """
    console = console or Terminal()
    about = machine()
    source = _source(plan)
    step, step_s = None, plan.step_s
    if step_s is None and plan.network is not None:
        step, step_s = _network_step(plan, source)
    rows = []
    with counting(console, "loading") as progress:
        for done, workers in enumerate(plan.workers):
            progress(done, len(plan.workers))
            row = _alone(plan, source, workers)
            if step is not None:
                row.waiting, row.measured = _between_steps(plan, source, workers, step), True
            elif step_s is not None:
                row.waiting = _expected(row, step_s)
            rows.append(row)
    console.print(_table(plan, rows, step_s))
    for line in _verdict(rows, step_s):
        console.print(line, markup=False, soft_wrap=True)
    figures: dict[str, Any] = {
        "machine": about,
        "sources": plan.sources,
        "network": plan.network if plan.step_s is None else None,
        "clips": plan.clips,
        "frames": plan.frames,
        "size": [plan.size[1], plan.size[0]],
        "step_ms": None if step_s is None else round(1e3 * step_s, 2),
        "loader": [row.__dict__ for row in rows],
    }
    write(console, json_path, figures)
    return ExitCode.DONE


def _source(plan: DataBenchPlan) -> Source:
    from streamavis_training.data.classes import AVISEG
    from streamavis_training.data.mix import Mix
    from streamavis_training.data.sources import read_source
    from streamavis_training.data.world import PoolSource, WorldSource

    named = [_named(text) for text in plan.sources]
    drawn = [path == "world" or path.startswith(_POOL) for path, _ in named]
    if any(drawn) and not all(drawn):
        raise ArgumentError(
            "the procedural world has classes of its own; time it and data sets on disk apart"
        )

    def opened(path: str) -> Source:
        if path == "world":
            return WorldSource()
        if path.startswith(_POOL):
            return PoolSource(Path(path.removeprefix(_POOL)))
        return read_source(Path(path), plan.classes or AVISEG)

    mixed = Mix([(opened(path), weight) for path, weight in named])
    if all(drawn) and plan.classes not in (None, mixed.classes):
        raise ArgumentError(f"the procedural world's classes are {', '.join(mixed.classes)}")
    return mixed


def _named(text: str) -> tuple[str, float]:
    path, equals, weight = text.rpartition("=")
    if not equals or Path(text).exists():
        return text, 1.0
    try:
        return path, float(weight)
    except ValueError:
        raise ArgumentError(
            f"{text!r} is not PATH or PATH=WEIGHT, such as AVISeg/train=3"
        ) from None


def _loader(plan: DataBenchPlan, source: Source, workers: int, batches: int) -> Loader:
    from streamavis_training.data.loader import Loader, Stage
    from streamavis_training.data.sample import ClipShape

    stage = Stage(1.0, plan.clips, ClipShape(plan.frames, *plan.size))
    return Loader(source, [stage], batches, seed=_SEED, workers=workers)


def _alone(plan: DataBenchPlan, source: Source, workers: int) -> _Row:
    ahead = 1 + _WARM_UP * workers
    batches = _loader(plan, source, workers, ahead + plan.batches).batches()
    for _ in range(ahead):
        next(batches)
    began = time.perf_counter()
    count = sum(1 for _ in batches)
    took_s = (time.perf_counter() - began) / count
    return _Row(workers, round(plan.clips / took_s, 3), round(1e3 * took_s, 2))


def _network_step(plan: DataBenchPlan, source: Source) -> tuple[Callable[[Batch], None], float]:
    """A training step of the network, and how long it takes, s."""
    import torch
    from streamavis_training.losses import LossWeights, losses

    from streamavis.model import StreamAVIS, nano

    torch.manual_seed(_SEED)
    network = StreamAVIS(nano(source.classes)).train()
    optimizer = torch.optim.AdamW(network.parameters(), 1e-6)
    weights = LossWeights()

    def step(batch: Batch) -> None:
        output = network(batch.frames, batch.audio, batch.times_s)
        loss = sum(losses(output, batch.truth, weights).values(), torch.zeros(()))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    batch = next(_loader(plan, source, 0, 1).batches())
    step(batch)
    times_s = []
    for _ in range(_STEPS):
        began = time.perf_counter()
        step(batch)
        times_s.append(time.perf_counter() - began)
    return step, statistics.median(times_s)


def _between_steps(
    plan: DataBenchPlan, source: Source, workers: int, step: Callable[[Batch], None]
) -> float:
    """How long the network waited for a batch, as a share of its step."""
    ahead = 1 + _WARM_UP * workers
    loader = _loader(plan, source, workers, ahead + plan.batches)
    batches = loader.batches()
    for _ in range(ahead):
        step(next(batches))
    began, waited_s = time.perf_counter(), loader.waited_s
    for batch in batches:
        step(batch)
    waited_s = loader.waited_s - waited_s
    return round(waited_s / (time.perf_counter() - began - waited_s), 4)


def _expected(row: _Row, step_s: float) -> float:
    """The same where the step is another machine's: workers make batches during it."""
    batch_s = row.batch_ms / 1e3
    waits_s = batch_s if row.workers == 0 else max(batch_s - step_s, 0)
    return round(waits_s / step_s, 4)


def _table(plan: DataBenchPlan, rows: list[_Row], step_s: float | None) -> Table:
    height, width = plan.size
    title = f"batches of {plan.clips} clips, {plan.frames} frames of {width}x{height}"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("workers", justify="right")
    for name in ("clips/s", "ms a batch"):
        table.add_column(name, justify="right")
    if step_s is not None:
        table.add_column("network's clips/s", justify="right")
        table.add_column("waits, share of a step", justify="right")
    for row in rows:
        cells = [str(row.workers), f"{row.clips_per_s:.1f}", f"{row.batch_ms:.1f}"]
        if step_s is not None and row.waiting is not None:
            style = "green" if row.waiting < _GOAL else "red"
            cells += [f"{plan.clips / step_s:.1f}", f"[{style}]{100 * row.waiting:.1f} %[/]"]
        table.add_row(*cells)
    return table


def _verdict(rows: list[_Row], step_s: float | None) -> list[str]:
    if step_s is None:
        return []
    way = "measured between its steps" if rows[0].measured else "computed from the rates"
    lines = [f"a step of the network takes {1e3 * step_s:.0f} ms; the wait is {way}"]
    enough = [row.workers for row in rows if row.waiting is not None and row.waiting < _GOAL]
    if enough:
        count = min(enough)
        workers = "no worker is needed" if not count else f"--workers {count} is enough"
        lines.append(f"{workers}: the network waits less than 5 % of a step")
    else:
        lines.append("the network waits more than 5 % of a step; use more workers or a pool")
    return lines
