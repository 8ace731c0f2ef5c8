"""What a viewer shows: the picture with its objects, and around it how all is going.

A bar above says what the source and the engine do; a strip below shows the sound. Nothing here
knows of windows: frames, sound and keys go in, pictures come out, so that any toolkit, or none,
can show them.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.palette import (
    ALERT,
    DIM,
    GOOD,
    SOFT,
    STATE_COLOURS,
    WARN,
    WHITE,
)
from streamavis.viz.hud import Item, draw_bar, draw_candidates, fill, plate_of_text
from streamavis.viz.labels import LabelStyle
from streamavis.viz.overlay import draw_tracks
from streamavis.viz.strip import Moment, SoundStrip
from streamavis.words import clock_time, counted, delay, detects, direction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis.types import AudioChunk, Candidate, FrameResult, SourceEvent
    from streamavis.viz.kinds import Kinds

__all__ = ["Action", "ScreenHealth", "StreamScreen", "view_size"]

_FITS = (800, 1280)  # height, width that a view may have
_LEAST = 640  # pixels of the longer side: smaller pictures are enlarged, by a whole number
_TOAST_NS = 4_000_000_000
_LINE = 58  # letters of a plate's line
_GONE = ("stalled", "reconnecting", "failed")  # states of a camera whose last picture is old


class Action(StrEnum):
    """What a key asks for that a screen cannot do itself."""

    QUIT = "quit"
    PAUSE = "pause"
    RECORD = "record"
    SCREENSHOT = "screenshot"
    QUERIES = "queries"


_KEYS = {
    ord("q"): Action.QUIT,
    27: Action.QUIT,  # Escape
    ord(" "): Action.PAUSE,
    ord("r"): Action.RECORD,
    ord("s"): Action.SCREENSHOT,
    ord("d"): Action.QUERIES,
}
_HELP = (
    ("space", "pause"),
    ("s", "screenshot"),
    ("r", "record, or stop recording"),
    ("m", "masks on and off"),
    ("d", "proposals of the frame queries, before tracking"),
    ("h", "this help"),
    ("q", "quit"),
    ("", ""),
    ("bright outline", "the object sounds; its line is the probability"),
    ("thin outline", "in view and silent"),
    ("crossed speaker", "unknown: no sound is heard"),
    ("strip below", "level, spectrogram, who sounded, what is heard"),
)


@dataclass(frozen=True, kw_only=True)
class ScreenHealth:
    """The state of the engine, sent from time to time."""

    frames_per_s: float = 0.0  # results, shown or not
    dropped: dict[str, int] = field(default_factory=dict)  # cause -> frames
    recording: str = ""  # the file that is being written, or empty
    recorded_s: float = 0.0
    trouble: str = ""  # one sentence: what failed


@dataclass
class _Shown:
    """The picture on the screen."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB, of the source
    result: FrameResult
    candidates: Sequence[Candidate]
    kinds: Kinds | None


