"""What happened to a stream that somebody should know: a short memory, and the log."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from typing import TYPE_CHECKING

from streamavis.limits import LogLimiter
from streamavis.types import Notice

if TYPE_CHECKING:
    from streamavis.clock import Clock
    from streamavis.types import NoticeKind

__all__ = ["Journal"]

_LOG = logging.getLogger(__name__)
_KEPT = 16
_NUMBER = re.compile(r"\d+")  # of a frame, of seconds: no other kind of line


class Journal:
    """Keeps the newest notices of one stream and logs them; any thread may write and read.

    Of what a source causes, which may be on another machine, one line per kind and minute.
    """

    def __init__(self, stream: str, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._notices: deque[Notice] = deque(maxlen=_KEPT)
        self._written = 0
        self._traced: set[tuple[type, str, int]] = set()
        self._lines = LogLimiter(_LOG.warning, clock.now_ns)
        self._lock = threading.Lock()

    def note(
        self,
        kind: NoticeKind,
        text: str,
        *,
        level: int = logging.WARNING,
        error: BaseException | None = None,
    ) -> None:
        """Keep and log it; with the traceback of `error` the first time it comes from its line."""
        with self._lock:
            self._written += 1
            self._notices.append(Notice(self._written, self._clock.now_ns(), kind, text))
            trace = error if error is not None and self._is_new(error) else None
        line: str | None = text
        if kind == "source":
            line = self._lines.admit((kind, _NUMBER.sub("#", text)), text)
        if line is not None:
            _LOG.log(level, "%s: %s: %s", self._stream, kind, line, exc_info=trace)

    def _is_new(self, error: BaseException) -> bool:
        """Whether an error of this kind has not come from this line before. Needs the lock."""
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        file = "" if place is None else place.tb_frame.f_code.co_filename
        key = type(error), file, 0 if place is None else place.tb_lineno
        is_new = key not in self._traced
        self._traced.add(key)
        return is_new

    @property
    def notices(self) -> list[Notice]:
        """The newest ones, oldest first; what is missing before them was forgotten."""
        with self._lock:
            return list(self._notices)
