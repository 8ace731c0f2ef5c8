"""Which objects are in view, which of them make the sound, where, and since when: live.

    import streamavis

    for result in streamavis.open("clip.mp4", model="nano"):
        for track in result.tracks:
            print(result.seq, track.id, track.label, track.sounding, track.box)

Importing this is free: every name is loaded when it is first used, so a robot that only
subscribes (`streamavis.wire`) needs neither torch nor a codec. It sets GOMP_SPINCOUNT in the
environment where nobody has, which makes torch faster if torch is imported after it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from streamavis import environment

if TYPE_CHECKING:
    from streamavis.api import Stream, open
    from streamavis.errors import StreamAVISError
    from streamavis.types import AudioChunk, FrameResult, Rle, Track, VideoFrame

    __version__: str

__all__ = [
    "AudioChunk",
    "FrameResult",
    "Rle",
    "Stream",
    "StreamAVISError",
    "Track",
    "VideoFrame",
    "__version__",
    "open",
]

_HOMES = {
    "AudioChunk": "types",
    "FrameResult": "types",
    "Rle": "types",
    "Stream": "api",
    "StreamAVISError": "errors",
    "Track": "types",
    "VideoFrame": "types",
    "open": "api",
}


environment.prepare()


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("streamavis")
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
