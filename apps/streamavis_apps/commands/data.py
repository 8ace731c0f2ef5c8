"""`streamavis data ...`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Jobs, Material, Split, Tiers, parse_names
from streamavis_apps.help_page import HelpCommand, HelpGroup

__all__ = ["app", "bundle", "check", "stats"]

app = typer.Typer(
    cls=HelpGroup,
    no_args_is_help=True,
    help="Training data on disk: check, statistics, and one file to copy.",
)

Where = Annotated[
    Path,
    typer.Argument(
        metavar="PATH", help="A split's folder or JSON file, or the folder that holds the splits."
    ),
]


@app.command("check", cls=HelpCommand)
def check(
    path: Where,
    jobs: Annotated[int, typer.Option(min=1, help="Processes that decode at once.")] = 1,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the list here too.")
    ] = None,
) -> None:
    """List every problem of a data set, file by file.

    Recognises the layouts of AVISeg, YouTube-VIS, OVIS and COCO. Decodes
    every picture, sound and mask. Training and evaluation read every data
    set that passes without an error.

    Exits with 0 where there is no problem, with 1 where there is one. Notes
    are oddities that the readers handle; they do not count.

    [bold]Examples[/]
      streamavis data check AVISeg --jobs 2
      streamavis data check coco/annotations/instances_val2017.json
    """
    from streamavis_apps.data.check import run

    raise typer.Exit(run(path, jobs=jobs, json_path=json))


@app.command("stats", cls=HelpCommand)
def stats(
    path: Where,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the figures here too.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with charts, one file.")
    ] = None,
) -> None:
    """Count what is in a data set: the figures of the AVISeg paper.

    Videos, hours, objects and masks, per class and per frame, how much of
    them sounds, and how long the videos are. Reads annotations only.

    [bold]Example[/]
      streamavis data stats AVISeg --html aviseg.html
    """
    from streamavis_apps.data.stats import run

    raise typer.Exit(run(path, json_path=json, html_path=html))


@app.command("bundle", cls=HelpCommand)
def bundle(
    material: Material,
    out: Annotated[Path, typer.Option(metavar="FILE.tar.gz", help="The bundle.")],
    limit_mb: Annotated[float, typer.Option(min=0.01, help="At most so many MB.")] = 60,
    split: Split = "train",
    tiers: Tiers = "open,check",
    jobs: Jobs = 1,
) -> None:
    """Put training material into one file, to train on another machine.

    Pictures become as small as training needs, with their masks; sounds are
    encoded again if the limit requires it. The best quality that fits is
    chosen. Licences and sources are kept. The same material and limit give
    the same file. `train nano` and `compose` read it as they read folders.

    [bold]Examples[/]
      streamavis data bundle --material data --out material.tar.gz --limit-mb 40
      streamavis train nano --out runs/nano --set 'data.material=["material.tar.gz"]'
    """
    from streamavis_apps.data.bundle import run

    raise typer.Exit(
        run(material, out, limit_mb=limit_mb, split=split, tiers=parse_names(tiers), jobs=jobs)
    )
