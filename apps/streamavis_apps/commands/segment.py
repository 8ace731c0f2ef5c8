"""`streamavis segment`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.options import (
    AudioTrack,
    Compute,
    Device,
    Dtype,
    DtypeOption,
    Threads,
    Vggish,
    VideoTrack,
)

__all__ = ["command"]


def command(
    video: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="Any file FFmpeg reads; a folder of pictures, frame%04d.png or '*.jpg'.",
        ),
    ],
    model: Annotated[
        Path, typer.Option(metavar="FILE", help="AVISM weights, from `streamavis convert`.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the results go.")],
    vggish: Vggish = None,
    features: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Instead: ready features, a row per frame."),
    ] = None,
    mute: Annotated[
        bool, typer.Option("--mute", help="Instead: take the recording as silent.")
    ] = False,
    fps: Annotated[float, typer.Option(min=0.1, max=30, help="Frames looked at per second.")] = 1,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Keep objects that score above it.")
    ] = 0.3,
    video_track: VideoTrack = None,
    audio_track: AudioTrack = None,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    threads: Threads = None,
) -> None:
    """Segment a recording with the offline network: slower than live, and better.

    Writes results.json (as AVISeg's evaluation reads it) and annotated.mp4
    with the original sound, and prints what sounds when.

    [bold]Examples[/]
      streamavis segment band.mp4 --model avism.safetensors --out band
      streamavis segment band.mp4 --model avism.safetensors --vggish vggish.pth --out band
      streamavis segment band.mp4 --model avism.safetensors --features band.npy --out band
    """
    from streamavis_apps.sources import recording

    if (vggish is not None) + (features is not None) + mute > 1:
        raise typer.BadParameter("Give one of --vggish, --features and --mute.")
    source = recording(video, "segment")
    from streamavis.io.container import Tracks
    from streamavis_apps.offline.segment import Segmenting, run

    plan = Segmenting(
        source=source,
        tracks=Tracks(video_track, audio_track),
        model=model,
        out=out,
        vggish=vggish,
        features=features,
        mute=mute,
        fps=fps,
        threshold=threshold,
        compute=Compute(device, dtype.value, threads),
    )
    raise typer.Exit(run(plan))
