"""Sound alone, for training the audio encoder: windows of single sources, mixed anew every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES
from streamavis_training.data.compose.noise import (
    NOISES,
    Noises,
    draw_band,
    impulse_response,
    spectrum_filter,
)
from streamavis_training.data.compose.store import BLOCK
from streamavis_training.data.compose.track import ACTIVE, LOUDEST, RECENT_S, pick_sound

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.compose.store import SoundEntry

__all__ = ["Hearing"]

_RESPONSES = 64  # rooms that are made once
_SILENCE, _NOISE = 0.04, 0.1  # share of windows with nothing, with noise alone
_SOURCES = (0.08, 0.66, 0.26)  # odds of 0, 1, 2 classes in the other windows
_SPEECH = 0.8  # share of speech among the sounds of the first class, persons
_PERSONS = 2.0  # weight of the first class, beside 1 for each other
_OTHER, _LOUD_OTHER = 0.4, 0.25  # share with a sound of no class, and of these as loud as a class
_BACK = np.arange(WINDOW_SAMPLES - 1, -1, -1, dtype=np.float32)  # samples before the last
_WET, _NARROW = 0.3, 0.25  # share heard in a room, through a band


class Hearing:
    """Draws windows of sound and which classes are heard at their end."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._noises = Noises()
        self._other = [kind for kind in (library.ambient, library.unlabelled) if kind]
        weight = np.ones(len(library.audible))
        weight[[k == 0 for k in library.audible]] = _PERSONS
        self._weight = weight / max(weight.sum(), 1e-9)
        rng = np.random.default_rng(20263)
        self._rooms = [impulse_response(rng) for _ in range(_RESPONSES)]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._library.classes

    def draw(
        self, count: int, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.float32]]:
        """Draw `count` windows.

        Returns:
            audio (count, 15360), times_s (count,) of their ends, and heard (count, K): 1 yes, 0 no,
            NaN unknown.
        """
        audio = np.zeros((count, WINDOW_SAMPLES), np.float32)
        heard = np.zeros((count, len(self._library.classes)), np.float32)
        for window, truth in zip(audio, heard, strict=True):
            self._fill(window, truth, rng)
        return audio, rng.uniform(0, 0.02, count), heard

    def _fill(
        self, window: NDArray[np.float32], truth: NDArray[np.float32], rng: np.random.Generator
    ) -> None:
        draw = rng.random()
        if draw < _SILENCE:
            return
        if draw < _SILENCE + _NOISE:
            for _ in range(1 + int(rng.random() < 0.3)):
                noise = self._noises.draw(str(rng.choice(NOISES)), len(window), rng)
                window += noise * np.float32(10 ** rng.uniform(-3.0, -0.7))
        else:
            self._sources(window, truth, rng)
        wet, narrow = rng.random() < _WET, rng.random() < _NARROW
        if wet or narrow:
            response = self._rooms[int(rng.integers(_RESPONSES))] if wet else None
            window[:] = spectrum_filter(window, response, draw_band(rng) if narrow else None)
        window *= np.float32(10 ** (rng.uniform(-16, 4) / 20))
        kind = ("white", "pink", "brown")[int(rng.integers(3))]
        hiss = self._noises.draw(kind, len(window), rng)
        window += hiss * np.float32(10 ** rng.uniform(-4.5, -2.2))
        np.clip(window, -1, 1, out=window)

    def _sources(
        self, window: NDArray[np.float32], truth: NDArray[np.float32], rng: np.random.Generator
    ) -> None:
        library = self._library
        maybe: set[int] = set()
        count = min(int(rng.choice(3, p=_SOURCES)), len(library.audible))
        if count:
            for class_id in rng.choice(library.audible, count, replace=False, p=self._weight):
                sounds = library.sounds[class_id]
                if class_id == 0 and library.speech and rng.random() < _SPEECH:
                    sounds = library.speech
                entry = pick_sound(sounds, rng)
                if self._add(window, entry, rng.uniform(-12, 0), rng):
                    truth[class_id] = 1
                    maybe |= {k for k in (*entry.class_ids, *entry.maybe) if k != class_id}
        if self._other and rng.random() < _OTHER:
            kind = self._other[int(rng.integers(len(self._other)))]
            entry = pick_sound(kind, rng)
            loud = rng.random() < _LOUD_OTHER
            gain_db = rng.uniform(-6, 0) if loud else rng.uniform(-26, -6)
            if self._add(window, entry, gain_db, rng):
                maybe |= set(entry.maybe)
        for k in maybe:
            if truth[k] == 0:
                truth[k] = np.nan

    def _add(
        self,
        window: NDArray[np.float32],
        entry: SoundEntry,
        gain_db: float,
        rng: np.random.Generator,
    ) -> bool:
        """Play a recording at some moment; whether it is loud within the last 0.5 s."""
        wave, levels = self._library.wave(entry), self._library.levels(entry)
        loud = np.flatnonzero(levels > ACTIVE * entry.peak)
        # The window ends shortly after a loud block, at times up to a second after.
        late = rng.exponential(0.25) * SAMPLE_RATE
        end = (int(loud[rng.integers(len(loud))]) + 1) * BLOCK + int(min(late, WINDOW_SAMPLES - 1))
        first, last = max(end - WINDOW_SAMPLES, 0), min(end, len(wave))
        tempo = rng.uniform(0.88, 1.13) if rng.random() < 0.4 else 1.0
        piece = wave[first:last].astype(np.float32)
        at = WINDOW_SAMPLES - (end - first)
        if tempo != 1.0:
            # Nearest samples: as quick as a copy, and what it adds is far below the hiss.
            # How many samples of the window lie within the recording, counted from its end.
            after = max(-(-(end - len(wave)) // tempo), 0)
            count = int(min((end - 1) / tempo + 1, WINDOW_SAMPLES) - after)
            back = (_BACK[-count - int(after) :][:count] * np.float32(tempo)).astype(np.int32)
            piece = wave[end - 1 - back].astype(np.float32)
            at = WINDOW_SAMPLES - int(after) - count
        window[at : at + len(piece)] += piece * np.float32(
            10 ** (gain_db / 20) * LOUDEST / entry.peak / 32767
        )
        recent = np.flatnonzero(levels > ACTIVE * entry.peak)
        since = (end - (recent + 1) * BLOCK) / tempo  # samples from a loud block's end
        return bool(((since >= 0) & (since <= RECENT_S * SAMPLE_RATE - BLOCK)).any())
