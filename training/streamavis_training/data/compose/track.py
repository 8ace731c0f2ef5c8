"""The sound of one source through a clip, and when it is loud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamavis.types import SAMPLE_RATE
from streamavis_training.data.compose.store import BLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.compose.store import SoundEntry

__all__ = ["ACTIVE", "LOUDEST", "RECENT_S", "Track", "make_track", "pick_sound"]

RECENT_S = 0.5  # a source counts as sounding for this long after it was last loud
LOUDEST = 0.2  # root mean square of a source's loudest block
ACTIVE = 0.05  # of that: 26 dB below
_FADE = 160  # samples


@dataclass(frozen=True)
class Track:
    """One source through a clip."""

    wave: NDArray[np.float32]  # (n,)
    level: NDArray[np.float32]  # (n // BLOCK,) 0..1 of its loudest

    def sounding(self, ends: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether it was loud within `RECENT_S` before each of these samples."""
        count = np.concatenate([[0], np.cumsum(self.level > ACTIVE)])
        last = np.clip(ends // BLOCK, 0, len(self.level))
        first = np.clip(-(-(ends - int(RECENT_S * SAMPLE_RATE)) // BLOCK), 0, last)
        return count[last] > count[first]

    def levels(self, ends: NDArray[np.int64]) -> NDArray[np.float32]:
        """Loudness 0..1 over the last 100 ms before each of these samples."""
        total = np.concatenate([[0], np.cumsum(self.level)])
        last = np.clip(ends // BLOCK, 0, len(self.level))
        first = np.maximum(last - 4, 0)
        mean = (total[last] - total[first]) / np.maximum(last - first, 1)
        return np.sqrt(np.clip(mean, 0, 1)).astype(np.float32)


def pick_sound(sounds: Sequence[SoundEntry], rng: np.random.Generator) -> SoundEntry:
    """One of them, by chance."""
    return sounds[int(rng.integers(len(sounds)))]


def make_track(
    library: Library,
    sounds: Sequence[SoundEntry],
    length: int,
    rng: np.random.Generator,
    *,
    between: tuple[int, int] | None = None,
) -> tuple[Track, SoundEntry]:
    """Play one source: a recording, then others of the same speaker or author, with pauses.

    Args:
        sounds: to choose from, not empty.
        length: samples.
        between: samples where it may be heard; by chance when None.

    Returns:
        the track, and the recording that it began with.
    """
    on, off = (0, length) if between is None else between
    if between is None:
        if rng.random() < 0.35:
            on = int(rng.uniform(0, length))
        if rng.random() < 0.2:
            off = int(rng.uniform(on, length))
    first = pick_sound(sounds, rng)
    fellows = [s for s in sounds if s.group == first.group] if off - on > first.samples else [first]
    tempo = rng.uniform(0.88, 1.13) if rng.random() < 0.5 else 1.0
    wave = np.zeros(length, np.float32)
    entry, at, midst = first, on, True
    while at < off - BLOCK:
        piece = _piece(library, entry, off - at, tempo, midst, rng)
        wave[at : at + len(piece)] = piece
        at += len(piece) + int(rng.uniform(0.02, 0.35) * SAMPLE_RATE)
        entry, midst = pick_sound(fellows, rng), False
    blocks = wave[: length // BLOCK * BLOCK].reshape(-1, BLOCK)
    level = np.sqrt(np.einsum("ij,ij->i", blocks, blocks) / BLOCK) / LOUDEST
    gain = np.float32(10 ** (rng.uniform(-12, 0) / 20))
    return Track(wave * gain, np.minimum(level, 1).astype(np.float32)), first


def _piece(
    library: Library,
    entry: SoundEntry,
    room: int,
    tempo: float,
    midst: bool,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """At most `room` samples of one recording, its loudest block at `LOUDEST`."""
    begin = 0
    if midst:  # a loud moment comes within the first quarter of a second
        loud = np.flatnonzero(library.levels(entry) > ACTIVE * 2 * entry.peak)
        start = int(loud[rng.integers(len(loud))]) * BLOCK
        begin = max(0, start - int(rng.uniform(0, 4000)))
    stored = library.wave(entry)[begin : begin + int(room * tempo) + 1]
    count = min(int(len(stored) / tempo), room)
    if tempo == 1.0:
        piece = stored[:count].astype(np.float32)
    else:
        places = np.arange(count, dtype=np.float32) * np.float32(tempo)
        left = places.astype(np.int32)
        right = np.minimum(left + 1, len(stored) - 1)
        share = places - left
        piece = stored[left] * (1 - share) + stored[right] * share
        piece = piece.astype(np.float32, copy=False)
    piece *= np.float32(LOUDEST / entry.peak / 32767)
    fade = min(_FADE, count // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    piece[:fade] *= ramp
    piece[count - fade :] *= ramp[::-1]
    return piece
