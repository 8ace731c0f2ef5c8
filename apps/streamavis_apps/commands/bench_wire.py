"""`streamavis bench wire`: its command line."""

from typing import Annotated

import typer

from streamavis_apps.commands.options import Json

__all__ = ["wire"]


def wire(
    row: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="One row; repeat it.", show_default="all"),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1.0, max=600.0, help="How long a row takes.")
    ] = 10.0,
    json: Json = None,
) -> None:
    """How old results are at 1, 10 and 100 readers, directly and behind a relay.

    Messages of 60 kB, 30 a second, on loopback. Further rows have a reader
    that takes 100 ms for each result, and eight that have stopped reading.

    [bold]Examples[/]
      streamavis bench wire
      streamavis bench wire --row "100 readers, relay" --seconds 30 --json wire.json
    """
    from streamavis_benchmarks.wire import ROWS, run

    for name in row or []:
        if name not in ROWS:
            raise typer.BadParameter(f"{name!r} is no row, expected one of: {', '.join(ROWS)}")
    raise typer.Exit(run(row, seconds=seconds, json_path=json))
