"""`streamavis synth`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Fps, Jobs, PictureSize, Seed

__all__ = ["command"]


def command(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the data set goes.")],
    clips: Annotated[int, typer.Option(min=1, help="How many.")],
    seed: Seed,
    fps: Fps = 10,
    size: PictureSize = "640x360",  # type: ignore[assignment]
    seconds: Annotated[float, typer.Option(min=1, help="How long each clip is.")] = 4,
    jobs: Jobs = 1,
) -> None:
    """Render clips of the procedural world with ground truth.

    Drawn objects that move as they sound, with masks, and visible and
    sounding flags per frame: annotations.json, JPEGImages/ and WAVAudios/.

    [bold]Examples[/]
      streamavis synth --out data/train --clips 400 --seed 1 --jobs 2
      streamavis synth --out data/tiny --clips 4 --seed 7 --fps 10 --seconds 5
    """
    from streamavis_apps.data.synth import run

    raise typer.Exit(run(out, clips, seed, fps=fps, size=size, duration_s=seconds, jobs=jobs))
