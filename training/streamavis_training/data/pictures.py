"""Clips of single annotated pictures (COCO): a virtual camera pans, zooms and turns over one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import cv2
import numpy as np

from streamavis.errors import InputError
from streamavis.metrics.rasters import FrameError
from streamavis_training.data import coco, media
from streamavis_training.data.classes import ClassMap
from streamavis_training.data.layout import decoded
from streamavis_training.data.sample import ClipShape, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from streamavis_training.data.coco import Outline, Picture
    from streamavis_training.data.places import Place

__all__ = ["PictureSource"]

_NS = 1_000_000_000
_OBJECTS = 16  # of one picture, the largest; the others become ignored area
_TINY = 0.0004  # of the frame, shares: what is smaller becomes ignored area
_ZOOM = (1.05, 1.5)  # how much less than the whole picture a frame shows
_TURN_DEG = 4.0  # at most, to either side
_PLAIN = 0.2  # share of the clips whose camera stands still


class PictureSource:
    """Draws a picture and makes a short clip of it by motion. There is no sound.

    All objects are labelled but groups (`iscrowd`), tiny ones and those of classes that the task
    does not have: their area is ignored.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        labels: Sequence[str],
        classes: tuple[str, ...],
        *,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        """Take the pictures that show an object of the task.

        Raises:
            InputError: there is none, or no label is a class of the task.
        """
        self._map = ClassMap(labels, classes, aliases)
        self._classes = classes
        self._pictures = [p for p in pictures if any(map(self._is_wanted, p.outlines))]
        if not self._pictures:
            raise InputError(f"no picture shows one of the classes {', '.join(classes)}")

    @classmethod
    def read(
        cls, place: Place, classes: tuple[str, ...], *, aliases: Mapping[str, str] | None = None
    ) -> Self:
        """Read a split that `places.find` found.

        Raises:
            InputError: it is not as its layout says, or nothing in it can be learned from.
        """
        labels, pictures = coco.read_place(place)
        try:
            return cls(pictures, labels, classes, aliases=aliases)
        except InputError as error:
            raise InputError(f"{place.annotations}: {error}") from error

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    def draw(self, shape: ClipShape, rng: np.random.Generator) -> Sample:
        """Draw a clip.

        Raises:
            InputError: a file does not decode or an annotation is malformed.
        """
        chosen = self._pictures[int(rng.integers(len(self._pictures)))]
        source = (chosen.height, chosen.width)
        size = (shape.height, shape.width)
        motion = _motion(source, size, shape.frames, rng)
        # Shrunk first: a warp takes four pixels only and would miss the others.
        scale = min(1.0, float(np.sqrt(np.abs(np.linalg.det(motion[:, :, :2])).max())) * 1.5)
        small = tuple(max(round(side * scale), 1) for side in source)
        shrink = np.array([source[1] / small[1], source[0] / small[0], 1])
        motion = motion * shrink
        whole = _resized(media.picture(chosen.path, source, shrink=1 / scale), small)
        frames = np.stack([_warped(whole, m, size) for m in motion])
        kept, others = self._sorted(chosen, small)
        masks = np.zeros((shape.frames, len(kept), *size), np.uint8)
        for n, (_, mask) in enumerate(kept):
            masks[:, n] = [_warped(mask, m, size) for m in motion]
        visible: NDArray[np.float32] = np.zeros(masks.shape[:2], np.float32)
        visible[(masks > 0).any((2, 3))] = 1
        tiny = (visible == 1) & (masks.mean((2, 3), np.float32) / 255 < _TINY)
        visible[tiny] = np.nan
        ignore = np.zeros((shape.frames, *size), bool)
        if others.any():
            ignore |= np.stack([_warped(others, m, size) for m in motion]) > 0
        for t, n in np.argwhere(tiny):
            ignore[t] |= masks[t, n] > 0
        known = (masks * (visible == 1)[..., None, None]).any(1)
        rate = float(rng.choice(shape.rates))
        return Sample(
            name=f"picture {chosen.path.name}",
            frames=frames,
            times_ns=np.round((1 + np.arange(shape.frames) / rate) * _NS).astype(np.int64),
            waveform=None,
            waveform_start_ns=0,
            masks=masks,
            class_ids=np.array([class_id for class_id, _ in kept], np.int64),
            visible=visible,
            sounding=np.full_like(visible, np.nan),
            level=np.full_like(visible, np.nan),
            heard=np.full((shape.frames, len(self._classes)), np.nan, np.float32),
            ignore=ignore & ~known if ignore.any() else None,
        )

    def _is_wanted(self, outline: Outline) -> bool:
        return not outline.crowd and self._map.of(outline.class_id) is not None

    def _sorted(
        self, chosen: Picture, small: tuple[int, ...]
    ) -> tuple[list[tuple[int, NDArray[np.uint8]]], NDArray[np.uint8]]:
        """Class and coverage 0..255 of each object to learn, and that of all others together."""
        found: list[tuple[int, NDArray[np.uint8]]] = []
        others = np.zeros(small, np.uint8)
        for outline in chosen.outlines:
            try:
                mask = decoded(outline.segmentation, (chosen.height, chosen.width))
            except FrameError as error:
                what = str(error).removeprefix("frame 0: ")
                raise InputError(
                    f"{chosen.path}: annotation {outline.id}: {what}; see `streamavis data check`"
                ) from error
            coverage = _resized(mask * np.uint8(255), small)
            class_id = self._map.of(outline.class_id)
            if class_id is None or outline.crowd:
                np.maximum(others, coverage, out=others)
            elif coverage.any():
                found.append((class_id, coverage))
        found.sort(key=lambda pair: -int(pair[1].sum(dtype=np.int64)))
        for _, coverage in found[_OBJECTS:]:
            np.maximum(others, coverage, out=others)
        return found[:_OBJECTS], others


