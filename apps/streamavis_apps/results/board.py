"""What sounds, and since when: the state behind the live table and the printed changes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamavis.words import name_of, percent, sound_state
from streamavis_apps.text import shown

if TYPE_CHECKING:
    from streamavis.types import FrameResult, Track

__all__ = ["Board", "Spell", "sounding_names"]

_FPS_SPAN = 32  # arrivals the frame rate is counted over


def sounding_names(result: FrameResult) -> str:
    """The sounding objects of this frame: `bell 3, frog 5`, `none`, or why that is unknown."""
    if result.audio != "ok" and all(track.sounding is None for track in result.tracks):
        return f"unknown ({sound_state(result.audio, live=result.clock != 'pts')})"
    return ", ".join(_name(track) for track in result.tracks if track.is_sounding) or "none"


def _name(track: Track) -> str:
    return name_of(shown(track.label), track.id)


@dataclass(slots=True)
class Spell:
    """A time without change: the track has sounded, or not, since `since_ns`."""

    name: str
    sounding: bool | None  # None: unknown
    since_ns: int  # stream clock


@dataclass(slots=True)
class Board:
    """The newest result of one stream and what led to it."""

    result: FrameResult | None = None
    spells: dict[int, Spell] = field(default_factory=dict)  # track id -> current spell
    missed: int = 0  # frames captured but never seen here
    frames: int = 0
    _arrivals_ns: deque[int] = field(default_factory=lambda: deque(maxlen=_FPS_SPAN))

    def update(self, result: FrameResult, now_ns: int) -> list[str]:
        """Take the next result of the stream.

        Args:
            result: newer than every result before it.
            now_ns: when it arrived, on any monotonic clock.

        Returns:
            What changed, one line each, oldest tracks first.
        """
        last = self.result
        changes = []
        if last is not None and (last.boot_id, last.epoch) != (result.boot_id, result.epoch):
            self.spells.clear()
            changes.append("the stream starts anew")
        elif last is not None:
            self.missed += max(0, result.seq - last.seq - 1)
        for kind in ("audio", "video"):
            before, now = getattr(last, kind, "ok"), getattr(result, kind)
            if before != now:
                changes.append(f"{kind} {now}")
        changes += self._follow(result)
        self.result = result
        self.frames += 1
        self._arrivals_ns.append(now_ns)
        return changes

    @property
    def fps(self) -> float | None:
        """Results per second, counted over the last arrivals; None before the second one."""
        if len(self._arrivals_ns) < 2:
            return None
        span_ns = self._arrivals_ns[-1] - self._arrivals_ns[0]
        return (len(self._arrivals_ns) - 1) * 1e9 / span_ns if span_ns else None

    def since_s(self, track: Track) -> float:
        """Seconds of stream time since this track last started or stopped sounding."""
        assert self.result is not None, "since_s before the first result"
        return (self.result.capture_time_ns - self.spells[track.id].since_ns) / 1e9

    def _follow(self, result: FrameResult) -> list[str]:
        changes = []
        present = {track.id: track for track in result.tracks}
        for left in sorted(self.spells.keys() - present.keys()):
            spell = self.spells.pop(left)
            if spell.sounding:
                changes.append(f"{spell.name} has left")
        for track in sorted(result.tracks, key=lambda track: track.id):
            sounding = None if track.sounding is None else track.is_sounding
            before = self.spells.get(track.id)
            if before is not None and before.sounding == sounding:
                continue
            self.spells[track.id] = Spell(_name(track), sounding, result.capture_time_ns)
            if sounding:
                changes.append(f"{_name(track)} sounds ({percent(track.sounding)})")
            elif sounding is False and before is not None and before.sounding:
                changes.append(f"{_name(track)} falls silent")
        return changes
