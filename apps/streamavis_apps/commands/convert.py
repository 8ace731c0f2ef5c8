"""`streamavis convert`: its command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Start", "command"]


class Start(StrEnum):
    """Networks that can be started from part of the weights."""

    R50 = "avism_r50"
    R101 = "avism_r101"
    SWIN_L = "avism_swin_l"


def command(
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="Published weights: .pth, .pkl or .safetensors.")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A .safetensors file.")],
    start: Annotated[
        Start | None,
        typer.Option(help="Start this network from a detector or a backbone; the rest is random."),
    ] = None,
    window: Annotated[
        int, typer.Option(min=1, help="Frames the network was trained to relate.")
    ] = 6,
    half: Annotated[bool, typer.Option("--half", help="Store 16 bits per weight.")] = False,
) -> None:
    """Turn published AVISM or ACVIS weights into a file of ours.

    Says of every weight whether it was used. No code in IN is run. With
    --start, IN may be Mask2Former, VITA or an ImageNet backbone.

    [bold]Examples[/]
      streamavis convert avism_R50_COCO.pth avism_r50.safetensors
      streamavis convert R-50.pkl start.safetensors --start avism_r50
    """
    from streamavis_apps.convert import run

    name = None if start is None else start.value
    raise typer.Exit(run(source, out, start=name, window=window, half=half))
