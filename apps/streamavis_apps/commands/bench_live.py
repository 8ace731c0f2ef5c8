"""`streamavis bench live`: its command line."""

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streamavis_apps.commands.options import Json, Model, Threads

if TYPE_CHECKING:
    from streamavis_benchmarks.live.measure import Camera

__all__ = ["Microphone", "live"]

_CAMERA = re.compile(r"(\d{2,4})x(\d{2,4})@(\d{1,3}(?:\.\d+)?)")


class Microphone(StrEnum):
    """The microphone of the live command."""

    RIG = "rig"
    NONE = "none"


def live(
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WxH@FPS",
            help="Pictures of the rig's camera. Repeat it to measure several.",
            show_default="640x360@10",
        ),
    ] = None,
    mic: Annotated[
        Microphone, typer.Option(help="rig: a private PulseAudio's null sink.")
    ] = Microphone.RIG,
    sound: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Play its sound to the microphone.",
            show_default="beeps in a noisy room",
        ),
    ] = None,
    model: Model = "nano",
    seconds: Annotated[
        float | None,
        typer.Option(
            min=3.0,
            help="How long each camera is measured.",
            show_default="30; with --faults 600",
        ),
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="Inject one fault after the other.")
    ] = False,
    every: Annotated[
        float,
        typer.Option(
            min=6.0,
            metavar="SECONDS",
            help="With --faults: between two of them. Faults within 5 s count as one.",
        ),
    ] = 30.0,
    record: Annotated[
        bool, typer.Option("--record", help="Record meanwhile; with --faults, fill its disk.")
    ] = False,
    claps: Annotated[
        bool, typer.Option("--claps", help="Also measure the sound offset with calibrate.")
    ] = False,
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Latency and faults of the live command, without a camera or a microphone.

    An HTTP camera in its own process logs when each picture is sent. A
    subscriber logs when its result arrives. The result is the latency between
    the two, the part of the model, and a count of what happened to every picture.

    With --faults one fault after the other is injected: the camera is
    disconnected, hangs, freezes; the sound server is killed, hangs; a second
    subscriber stops reading; with --record the disk is full.

    Exits with 1 where a goal is missed.

    [bold]Examples[/]
      streamavis bench live --camera 160x96@15 --camera 640x360@10 --claps
      streamavis bench live --faults --seconds 600 --every 30 --record --json live-faults.json
    """
    from streamavis_benchmarks.faults.watch import FaultPlan
    from streamavis_benchmarks.live.bench import Bench, run
    from streamavis_benchmarks.live.faults import faults_of
    from streamavis_benchmarks.live.measure import Run

    heard = mic is Microphone.RIG
    minutes = (seconds or (600.0 if faults else 30.0)) / 60
    plan = (
        FaultPlan(minutes=minutes, faults=faults_of(microphone=heard, record=record), every_s=every)
        if faults
        else FaultPlan(minutes=minutes, faults=())
    )
    runs = [
        Run(
            camera=_camera(text),
            model=model,
            microphone=heard,
            sound=sound,
            record=record,
            threads=threads,
            plan=plan,
        )
        for text in camera or ["640x360@10"]
    ]
    raise typer.Exit(run(Bench(runs=runs, claps_s=20.0 if claps else None), json_path=json))


def _camera(text: str) -> "Camera":
    from streamavis_benchmarks.live.measure import Camera

    match = _CAMERA.fullmatch(text)
    if match is None or not 0 < float(match[3]) <= 120:
        raise typer.BadParameter(f"{text!r} is not WxH@FPS, such as 640x360@10.")
    return Camera(int(match[1]), int(match[2]), float(match[3]))
