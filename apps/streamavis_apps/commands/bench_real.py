"""`streamavis bench real`: its command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Model

__all__ = ["BenchSplit", "real", "thresholds"]


class BenchSplit(StrEnum):
    """Which part of the data."""

    VAL = "val"
    TEST = "test"


def real(
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Evaluation data: eval_clips, clips, scenes, index*.json."
        ),
    ],
    model: Model = "nano",
    composed: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Composed clips of the same split, in our layout.",
            show_default="rows left empty",
        ),
    ] = None,
    clips: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="More clips with a truth.json; may be given again."),
    ] = None,
    no_audio: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="A model that was trained without sound.",
            show_default="the model without a microphone",
        ),
    ] = None,
    split: Annotated[BenchSplit, typer.Option(help="val to choose by, test for final figures.")] = (
        BenchSplit.TEST
    ),
    minutes: Annotated[
        float,
        typer.Option(min=0, help="Of an endless stream; 0 leaves its row empty, 60 is the goal's."),
    ] = 0,
    score_on: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least score of a birth.", show_default="the model's"),
    ] = None,
    score_off: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Least score in view.", show_default="the model's"),
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="A part of the data, in minutes.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 1,
    threads: Annotated[int, typer.Option(min=1, help="Of the step that is timed.")] = 2,
    sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw results on one picture.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the figures here too.")
    ] = None,
) -> None:
    """Quality of a model on real pictures and recordings, with the goals.

    Runs everything as a user's stream, frame by frame: clips with truth per
    second, whole pictures as four frames in silence, composed clips under
    their own sound, another clip's, silence, noise and sound from off
    screen. In pictures that are not annotated completely, reports beside
    what is labelled are not judged. `--split val` leaves the recordings out.

    [bold]Examples[/]
      streamavis bench real --data data --composed composed/test --jobs 2 --json real.json
      streamavis bench real --data data --split val --fast --score-on 0.4 --score-off 0.3
    """
    from streamavis_benchmarks.real.run import RealPlan, run

    plan = RealPlan(
        model=model,
        data=data,
        composed=composed,
        clips=tuple(clips or ()),
        no_audio=no_audio,
        split=split.value,
        minutes=minutes,
        score_on=score_on,
        score_off=score_off,
        fast=fast,
        jobs=jobs,
        threads=threads,
        json=json,
        sheet=sheet,
    )
    raise typer.Exit(run(plan))


def thresholds(
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="As for `bench real`; its split val is used.")
    ],
    model: Model = "nano",
    composed: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Composed clips of the split val.", show_default="none"),
    ] = None,
    pictures: Annotated[
        int | None, typer.Option(min=1, help="At most so many pictures.", show_default="all")
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Store the choice in the weights file.")
    ] = False,
) -> None:
    """Choose a model's score thresholds on the split `val`.

    The network runs once over pictures and composed clips; every threshold
    is then measured on its outputs. Chosen is the one with the best F1 on
    whole pictures.

    [bold]Example[/]
      streamavis bench thresholds --data data --composed composed/val --write
    """
    from streamavis_benchmarks.real.tune import run

    raise typer.Exit(run(model, data, composed, pictures=pictures, write=write))
