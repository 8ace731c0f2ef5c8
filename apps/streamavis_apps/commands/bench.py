"""`streamavis bench ...`: its command line."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands import (
    bench_attack,
    bench_bearing,
    bench_data,
    bench_live,
    bench_offline,
    bench_real,
    bench_training,
)
from streamavis_apps.commands.options import (
    Fps,
    Jobs,
    Json,
    Model,
    PictureSize,
    Seed,
    Size,
    Threads,
    parse_size,
)
from streamavis_apps.help_page import HelpCommand, HelpGroup

__all__ = ["Device", "app", "kernels", "overlay", "pipeline", "soak", "world"]

app = typer.Typer(
    cls=HelpGroup,
    help="Measure this machine: a table to read and JSON to keep.",
)


class Device(StrEnum):
    """Where kernels run."""

    CPU = "cpu"
    CUDA = "cuda"


app.command("model", cls=HelpCommand)(bench_offline.model)
app.command("segment", cls=HelpCommand)(bench_offline.segment)
app.command("live", cls=HelpCommand)(bench_live.live)
app.command("real", cls=HelpCommand)(bench_real.real)
app.command("thresholds", cls=HelpCommand)(bench_real.thresholds)
app.command("attack", cls=HelpCommand)(bench_attack.attack)
app.command("bearing", cls=HelpCommand)(bench_bearing.bearing)
app.command("data", cls=HelpCommand)(bench_data.data)
app.command("training", cls=HelpCommand)(bench_training.training)


@app.command("pipeline", cls=HelpCommand)
def pipeline(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video file.")],
    model: Model = "nano",
    threads: Threads = None,
    json: Json = None,
) -> None:
    """Frames per second from file to result, and where the time goes.

    Replays FILE at `--speed max` into no output: decoding, resizing, model
    and tracks. The JSON names machine, load, versions and thread count.

    [bold]Example[/]
      streamavis bench pipeline clip.mp4 --json bench.json
    """
    from streamavis_benchmarks.pipeline import run

    raise typer.Exit(run(file, model=model, threads=threads, json_path=json))


@app.command("world", cls=HelpCommand)
def world(
    model: Model = "nano-drawn",
    clips: Annotated[int, typer.Option(min=2, help="Clips to score on.")] = 40,
    seed: Seed = 2026,
    fps: Fps = 10.0,
    jobs: Jobs = 2,
    json: Json = None,
) -> None:
    """Quality of a model on unseen procedural clips.

    Draws the clips that `streamavis synth --seed SEED` writes and runs them
    as a stream: with their own sound, with another clip's, and in silence.
    Frames with two objects of one class of which one sounds stand apart.

    [bold]Example[/]
      streamavis bench world --clips 40 --seed 2026
    """
    from streamavis_benchmarks.world import run

    raise typer.Exit(run(model, clips=clips, seed=seed, fps=fps, jobs=jobs, json_path=json))


@app.command("soak", cls=HelpCommand)
def soak(
    model: Model = "nano",
    steps: Annotated[int, typer.Option(min=100, help="Of one stream, 8 to its second.")] = 100_000,
    size: Annotated[
        Size,
        typer.Option(parser=parse_size, metavar="WxH", help="Of the network's pictures."),
    ] = "96x64",  # type: ignore[assignment]
    seconds: Annotated[
        float | None,
        typer.Option(min=3, help="Of the live engine, in place of steps.", show_default="steps"),
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="With --seconds: inject one fault after the other.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="With --faults: between two of them.")
    ] = 30.0,
    json: Json = None,
) -> None:
    """Long runs of a network, or of the live engine.

    Steps one stream many times, then the aged state and a fresh one
    alternately: resident memory may not grow by 1 MiB, a step of the aged state
    may take 1.02 of a fresh one's time, and equal memories must give equal
    outputs, bit for bit.

    With --seconds: a synthetic camera and microphone through supervisors,
    engine, model, wire and a subscriber. With --faults one fault after the
    other is injected: the camera closes, hangs, freezes; the microphone
    fails, loses blocks; the model raises, gives NaN, takes twice its time.
    A subscriber measures when a fault is reported and when results recover.

    Exits with 1 where a goal is missed.

    [bold]Examples[/]
      streamavis bench soak --steps 100000 --json soak.json
      streamavis bench soak --seconds 600 --faults --json soak-live.json
    """
    if seconds is not None:
        from streamavis_benchmarks.soak.live import LiveSoak, run_live
        from streamavis_benchmarks.soak.world import FAULTS

        plan = LiveSoak(
            minutes=seconds / 60, faults=FAULTS if faults else (), every_s=every, model=model
        )
        raise typer.Exit(run_live(plan, json_path=json))
    from streamavis_benchmarks.soak.model import run

    raise typer.Exit(run(model, steps=steps, size=(size.height, size.width), json_path=json))


@app.command("overlay", cls=HelpCommand)
def overlay(
    size: PictureSize = "1280x720",  # type: ignore[assignment]
    tracks: Annotated[int, typer.Option(min=1, max=50, help="Objects in view.")] = 5,
    frames: Annotated[int, typer.Option(min=10, help="How often it is drawn.")] = 200,
    json: Json = None,
) -> None:
    """Drawing time of results, on one core.

    Masks, outlines, light and labels alone, a recording's frame, and a
    window with its bar, spectrogram and lanes. Every second object sounds.

    [bold]Example[/]
      streamavis bench overlay --size 1920x1080
    """
    from streamavis_benchmarks.overlay import run

    raise typer.Exit(run(size=size, tracks=tracks, frames=frames, json_path=json))


@app.command("kernels", cls=HelpCommand)
def kernels(
    size: PictureSize = "640x360",  # type: ignore[assignment]
    batch: Annotated[int, typer.Option(min=1, max=64, help="Pictures at once.")] = 1,
    device: Annotated[Device, typer.Option(help="Where to run.")] = Device.CPU,
    threads: Threads = None,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each.")] = 20,
    json: Json = None,
) -> None:
    """Time of the kernels on every backend of this machine, and its lower bound.

    Sampling as AVISM's pixel decoder does it (three levels, 8 heads of 32, 4
    points), forward and backward; frames in; masks out. The lower bound is the
    bytes that must be moved, divided by this machine's memory bandwidth.

    [bold]Example[/]
      streamavis bench kernels --threads 2 --json kernels.json
    """
    from streamavis_benchmarks.kernels import run

    code = run(
        size=(size.height, size.width),
        batch=batch,
        device=device.value,
        threads=threads,
        repeats=rounds,
        json_path=json,
    )
    raise typer.Exit(code)
