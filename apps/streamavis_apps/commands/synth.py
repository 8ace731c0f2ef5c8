"""`streamavis synth`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Size, parse_size

__all__ = ["command"]


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the data set goes.")],
    n: Annotated[int, typer.Option("--n", min=1, help="Number of clips.")],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same clips.")],
    fps: Annotated[float, typer.Option(min=5, max=30, help="Frames per second.")] = 10,
    size: Annotated[
        Size,
        typer.Option(parser=parse_size, metavar="WxH", help="Picture size."),
    ] = "640x360",  # type: ignore[assignment]
    duration: Annotated[
        float,
        typer.Option(min=1, metavar="SECONDS", help="Length of a clip."),
    ] = 4,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that render at once.")] = 1,
) -> None:
    """Render clips of the procedural world with exact truth.

    Drawn objects that move as they sound, with masks, and visible and
    sounding flags per frame: annotations.json, JPEGImages/ and WAVAudios/.

    [bold]Examples[/]
      streamavis synth --out data/train --n 400 --seed 1 --jobs 2
      streamavis synth --out data/tiny --n 4 --seed 7 --fps 10 --duration 5
    """
    from streamavis_apps.synth import run

    raise typer.Exit(run(out, n, seed, fps=fps, size=size, duration_s=duration, jobs=jobs))
