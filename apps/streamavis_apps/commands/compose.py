"""`streamavis compose`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import (
    Jobs,
    Material,
    PictureSize,
    Seed,
    Split,
    Tiers,
    parse_names,
)

__all__ = ["command"]


def command(
    data: Material,
    clips: Annotated[int, typer.Option(min=1, help="Number of clips.")],
    seed: Seed,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a data set here.")] = None,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Write a contact sheet here: one frame of each clip."
        ),
    ] = None,
    split: Split = "test",
    tiers: Tiers = "open,check",
    classes: Annotated[
        str,
        typer.Option(metavar="A,B,...", help="Some of the classes.", show_default="all"),
    ] = "",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change how often something happens."),
    ] = None,
    fps: Annotated[float, typer.Option(min=1, max=30, help="Frames per second.")] = 10,
    size: PictureSize = "341x192",  # type: ignore[assignment]
    seconds: Annotated[float, typer.Option(min=0.2, help="Length of a clip.")] = 4,
    jobs: Jobs = 1,
    cache: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where decoded material is kept, up to 1 GB.",
            show_default="~/.cache/streamavis/compose",
        ),
    ] = None,
) -> None:
    """Compose clips of real objects and sounds with ground truth.

    Whole annotated pictures and cut-outs over backgrounds, with recordings
    of their classes, off-screen sounds, rooms and noise. Masks, and visible
    and sounding flags per frame: annotations.json, JPEGImages/, WAVAudios/
    and Videos/. Prints what the clips show. --set takes the odds by name,
    such as scenes=0 for clips without whole pictures; annotations.json
    lists all of them under `look`.

    [bold]Examples[/]
      streamavis compose --data material --out sets/test --clips 200 --seed 1
      streamavis compose --data material --split train --sheet look.png --clips 24 --seed 3
      streamavis compose --data material --out sets/easy --clips 200 --seed 1 \
          --classes person,dog --set scenes=0 --set in_view=1
    """
    if out is None and sheet is None:
        raise typer.BadParameter("name a folder with --out, a picture with --sheet, or both.")
    from streamavis_apps.data.compose import Request, run

    request = Request(
        data=data,
        out=out,
        sheet=sheet,
        n=clips,
        seed=seed,
        split=split,
        tiers=parse_names(tiers),
        fps=fps,
        size=size,
        duration_s=seconds,
        jobs=jobs,
        cache=cache,
        classes=parse_names(classes),
        settings=tuple(settings or ()),
    )
    raise typer.Exit(run(request))
