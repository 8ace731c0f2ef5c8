"""`streamavis train`: the program."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamavis_training.recipes import NanoRecipe
    from streamavis_training.trainer import Progress as Step

__all__ = ["run"]

_LINE_STEPS = 50  # between lines where there is no terminal


def run(out: Path, recipe: NanoRecipe, *, processes: int) -> int:
    """Render the pool where it is missing, train, and write the weights.

    Args:
        out: folder for pool, checkpoint and `nano.safetensors`.
        recipe: what to train.
        processes: that train together, one thread each; 1 uses this process.

    Returns:
        The exit code.
    """
    from streamavis_training import pool

    console = Console()
    with _bar(console, "rendering clips", recipe.pool.clips) as advance:
        pool.render(
            out / "pool", recipe.pool, jobs=processes, progress=lambda done: advance(done, "")
        )
    if processes == 1:
        _work(0, 1, out, recipe)
    else:
        from torch.multiprocessing.spawn import spawn

        spawn(_work, (processes, out, recipe), nprocs=processes)
    console.print(f"weights: {out / 'nano.safetensors'}", soft_wrap=True)
    return 0


def _work(rank: int, processes: int, out: Path, recipe: NanoRecipe) -> None:
    """One training process."""
    import cv2
    import torch
    import torch.distributed as dist
    from streamavis_training.recipes import train_nano

    from streamavis import checkpoint

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if processes > 1:
        meeting = out / f"meeting-{os.getppid()}"
        dist.init_process_group(
            "gloo", init_method=meeting.resolve().as_uri(), rank=rank, world_size=processes
        )
    with _bar(Console(quiet=rank > 0), "training", recipe.trainer.steps) as advance:
        trainer = train_nano(
            out,
            recipe,
            out / "pool",
            rank=rank,
            report=lambda step: advance(step.step, _describe(step)),
        )
    if rank == 0:
        notes = {
            "command": " ".join(["streamavis", *sys.argv[1:]]),
            "data": f"procedural world, {recipe.pool.clips} clips from seed {recipe.pool.seed}",
            "steps": str(trainer.step),
            "seed": str(recipe.trainer.seed),
        }
        checkpoint.save(trainer.averaged(), out / "nano.safetensors", notes)
    if processes > 1:
        dist.destroy_process_group()
        if rank == 0:
            meeting.unlink(missing_ok=True)


def _describe(step: Step) -> str:
    shown = ("class", "bce", "dice", "sounding")
    return f"loss {step.loss:.2f}  " + "  ".join(f"{k} {step.terms[k]:.2f}" for k in shown)


@contextmanager
def _bar(console: Console, what: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """A bar on a terminal, a line now and then elsewhere; call with steps done and a note."""
    if not console.is_terminal:

        def line(done: int, note: str) -> None:
            if done % _LINE_STEPS == 0 or done == total:
                console.print(f"{what}: {done} of {total}  {note}", soft_wrap=True)

        yield line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total, note="")
        yield lambda done, note: progress.update(task, completed=done, note=note)
