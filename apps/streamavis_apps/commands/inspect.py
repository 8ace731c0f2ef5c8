"""`streamavis inspect`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Size, parse_size

__all__ = ["command"]


def command(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Shipped weights by name, a .safetensors file, or a preset (r50, swin_l).",
        ),
    ] = "nano",
    size: Annotated[
        Size,
        typer.Option(parser=parse_size, metavar="WxH", help="Of the camera's pictures."),
    ] = "640x360",  # type: ignore[assignment]
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the figures here as JSON; - prints them instead."),
    ] = None,
) -> None:
    """What a causal network costs, what it remembers, and how far back it reaches.

    Parameters and FLOPs per stage, bytes per stream, what is cached and what
    is made anew. Worked out from the configuration: nothing is measured.

    [bold]Examples[/]
      streamavis inspect nano
      streamavis inspect live.safetensors --size 1280x720 --json -
    """
    from streamavis_apps.inspection import run

    raise typer.Exit(run(model, size=(size.height, size.width), json_path=json))
