"""Which classes are heard in a stream, and when that changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from streamavis.types import FrameResult

__all__ = ["SPEAKERS", "SPEECH", "Change", "HeardStates", "State"]

State: TypeAlias = Literal["on", "off", "unknown"]  # unknown: no microphone is heard

SPEAKERS: Final = frozenset({"person", "man", "woman", "boy", "girl", "child", "baby"})
SPEECH: Final = ""  # in place of a class: somebody speaks, a sounding track of `SPEAKERS`
_HOLD_NS: Final = 1_000_000_000  # of silence before it counts: pauses between words are shorter
_MOST: Final = 1_024  # classes of one stream, as many as a hello may name


@dataclass(frozen=True, slots=True)
class Change:
    """A class, or somebody speaking, has another state than before."""

    stream: str
    label: str  # of the class; `SPEECH`: somebody speaks
    state: State
    time_ns: int  # capture time of the frame, the stream's clock
    wall_time: float  # of the result, seconds since 1970
    ids: tuple[int, ...] = ()  # tracks that sound
    score: float | None = None  # the highest `sounding` of them; None: nothing sounds


@dataclass(slots=True)
class _Known:
    state: State
    heard_ns: int  # capture time of the last frame in which it sounded

    def holds(self, now_ns: int) -> bool:
        """Whether a silence is too short to count."""
        return self.state == "on" and now_ns - self.heard_ns < _HOLD_NS


@dataclass(slots=True)
class HeardStates:
    """The states of one stream: on at once, off after one second of silence.

    Attributes:
        states: label -> newest change.
    """

    stream: str
    states: dict[str, Change] = field(default_factory=dict)
    _known: dict[str, _Known] = field(default_factory=dict)
    _run: tuple[str, int] = ("", 0)  # boot id and epoch; times begin anew with another one

    def update(self, result: FrameResult) -> list[Change]:
        """Take the next result; return what has changed, somebody speaking first.

        A class is known from the first frame that has a track of it.
        """
        run = (result.boot_id, result.epoch)
        if run != self._run:
            self._run = run
            for known in self._known.values():
                known.heard_ns = result.capture_time_ns
        by_label: dict[str, list[tuple[int, float]]] = {SPEECH: []}
        for track in result.tracks:
            if len(self._known) < _MOST or track.label in self._known:
                by_label.setdefault(track.label, [])
            if track.sounding is None or not track.is_sounding:
                continue
            for label in (track.label, SPEECH) if track.label in SPEAKERS else (track.label,):
                if label in by_label:
                    by_label[label].append((track.id, track.sounding))
        deaf = result.audio in ("lost", "absent")
        changes = []
        for label in {**by_label, **self._known}:
            change = self._step(label, by_label.get(label, []), deaf, result)
            if change is not None:
                self.states[label] = change
                changes.append(change)
        return changes

    def _step(
        self, label: str, sounding: list[tuple[int, float]], deaf: bool, result: FrameResult
    ) -> Change | None:
        now_ns = result.capture_time_ns
        known = self._known.get(label)
        state: State = "unknown" if deaf else "off"
        if sounding or (
            known is not None and known.state == "on" and now_ns - known.heard_ns < _HOLD_NS
        ):
            state = "on"
        if known is None:
            known = self._known[label] = _Known(state, now_ns)
        elif known.state == state:
            known.heard_ns = now_ns if sounding else known.heard_ns
            return None
        known.state = state
        known.heard_ns = now_ns if sounding else known.heard_ns
        return Change(
            stream=result.stream,
            label=label,
            state=state,
            time_ns=now_ns,
            wall_time=result.wall_time,
            ids=tuple(track_id for track_id, _ in sounding),
            score=max((score for _, score in sounding), default=None),
        )
