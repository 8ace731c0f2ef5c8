"""`streamavis bench attack`: its command line."""

from typing import Annotated

import typer

from streamavis_apps.commands.options import Json

__all__ = ["attack"]


def attack(
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One attack; repeat it.", show_default="all"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1.0, max=60.0, help="How long each of the three attacks takes.")
    ] = 5.0,
    json: Json = None,
) -> None:
    """Effect of hostile peers on a healthy one: publisher and web viewer, on loopback.

    Each row measures healthy readers alone and beside an attack, three times in
    turns: the longest time without an answer, the age of a robot's results or
    the time to a page, the memory, and the goals that are missed. Rows of the
    web viewer and of a shared camera attack `streamavis live` with its model.

    [bold]Examples[/]
      streamavis bench attack
      streamavis bench attack --row "wire: prefixes" --seconds 10 --json attack.json
    """
    from streamavis_benchmarks.attack.bench import ROWS, run

    for name in row or []:
        if name not in ROWS:
            raise typer.BadParameter(f"{name!r} is no attack, expected one of: {', '.join(ROWS)}")
    raise typer.Exit(run(row, seconds=seconds, json_path=json))
