"""Clips of real objects with real sounds, composed as they are needed, with ground truth.

T frames, N objects, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamavis.errors import InputError
from streamavis.types import SAMPLE_RATE
from streamavis_training.data.compose import placement
from streamavis_training.data.compose.camera import (
    BORDER,
    Camera,
    Ground,
    background,
    panel_background,
    scene,
)
from streamavis_training.data.compose.finish import Finisher
from streamavis_training.data.compose.look import Look
from streamavis_training.data.compose.mixture import LEAD, Heard, Mixer, Subject
from streamavis_training.data.compose.paste import paste
from streamavis_training.data.compose.store import IGNORED
from streamavis_training.data.sample import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.compose.placement import Placement
    from streamavis_training.data.compose.store import CutoutEntry
    from streamavis_training.data.sample import ClipShape

__all__ = ["MAX_OBJECTS", "Composed", "Composer"]

MAX_OBJECTS = 20  # the largest; what is smaller is not asked for
LEAST_PIXELS = 48.0  # three cells of stride 4: an object that shows less is not asked for
_GONE_PIXELS = 4.0  # an object that shows less is out of view
_CROWD = 3  # objects
_PERSON = 0  # class that webcams and calls show


@dataclass
class _Plan:
    """What is shown, before it is drawn."""

    kind: str
    scene: int | None = None
    places: list[Placement] = field(default_factory=list)
    panels: list[tuple[int, int, int, int]] | None = None


@dataclass(frozen=True)
class _Truth:
    """Fields of a sample."""

    masks: NDArray[np.uint8]  # (T, N, H, W)
    class_ids: NDArray[np.int64]  # (N,)
    visible: NDArray[np.float32]  # (T, N)
    sounding: NDArray[np.float32]  # (T, N)
    level: NDArray[np.float32]  # (T, N)
    ignore: NDArray[np.bool_] | None  # (T, H, W)


@dataclass
class Composed:
    """A sample, and what it was made to show: for statistics and contact sheets."""

    sample: Sample
    kind: str  # scene, mixed, row, webcam, call or empty
    scenario: str  # of the sound


class Composer:
    """Draws clips from a library: a `Source`. It can be sent to other processes."""

    def __init__(self, library: Library, look: Look | None = None) -> None:
        """Prepare to draw.

        Args:
            library: material of one split.
            look: how often what happens.

        Raises:
            InputError: the library has neither scenes nor backgrounds with cut-outs.
        """
        self._library, self._look = library, look or Look()
        self._finisher = Finisher(self._look)
        self._mixer = Mixer(library, self._look)
        self._cutout_weight = _weights([len(c) for c in library.cutouts], self._look.persons)
        holding: list[list[int]] = [[] for _ in library.classes]
        usable = [
            p
            for p, entry in enumerate(library.scenes)
            if self._look.incomplete or (entry.complete and not entry.ignored)
        ]
        for place in usable:
            for class_id in set(library.scenes[place].class_ids):
                holding[class_id].append(place)
        self._holding = holding
        self._scene_weight = _weights([len(h) for h in holding], self._look.persons)
        self._crowded = [p for p in usable if len(library.scenes[p].class_ids) >= _CROWD]
        persons = library.cutouts[_PERSON]
        faces = [c for c in persons if c.face is not False and _upright(c)]
        self._webcam = [c for c in faces if c.face or c.truncated[3]] or faces
        if not library.backgrounds and not any(holding):
            raise InputError("no backgrounds and no scenes with objects: nothing to compose on")

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self._library.classes

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Draw one clip; the same state of `rng` gives the same clip."""
        return self.compose(shape, rng).sample

    def compose(
        self, shape: ClipShape, rng: np.random.Generator, *, whole: bool = False
    ) -> Composed:
        """Draw one clip and say what kind it is.

        Args:
            shape: of the clip.
            rng: the same state gives the same clip.
            whole: a recording of its own: frame i at i / rate, sound from time 0 to the end of the
                last frame. Otherwise a piece of a stream, with 1.2 s of sound before it.
        """
        size = (shape.height, shape.width)
        steps = np.arange(shape.frames) / float(rng.choice(shape.rates))
        times_s = (0.0 if whole else rng.uniform(0.005, 0.05)) + steps
        starts = whole or (shape.frames > 1 and rng.random() < self._look.starts)
        lead = 0 if starts else LEAD
        plan = self._plan(size, rng)
        camera = Camera.draw(times_s, *size, self._look, rng)
        if plan.panels is not None:
            camera = Camera(np.tile(np.eye(2, 3), (shape.frames, 1, 1)))
        ground = self._ground(plan, camera, size, rng)
        subjects, places = self._subjects(plan, ground)
        end_s = shape.frames / shape.rates[0] if whole else None
        heard = self._mixer.draw(subjects, times_s, rng, lead=lead, end_s=end_s)
        frames = np.array(np.broadcast_to(ground.frames, (shape.frames, *size, 3)))
        layers = []
        for place, subject in zip(plan.places, places, strict=True):
            level = self._moves(place, subject, heard, times_s, rng)
            layers.append(paste(self._library, place, frames, times_s, camera, level, rng))
        shown, ignore = _shown(plan, ground, layers, subjects, heard)
        truth = _truth(shown, subjects, heard, ignore)
        sample = Sample(
            name=f"composed {plan.kind}, {heard.scenario}",
            frames=self._finisher.apply(frames, rng),
            times_ns=np.round(times_s * 1e9).astype(np.int64),
            waveform=heard.waveform,
            waveform_start_ns=-lead * 1_000_000_000 // SAMPLE_RATE,
            masks=truth.masks,
            class_ids=truth.class_ids,
            visible=truth.visible,
            sounding=truth.sounding,
            level=truth.level,
            heard=heard.heard,
            ignore=truth.ignore,
        )
        return Composed(sample, plan.kind, heard.scenario)

    # ------------------------------------------------------------------ what is shown

    def _plan(self, size: tuple[int, int], rng: np.random.Generator) -> _Plan:
        look, library = self._look, self._library
        on_scene = self._scene_weight is not None
        if on_scene and (not library.backgrounds or rng.random() < look.scenes):
            plan = _Plan("scene", scene=self._pick_scene(rng))
            count = int(rng.choice(len(look.pasted), p=_shares(look.pasted)))
            plan.places = self._anywhere(count, size, rng, largest=0.7)
            return plan
        kinds = ("mixed", "row", "webcam", "call", "empty")
        weights = [look.mixed, look.row, look.webcam, look.call, look.empty]
        if not self._webcam:
            weights[2] = weights[3] = 0
        kind = str(rng.choice(kinds, p=_shares(weights)))
        plan = _Plan(kind)
        height, width = size
        if kind == "mixed":
            plan.places = self._anywhere(
                1 + int(rng.choice(4, p=[0.35, 0.3, 0.2, 0.15])), size, rng
            )
        elif kind == "row":
            plan.places = self._row(size, rng)
        elif kind == "webcam":
            count = 1 + int(rng.random() < 0.4)
            plan.places = placement.webcam(self._persons(count, rng), (0, 0, width, height), rng)
        elif kind == "call":
            plan.panels = placement.panels(size, rng)
            for panel in plan.panels:
                count = int(rng.choice(3, p=[0.1, 0.82, 0.08]))
                plan.places += placement.webcam(self._persons(count, rng), panel, rng)
        return plan

    def _pick_scene(self, rng: np.random.Generator) -> int:
        if self._crowded and rng.random() < self._look.crowded:
            return self._crowded[int(rng.integers(len(self._crowded)))]
        class_id = int(rng.choice(len(self._holding), p=self._scene_weight))
        return self._holding[class_id][int(rng.integers(len(self._holding[class_id])))]

    def _pick_cutout(self, rng: np.random.Generator, class_id: int | None = None) -> CutoutEntry:
        library = self._library
        if class_id is None:
            if library.distractors and rng.random() < self._look.distractor:
                return library.distractors[int(rng.integers(len(library.distractors)))]
            class_id = int(rng.choice(len(library.cutouts), p=self._cutout_weight))
        return library.cutouts[class_id][int(rng.integers(len(library.cutouts[class_id])))]

    def _persons(self, count: int, rng: np.random.Generator) -> list[CutoutEntry]:
        places = rng.permutation(len(self._webcam))[:count]
        return [self._webcam[i] for i in places]

    def _anywhere(
        self, count: int, size: tuple[int, int], rng: np.random.Generator, largest: float = 0.95
    ) -> list[Placement]:
        if self._cutout_weight is None:
            return []
        entries = [self._pick_cutout(rng) for _ in range(count)]
        return [placement.anywhere(entry, size, rng, largest=largest) for entry in entries]

    def _row(self, size: tuple[int, int], rng: np.random.Generator) -> list[Placement]:
        if self._cutout_weight is None:
            return []
        if self._library.cutouts[_PERSON] and rng.random() < 0.5:
            class_id = _PERSON
        else:
            class_id = int(rng.choice(len(self._cutout_weight), p=self._cutout_weight))
        have = self._library.cutouts[class_id]
        if class_id == _PERSON and rng.random() < 0.6:  # alike: all cut below, or all standing
            cut = rng.random() < 0.5
            have = [c for c in have if _upright(c) and c.truncated[3] == cut] or have
        count = min(2 + int(rng.choice(3, p=[0.45, 0.35, 0.2])), len(have))
        entries = [have[i] for i in rng.choice(len(have), count, replace=False)]
        places = placement.row(entries, size, rng)
        if rng.random() < 0.25:  # and another object, behind or before them
            other = placement.anywhere(self._pick_cutout(rng), size, rng, largest=0.7)
            places.insert(int(rng.integers(len(places) + 1)), other)
        return places

    def _subjects(self, plan: _Plan, ground: Ground) -> tuple[list[Subject], list[int | None]]:
        """Objects of the classes, those of the scene first, and which one each cut-out is."""
        height, width = ground.frames.shape[1:3]
        subjects = []
        if ground.ids is not None:
            counts = np.bincount(ground.ids[0].ravel(), minlength=256) / (height * width)
            subjects = [Subject(k, counts[i]) for i, k in enumerate(ground.class_ids, 1)]
        of_place: list[int | None] = []
        for place in plan.places:
            if place.entry.class_id < 0:
                of_place.append(None)
                continue
            of_place.append(len(subjects))
            area = 0.6 * place.height * place.width / (height * width)
            subjects.append(Subject(place.entry.class_id, min(area, 1.0)))
        return subjects, of_place

    def _ground(
        self, plan: _Plan, camera: Camera, size: tuple[int, int], rng: np.random.Generator
    ) -> Ground:
        if plan.scene is not None:
            return scene(self._library, plan.scene, camera, size, self._look, rng)
        if plan.panels is not None:
            return panel_background(self._library, plan.panels, size, rng)
        return background(self._library, camera, size, rng, room=plan.kind == "webcam")

    def _moves(
        self,
        place: Placement,
        subject: int | None,
        heard: Heard,
        times_s: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.float32] | None:
        """(T,) loudness that a cut-out moves with, or None; notes what does not follow."""
        if subject is None or len(times_s) == 1:
            if subject is not None:
                heard.level[:, subject] = np.nan
            return None
        level = heard.level[:, subject].copy()
        sounds = not np.isnan(level).any()
        if sounds and rng.random() < self._look.follows:
            place.pulse = (rng.uniform(0.015, 0.06), rng.normal(0, 0.03))
            return level
        heard.level[:, subject] = np.nan
        if sounds or rng.random() >= self._look.unrelated:
            return None
        place.pulse = (rng.uniform(0.01, 0.04), rng.normal(0, 0.02))
        steps = rng.random(len(times_s)) * (rng.random(len(times_s)) < 0.7)
        return steps.astype(np.float32)


