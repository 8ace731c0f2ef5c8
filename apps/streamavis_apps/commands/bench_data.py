"""`streamavis bench data`: its command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Size, parse_size

__all__ = ["Network", "data"]


class Network(StrEnum):
    """The network whose training step is timed."""

    NANO = "nano"
    NONE = "none"


def data(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH[=WEIGHT]|world|pool:DIR...",
            help="Data sets to mix: a path, or the procedural world, rendered or from a pool.",
        ),
    ],
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Classes to learn.",
            show_default="AVISeg's 26; the world's for the world",
        ),
    ] = None,
    network: Annotated[Network, typer.Option(help="Also time its training step.")] = Network.NANO,
    step: Annotated[
        float | None,
        typer.Option(
            min=0.0001,
            metavar="SECONDS",
            help="Of a step of the network that you train, on its device.",
            show_default="measured",
        ),
    ] = None,
    clips: Annotated[int, typer.Option(min=1, help="Of a batch.")] = 3,
    frames: Annotated[int, typer.Option(min=1, help="Of a clip.")] = 5,
    size: Annotated[
        Size, typer.Option(parser=parse_size, metavar="WxH", help="Of the network's frames.")
    ] = "341x192",  # type: ignore[assignment]
    batches: Annotated[int, typer.Option(min=2, help="How many are timed.")] = 12,
    workers: Annotated[
        list[int] | None,
        typer.Option(min=0, help="Worker processes. Repeat it.", show_default="0, 1, 2"),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the figures here too.")
    ] = None,
) -> None:
    """Clips per second of the loader, compared with a training step.

    Draws batches with 0, 1 and 2 worker processes and prints which share of
    a training step the network would wait for them. First the loader runs
    alone; then with the network's steps in between, on the same cores.

    [bold]Examples[/]
      streamavis bench data AVISeg/train
      streamavis bench data AVISeg/train=3 coco/val2017=1 --clips 4
      streamavis bench data world --step 0.25 --json data.json
    """
    from streamavis_benchmarks.data import DataBenchPlan, run

    plan = DataBenchPlan(
        sources=sources,
        classes=None if classes is None else tuple(filter(None, classes.split(","))),
        network=None if network is Network.NONE else network.value,
        step_s=step,
        clips=clips,
        frames=frames,
        size=(size.height, size.width),
        batches=batches,
        workers=tuple(workers) if workers else (0, 1, 2),
    )
    raise typer.Exit(run(plan, json_path=json))
