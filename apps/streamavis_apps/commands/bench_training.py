"""`streamavis bench training`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Json, Size, parse_size

__all__ = ["training"]


def training(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the runs; goes on in it.")],
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Clips to train on, in AVISeg's layout."),
    ] = None,
    val: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Clips to score on, in the same layout.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="STUDY", help="main or an ablation.", show_default="main"),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Of each student.")] = 3,
    teacher_steps: Annotated[int, typer.Option(min=1, help="Of the teacher.")] = 450,
    steps: Annotated[int, typer.Option(min=1, help="Of each student.")] = 120,
    clips: Annotated[int, typer.Option(min=1, help="That the teacher sees for students.")] = 100,
    size: Annotated[
        Size, typer.Option(parser=parse_size, metavar="WxH", help="Of the networks' pictures.")
    ] = "160x96",  # type: ignore[assignment]
    minutes: Annotated[
        float | None, typer.Option(min=0, help="After that long no further run begins.")
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.md", help="Write the tables here.", show_default="printed"),
    ] = None,
    json: Json = None,
    teacher_set: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=VALUE", help="Change a field of each teacher's recipe."),
    ] = None,
    student_set: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=VALUE", help="Change a field of each student's recipe."),
    ] = None,
) -> None:
    """Short runs of teacher and students, scored, with seeds and ablations.

    One after the other: a small teacher; its weights run causally; students
    from the truth alone, distilled, and distilled without sound. Done runs are
    not done again. Without --data and --val only the tables are written.

    --only: main, ablation-start, ablation-rate, ablation-steps,
    ablation-sinks, ablation-window, ablation-gate, ablation-fusion,
    ablation-similarity; may be given again.

    [bold]Examples[/]
      streamavis bench training --data sets/train --val sets/val --out runs
      streamavis bench training --data sets/train --val sets/val --out runs --only ablation-sinks
      streamavis bench training --out runs --report results.md --json training.json
    """
    if (data is None) != (val is None):
        raise typer.BadParameter("give both --data and --val, or neither for the tables alone.")
    from streamavis_benchmarks.training.run import StudyPlan, run
    from streamavis_benchmarks.training.work import Short

    short = None
    if data is not None and val is not None:
        short = Short(
            train=data,
            val=val,
            teacher_steps=teacher_steps,
            student_steps=steps,
            height=size.height,
            width=size.width,
            clips=clips,
            teacher_settings=tuple(teacher_set or ()),
            student_settings=tuple(student_set or ()),
        )
    plan = StudyPlan(out, short, list(only or []), seeds, minutes, report, json)
    raise typer.Exit(run(plan))
