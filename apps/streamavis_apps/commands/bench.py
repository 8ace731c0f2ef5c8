"""`streamavis bench ...`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Model

__all__ = ["app", "pipeline", "world"]

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


@app.command("world")
def world(
    model: Model = "nano",
    clips: Annotated[int, typer.Option(min=2, help="Clips to score on.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Of the clips, as in `synth`.")] = 2026,
    fps: Annotated[float, typer.Option(min=5, max=30, help="Frames per second.")] = 10.0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 2,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the figures here too.")
    ] = None,
) -> None:
    """How good a model is on procedural clips it has not seen.

    Draws the clips that `streamavis synth --seed SEED` writes and runs them
    as a stream: with their own sound, with another clip's, and in silence.
    Frames with two objects of one class of which one sounds stand apart.

    [bold]Example[/]
      streamavis bench world --clips 40 --seed 2026
    """
    from streamavis_apps.world_bench import run

    raise typer.Exit(run(model, clips=clips, seed=seed, fps=fps, jobs=jobs, json_path=json))