def _shown(
    plan: _Plan,
    ground: Ground,
    layers: list[NDArray[np.uint8]],
    subjects: list[Subject],
    heard: Heard,
) -> tuple[dict[int, NDArray[np.uint8]], NDArray[np.bool_]]:
    """Masks (T, H, W) of subjects from the front to the back, and what must be ignored."""
    frames = len(heard.sounding)
    size = ground.frames.shape[1:3]
    free = np.full((frames, *size), 255, np.uint8)  # what nothing in front covers
    shown: dict[int, NDArray[np.uint8]] = {}
    below = len(subjects) - sum(p.entry.class_id >= 0 for p in plan.places)
    subject = len(subjects)
    for place, layer in zip(reversed(plan.places), reversed(layers), strict=True):
        mask = cv2.multiply(layer, free, scale=1 / 255)
        free = cv2.subtract(free, mask).astype(np.uint8, copy=False)
        if place.entry.class_id >= 0:
            subject -= 1
            shown[subject] = mask.astype(np.uint8, copy=False)
    ignore = np.zeros((frames, *size), bool)
    if ground.ids is not None:
        for i in np.unique(ground.ids):
            if 1 <= i <= below:
                shown[int(i) - 1] = np.where(ground.ids == i, free, 0).astype(np.uint8)
        open_ids = ground.ids == IGNORED
        if not ground.complete:
            open_ids |= ground.ids == 0
        ignore = open_ids & (free > 127)
        assert below <= BORDER - 1, "ids of objects stay below the border's"
    if not subjects or below:
        # Levels of objects of a scene: they do not move with their sound.
        heard.level[:, :below] = np.nan
    return shown, ignore


