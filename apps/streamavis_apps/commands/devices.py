"""`streamavis devices`: its command line."""

from typing import Annotated

import typer

__all__ = ["command"]


def command(
    levels: Annotated[
        bool, typer.Option("--levels", help="Show how loud each microphone is, until Ctrl-C.")
    ] = False,
    seconds: Annotated[
        float | None,
        typer.Option(min=0.5, help="End --levels after this time.", show_default="never"),
    ] = None,
) -> None:
    """List cameras and microphones, with the addresses `live` takes.

    Cameras with their formats, sizes and frame rates as the drivers report
    them; microphones with their native rates. With --levels speak and see
    which one receives your voice.

    [bold]Examples[/]
      streamavis devices
      streamavis devices --levels
    """
    from streamavis_apps.setup.devices import run

    raise typer.Exit(run(levels=levels, seconds=seconds))
