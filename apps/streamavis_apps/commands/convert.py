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
        Path, typer.Argument(metavar="FILE", help="Published weights: .pth, .pkl or .safetensors.")
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
    causal: Annotated[
        bool,
        typer.Option("--causal", help="Make it a causal network: live, for `replay` and the like."),
    ] = False,
    vggish: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="VGGish weights for the audio features; kept in OUT.",
            show_default="those in FILE (ACVIS has them)",
        ),
    ] = None,
) -> None:
    """Turn published AVISM or ACVIS weights into a file of ours.

    Says of every weight whether it was used. No code in FILE is run. With
    --start, FILE may be Mask2Former, VITA or an ImageNet backbone. With
    --causal the network goes online without training: it remembers one frame
    a second, as many as its window has, and every detection counts as sounding.

    [bold]Examples[/]
      streamavis convert avism_R50_COCO.pth avism.safetensors --vggish vggish.pth
      streamavis segment clip.mp4 --model avism.safetensors --out clip
      streamavis convert avism_R50_COCO.pth live.safetensors --causal --vggish vggish.pth
      streamavis replay clip.mp4 --model live.safetensors
      streamavis convert R-50.pkl start.safetensors --start avism_r50
    """
    if causal and start is not None:
        raise typer.BadParameter("--causal needs a whole network; --start makes part of one.")
    from streamavis_apps.convert import run

    name = None if start is None else start.value
    raise typer.Exit(
        run(source, out, start=name, window=window, half=half, causal=causal, vggish=vggish)
    )
