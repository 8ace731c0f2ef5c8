"""`streamavis calibrate`: its command line."""

from typing import Annotated

import typer

__all__ = ["command"]


def command(
    source: Annotated[
        str, typer.Argument(metavar="CAMERA|FILE", help="A camera's address, or a recording.")
    ] = "camera:0",
    mic: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="As for live; not for a recording.",
            show_default="the camera's own sound, else the default microphone",
        ),
    ] = None,
    seconds: Annotated[
        float, typer.Option(min=1.0, max=120.0, help="How long to watch a camera.")
    ] = 15.0,
) -> None:
    """Measure how late the sound is against the picture, with a clap.

    Clap about ten times in front of the camera, a second apart, in silence; a
    flash with a beep does as well. Says the offset and how sure it is: more
    claps and a higher frame rate make it surer. Positive: the sound is late.

    [bold]Examples[/]
      streamavis calibrate camera:0 --mic mic:default
      streamavis calibrate claps.mp4
    """
    from streamavis_apps.setup.calibrate import run

    raise typer.Exit(run(source, microphone=mic, seconds=seconds))
