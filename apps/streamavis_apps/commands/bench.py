"""`streamavis bench ...`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Model

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    help="Measure this machine: a table to read and JSON to keep.",
)


@app.command("pipeline")
def pipeline(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video file.")],
    model: Model = "nano",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of the model.", show_default="torch's choice"),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the figures here too.")
    ] = None,
) -> None:
    """Frames per second from file to result, and where the time goes.

    Replays FILE at `--speed max` into no output: decoding, resizing, model
    and tracks. The JSON names machine, load, versions and thread count.

    [bold]Example[/]
      streamavis bench pipeline clip.mp4 --json bench.json
    """
    from streamavis_apps.bench import run

    raise typer.Exit(run(file, model=model, threads=threads, json_path=json))
