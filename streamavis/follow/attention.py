"""Whom the head attends to: one speaker at a time, with hysteresis between several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streamavis.errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Attention", "AttentionConfig", "Target"]

_NS: Final = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """A direction from which something sounds, in the axes of the head's base."""

    pan: float  # degrees
    tilt: float | None  # degrees; None: unknown, as of a sound off screen
    track_id: int | None  # None: heard, not seen
    score: float  # 0..1, how sure it is that it sounds
    is_exact: bool = True  # False: measured while the head turned; says who, not where


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionConfig:
    """How soon another speaker is turned to, and what counts as the same one."""

    dwell_s: float = 0.15  # another one must sound this long, and the present one be silent
    sound_dwell_s: float = 0.06  # likewise off screen, where bearings are confirmed already
    gap_s: float = 0.2  # of silence that do not interrupt a speaker's turn
    same_deg: float = 12.0  # nearer than this it is the same speaker
    smoothing_s: float = 0.1  # time constant by which a target that moves is followed
    home_s: float | None = None  # after this long without any sound: to the front; None: never

    def __post_init__(self) -> None:
        """Refuse negative times.

        Raises:
            ArgumentError: a value is negative.
        """
        for name in ("dwell_s", "sound_dwell_s", "gap_s", "same_deg", "smoothing_s", "home_s"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ArgumentError(f"{name} is {value}, expected 0 or more")


class Attention:
    """Chooses the target from what sounds in each result.

    The present speaker is kept while it sounds, however loud others are. Another one is turned to
    once it has sounded for `dwell_s` and the present one has been silent for as long.
    """

    def __init__(self, config: AttentionConfig) -> None:
        self._config = config
        self._current: Target | None = None
        self._heard_ns = 0  # when the current one was heard last
        self._updated_ns = 0
        self._other: Target | None = None
        self._other_since_ns = 0
        self._other_heard_ns = 0

    @property
    def target(self) -> Target | None:
        """The one attended to; None: nobody has sounded yet, or not for `home_s`."""
        return self._current

    def update(self, heard: Sequence[Target], now_ns: int) -> Target | None:
        """Take in everything that sounds now; return the target.

        Args:
            heard: may be empty.
            now_ns: of the result, monotonic.
        """
        config = self._config
        same = _nearest(self._current, heard, config.same_deg)
        if same is not None:
            self._follow(same, now_ns)
        others = [one for one in heard if one is not same]
        self._challenge(others, now_ns)
        silent_ns = now_ns - self._heard_ns
        if self._other is not None and self._other_heard_ns == now_ns:
            is_seen = self._other.track_id is not None
            dwell_ns = round((config.dwell_s if is_seen else config.sound_dwell_s) * _NS)
            waited = now_ns - self._other_since_ns >= dwell_ns
            if waited and (self._current is None or silent_ns >= dwell_ns):
                self._current, self._other = self._other, None
                self._heard_ns = self._updated_ns = now_ns
        elif (
            config.home_s is not None
            and self._current is not None
            and silent_ns >= config.home_s * _NS
        ):
            self._current = None
        return self._current

    def _follow(self, same: Target, now_ns: int) -> None:
        assert self._current is not None, "the same as what"
        if same.is_exact:
            dt_s = max(now_ns - self._updated_ns, 0) / _NS
            blend = dt_s / (dt_s + self._config.smoothing_s) if dt_s > 0 else 0.0
            pan = self._current.pan + blend * (same.pan - self._current.pan)
            tilt = self._current.tilt
            if same.tilt is not None:
                tilt = same.tilt if tilt is None else tilt + blend * (same.tilt - tilt)
            track_id = self._current.track_id if same.track_id is None else same.track_id
            self._current = Target(pan, tilt, track_id, same.score)
            self._updated_ns = now_ns
        self._heard_ns = now_ns

    def _challenge(self, others: Sequence[Target], now_ns: int) -> None:
        """Keep who else has sounded, and since when."""
        gap_ns = round(self._config.gap_s * _NS)
        again = _nearest(self._other, others, self._config.same_deg)
        if again is None and self._other is not None and now_ns - self._other_heard_ns <= gap_ns:
            return
        if again is None:
            again = max(others, key=lambda one: one.score, default=None)
            self._other_since_ns = now_ns
        if again is None:
            self._other = None
            return
        if self._other is None or again.is_exact:
            self._other = again
        self._other_heard_ns = now_ns


def _nearest(target: Target | None, heard: Sequence[Target], same_deg: float) -> Target | None:
    """The one of `heard` that is `target`: its track, else the nearest within `same_deg`."""
    if target is None:
        return None
    for one in heard:
        if one.track_id is not None and one.track_id == target.track_id:
            return one
    near = [one for one in heard if abs(one.pan - target.pan) <= same_deg]
    return min(near, key=lambda one: abs(one.pan - target.pan), default=None)
