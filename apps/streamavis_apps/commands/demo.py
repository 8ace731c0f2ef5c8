"""`streamavis demo`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import (
    Compute,
    Device,
    Dtype,
    DtypeOption,
    Listen,
    Model,
    Threads,
    Token,
    View,
    Web,
)

__all__ = ["command"]


def command(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Where the clip, video and results go.")
    ] = Path("out/demo"),
    view: Annotated[
        View | None,
        typer.Option(help="Where to show pictures.", show_default="a window where one can open"),
    ] = None,
    listen: Listen = "127.0.0.1:8765",  # type: ignore[assignment]
    token: Token = None,
    model: Model = "nano",
    seed: Annotated[int, typer.Option(min=0, help="Of the voices and the camera's sway.")] = 7,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    threads: Threads = None,
) -> None:
    """See the whole path at work in half a minute; needs no camera, data or display.

    Makes a clip of two photographs with synthetic voices: a person speaks,
    a cat calls, then the person is silent while music plays off screen. Replays it at
    real time through the nano model and publishes the results over ZeroMQ on
    loopback, where a second process shows what sounds. Ends with what was
    measured and where the annotated video and the results are.

    [bold]Examples[/]
      streamavis demo
      streamavis demo --seed 3 --out out/third
      streamavis demo --view web
    """
    from streamavis_apps.demo import run

    web = Web(listen, token)
    compute = Compute(device, dtype.value, threads)
    raise typer.Exit(run(out, seed=seed, model=model, view=view, web=web, compute=compute))