def _truth(
    shown: dict[int, NDArray[np.uint8]],
    subjects: list[Subject],
    heard: Heard,
    ignore: NDArray[np.bool_],
) -> _Truth:
    """Keep the largest objects; what is too small to ask for is ignored."""
    frames, size = ignore.shape[0], ignore.shape[1:]
    pixels = {i: mask.reshape(frames, -1).sum(1, dtype=np.int64) / 255 for i, mask in shown.items()}
    asked = sorted(
        (i for i, area in pixels.items() if area.max() >= LEAST_PIXELS),
        key=lambda i: -float(pixels[i].max()),
    )
    kept = sorted(asked[:MAX_OBJECTS])
    for i, mask in shown.items():
        if i not in kept:
            ignore |= mask > 63
    masks = np.zeros((frames, len(kept), *size), np.uint8)
    visible = np.zeros((frames, len(kept)), np.float32)
    for n, i in enumerate(kept):
        area = pixels[i]
        unsure = (area < LEAST_PIXELS) & (area >= _GONE_PIXELS)
        visible[:, n] = np.where(unsure, np.nan, area >= LEAST_PIXELS)
        masks[:, n] = shown[i]
        ignore |= (shown[i] > 63) & unsure[:, None, None]
    seen = visible == 1
    sounding = np.where(np.isnan(visible), np.nan, heard.sounding[:, kept] & seen)
    level = np.where(seen, heard.level[:, kept], np.nan)
    return _Truth(
        masks=masks,
        class_ids=np.array([subjects[i].class_id for i in kept], np.int64),
        visible=visible,
        sounding=sounding.astype(np.float32),
        level=level.astype(np.float32),
        ignore=ignore if ignore.any() else None,
    )


def _upright(entry: CutoutEntry) -> bool:
    """Higher than wide, as a person who sits or stands."""
    return entry.levels[0][1] > 1.1 * entry.levels[0][2]


def _weights(counts: list[int], persons: float) -> NDArray[np.float64] | None:
    """Odds of each class: a fixed share of persons, the rest by the root of what there is."""
    weight = np.sqrt(np.array(counts, np.float64))
    if not weight.any():
        return None
    others = weight[1:].sum()
    if weight[0] and others:
        weight[0] = others * persons / (1 - persons)
    return weight / weight.sum()


def _shares(weights: tuple[float, ...] | list[float]) -> NDArray[np.float64]:
    values = np.asarray(weights, np.float64)
    return values / values.sum()
