"""Which objects are in view, which of them make the sound, where, and since when: live.

    import streamavis

    for result in streamavis.open("clip.mp4", model="nano"):
        for track in result.tracks:
            print(result.seq, track.id, track.label, track.sounding, track.box)

`open(0)` is the first camera. `load` puts a model onto a GPU, `Session` takes pictures and sound
that a program has already, `segment` runs the offline network on a recording, `Subscriber` reads
results that another process publishes. docs/PYTHON.md has a program for each.

Importing this is free: every name is loaded when it is first used, so a robot that only
subscribes (`streamavis.Subscriber`) needs neither torch nor a codec. It sets GOMP_SPINCOUNT in the
environment if it is not set, which makes torch faster if torch is imported after it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from streamavis import environment

if TYPE_CHECKING:
    from streamavis import errors
    from streamavis.api import load, open
    from streamavis.device import Placement
    from streamavis.errors import StreamAVISError
    from streamavis.model import AVISM, StreamAVIS
    from streamavis.offline import ClipResult, ClipTrack, OfflineModel, segment
    from streamavis.results import Stream
    from streamavis.runtime.engine import Engine, Feed, Policy
    from streamavis.session import Session
    from streamavis.types import AudioChunk, FrameResult, Rle, Track, VideoFrame
    from streamavis.wire import Subscriber

    __version__: str

__all__ = [
    "AVISM",
    "AudioChunk",
    "ClipResult",
    "ClipTrack",
    "Engine",
    "Feed",
    "FrameResult",
    "OfflineModel",
    "Placement",
    "Policy",
    "Rle",
    "Session",
    "Stream",
    "StreamAVIS",
    "StreamAVISError",
    "Subscriber",
    "Track",
    "VideoFrame",
    "__version__",
    "errors",
    "load",
    "open",
    "segment",
]

_HOMES = {
    "AVISM": "model",
    "AudioChunk": "types",
    "ClipResult": "offline",
    "ClipTrack": "offline",
    "Engine": "runtime.engine",
    "Feed": "runtime.engine",
    "FrameResult": "types",
    "OfflineModel": "offline",
    "Placement": "device",
    "Policy": "runtime.engine",
    "Rle": "types",
    "Session": "session",
    "Stream": "results",
    "StreamAVIS": "model",
    "StreamAVISError": "errors",
    "Subscriber": "wire",
    "Track": "types",
    "VideoFrame": "types",
    "load": "api",
    "open": "api",
    "segment": "offline",
}


environment.prepare()


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("streamavis")
    if name == "errors":
        return import_module("streamavis.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'streamavis' has no attribute {name!r}")
    try:
        value = getattr(import_module(f"streamavis.{_HOMES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("streamavis"):
            raise
        from streamavis.errors import MissingExtraError

        raise MissingExtraError(error.name, "engine") from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