def view_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which a picture is shown: words keep their size, whatever the source."""
    larger = max(1, _LEAST // max(height, width))
    scale = min(_FITS[0] / height, _FITS[1] / width, larger)
    return max(1, round(height * scale)), max(1, round(width * scale))


class StreamScreen:
    """Composes what is shown; times are nanoseconds of any one monotonic clock."""

    def __init__(self, *, live: bool = False) -> None:
        """Begin with nothing to show.

        Args:
            live: the stream cannot be paused, only the screen can.
        """
        self.paused = self.queries = False
        self._live = live
        self._masks, self._help = True, False
        self._strip = SoundStrip()
        self._shown: _Shown | None = None
        self._fresh = False  # the picture has not been rendered yet
        self._seen_ns = 0  # when it first was
        self._model = ""
        self._detects: tuple[tuple[str, str], ...] = ()  # lines that say what it can find
        self._health = ScreenHealth()
        self._sources: dict[str, SourceEvent] = {}  # modality -> its latest state
        self._latency_ns: float | None = None
        self._toast: tuple[str, int] | None = None  # words, until when
        self._canvas = np.empty((0, 0, 3), np.uint8)
        self._bar_drawn: list[Item] = []  # what stands in the canvas's bar

    def introduce(self, model: str, classes: Sequence[str]) -> None:
        """Say which model looks and what it can find."""
        self._model = model
        self._detects = tuple(("", line) for line in textwrap.wrap(detects(model, classes), _LINE))

    def see(
        self,
        image: NDArray[np.uint8],
        result: FrameResult,
        candidates: Sequence[Candidate] = (),
        kinds: Kinds | None = None,
    ) -> None:
        """Take in a frame and its result; a paused screen keeps what it has.

        Args:
            image: (H, W, 3) RGB.
            result: of that frame.
            candidates: what the frame queries proposed.
            kinds: what was heard at that frame; None: unknown.
        """
        self._strip.see(result, kinds)
        if not self.paused:
            self._shown = _Shown(image, result, candidates, kinds)
            self._fresh = True

    def hear(self, chunk: AudioChunk) -> None:
        """Take in sound."""
        self._strip.hear(chunk)

    def notice(self, event: SourceEvent) -> None:
        """Take in a change of a source's state."""
        self._sources[event.modality] = event

    def tell(self, health: ScreenHealth, now_ns: int) -> None:
        """Take in how the engine is doing; new trouble is said."""
        if health.trouble and health.trouble != self._health.trouble:
            self.say(health.trouble, now_ns)
        self._health = health

    def was_seen(self, latency_ns: int) -> None:
        """The picture of the last `render` reached the screen so long after it was captured."""
        before = self._latency_ns
        self._latency_ns = latency_ns if before is None else before + 0.15 * (latency_ns - before)

    def say(self, words: str, now_ns: int) -> None:
        """Show a sentence for a few seconds."""
        self._toast = (words, now_ns + _TOAST_NS)

    def press(self, key: int) -> Action | None:
        """React to a key; what the screen cannot do itself is returned for its owner to do."""
        action = _KEYS.get(key)
        if action is Action.PAUSE:
            self.paused = not self.paused
        elif action is Action.QUERIES:
            self.queries = not self.queries
        elif key == ord("m"):
            self._masks = not self._masks
        elif key == ord("h"):
            self._help = not self._help
        return action

    def render(self, now_ns: int, *, plates: bool = True) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: all that is to be seen now; without `plates`, as for a screenshot,
        nothing that covers the picture. Valid until the next call, which draws into it again."""
        shown, level = self._shown, None
        height, width = view_size(*shown.image.shape[:2]) if shown else (360, 640)
        look = LabelStyle.of(height, width)
        below = SoundStrip.height(height, look)
        canvas = self._blank((look.header + height + below, width, 3))
        view = canvas[look.header : look.header + height]
        if self._fresh:
            self._seen_ns, self._fresh = now_ns, False
        if shown is None:
            fill(view)
            if not self._help:
                self._lay(view, (("starting", ""), *self._detects), look, 0.5)
        else:
            level = self._strip.level_dbfs(shown.result.capture_time_ns)
            self._draw_picture(view, shown, level, look)
        if plates:
            self._draw_plates(view, look, now_ns)
        if (bar := self._bar()) != self._bar_drawn:
            draw_bar(canvas[: look.header], bar, look)
            self._bar_drawn = bar
        moment = Moment(shown.result, level, shown.kinds) if shown else None
        self._strip.draw(canvas[look.header + height :], moment, look)
        return canvas

    def _blank(self, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        """The canvas: kept, as to allocate one costs as much as to draw an object."""
        if self._canvas.shape != shape:
            self._canvas, self._bar_drawn = np.empty(shape, np.uint8), []
        return self._canvas

    def _draw_picture(
        self, view: NDArray[np.uint8], shown: _Shown, level_dbfs: float | None, look: LabelStyle
    ) -> None:
        size = shown.image.shape[:2]
        if size == view.shape[:2]:
            view[:] = shown.image
        else:
            way = cv2.INTER_AREA if size[0] > view.shape[0] else cv2.INTER_CUBIC
            cv2.resize(shown.image, view.shape[1::-1], dst=view, interpolation=way)
        if self.queries:  # alone: two sets of labels cannot be read
            draw_candidates(view, shown.candidates, size, look)
        else:
            draw_tracks(view, shown.result, level_dbfs=level_dbfs, masks=self._masks)
        if self._camera_is_gone:
            cv2.convertScaleAbs(view, dst=view, alpha=0.4)

    def _draw_plates(self, view: NDArray[np.uint8], look: LabelStyle, now_ns: int) -> None:
        usual = ("running", "ended") if self._shown else ("running", "ended", "starting")
        if trouble := [e for e in self._sources.values() if e.state not in usual]:
            names = {"video": "camera", "audio": "microphone"}
            lines = [(f"{names[e.modality]} {e.state}", e.reason) for e in trouble]
            if self._shown is not None and self._camera_is_gone:
                old_s = (now_ns - self._seen_ns) // 1_000_000_000
                lines.append(("last picture", f"{old_s} s ago"))
            self._lay(view, tuple(lines), look, 0.12, WARN)
        if self._toast is not None:
            words, until_ns = self._toast
            if now_ns < until_ns:
                self._lay(view, (("", words),), look, 0.92)
            else:
                self._toast = None
        if self._help:
            self._lay(view, _HELP + self._detects, look, 0.5, GOOD)

    def _lay(
        self,
        view: NDArray[np.uint8],
        lines: tuple[tuple[str, str], ...],
        look: LabelStyle,
        down: float,
        accent: tuple[int, int, int] = WHITE,
    ) -> None:
        """A plate in the middle, `down` the view."""
        sprite = plate_of_text(lines, look, accent)
        height, width = sprite.size
        sprite.lay(view, (view.shape[1] - width) // 2, round((view.shape[0] - height) * down))

    def _bar(self) -> list[Item]:
        """Left: what the stream does; right: what it costs."""
        health, items = self._health, [self._state_item()]
        if self._shown is not None:
            result = self._shown.result
            if not self._live:
                items.append(Item(clock_time(result.capture_time_ns / 1e9), WHITE, rank=2))
            items.append(Item(counted(result.tracks, self._model), SOFT, rank=5))
            if where := direction(result.sound_bearing):
                items.append(Item(where, SOFT, rank=3))
            if self.queries:
                items.append(Item(f"{len(self._shown.candidates)} proposals", WARN, rank=3))
        if self._latency_ns is not None:
            ms = self._latency_ns / 1e6
            words = delay(ms) if self._live else f"behind by {delay(ms)}"
            items.append(Item(words, WHITE if ms < 500 else WARN, right=True, rank=1))
        items.append(Item(f"{health.frames_per_s:.1f} fps", WHITE, right=True, rank=2))
        lost = sum(health.dropped.values())
        causes = ", ".join(f"{n} {cause}" for cause, n in health.dropped.items() if n)
        colour = WARN if lost else SOFT
        items.append(Item(f"{lost} dropped", colour, right=True, rank=4))
        if causes:
            items.append(Item(causes, SOFT, right=True, rank=7))
        if health.recording:
            minutes, seconds = divmod(int(health.recorded_s), 60)
            words = f"rec {minutes}:{seconds:02d}"
            items.append(Item(words, ALERT, right=True, rank=0, dot=True))
        items.append(Item("h help", DIM if self._help else SOFT, right=True, rank=6))
        return items

    @property
    def _camera_is_gone(self) -> bool:
        camera = self._sources.get("video")
        return camera is not None and camera.state in _GONE

    def _state_item(self) -> Item:
        if self.paused:
            words = "screen paused, stream goes on" if self._live else "paused"
            return Item(words, WARN, rank=0, dot=True)
        event = self._sources.get("video")
        if event is not None and event.state != "running":
            return Item(event.state, STATE_COLOURS[event.state], rank=0, dot=True)
        if self._shown is None:
            return Item("starting", WARN, rank=0, dot=True)
        return Item("live" if self._live else "replay", GOOD, rank=0, dot=True)
