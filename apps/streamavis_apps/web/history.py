"""The last minute, for a page that is opened late or reloaded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streamavis.viz import colour_of

if TYPE_CHECKING:
    from streamavis.types import FrameResult
    from streamavis_apps.web.settings import Settings

__all__ = ["History"]

_SPAN_NS: Final = 60_000_000_000
_STEP_NS: Final = 100_000_000  # between two moments that are kept
_MOST: Final = 600


@dataclass(frozen=True, slots=True)
class _Moment:
    time_ns: int  # stream clock
    tracks: tuple[tuple[int, str, float, float | None], ...]  # id, label, score, sounding
    level_dbfs: float | None  # None: no sound arrived


class History:
    """Who was in view and sounded in the last minute, ten times a second, in bounded memory.

    Its user sees to it that one thread at a time calls it.
    """

    def __init__(self) -> None:
        self._moments: deque[_Moment] = deque(maxlen=_MOST)
        self._run: tuple[str, int] | None = None  # boot_id and epoch of what is kept

    def see(self, result: FrameResult, level_dbfs: float | None) -> None:
        """Take a result; one of another run, or from before the last, begins a new history."""
        run, now_ns = (result.boot_id, result.epoch), result.capture_time_ns
        last = self._moments[-1].time_ns if self._moments else None
        if run != self._run or (last is not None and now_ns < last):
            self._moments.clear()
            self._run, last = run, None
        if last is not None and now_ns - last < _STEP_NS:
            return
        tracks = tuple((t.id, t.label, t.score, t.sounding) for t in result.tracks)
        self._moments.append(_Moment(now_ns, tracks, level_dbfs))

    def forget(self) -> None:
        """Delete everything."""
        self._moments.clear()

    def told(self, settings: Settings) -> dict[str, Any] | None:
        """All of it for a page, less what is hidden; None where there is none.

        `tracks` is id -> label and colour; `moments` is time in s, level in dBFS, and for each
        object in view its id and how sure it is that it sounds.
        """
        moments = list(self._moments)
        if not moments or self._run is None:
            return None
        first_ns = moments[-1].time_ns - _SPAN_NS
        tracks: dict[str, Any] = {}
        rows = []
        for moment in moments:
            if moment.time_ns < first_ns:
                continue
            seen = []
            for number, label, score, sounding in moment.tracks:
                if score < settings.score_from or label in settings.hidden:
                    continue
                tracks[str(number)] = {"label": label, "colour": colour_of(number)}
                seen.append((number, None if sounding is None else round(sounding, 3)))
            rows.append((moment.time_ns / 1e9, moment.level_dbfs, seen))
        return {"boot_id": self._run[0], "tracks": tracks, "moments": rows}
