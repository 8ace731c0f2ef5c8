"""What is heard in a clip: which sources sound, and their mixture at one microphone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamavis.types import SAMPLE_RATE
from streamavis_training.data.compose.noise import (
    NOISES,
    Noises,
    draw_band,
    impulse_response,
    microphone,
    spectrum_filter,
)
from streamavis_training.data.compose.track import make_track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.compose.look import Look
    from streamavis_training.data.compose.store import SoundEntry
    from streamavis_training.data.compose.track import Track

__all__ = ["LEAD", "Heard", "Mixer", "Subject"]

LEAD = int(1.2 * SAMPLE_RATE)  # samples before the first frame: a window and the largest delay
_PERSON = 0  # the class that speaks
_SPEECH = 0.85  # share of speech among the sounds of persons
_MUSIC = "offscreen_music"
_LEAST_AREA = 0.002  # of the picture: what shows less does not sound


@dataclass(frozen=True)
class Subject:
    """An object that may sound."""

    class_id: int
    area: float  # share of the picture, about


@dataclass
class Heard:
    """The sound of a clip of T frames with N subjects and K classes, and its truth."""

    waveform: NDArray[np.float32]  # begins `lead` samples before time 0
    sounding: NDArray[np.bool_]  # (T, N) its own source was loud within the last 0.5 s
    level: NDArray[np.float32]  # (T, N) 0..1; NaN where it has no source
    heard: NDArray[np.float32]  # (T, K) 1 yes, 0 no, NaN unknown
    scenario: str


class _Clip:
    """A mixture that is being made."""

    def __init__(
        self,
        times_s: NDArray[np.float64],
        lead: int,
        end_s: float,
        subjects: int,
        classes: int,
    ) -> None:
        frames = len(times_s)
        self.ends = lead + np.floor(times_s * SAMPLE_RATE).astype(np.int64)
        self.length = lead + int(np.ceil(end_s * SAMPLE_RATE)) + 1
        self.room = np.zeros(self.length, np.float32)  # reverberates
        self.near = np.zeros(self.length, np.float32)  # does not
        self.sounding = np.zeros((frames, subjects), bool)
        self.level = np.full((frames, subjects), np.nan, np.float32)
        self.heard = np.zeros((frames, classes), bool)
        self.maybe = np.zeros((frames, classes), bool)

    def note(self, track: Track, entry: SoundEntry, class_id: int | None) -> NDArray[np.bool_]:
        """Mark what a track makes heard: `class_id`, or only what may be heard in it."""
        now = track.sounding(self.ends)
        for other in (*entry.class_ids, *entry.maybe):
            if other != class_id:
                self.maybe[:, other] |= now
        if class_id is not None:
            self.heard[:, class_id] |= now
        return now

    def finish(self, waveform: NDArray[np.float32], scenario: str) -> Heard:
        heard = self.heard.astype(np.float32)
        heard[self.maybe & ~self.heard] = np.nan
        return Heard(waveform, self.sounding, self.level, heard, scenario)


class Mixer:
    """Draws what is heard with given objects in view."""

    def __init__(self, library: Library, look: Look) -> None:
        self._library, self._look = library, look
        self._noises = Noises()
        self._audible = library.audible
        self._music = [s for s in library.unlabelled if s.label == _MUSIC]

    def draw(
        self,
        subjects: Sequence[Subject],
        times_s: NDArray[np.float64],
        rng: np.random.Generator,
        *,
        lead: int = LEAD,
        end_s: float | None = None,
    ) -> Heard:
        """Draw the sound of one clip.

        Args:
            subjects: the N objects in view.
            times_s: (T,) of the frames, rising, not below 0.
            lead: samples before time 0.
            end_s: how long it lasts after time 0; to the last frame when None.
        """
        end_s = float(times_s[-1]) if end_s is None else end_s
        clip = _Clip(times_s, lead, end_s, len(subjects), len(self._library.classes))
        scenario = self._scenario(subjects, rng)
        if scenario == "silence":
            return clip.finish(clip.near, scenario)
        if scenario == "in_view":
            self._in_view(clip, subjects, rng)
        elif scenario == "narrator":
            self._narrator(clip, rng)
        elif scenario == "other":
            self._other(clip, {s.class_id for s in subjects}, rng)
        elif scenario == "noise_only":
            self._noise(clip, rng)
        if scenario == "ambient_only" or (
            scenario != "noise_only" and rng.random() < self._look.ambience
        ):
            self._ambience(clip, rng, alone=scenario == "ambient_only")
        response = impulse_response(rng) if rng.random() < self._look.room else None
        band = draw_band(rng) if rng.random() < 0.3 else None
        wave = clip.room
        if response is not None:
            wave = spectrum_filter(wave, response, None)
        wave = wave + clip.near
        if band is not None:
            wave = spectrum_filter(wave, None, band)
        return clip.finish(microphone(wave, self._noises, rng), scenario)

    def _scenario(self, subjects: Sequence[Subject], rng: np.random.Generator) -> str:
        look = self._look
        weights = {
            "silence": look.silence,
            "noise_only": look.noise_only,
            "ambient_only": look.ambient_only,
            "narrator": look.narrator if self._library.sounds[_PERSON] or self._music else 0.0,
            "other": look.other if self._audible else 0.0,
            "in_view": look.in_view,
        }
        if not any(s.class_id in self._audible and s.area >= _LEAST_AREA for s in subjects):
            weights["in_view"] = 0.0
        total = sum(weights.values())
        if total == 0:
            return "silence"
        return str(rng.choice(list(weights), p=[w / total for w in weights.values()]))

    def _in_view(self, clip: _Clip, subjects: Sequence[Subject], rng: np.random.Generator) -> None:
        look = self._look
        present = sorted(
            {s.class_id for s in subjects if s.area >= _LEAST_AREA} & set(self._audible)
        )
        order = [present[i] for i in rng.permutation(len(present))]
        leading = order[: 2 if rng.random() < look.second else 1]
        for class_id in leading:
            who = [
                i
                for i, s in enumerate(subjects)
                if s.class_id == class_id and s.area >= _LEAST_AREA
            ]
            weight = np.sqrt([subjects[i].area for i in who])
            share = weight / weight.sum()
            count = 2 if len(who) > 1 and rng.random() < look.two_voices else 1
            chosen = rng.choice(who, count, replace=False, p=share)
            spans = self._turns(clip.length, count, rng)
            for i, between in zip(chosen, spans, strict=True):
                sounds = self._sounds(class_id, rng)
                track, entry = make_track(self._library, sounds, clip.length, rng, between=between)
                clip.room += track.wave
                clip.sounding[:, i] = clip.note(track, entry, class_id)
                clip.level[:, i] = track.levels(clip.ends)
        seen = {s.class_id for s in subjects}
        absent = [k for k in self._audible if k not in seen]
        if absent and rng.random() < look.off_screen:
            self._play(clip, int(rng.choice(absent)), rng.uniform(-9, 0), rng)

    def _sounds(self, class_id: int, rng: np.random.Generator) -> list[SoundEntry]:
        """Recordings of a class; of persons, speech more often than all else."""
        speech = self._library.speech
        if class_id == _PERSON and speech and rng.random() < _SPEECH:
            return speech
        return self._library.sounds[class_id]

    @staticmethod
    def _turns(length: int, count: int, rng: np.random.Generator) -> list[tuple[int, int] | None]:
        """When each of `count` sources may be heard: at once, or one after the other."""
        if count == 1 or rng.random() < 0.4:
            return [None] * count
        change = int(rng.uniform(0.2, 0.95) * length)
        after = change + int(rng.uniform(-0.1, 0.3) * SAMPLE_RATE)
        return [(0, change), (min(max(after, 0), length), length)]

    def _play(self, clip: _Clip, class_id: int, gain_db: float, rng: np.random.Generator) -> None:
        """A source of a class, off screen."""
        sounds = self._sounds(class_id, rng)
        track, entry = make_track(self._library, sounds, clip.length, rng)
        clip.room += track.wave * np.float32(10 ** (gain_db / 20))
        clip.note(track, entry, class_id)

    def _narrator(self, clip: _Clip, rng: np.random.Generator) -> None:
        """Speech, music or both, close to the microphone and without the room of the picture."""
        speech = self._library.speech or self._library.sounds[_PERSON]
        draw = rng.random()
        if speech and (draw < 0.75 or not self._music):
            track, entry = make_track(
                self._library, speech, clip.length, rng, between=(0, clip.length)
            )
            clip.near += track.wave
            clip.note(track, entry, _PERSON)
        if self._music and (draw > 0.6 or not speech):
            track, entry = make_track(
                self._library, self._music, clip.length, rng, between=(0, clip.length)
            )
            clip.near += track.wave * np.float32(10 ** (rng.uniform(-12, 0) / 20))
            clip.note(track, entry, None)

    def _other(self, clip: _Clip, present: set[int], rng: np.random.Generator) -> None:
        absent = [k for k in self._audible if k not in present]
        if absent:
            self._play(clip, int(rng.choice(absent)), 0.0, rng)
        else:
            self._noise(clip, rng)

    def _noise(self, clip: _Clip, rng: np.random.Generator) -> None:
        for _ in range(1 + int(rng.random() < 0.3)):
            wave = self._noises.draw(str(rng.choice(NOISES)), clip.length, rng)
            clip.near += wave * np.float32(10 ** rng.uniform(-3.0, -0.7))

    def _ambience(self, clip: _Clip, rng: np.random.Generator, *, alone: bool) -> None:
        """Rain, sea, or an object of no class; over nothing else when `alone`."""
        kinds = [kind for kind in (self._library.ambient, self._library.unlabelled) if kind]
        if not kinds:
            self._noise(clip, rng)
            return
        sounds = kinds[int(rng.random() < 0.4) % len(kinds)]
        track, entry = make_track(self._library, sounds, clip.length, rng)
        gain_db = rng.uniform(-6, 0) if alone else rng.uniform(-24, -3)
        clip.near += track.wave * np.float32(10 ** (gain_db / 20))
        clip.note(track, entry, None)
