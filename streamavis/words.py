"""How a label, a percentage, an id, a delay and a state are written, the same everywhere.

The window, recordings and the terminal use these; `words.js` of the web viewer has the same
functions, and a test compares the two.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamavis.types import AudioState, SoundBearing, Track

__all__ = [
    "UNKNOWN",
    "clock_time",
    "counted",
    "delay",
    "detects",
    "direction",
    "level",
    "name_of",
    "none_in_view",
    "percent",
    "sound_state",
    "sounding_words",
]

UNKNOWN = "unknown"
_AHEAD_DEG = 2.5
_SOUND: dict[AudioState, str] = {
    "ok": "sound",
    "gap": "sound with gaps",
    "lost": "microphone lost",
    "absent": "no microphone",
}


def name_of(label: str, track_id: int) -> str:
    """How an object is called: `dog 3`."""
    return f"{label} {track_id}"


def percent(share: float | None) -> str:
    """A probability, 0 to 1, as `93 %`; None is `unknown`."""
    return UNKNOWN if share is None else f"{math.floor(100 * share + 0.5)} %"


def sounding_words(track: Track, threshold: float = 0.5) -> str:
    """Whether an object sounds: `93 %`, `silent` (below `threshold`), or `unknown`."""
    if track.sounding is None or track.sounding >= threshold:
        return percent(track.sounding)
    return "silent"


def sound_state(audio: AudioState, *, live: bool = True) -> str:
    """The state of the sound; of a recording without any: `no sound`."""
    return "no sound" if audio == "absent" and not live else _SOUND[audio]


def level(dbfs: float | None) -> str:
    """Loudness in dB of full scale: `-32 dBFS`; None, no sound arrives, is `unknown`."""
    return UNKNOWN if dbfs is None else f"{math.floor(dbfs + 0.5)} dBFS"


def direction(sound: SoundBearing | None) -> str:
    """Where the sound comes from: `sound from 23° right`; None, without an array, is empty."""
    if sound is None:
        return ""
    if sound.azimuth is None:
        return f"direction of the sound {UNKNOWN}"
    away = abs(sound.azimuth)
    if away < _AHEAD_DEG:
        return "sound from straight ahead"
    return f"sound from {math.floor(away + 0.5)}° {'right' if sound.azimuth > 0 else 'left'}"


def delay(ms: float) -> str:
    """A delay: `62 ms`; from one second on `1.8 s`."""
    return f"{math.floor(ms + 0.5)} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def clock_time(seconds: float) -> str:
    """A position in a recording: `1:05.2`."""
    tenths = math.floor(10 * max(0.0, seconds) + 0.5)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}.{tenths % 10}"


def counted(tracks: Sequence[Track], model: str = "") -> str:
    """How many are in view and how many of them sound: `3 in view, 1 sounding`.

    Without any: `none_in_view` of `model`, or `nothing in view` where it is empty.
    """
    if not tracks:
        return none_in_view(model) if model else "nothing in view"
    known = [track for track in tracks if track.sounding is not None]
    sounding = sum(track.is_sounding for track in known)
    if not known:
        heard = "sounding unknown"
    else:
        heard = f"{sounding} sounding" if sounding else "all silent"
    return f"{len(tracks)} in view, {heard}"


def detects(model: str, classes: Iterable[str]) -> str:
    """The classes of a model: `nano detects: dog, drum`."""
    return f"{model} detects: {', '.join(classes)}"


def none_in_view(model: str) -> str:
    """Nothing is detected; objects of other classes may be in view."""
    return f"none of the classes of {model} is in view"
