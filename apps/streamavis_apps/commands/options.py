"""Option types that several subcommands share."""

import math
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AUTO",
    "Address",
    "AudioTrack",
    "Compute",
    "Device",
    "Dtype",
    "DtypeOption",
    "Fps",
    "Insecure",
    "InsecureReader",
    "Jobs",
    "Json",
    "Keys",
    "Limit",
    "Listen",
    "Material",
    "Mcap",
    "Model",
    "Mqtt",
    "MqttCa",
    "MqttPassword",
    "MqttPlain",
    "MqttUser",
    "PictureSize",
    "Publish",
    "PublisherAddress",
    "ReaderKey",
    "Seed",
    "Size",
    "Split",
    "StreamName",
    "Threads",
    "Tiers",
    "Token",
    "Vggish",
    "VideoJobs",
    "VideoTrack",
    "View",
    "Web",
    "Webhook",
    "check_publish",
    "parse_device",
    "parse_listen",
    "parse_mcap",
    "parse_names",
    "parse_output",
    "parse_recording",
    "parse_size",
    "parse_speed",
    "parse_threads",
]


_DEVICE = re.compile(r"auto|cpu|cuda(:\d{1,3})?")
_MOST_THREADS = 1024


class View(StrEnum):
    """Where pictures are shown."""

    NONE = "none"
    WINDOW = "window"
    WEB = "web"


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int


@dataclass(frozen=True)
class Web:
    """How the viewer in a browser is served."""

    address: Address
    token: str | None = None  # None: a random one where one is needed


def parse_listen(text: str) -> Address:
    """Read `--listen`: `HOST:PORT`, `[IPV6]:PORT` or `PORT` alone; port 0 is any free one."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or int(port) > 65535 or (":" in host and not host.startswith("[")):
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8765.")
    return Address(host.strip("[]") or "127.0.0.1", int(port))


Listen = Annotated[
    Address,
    typer.Option(
        parser=parse_listen,
        metavar="HOST:PORT",
        help="Where --view web listens; other addresses than loopback require a token.",
    ),
]

Token = Annotated[
    str | None,
    typer.Option(
        envvar="STREAMAVIS_WEB_TOKEN",
        metavar="TOKEN",
        show_envvar=True,
        help="The web viewer's token; without one it is random where one is needed.",
    ),
]

Keys = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Encrypt --publish, for the clients listed in this key folder alone.",
        show_default="beyond this machine ~/.config/streamavis/keys; on it, none",
    ),
]

Insecure = Annotated[
    bool,
    typer.Option("--insecure", help="--publish to other machines without keys: anyone may read."),
]


PublisherAddress = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="A publisher, e.g. tcp://127.0.0.1:5555.")
]

StreamName = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="This stream only; otherwise what the address has."),
]

ReaderKey = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="This reader's key file, made by `streamavis keys add NAME` over there.",
    ),
]

InsecureReader = Annotated[
    bool,
    typer.Option("--insecure", help="Believe whoever answers on another machine, in clear."),
]


Mqtt = Annotated[
    str | None,
    typer.Option(
        metavar="HOST[:PORT]", help="Publish who is heard by MQTT; mqtts://HOST is with TLS."
    ),
]

MqttUser = Annotated[
    str | None,
    typer.Option(
        envvar="STREAMAVIS_MQTT_USER", show_envvar=True, metavar="NAME", help="User at the broker."
    ),
]

MqttPassword = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="File with the password alone, mode 0600; or set STREAMAVIS_MQTT_PASSWORD.",
    ),
]

MqttCa = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Certificate authority of the broker, PEM.",
        show_default="the system's",
    ),
]

MqttPlain = Annotated[
    bool,
    typer.Option("--mqtt-plain", help="Send the password without TLS to another machine."),
]

Webhook = Annotated[
    str | None,
    typer.Option(
        envvar="STREAMAVIS_WEBHOOK",
        metavar="URL",
        help="Post every change of who is heard, as JSON.",
    ),
]


def check_publish(publish: str | None, keys: Path | None, insecure: bool) -> None:
    """Refuse an address that is none, and `--keys` and `--insecure` where they would do nothing.

    Raises:
        WireError: the address is malformed or in use.
    """
    if keys is not None and insecure:
        raise typer.BadParameter("--keys and --insecure exclude each other.")
    if publish is None and (keys is not None or insecure):
        name = "--insecure" if insecure else "--keys"
        raise typer.BadParameter(f"{name} belongs to --publish ADDRESS.")
    if publish is not None:
        from streamavis.wire.address import to_bind

        to_bind(publish, beyond=True)  # before anything is opened or loaded


Model = Annotated[
    str,
    typer.Option(metavar="NAME|FILE", help="Shipped weights by name, or a .safetensors file."),
]


Publish = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Publish results, e.g. tcp://127.0.0.1:5555."),
]

Jobs = Annotated[int, typer.Option(min=1, help="Processes that work at once.")]

Json = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write the figures here as JSON, at full precision."),
]

Seed = Annotated[int, typer.Option(min=0, help="Same seed, same clips.")]

Fps = Annotated[float, typer.Option(min=5, max=30, help="Frames per second.")]


def parse_device(text: str) -> str:
    """Read `--device`; whether it is there is seen when the model is loaded."""
    if not _DEVICE.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is none of auto, cpu, cuda and cuda:N.")
    return text


Device = Annotated[
    str,
    typer.Option(
        parser=parse_device,
        metavar="auto|cpu|cuda[:N]",
        help="Where the model runs; auto takes a usable GPU.",
    ),
]


class Dtype(StrEnum):
    """What the model computes in."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    FP16 = "fp16"


