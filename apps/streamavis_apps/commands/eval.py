"""`streamavis eval`: its command line."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamavis_apps.commands.options import Jobs, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamavis.metrics import Protocol

__all__ = ["Rules", "command"]


class Rules(StrEnum):
    """Whose numbers."""

    OFFICIAL = "official"
    CORRECTED = "corrected"
    BOTH = "both"


def command(
    gt: Annotated[Path, typer.Option(metavar="FILE", help="Ground truth, AVISeg's layout.")],
    pred: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="Predictions; give it again to compare files."),
    ],
    protocol: Annotated[
        Rules,
        typer.Option(help="The public evaluator's rules, the paper's definitions, or both."),
    ] = Rules.BOTH,
    json: Json = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with charts, one file.")
    ] = None,
    media: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Pictures of the videos, or the folder that holds their JPEGImages: "
            "the page then shows the worst frames.",
        ),
    ] = None,
    oracle: Annotated[
        bool,
        typer.Option("--oracle", help="Add what a perfect prediction can reach officially."),
    ] = False,
    jobs: Jobs = 1,
) -> None:
    """Score predictions: FSLA, HOTA, mAP, and how they behave in time.

    The official protocol gives the public evaluator's numbers, bugs
    included; the corrected one follows the paper's definitions. docs/METRICS.md
    explains each number. Existing outputs are replaced.

    [bold]Examples[/]
      streamavis eval --gt test.json --pred results.json
      streamavis eval --gt test.json --pred a.json --pred b.json --html out.html --media test
    """
    from streamavis_apps.prediction.evaluate import EvaluationPlan, run

    if media is not None and html is None:
        raise typer.BadParameter("it needs --html: the page is where frames are shown.")
    protocols: dict[Rules, Sequence[Protocol]] = {
        Rules.OFFICIAL: ("official",),
        Rules.CORRECTED: ("corrected",),
        Rules.BOTH: ("official", "corrected"),
    }
    plan = EvaluationPlan(
        truth=gt,
        predictions=pred,
        protocols=protocols[protocol],
        json=json,
        html=html,
        media=media,
        oracle=oracle,
        jobs=jobs,
    )
    raise typer.Exit(run(plan))
