"""`streamavis train`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Pool, checkpoint and weights.")],
    steps: Annotated[int, typer.Option(min=30, help="Training steps in all.")] = 1800,
    clips: Annotated[int, typer.Option(min=8, help="Procedural clips to learn from.")] = 2200,
    learning_rate: Annotated[float, typer.Option(min=0, help="At its highest.")] = 1.5e-3,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = 0,
    processes: Annotated[
        int, typer.Option(min=1, help="That train together, one thread each.")
    ] = 2,
) -> None:
    """Train `nano` on the procedural world, from scratch.

    Renders the clips first (about 0.4 GB per 100). A checkpoint is written
    every 200 steps: the same command goes on where it stands. At the end
    DIR/nano.safetensors is ready for `--model`.

    [bold]Example[/]
      streamavis train --out runs/nano
      streamavis replay clip.mp4 --model runs/nano/nano.safetensors
    """
    from streamavis_training.pool import PoolConfig
    from streamavis_training.recipes import NanoRecipe
    from streamavis_training.trainer import TrainerConfig

    from streamavis_apps.train import run

    recipe = NanoRecipe(
        trainer=TrainerConfig(steps=steps, learning_rate=learning_rate, seed=seed),
        pool=PoolConfig(clips=clips),
    )
    raise typer.Exit(run(out, recipe, processes=processes))
