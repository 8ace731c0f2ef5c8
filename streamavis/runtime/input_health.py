"""How the camera and the microphone of a live stream are doing, by what they say and by silence."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from streamavis.types import InputStatus, SourceEvent

if TYPE_CHECKING:
    from streamavis.types import AudioState, Modality, SourceState, VideoFrame, VideoState

__all__ = ["LOST_AFTER_S", "Arrivals", "InputHealth"]

# Told at once by who looks at `due_ns`; a status that is only sent now and then tells it a tenth
# of a second later. Both are within half a second.
LOST_AFTER_S = 0.4
_PERIODS = 4  # a slow camera is granted this many; the fifth is told
_GONE: frozenset[SourceState] = frozenset({"stalled", "reconnecting", "failed", "ended"})


class Arrivals:
    """How often something comes: count over span, which bursts and pauses do not mislead."""

    def __init__(self, kept: int = 32) -> None:
        self._at_ns: deque[int] = deque(maxlen=kept)

    def note(self, now_ns: int) -> None:
        """Something came."""
        self._at_ns.append(now_ns)

    def forget(self) -> None:
        """What was before no longer tells anything."""
        self._at_ns.clear()

    @property
    def last_ns(self) -> int | None:
        """When the latest came."""
        return self._at_ns[-1] if self._at_ns else None

    @property
    def period_ns(self) -> int:
        """Mean time between two; 0 while unknown."""
        if len(self._at_ns) < 2:
            return 0
        return (self._at_ns[-1] - self._at_ns[0]) // (len(self._at_ns) - 1)


class InputHealth:
    """Follows one live stream's inputs; any thread may tell and ask.

    An input is gone when its source says so, or when nothing came of it for 0.4 s (a camera: four
    frame periods, where that is longer). What comes proves that it is back, whatever was said. One
    that is still starting is gone too, which is no news.
    """

    def __init__(self, name: str, *, has_audio: bool, now_ns: int) -> None:
        """Begin at `now_ns` with nothing seen and nothing heard of the source `name`."""
        self._lock = threading.RLock()
        self._frames = Arrivals()
        self._sound = Arrivals(kept=2)
        self._begin_ns = now_ns
        self._picture: VideoState = "ok"
        modalities: tuple[Modality, ...] = ("video", "audio") if has_audio else ("video",)
        self._inputs: dict[Modality, InputStatus] = {
            modality: InputStatus(name, modality, "starting", now_ns) for modality in modalities
        }

    @property
    def inputs(self) -> list[InputStatus]:
        """Camera and, where there is one, microphone."""
        with self._lock:
            return list(self._inputs.values())

    @property
    def source(self) -> SourceState:
        """The camera's state: what a stream cannot be without."""
        return self._inputs["video"].state

    def video(self, now_ns: int) -> VideoState:
        """Whether pictures come and change."""
        with self._lock:
            return "lost" if self._is_gone("video", now_ns) else self._picture

    def audio(self, now_ns: int, latest: AudioState) -> AudioState:
        """Whether sound comes; `latest` is what the newest result says of it."""
        with self._lock:
            if "audio" not in self._inputs:
                return "absent"
            if self._is_gone("audio", now_ns):
                return "lost"
            return "ok" if latest in ("lost", "absent") else latest

    def frame(self, frame: VideoFrame, now_ns: int) -> SourceEvent | None:
        """A picture came; returns the news that the camera runs, where it is news."""
        with self._lock:
            self._frames.note(now_ns)
            self._picture = frame.state
            return self._runs("video", now_ns)

    def sound(self, now_ns: int) -> SourceEvent | None:
        """Sound came; as `frame`."""
        with self._lock:
            if "audio" not in self._inputs:
                return None
            self._sound.note(now_ns)
            return self._runs("audio", now_ns)

    def told(self, event: SourceEvent, now_ns: int) -> bool:
        """The source told how it is doing; False where `look` had noticed the same stall before."""
        with self._lock:
            known = self._inputs.get(event.modality)
            if known is not None:
                self._change(event, now_ns)
            return known is None or not known.state == event.state == "stalled"

    def look(self, now_ns: int) -> list[SourceEvent]:
        """Timeout events: inputs without data. Call it at `due_ns` and then."""
        news = []
        with self._lock:
            for modality, known in self._inputs.items():
                if known.state == "running" and self._is_gone(modality, now_ns):
                    what = "picture" if modality == "video" else "sound"
                    silent_s = (now_ns - self._last_ns(modality)) / 1e9
                    reason = f"no {what} for {silent_s:.1f} s"
                    news.append(SourceEvent(known.source, modality, "stalled", now_ns, reason))
            for event in news:
                self._change(event, now_ns)
        return news

    def due_ns(self) -> int | None:
        """When `look` will have news if nothing comes until then; None: nothing runs."""
        with self._lock:
            running = [m for m, known in self._inputs.items() if known.state == "running"]
            return min((self._limit_ns(modality) + 1 for modality in running), default=None)

    def _is_gone(self, modality: Modality, now_ns: int) -> bool:
        if self._inputs[modality].state in _GONE:
            return True
        return now_ns > self._limit_ns(modality)

    def _limit_ns(self, modality: Modality) -> int:
        """Until when its silence is none."""
        limit_ns = round(LOST_AFTER_S * 1e9)
        if modality == "video":
            limit_ns = max(limit_ns, _PERIODS * self._frames.period_ns)
        return self._last_ns(modality) + limit_ns

    def _runs(self, modality: Modality, now_ns: int) -> SourceEvent | None:
        known = self._inputs[modality]
        if known.state == "running":
            return None
        event = SourceEvent(known.source, modality, "running", now_ns)
        self._change(event, now_ns)
        return event

    def _change(self, event: SourceEvent, now_ns: int) -> None:
        if event.state in _GONE and event.modality == "video":
            self._frames.forget()  # a pause is no frame period
        self._inputs[event.modality] = InputStatus(
            event.source, event.modality, event.state, now_ns, event.reason
        )

    def _arrivals(self, modality: Modality) -> Arrivals:
        return self._frames if modality == "video" else self._sound

    def _last_ns(self, modality: Modality) -> int:
        last_ns = self._arrivals(modality).last_ns
        return max(self._begin_ns if last_ns is None else last_ns, self._inputs[modality].since_ns)
