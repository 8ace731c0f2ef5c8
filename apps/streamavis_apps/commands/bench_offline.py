"""`streamavis bench model` and `bench segment`: their command lines."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Json, PictureSize, Threads

__all__ = ["model", "segment"]

Offline = Annotated[
    Path | None,
    typer.Option(
        "--model",
        metavar="FILE",
        help="AVISM weights, from `streamavis convert`.",
        show_default="an untrained R50",
    ),
]


def model(
    offline: Annotated[
        bool, typer.Option("--offline", help="Of the offline network; it must be named.")
    ] = False,
    weights: Offline = None,
    size: PictureSize = "640x360",  # type: ignore[assignment]
    frames: Annotated[int, typer.Option(min=1, help="Of the recording.")] = 18,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each.")] = 3,
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Time per part of the offline network, beside the published way.

    Segments one drawn recording with the same weights in turn: as the
    published code computes (grid_sample, 100 copies of each audio token,
    18 frames at once) and as AVISM here does. Medians of wall and CPU time.

    [bold]Example[/]
      streamavis bench model --offline --rounds 5 --json avism.json
    """
    from streamavis_benchmarks.offline.model import run

    if not offline:
        raise typer.BadParameter("Say which network: --offline.")
    raise typer.Exit(
        run(
            model=weights,
            size=size,
            frames=frames,
            rounds=rounds,
            threads=threads,
            json_path=json,
        )
    )


def segment(
    weights: Offline = None,
    size: PictureSize = "640x360",  # type: ignore[assignment]
    frames: Annotated[int, typer.Option(min=1, help="Of the recording.")] = 32,
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Time and memory that `streamavis segment` takes for a long recording.

    Segments a synthetic recording and prints the peak memory.

    [bold]Example[/]
      streamavis bench segment --frames 600
    """
    from streamavis_benchmarks.offline.segment import run

    raise typer.Exit(run(model=weights, size=size, frames=frames, threads=threads, json_path=json))
