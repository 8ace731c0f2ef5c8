"""`streamavis bench thresholds`: the program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.progress import Progress
from rich.table import Table
from streamavis_apps.exits import ExitCode
from streamavis_apps.terminal import Terminal

from streamavis import checkpoint
from streamavis_benchmarks.real import pack, thresholds
from streamavis_benchmarks.real.composed import ComposedUnit, read_composed
from streamavis_benchmarks.real.pictures import SceneUnit

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from streamavis_benchmarks.real.measured import Unit

__all__ = ["run"]

_FPS = 10.0


def run(
    model: str,
    data: Path,
    composed: Path | None,
    *,
    pictures: int | None,
    write: bool,
    console: Console | None = None,
) -> ExitCode:
    """Measure each threshold on the split `val`, print them, choose one, and store it if asked.

    Args:
        model: shipped name or file.
        data: as for `bench real`; composed: composed clips of the split, None for none.
        pictures: at most so many; None: all.
        write: store the choice in the weights file.

    Raises:
        StreamAVISError: model or data are not usable, or the file cannot be written.
    """
    console = console or Terminal()
    network = checkpoint.load(model)
    units: list[Unit] = [
        SceneUnit(scene) for scene in pack.every(pack.read_scenes(data, "val"), pictures)
    ]
    if composed is not None:
        _, clips = read_composed(composed, network.config.classes, {}, None)
        units += [ComposedUnit(clip, "own") for clip in clips]
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("measuring", total=len(units))
        found = thresholds.sweep(
            network, units, _FPS, lambda done: progress.update(task, completed=done)
        )
    chosen = thresholds.choose(found)
    table = Table(title="thresholds on val", box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("score_on", "recall", "persons", "precision", "F1", "sounding precision", "recall")
    for name in columns:
        table.add_column(name, justify="right")
    for one in found:
        values = (one.recall, one.persons, one.precision, one.f1)
        heard = (one.sounding_precision, one.sounding_recall)
        row = [f"{one.score_on:.2f}", *(f"{value:.3f}" for value in (*values, *heard))]
        table.add_row(*row, style="bold" if one is chosen else None)
    console.print(table)
    console.print(f"chosen   score_on {chosen.score_on}, score_off {chosen.score_off}")
    if write:
        path = thresholds.write(model, chosen)
        console.print(f"written  {path}", markup=False, soft_wrap=True)
    return ExitCode.DONE