def _motion(
    source: tuple[int, int], size: tuple[int, int], steps: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(T, 2, 3) picture pixels to frame pixels; a frame never looks past the picture's edge."""
    ends = 1 if rng.random() < _PLAIN else 2
    zoom, turn = rng.uniform(*_ZOOM, ends), np.radians(rng.uniform(-_TURN_DEG, _TURN_DEG, ends))
    place = rng.random((ends, 2))
    share = np.linspace(0, 1, steps)
    share = share * share * (3 - 2 * share)  # starts and stops softly

    def between(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return values[0] * (1 - share) + values[-1] * share

    zooms, turns = between(zoom), between(turn)
    places = np.stack([between(place[:, 0]), between(place[:, 1])], 1)
    half = np.array([size[1], size[0]]) / 2
    cos, sin = np.cos(turns), np.abs(np.sin(turns))
    extent = np.stack([cos * half[0] + sin * half[1], sin * half[0] + cos * half[1]], 1)
    room = np.array([source[1], source[0]])
    scale = (room / (2 * extent)).min(1) / zooms  # picture pixels per frame pixel
    extent *= scale[:, None]
    centre = extent + places * (room - 2 * extent)
    linear = np.array([[np.cos(turns), np.sin(turns)], [-np.sin(turns), np.cos(turns)]])
    linear = linear.transpose(2, 0, 1) / scale[:, None, None]  # (T, 2, 2)
    offset = half - np.einsum("tij,tj->ti", linear, centre)
    return np.concatenate([linear, offset[..., None]], 2)


def _resized(picture: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    if picture.shape[:2] == size:
        return picture
    return np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _warped(
    picture: NDArray[np.uint8], motion: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.uint8]:
    border = cv2.BORDER_REPLICATE if picture.ndim == 3 else cv2.BORDER_CONSTANT
    return np.asarray(cv2.warpAffine(picture, motion, size[::-1], borderMode=border), np.uint8)
