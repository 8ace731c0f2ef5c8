"""`streamavis live`: its command line."""

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
    Compute,
    Device,
    Dtype,
    DtypeOption,
    Insecure,
    Keys,
    Listen,
    Mcap,
    Model,
    Mqtt,
    MqttCa,
    MqttPassword,
    MqttPlain,
    MqttUser,
    Publish,
    Threads,
    Token,
    View,
    Web,
    Webhook,
    check_publish,
    parse_output,
    parse_recording,
)

__all__ = ["command"]


def command(
    camera: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]ADDRESS",
            help="camera:0, v4l2:/dev/video0, rtsp://..., http://.../x.mjpeg, udp://..., "
            "lavfi:GRAPH, a file, or browser: camera and microphone of a browser on the page of "
            "--view web. Repeat it for several.",
            show_default="camera:0",
        ),
    ] = None,
    mic: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|none",
            help="mic:default, mic:NAME, or a stream with sound.",
            show_default="the camera's own sound, else the default microphone",
        ),
    ] = None,
    model: Model = "nano",
    view: Annotated[View, typer.Option(help="Where to show the pictures.")] = View.NONE,
    listen: Listen = "127.0.0.1:8765",  # type: ignore[assignment]
    token: Token = None,
    jsonl: Annotated[
        Path | None,
        typer.Option(
            parser=parse_output,
            metavar="FILE",
            help="Write one JSON line per result, with its stamps; - is standard output.",
        ),
    ] = None,
    record: Annotated[
        Path | None,
        typer.Option(parser=parse_recording, metavar="FILE", help="Write the annotated video."),
    ] = None,
    mcap: Mcap = None,
    publish: Publish = None,
    keys: Keys = None,
    insecure: Insecure = False,
    mqtt: Mqtt = None,
    mqtt_user: MqttUser = None,
    mqtt_password_file: MqttPassword = None,
    mqtt_ca: MqttCa = None,
    mqtt_plain: MqttPlain = False,
    webhook: Webhook = None,
    sound_offset: Annotated[
        float,
        typer.Option(
            min=-1000, max=1000, metavar="MS", help="Delay of the sound, as calibrate measures it."
        ),
    ] = 0.0,
    metrics: Annotated[
        str | None,
        typer.Option(
            metavar="127.0.0.1:PORT", help="Serve /metrics for Prometheus and /stats as JSON."
        ),
    ] = None,
    min_rate: Annotated[
        float,
        typer.Option(
            min=0.1, metavar="HZ", help="Refuse several cameras where each would get fewer results."
        ),
    ] = 5.0,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after this time.", show_default="never")
    ] = None,
    device: Device = "auto",
    dtype: DtypeOption = Dtype.AUTO,
    threads: Threads = None,
    hfov: Hfov = None,
    calibration: Calibration = None,
    mic_spacing: MicSpacing = None,
    mic_array: MicArrayFile = None,
    frame_id: FrameId = "",
) -> None:
    """Run cameras and microphones live: what is in view and what sounds.

    A camera or microphone that fails is reopened while results continue. Under
    load it degrades in fixed, reported steps. Ctrl-C or SIGTERM ends it within
    two seconds; all outputs are closed and readable. With several cameras the
    name of each is in its outputs (out-door.mp4), and
    the published port counts up.

    [bold]Examples[/]
      streamavis live --view window
      streamavis live --camera browser --view web
      streamavis live --mcap out.mcap --mqtt homeassistant.local
      streamavis live --camera rtsp://user:pw@10.0.0.5/cam --publish tcp://127.0.0.1:5555
      streamavis live --mic none --publish tcp://0.0.0.0:5555   [dim]after: streamavis keys init[/]
      streamavis live --hfov 70 --mic-spacing 0.1 --publish tcp://127.0.0.1:5555
      streamavis live --camera door=camera:0 --camera yard=camera:2 --mic none --jsonl out.jsonl
    """
    check_publish(publish, keys, insecure)
    geometry = geometry_of(hfov, calibration, mic_spacing, mic_array, frame_id)
    from streamavis_apps.bridges import Services
    from streamavis_apps.live.live import Live, run
    from streamavis_apps.live.sinks import Wanted

    plan = Live(
        cameras=tuple(camera or ["camera:0"]),
        microphone=mic,
        sound_offset_s=sound_offset / 1e3,
        model=model,
        wanted=Wanted(
            view=view,
            web=Web(listen, token),
            publish=publish,
            keys=keys,
            insecure=insecure,
            jsonl=jsonl,
            record=record,
            mcap=mcap,
            services=Services(
                mqtt=mqtt,
                user=mqtt_user,
                password_file=mqtt_password_file,
                ca=mqtt_ca,
                plain=mqtt_plain,
                webhook=webhook,
            ),
        ),
        metrics=metrics,
        least_hz=min_rate,
        seconds=seconds,
        geometry=geometry,
        compute=Compute(device, dtype.value, threads),
    )
    raise typer.Exit(run(plan))
