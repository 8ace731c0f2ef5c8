"""`streamavis bench bearing`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Json, Seed

__all__ = ["bearing"]


def bearing(
    directions: Annotated[
        int, typer.Option(min=4, max=72, help="Positions of the sound in each row.")
    ] = 12,
    seconds: Annotated[
        float, typer.Option(min=1.5, max=30, help="How long each sound lasts.")
    ] = 3.0,
    distance: Annotated[
        float, typer.Option(min=0.3, max=2.0, metavar="M", help="Of the sound, in metres.")
    ] = 1.5,
    rate: Annotated[int, typer.Option(min=8000, max=48000, help="Samples per second.")] = 16_000,
    sounds: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            metavar="DIR",
            help="Recordings in place of the synthetic voice, such as speech.",
        ),
    ] = None,
    seed: Seed = 2026,
    json: Json = None,
) -> None:
    """How exactly microphone arrays find a sound, in simulated rooms.

    Stereo (front half-plane) and rings of four (all round) hear a synthetic
    voice in a room of 6 x 2.8 x 5 m, by the image method. The table has the
    error against SNR in diffuse noise, RT60 and spacing; the share of time
    in which a direction was given; and how often one was given in noise
    alone, where it should be unknown.

    Exits with 1 where a goal is missed.

    [bold]Examples[/]
      streamavis bench bearing --json bearing.json
      streamavis bench bearing --directions 36 --distance 2
    """
    from streamavis_benchmarks.bearing import Plan, run

    plan = Plan(
        directions=directions,
        seconds=seconds,
        distance_m=distance,
        rate=rate,
        seed=seed,
        sounds=sounds,
    )
    raise typer.Exit(run(plan, json_path=json))
