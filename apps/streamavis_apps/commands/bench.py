"""`streamavis bench ...`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands import bench_data, bench_live, bench_offline
from streamavis_apps.commands.options import Model, Size, parse_size

__all__ = ["app", "kernels", "overlay", "pipeline", "soak", "world"]

app = typer.Typer(
    no_args_is_help=True,
    help="Measure this machine: a table to read and JSON to keep.",
)


app.command("model")(bench_offline.model)
app.command("segment")(bench_offline.segment)
app.command("live")(bench_live.live)
app.command("data")(bench_data.data)


@app.command("pipeline")
def pipeline(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video file.")],
    model: Model = "nano",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of the model.", show_default="torch's choice"),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the figures here too.")
    ] = None,
) -> None:
    """Frames per second from file to result, and where the time goes.

    Replays FILE at `--speed max` into no output: decoding, resizing, model
    and tracks. The JSON names machine, load, versions and thread count.

    [bold]Example[/]
      streamavis bench pipeline clip.mp4 --json bench.json
    """
    from streamavis_apps.bench import run

    raise typer.Exit(run(file, model=model, threads=threads, json_path=json))


@app.command("world")
def world(
    model: Model = "nano",
    clips: Annotated[int, typer.Option(min=2, help="Clips to score on.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Of the clips, as in `synth`.")] = 2026,
    fps: Annotated[float, typer.Option(min=5, max=30, help="Frames per second.")] = 10.0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes, one thread each.")] = 2,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the figures here too.")
    ] = None,
) -> None:
    """How good a model is on procedural clips it has not seen.

    Draws the clips that `streamavis synth --seed SEED` writes and runs them
    as a stream: with their own sound, with another clip's, and in silence.
    Frames with two objects of one class of which one sounds stand apart.

    [bold]Example[/]
      streamavis bench world --clips 40 --seed 2026
    """
    from streamavis_apps.world_bench import run

    raise typer.Exit(run(model, clips=clips, seed=seed, fps=fps, jobs=jobs, json_path=json))


@app.command("soak")
def soak(
    model: Model = "nano",
    steps: Annotated[int, typer.Option(min=100, help="Of one stream, 8 to its second.")] = 100_000,
    size: Annotated[
        Size,
        typer.Option(parser=parse_size, metavar="WIDTHxHEIGHT", help="Of the network's pictures."),
    ] = "96x64",  # type: ignore[assignment]
    minutes: Annotated[
        float | None,
        typer.Option(min=0.05, help="Of the live engine, in place of steps.", show_default="steps"),
    ] = None,
    faults: Annotated[
        bool, typer.Option("--faults", help="With --minutes: break something every 30 s.")
    ] = False,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="With --faults: between two of them.")
    ] = 30.0,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the figures here too.")
    ] = None,
) -> None:
    """Does a network, or the live engine, stay what it was, however long it runs?

    Steps one stream many times, then the aged state and a fresh one by
    turns: resident memory may not grow by 1 MiB, a step of the aged state
    may take 1.02 of a fresh one's time, and equal memories must give equal
    outputs, bit for bit.

    With --minutes: a synthetic camera and microphone through supervisors,
    engine, model, wire and a subscriber. With --faults one thing after the
    other breaks: the camera closes, hangs, freezes; the microphone goes,
    loses blocks; the model raises, gives NaN, takes twice its time. The
    figures are a robot's: when it was told, when results were good again.

    Exits with 1 where a goal is missed.

    [bold]Examples[/]
      streamavis bench soak --steps 100000 --json soak.json
      streamavis bench soak --minutes 10 --faults --json soak-live.json
    """
    if minutes is not None:
        from streamavis_apps.soak_live import Soak, run_live
        from streamavis_apps.soak_world import FAULTS

        plan = Soak(minutes=minutes, faults=FAULTS if faults else (), every_s=every, model=model)
        raise typer.Exit(run_live(plan, json_path=json))
    from streamavis_apps.soak_model import run

    raise typer.Exit(run(model, steps=steps, size=(size.height, size.width), json_path=json))


@app.command("overlay")
def overlay(
    size: Annotated[
        Size, typer.Option(parser=parse_size, metavar="WxH", help="Picture size.")
    ] = "1280x720",  # type: ignore[assignment]
    tracks: Annotated[int, typer.Option(min=1, max=50, help="Objects in view.")] = 5,
    frames: Annotated[int, typer.Option(min=10, help="How often it is drawn.")] = 200,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the figures here too.")
    ] = None,
) -> None:
    """What drawing results costs, on one core.

    Masks, outlines, light and labels alone, a recording's frame, and a
    window with its bar, spectrogram and lanes. Every other object sounds.

    [bold]Example[/]
      streamavis bench overlay --size 1920x1080
    """
    from streamavis_apps.overlay_bench import run

    raise typer.Exit(run(size=size, tracks=tracks, frames=frames, json_path=json))


@app.command("kernels")
def kernels(
    height: Annotated[int, typer.Option(min=64, max=2160, help="Of 16:9 pictures.")] = 360,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Pictures at once.")] = 1,
    device: Annotated[str, typer.Option(metavar="cpu|cuda", help="Where to run.")] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(min=1, help="Threads of torch.", show_default="torch's choice"),
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, max=1000, help="Runs of each.")] = 20,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the figures here too.")
    ] = None,
) -> None:
    """The kernels on every backend of this machine, and the least they could take.

    Sampling as AVISM's pixel decoder does it (three levels, 8 heads of 32, 4
    points), forward and backward; frames in; masks out. The floor is the bytes
    that have to move at the rate at which this machine moves bytes.

    [bold]Example[/]
      streamavis bench kernels --threads 2 --json kernels.json
    """
    from streamavis_apps.kernel_bench import run

    code = run(
        height=height,
        batch=batch,
        device=device,
        threads=threads,
        repeats=repeats,
        json_path=json,
    )
    raise typer.Exit(code)
