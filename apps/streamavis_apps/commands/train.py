"""`streamavis train`: its command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Audio", "Fusion", "Slots", "command"]

_PANEL = "The network, for ablation"


class Fusion(StrEnum):
    """How sound enters the frame's queries."""

    DEFORMABLE = "deformable"
    DENSE = "dense"


class Slots(StrEnum):
    """What a frame's slots start from."""

    GATE = "gate"
    PREVIOUS = "previous"
    LEARNED = "learned"


class Audio(StrEnum):
    """Who listens."""

    CAUSAL = "causal"
    NONE = "none"


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Pool, checkpoint and weights.")],
    steps: Annotated[int, typer.Option(min=30, help="Training steps in all.")] = 1800,
    clips: Annotated[int, typer.Option(min=8, help="Procedural clips to learn from.")] = 2200,
    learning_rate: Annotated[float, typer.Option(min=0, help="At its highest.")] = 1.5e-3,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that train together.")] = 2,
    window: Annotated[
        int, typer.Option(min=1, help="Remembered frames.", rich_help_panel=_PANEL)
    ] = 6,
    stride: Annotated[
        float,
        typer.Option(min=0.01, help="Seconds between remembered frames.", rich_help_panel=_PANEL),
    ] = 1.0,
    sinks: Annotated[
        int, typer.Option(min=0, help="Learned rows in every memory.", rich_help_panel=_PANEL)
    ] = 4,
    pin_first: Annotated[
        int, typer.Option(min=0, help="First frames kept for good.", rich_help_panel=_PANEL)
    ] = 0,
    slots: Annotated[
        Slots,
        typer.Option(
            help="A frame's slots start from the previous ones through a learned gate, from the "
            "previous ones as they are, or from learned queries.",
            rich_help_panel=_PANEL,
        ),
    ] = Slots.GATE,
    fusion: Annotated[
        Fusion,
        typer.Option(help="How sound enters the frame's queries.", rich_help_panel=_PANEL),
    ] = Fusion.DEFORMABLE,
    audio: Annotated[
        Audio, typer.Option(help="Who listens; `none`: sound is off.", rich_help_panel=_PANEL)
    ] = Audio.CAUSAL,
) -> None:
    """Train `nano` on the procedural world, from scratch.

    Renders the clips first (about 0.4 GB per 100). A checkpoint is written
    every 200 steps: the same command goes on where it stands. At the end
    DIR/nano.safetensors is ready for `--model`.

    [bold]Example[/]
      streamavis train --out runs/nano
      streamavis replay clip.mp4 --model runs/nano/nano.safetensors
      streamavis train --out runs/no-sinks --sinks 0
    """
    from dataclasses import replace

    from streamavis_training.pool import PoolConfig
    from streamavis_training.recipes import NanoRecipe
    from streamavis_training.trainer import TrainerConfig

    from streamavis_apps.train import run

    network = replace(
        NanoRecipe().network,
        window=window,
        memory_stride_s=stride,
        sinks=sinks,
        pin_first=pin_first,
        slot_start=slots.value,
        fusion=fusion.value,
        audio=audio.value,
    )
    recipe = NanoRecipe(
        network=network,
        trainer=TrainerConfig(steps=steps, learning_rate=learning_rate, seed=seed),
        pool=PoolConfig(clips=clips),
    )
    raise typer.Exit(run(out, recipe, processes=jobs))
