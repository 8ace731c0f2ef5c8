"""`streamavis replay`: its command line."""

from pathlib import Path
from typing import Annotated

import typer

from streamavis_apps.commands.bearing_options import (
    Calibration,
    FrameId,
    Hfov,
    MicArrayFile,
    MicSpacing,
    geometry_of,
)
from streamavis_apps.commands.options import (
    AudioTrack,
    Compute,
    Device,
    Dtype,
    DtypeOption,
    Insecure,
    Keys,
    Listen,
    Mcap,
    Model,
    Publish,
    Threads,
    Token,
    VideoTrack,
    View,
    Web,
    check_publish,
    parse_output,
    parse_recording,
    parse_speed,
)

__all__ = ["command"]


def command(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A video file, sound optional; a folder of pictures, frame%04d.png or '*.jpg' "
            "(25 a second); - is standard input.",
        ),
    ],
    speed: Annotated[
        float,
        typer.Option(
            parser=parse_speed,
            metavar="X|max",
            help="1.0 is real time, 2.0 twice as fast, max as fast as this machine can.",
        ),
    ] = "1.0",  # type: ignore[assignment]
    model: Model = "nano",
    publish: Publish = None,
    keys: Keys = None,
    insecure: Insecure = False,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            parser=parse_output,
            metavar="FILE",
            help="Write one JSON line per frame, masks as COCO RLE; - is standard output.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(
            parser=parse_recording,
            metavar="FILE",
            help="Write the annotated video with its sound.",
        ),
    ] = None,
    mcap: Mcap = None,
    view: Annotated[
        View, typer.Option(help="Watch in a window, or in a browser on this or another machine.")
    ] = View.NONE,
    listen: Listen = "127.0.0.1:8765",  # type: ignore[assignment]
    token: Token = None,
    stamps: Annotated[
        bool,
        typer.Option(
            "--stamps",
            help="Add boot_id, wall_time and stage stamps to the JSONL; "
            "without them the same file gives the same bytes.",
        ),
    ] = False,
    video_track: VideoTrack = None,
    audio_track: AudioTrack = None,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    threads: Threads = None,
    hfov: Hfov = None,
    calibration: Calibration = None,
    mic_spacing: MicSpacing = None,
    mic_array: MicArrayFile = None,
    frame_id: FrameId = "",
) -> None:
    """Run a recorded clip through the engine as if it were live.

    Every frame is processed, none is dropped; frames that come late are
    counted. Existing outputs are replaced. Ends with frames, lateness and
    the latency of each stage.

    [bold]Examples[/]
      streamavis replay clip.mp4
      streamavis replay clip.mp4 --speed max --jsonl out.jsonl --record out.mp4
      streamavis replay clip.mp4 --publish tcp://127.0.0.1:5555 --view window
      streamavis replay clip.mp4 --publish tcp://0.0.0.0:5555   [dim]after: streamavis keys init[/]
      streamavis replay clip.mp4 --view web
    """
    check_publish(publish, keys, insecure)
    geometry = geometry_of(hfov, calibration, mic_spacing, mic_array, frame_id)
    from streamavis_apps.sources import recording

    source = recording(file, "replay")
    from streamavis.io.container import Tracks
    from streamavis_apps.replay.replay import Replay, run

    plan = Replay(
        source=source,
        tracks=Tracks(video_track, audio_track),
        speed=speed,
        model=model,
        publish=publish,
        keys=keys,
        insecure=insecure,
        jsonl=jsonl,
        record=record,
        mcap=mcap,
        window=view is View.WINDOW,
        web=Web(listen, token) if view is View.WEB else None,
        stamps=stamps,
        geometry=geometry,
        compute=Compute(device, dtype.value, threads),
    )
    raise typer.Exit(run(plan))
