"""`streamavis follow`: its command line."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Limits", "command", "parse_limits"]


@dataclass(frozen=True)
class Limits:
    """Of a joint, degrees."""

    low: float
    high: float


def parse_limits(text: str) -> Limits:
    """Read `--pan-limits`: `LOW,HIGH` in degrees, the front, 0, between them."""
    low, _, high = text.partition(",")
    try:
        return Limits(float(low), float(high))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not LOW,HIGH in degrees, such as -90,90.") from error


Between = Annotated[
    Limits,
    typer.Option(parser=parse_limits, metavar="LOW,HIGH", help="Degrees it may turn, 0 in front."),
]


def command(
    address: Annotated[
        str | None,
        typer.Argument(metavar="ADDRESS", help="A publisher, e.g. tcp://127.0.0.1:5555."),
    ] = None,
    head: Annotated[
        str,
        typer.Option(
            metavar="HEAD",
            help="sim; dynamixel:DEVICE?baud=57600&pan=1&tilt=2, ids negative where a servo turns "
            "the other way; ros:TOPIC?pan=JOINT&tilt=JOINT; or MODULE:NAME of your own driver.",
        ),
    ] = "sim",
    stream: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Follow this stream only; otherwise the first heard."),
    ] = None,
    pan_limits: Between = "-90,90",  # type: ignore[assignment]
    tilt_limits: Between = "-30,45",  # type: ignore[assignment]
    speed: Annotated[float, typer.Option(min=1, max=2000, help="Degrees/s at most.")] = 300.0,
    acceleration: Annotated[
        float, typer.Option(min=1, max=50000, help="Degrees/s^2 at most, braking as well.")
    ] = 2000.0,
    fixed_camera: Annotated[
        bool,
        typer.Option("--fixed-camera", help="Camera and microphones stand beside the head."),
    ] = False,
    confidence: Annotated[
        float,
        typer.Option(min=0, max=1, help="Of a sound off screen, from which the head turns to it."),
    ] = 0.6,
    home: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            metavar="SECONDS",
            help="Without any sound: to the front.",
            show_default="never",
        ),
    ] = None,
    dead_man: Annotated[
        float,
        typer.Option(min=0.1, max=5, metavar="SECONDS", help="Without results: stand still."),
    ] = 0.5,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0.1,
            help="Give up, with exit code 1, when nothing arrives for this long.",
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after this time.", show_default="never")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="This reader's key file, made by `streamavis keys add NAME` over there.",
        ),
    ] = None,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Believe whoever answers on another machine, in clear."),
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="Draw a simulated head in a conversation, and end."),
    ] = None,
) -> None:
    """Turn a pan-tilt head to who speaks, in view or not.

    The publisher has to know its camera (`live --hfov` or `--calibration`);
    sound off screen needs `--mic-spacing` or `--mic-array` there. The head
    stays with a speaker until somebody else speaks alone, and stands still
    when no result comes.

    [bold]Examples[/]
      streamavis live --hfov 70 --mic-spacing 0.1 --publish tcp://127.0.0.1:5555
      streamavis follow tcp://127.0.0.1:5555
      streamavis follow tcp://10.0.0.5:5555 --key head.key --head dynamixel:/dev/ttyUSB0
      streamavis follow tcp://127.0.0.1:5555 --head ros:/head_controller/joint_trajectory
      streamavis follow --picture follow.svg
    """
    if picture is not None:
        from streamavis_apps.follow.picture import write_picture

        write_picture(picture)
        raise typer.Exit
    if address is None:
        raise typer.BadParameter("name a publisher, such as tcp://127.0.0.1:5555.")
    if key is not None and insecure:
        raise typer.BadParameter("--key and --insecure exclude each other.")
    from streamavis.follow import AttentionConfig, Axis
    from streamavis_apps.follow.run import Following, run

    fast = {"speed": speed, "acceleration": acceleration}
    plan = Following(
        address=address,
        head=head,
        stream=stream,
        pan=Axis(low=pan_limits.low, high=pan_limits.high, **fast),
        tilt=Axis(low=tilt_limits.low, high=tilt_limits.high, **fast),
        attention=AttentionConfig(home_s=home),
        moving=not fixed_camera,
        confidence=confidence,
        dead_man_s=dead_man,
        wait_s=wait,
        seconds=seconds,
        key=key,
        insecure=insecure,
    )
    raise typer.Exit(run(plan))
