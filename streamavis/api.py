"""`streamavis.load` and `streamavis.open`: a model on its device; results of any source."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, overload, runtime_checkable

from streamavis import checkpoint
from streamavis.clock import Clock, MonotonicClock
from streamavis.device import Placement, place
from streamavis.errors import ArgumentError, InputAddressError
from streamavis.io.live import LiveSource
from streamavis.io.live.address import Kind, parse_camera
from streamavis.io.live.devices import check_camera, recorded_size
from streamavis.io.media import MediaInfo, MediaSource
from streamavis.offline import load_offline
from streamavis.protocols import Source
from streamavis.redaction import display_name
from streamavis.results import Stream
from streamavis.runtime.engine import Engine, Feed, Policy
from streamavis.runtime.governor import Governor
from streamavis.session import Session
from streamavis.warmup import warm_up

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    import torch

    from streamavis.bearing import Geometry
    from streamavis.model import StreamAVIS
    from streamavis.offline import OfflineModel
    from streamavis.protocols import Sink
    from streamavis.runtime.step import StepModel
    from streamavis.runtime.tracks import TrackConfig
    from streamavis.types import FrameResult

__all__ = ["OpenSource", "load", "open"]

_ANSWER_S = 3.0  # granted to a camera's host, before the model is loaded
_LEAVE_S = 0.3  # granted to a closed device; its thread is left behind after that
_USUAL = (720, 1280)  # height, width of pictures that are not known beforehand


@runtime_checkable
class OpenSource(Source, Protocol):
    """Frames and sound of your own; it is iterated on a thread of its own."""

    @property
    def info(self) -> MediaInfo: ...


@overload
def load(
    model: str | Path = "nano",
    device: str | torch.device | Placement = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    offline: Literal[False] = False,
) -> StreamAVIS: ...


@overload
def load(
    model: str | Path,
    device: str | torch.device | Placement = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    offline: Literal[True],
    vggish: str | Path | None = None,
) -> OfflineModel: ...


def load(
    model: str | Path = "nano",
    device: str | torch.device | Placement = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    offline: bool = False,
    vggish: str | Path | None = None,
) -> StreamAVIS | OfflineModel:
    """Load a model onto its device, ready for inference.

        model = streamavis.load("nano", device="auto", dtype="auto")

    Args:
        model: a shipped name, a `.safetensors` file, or a folder with `model.safetensors` (and
            `config.json`, where the weights hold no configuration).
        device: `auto` takes a usable CUDA device, else the CPU, and logs which and why; `cpu`,
            `cuda`, `cuda:N`.
        dtype: what it computes in: `fp32`, `bf16`, `fp16` (CUDA alone); `auto` is bf16 on a CUDA
            device that has it, else fp32. Weights stay float32.
        offline: the model is an offline network, for `streamavis.segment`.
        vggish: published weights that an offline network hears with; None: those in its file.

    Raises:
        CheckpointError: the model is unknown, damaged, or of another kind or version.
        ArgumentError: the device is absent, or cannot compute in `dtype`; nothing was started.
    """
    placement = place(device, dtype)
    if offline:
        return load_offline(model, device=placement, vggish=vggish)
    network = checkpoint.load(model).to(placement.device)
    network.compute_dtype = placement.dtype
    return network


def open(
    source: int | str | Path | OpenSource,
    model: str | Path | StepModel = "nano",
    *,
    on_result: Callable[[FrameResult], object] | None = None,
    sinks: Sequence[Sink] = (),
    live: bool | None = None,
    speed: float | None = None,
    microphone: str | None = None,
    sound_offset_s: float = 0.0,
    stream: str = "main",
    tracks: TrackConfig | None = None,
    boot_id: str | None = None,
    clock: Clock | None = None,
    cancelled: threading.Event | None = None,
    warm: bool = False,
    geometry: Geometry | None = None,
) -> Stream:
    """See and hear a source: an iterator over one `FrameResult` per frame.

        for result in streamavis.open("clip.mp4", model="nano"):
            for track in result.tracks:
                print(result.seq, track.id, track.label, track.sounding, track.box)

    Cameras and streams are supervised: one that breaks is opened again while results go on.
    Times are the driver's where it has usable ones; `result.clock` says which.

    Args:
        source: `camera:0` or 0, `v4l2:/dev/video0`, `rtsp://...`, `http://...`, `udp://...`,
            `tcp://...`: live. A file, a folder or pattern of pictures, `lavfi:GRAPH`: a recording.
            Or an object that yields frames and sound, on `time.monotonic_ns` if it is live.
        model: of `streamavis.load`; or what it takes, on the device that `auto` takes.
        on_result: called with each result, on the thread that runs the stream; while it runs no
            other frame is looked at. What it raises ends the stream. See `Stream.run`, `start`.
        sinks: get every result as well, and are closed with the stream.
        live: take the newest frame and drop older ones. None: as the source is. True plays a
            recording as if it were a camera.
        speed: of a recording: 1.0 is real time, 2.0 twice as fast; None: as fast as possible.
        microphone: of a live address: `mic:default`, `mic:NAME`, a stream with sound, or `none`;
            None: the camera's own sound, else the default microphone, else none.
        sound_offset_s: how late that sound is, as `streamavis calibrate` measures it.
        stream: name the results carry, 1 to 64 letters, digits, `_` or `-`.
        tracks: when objects are born, the same, and forgotten.
        boot_id: names this run in the results; random by default.
        clock: paces and stamps; a `PausableClock` can hold a recording.
        cancelled: setting it stops the stream.
        warm: the model has run on pictures of this size; else it does so here, on noise, so that
            the first frame is not late: kernels are built, memory is allocated.
        geometry: of camera and microphones; results then have bearings. A source of your own
            yields the sound's `SoundBearing` itself.

    Raises:
        InputError: the source cannot be opened; names it and the cause.
        CheckpointError: the model is unknown, damaged, or of another kind or version.
        ArgumentError: an option does not fit the source.
    """
    clock = clock or MonotonicClock()
    resources = ExitStack()
    array = None if geometry is None else geometry.array
    try:
        if isinstance(source, int | str | Path):
            address = f"camera:{source}" if isinstance(source, int) else str(source)
            live = _is_live(address) if live is None else live
            _check_options(live, speed, microphone, sound_offset_s)
            if not live:
                source = resources.enter_context(MediaSource(address, array=array))
                model = _warmed(model, source.info, warm)
            else:
                model = _warmed_for(model, address, warm)
                camera = LiveSource(
                    address,
                    microphone,
                    clock,
                    sound_offset_s=sound_offset_s,
                    cancelled=cancelled,
                    array=array,
                )
                resources.callback(_release, camera)
                source = camera
        else:
            live = bool(live)
            _check_options(live, speed, microphone, sound_offset_s, own=True)
            model = _warmed(model, source.info, warm)
        info = source.info
        session = Session(
            model,
            stream=stream,
            has_audio=info.has_audio,
            frame_period_s=1 / info.fps if info.fps and not live else 0.0,
            tracks=tracks,
            clock=clock,
        )
        engine = Engine(
            [Feed(source, session, sinks, geometry=geometry)],
            Policy(live, speed),
            clock=clock,
            boot_id=boot_id,
            cancelled=cancelled,
            governor=Governor() if live else None,
        )
    except BaseException:
        resources.close()
        raise
    return Stream(engine, info, resources, on_result)


def _is_live(address: str) -> bool:
    """Whether an address is a camera's or a stream's, which does not wait.

    Raises:
        InputError: it is a browser's, or names a camera or stream that is none.
    """
    if address == "browser":
        raise InputAddressError(
            "browser: a visitor's camera comes through the page of `streamavis live --camera "
            "browser --view web`; a program opens a camera, a stream or a file"
        )
    scheme = address.partition(":")[0]
    device = address.isdecimal() or address.startswith("/dev/video")
    if not (device or scheme in ("camera", "v4l2") or "://" in address):
        return False
    return parse_camera(address).kind in (Kind.V4L2, Kind.NETWORK)


def _check_options(
    live: bool,
    speed: float | None,
    microphone: str | None,
    sound_offset_s: float,
    *,
    own: bool = False,
) -> None:
    if live and speed is not None:
        raise ArgumentError(f"a live source sets its own pace, but speed={speed} was given")
    if (own or not live) and (microphone is not None or sound_offset_s):
        raise ArgumentError(
            f"microphone={microphone!r} and sound_offset_s={sound_offset_s} are for live "
            "addresses; a recording and a source of your own bring their sound"
        )


def _warmed(model: str | Path | StepModel, info: MediaInfo, warm: bool) -> StepModel:
    ready = load(model) if isinstance(model, str | Path) else model
    if not warm:
        warm_up(ready, [(info.height, info.width)])
    return ready


def _warmed_for(model: str | Path | StepModel, address: str, warm: bool) -> StepModel:
    """A model for a live address, which is checked first and opened afterwards.

    No camera runs while the model loads: what came meanwhile would be too old.

    Raises:
        InputError: nothing answers there.
    """
    check_camera(address, _ANSWER_S)
    size = recorded_size(address) or _USUAL
    name = display_name(address)
    return _warmed(model, MediaInfo(name, size[1], size[0], None, True, None), warm)


def _release(camera: LiveSource) -> None:
    camera.close()
    camera.join(_LEAVE_S)
