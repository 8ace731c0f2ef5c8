"""An annotated recording: from a replay or live, from the start or when somebody asks for it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from streamavis.audio_ring import AudioRing, level_dbfs
from streamavis.io.claim import Claim
from streamavis.io.container import BEST, Tracks
from streamavis.io.record import Recorder
from streamavis.types import AudioChunk, AudioGap

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from streamavis.status import EngineReport
    from streamavis.types import FrameResult, Heard, SourceEvent, VideoFrame

__all__ = ["Draw", "RecordSink"]

# How long pictures may pause without their sound being lost to the recording; 7.7 MB.
_KEPT_S = 120.0


class Draw(Protocol):
    """Annotates a copy of a (H, W, 3) RGB picture: `streamavis.viz.draw`."""

    def __call__(
        self,
        image: NDArray[np.uint8],
        result: FrameResult,
        /,
        *,
        level_dbfs: float | None,
    ) -> NDArray[np.uint8]: ...


class RecordSink:
    """An mp4 in which each result is drawn on its own frame, with its sound in step.

    The sound is copied from a file or is what the stream hears; times are the stream's, so that
    they agree however late a result or a sample comes. Each stretch between a start and a stop is
    a file of its own; what an error closes stays closed, and readable up to there.
    """

    name: Literal["record"] = "record"
    inline: Literal[False] = False

    def __init__(
        self,
        path: str | Path,
        *,
        draw: Draw,
        size: tuple[int, int] | None = None,
        fps: float | None = None,
        sound: str | Path | None = None,
        tracks: Tracks = BEST,
        has_audio: bool = False,
        start: bool = True,
    ) -> None:
        """Create `path`, replacing what is there, unless it is to be started later.

        Args:
            path: of the mp4; files that are started later get a number where it is taken.
            draw: annotates a picture.
            size: height and width of the frames; None: those of the first, with which the file is
                then created.
            fps: nominal; each frame keeps its own time.
            sound: media whose sound is copied, from where each file begins.
            tracks: of that media, as its pictures are read.
            has_audio: the stream hears; what it hears is recorded where nothing is copied.
            start: False: record when `toggle` asks for it.

        Raises:
            InputError: `sound` cannot be read.
            OutputError: `path` cannot be written, or another program is writing to it.
        """
        self.files: list[Path] = []  # what has been written, in order
        self._path = Path(path)
        self._draw = draw
        self._fps = fps
        self._heard = AudioRing(_KEPT_S)
        self._has_audio = has_audio
        self._copied = sound
        self._tracks = tracks
        self._lock = threading.Lock()  # of what `toggle` touches
        self._wanted: Path | None = self._path if start else None
        self._from_start = start  # the next file begins with the stream, not with its first frame
        self._over = ""  # why nothing can be started any more
        self._recorder: Recorder | None = None  # writes to `_open`
        self._open: Path | None = None
        self._span_ns = (0, 0)  # first and latest frame of the file
        # Taken before the first frame tells the size: a second program is refused at its start.
        self._claim = Claim(self._path) if start else None
        if start and size is not None:
            self._recorder = self._create(self._path, size, 0)

    @property
    def recording(self) -> str:
        """The file that is being written, or empty; from any thread."""
        with self._lock:
            return str(self._wanted or "")

    @property
    def recorded_s(self) -> float:
        """Its length so far."""
        first_ns, latest_ns = self._span_ns
        return (latest_ns - first_ns) / 1e9

    def toggle(self) -> str:
        """Stop, or start a new file, with the next frame; a sentence says which, and where.

        From any thread.
        """
        with self._lock:
            if self._over:
                return f"nothing is recorded any more: {self._over}"
            if self._wanted is not None:
                stopped, self._wanted = self._wanted, None
                return f"recorded {stopped}"
            self._from_start = False
            self._wanted = _free_name(self._path)
            return f"recording to {self._wanted}"

    def start(self, report: Callable[[], EngineReport]) -> None:
        """Nothing to prepare."""

    def notice(self, item: AudioChunk | AudioGap | SourceEvent | Heard) -> None:
        """Keep the sound until the pictures of its time come."""
        if isinstance(item, AudioChunk):
            self._heard.write(item)
        elif isinstance(item, AudioGap):
            self._heard.miss(item)

    def write(self, frame: VideoFrame, result: FrameResult) -> None:
        """Draw and encode one frame, if it is to be recorded.

        Raises:
            OutputError: the file cannot be written.
        """
        with self._lock:
            wanted = self._wanted
        try:
            if self._open is not None and self._open != wanted:
                self._finish()
            if wanted is None:
                return
            time_ns = frame.capture_time_ns
            if self._recorder is None:
                begin_ns = 0 if self._from_start else time_ns
                self._recorder = self._create(wanted, frame.image.shape[:2], begin_ns)
            if self._open is None:
                self._open, self._span_ns = wanted, (time_ns, time_ns)
            level = level_dbfs(self._heard, time_ns)
            self._recorder.write(self._draw(frame.image, result, level_dbfs=level), time_ns)
            self._span_ns = self._span_ns[0], time_ns
        except Exception as error:
            self._end(str(error))
            raise

    def close(self, report: EngineReport) -> None:
        """Finish the file."""
        self._end("the stream is over")
        self._finish()
        if self._claim is not None:
            self._claim.release()

    def _create(self, path: Path, size: tuple[int, ...], begin_ns: int) -> Recorder:
        sound = self._copied or (self._heard if self._has_audio else None)
        claim, self._claim = self._claim, None
        if claim is not None and path != self._path:  # stopped before its first frame
            claim.release()
            claim = None
        recorder = Recorder(
            path,
            size[1],
            size[0],
            fps=self._fps,
            sound=sound,
            tracks=self._tracks,
            begin_ns=begin_ns,
            claim=claim,
        )
        self.files.append(path)
        return recorder

    def _finish(self) -> None:
        recorder, self._recorder, self._open = self._recorder, None, None
        if recorder is not None:
            recorder.close()

    def _end(self, cause: str) -> None:
        with self._lock:
            self._over = self._over or cause
            self._wanted = None


def _free_name(path: Path) -> Path:
    """`path`, or the same with the first number that is free."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_stem(f"{path.stem}-{number}")
    return free
