"""`streamavis doctor`: its command line."""

from typing import Annotated

import typer

__all__ = ["command"]


def command(
    camera: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Measure what this camera delivers; as for live."),
    ] = None,
    mic: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS|none", help="And this microphone; needs --camera."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=1.0, max=600.0, help="How long to measure.")] = 5.0,
) -> None:
    """Say what this machine has, what is missing, and the command that installs it.

    Checks packages, weights, codecs, kernels, the compiler, GPU, cameras,
    microphones and the display. With --camera it also watches and listens:
    frame rate, jitter and age of the pictures, gaps, level and delay of the
    sound, and whether the driver's ADC times can be believed. Exit code 0
    when the engine can run here, 1 when something it needs is missing.
    """
    from streamavis_apps.setup.doctor import run

    if mic is not None and camera is None:
        raise typer.BadParameter("--mic is measured together with a camera: add --camera.")
    raise typer.Exit(run(camera=camera, microphone=mic, seconds=seconds))
