"""`streamavis play`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import Insecure, Keys, check_publish

__all__ = ["command"]


def command(
    file: Annotated[Path, typer.Argument(metavar="FILE.mcap", help="A recording.")],
    publish: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to publish it.")
    ] = "tcp://127.0.0.1:5555",
    stream: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Which stream.", show_default="the only one"),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.01, max=100.0, metavar="X", help="2.0 is twice as fast.")
    ] = 1.0,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Begin when the first reader comes.")] = (
        False
    ),
    keys: Keys = None,
    insecure: Insecure = False,
) -> None:
    """Publish a recording again, each message at its time.

    Readers get the same messages in the same order each time; boot id, wall
    times and the engine's clock are those of now, so that ages are what they
    were. Reads what `record` and `live --mcap` wrote, also a file that was
    cut. Needs the extra mcap.

    [bold]Examples[/]
      streamavis play out.mcap
      streamavis play out.mcap --loop --speed 2 --publish tcp://127.0.0.1:6000
      streamavis view tcp://127.0.0.1:5555          [dim]in a second terminal[/]
    """
    check_publish(publish, keys, insecure)
    from streamavis_apps.play import run

    raise typer.Exit(
        run(
            file,
            publish,
            stream=stream,
            speed=speed,
            rounds=None if loop else 1,
            wait=wait,
            keys=keys,
            insecure=insecure,
        )
    )