DtypeOption = Annotated[
    Dtype,
    typer.Option(
        "--dtype", help="What it computes in; auto is bf16 on a GPU that has it, else fp32."
    ),
]


def parse_threads(text: str) -> int | None:
    """Read `--threads`: a number, or `auto` (None)."""
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_THREADS:
        raise typer.BadParameter(f"{text!r} is neither auto nor a number from 1.")
    return int(text)


Threads = Annotated[
    int | None,
    typer.Option(
        parser=parse_threads,
        metavar="auto|N",
        help="Threads of the model on a CPU.",
        show_default="auto: the cores there are",
    ),
]


Vggish = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Published VGGish weights: the audio features of published AVISM weights.",
        show_default="those in the model; of a data set its FEATAudios first",
    ),
]

Limit = Annotated[
    int | None, typer.Option(min=1, help="The first videos only.", show_default="all")
]

VideoJobs = Annotated[int, typer.Option(min=1, help="Videos at once, a process each.")]

Material = Annotated[
    list[Path],
    typer.Option(
        metavar="DIR", help="Material: index*.json and scenes/*.json. May be given repeatedly."
    ),
]

Split = Annotated[str, typer.Option(help="Of the material: train, val or test.")]


def parse_names(text: str) -> tuple[str, ...]:
    """Read names that commas separate; empty parts are left out."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


Tiers = Annotated[str, typer.Option(metavar="A,B,...", help="Licences of the material.")]


@dataclass(frozen=True)
class Compute:
    """Where a model runs, in which number format, and with how many threads."""

    device: str = "auto"
    dtype: str = "auto"
    threads: int | None = None  # None: torch's choice


AUTO = Compute()


VideoTrack = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Which picture track, from 1.", show_default="the best"),
]

AudioTrack = Annotated[
    int | None,
    typer.Option(min=1, metavar="N", help="Which sound track, from 1.", show_default="the best"),
]


def parse_output(text: str) -> Path:
    """Read where a file goes: a path, `~` for the home directory, `-` for standard output."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from error


def parse_recording(text: str) -> Path:
    """Read `--record`: the path of an mp4."""
    path = parse_output(text)
    if path.suffix.lower() not in ("", ".mp4", ".m4v"):
        better = path.with_suffix(".mp4")
        raise typer.BadParameter(
            f"{text!r}: recordings are mp4, not {path.suffix[1:]}; name it {str(better)!r}."
        )
    return path


def parse_mcap(text: str) -> Path:
    """Read `--mcap`: the path of an MCAP file."""
    path = parse_output(text)
    if path.suffix.lower() not in ("", ".mcap"):
        better = path.with_suffix(".mcap")
        raise typer.BadParameter(f"{text!r} is no MCAP file; name it {str(better)!r}.")
    return path


Mcap = Annotated[
    Path | None,
    typer.Option(
        parser=parse_mcap,
        metavar="FILE",
        help="Record results, pictures and sound for Foxglove and `play`; needs the extra mcap.",
    ),
]


def parse_speed(text: str) -> float:
    """Read `--speed`: a positive factor of real time, or `max` (infinity)."""
    try:
        speed = math.inf if text == "max" else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise typer.BadParameter(f"{text!r} is neither a positive number nor 'max'.")
    return speed


@dataclass(frozen=True)
class Size:
    """Of a picture, in pixels."""

    width: int
    height: int


def parse_size(text: str) -> Size:
    """Read `--size`: `WxH`, width and height, both at least 32."""
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not WxH, such as 320x180.")
    if min(int(width), int(height)) < 32:
        raise typer.BadParameter(f"{text!r} is smaller than 32 pixels on a side.")
    return Size(int(width), int(height))


PictureSize = Annotated[Size, typer.Option(parser=parse_size, metavar="WxH", help="Picture size.")]
