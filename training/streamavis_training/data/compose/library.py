"""Pictures and sounds of one split, mapped into memory and shared by all processes of a machine."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streamavis.errors import InputError
from streamavis_training.data.compose.catalogue import TIERS, Catalogue
from streamavis_training.data.compose.store import DATA, Index, prepare
from streamavis_training.data.compose.unbundle import opened
from streamavis_training.data.compose.vocabulary import REAL_WORLD, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis_training.data.compose.store import CutoutEntry, PictureEntry, SoundEntry

__all__ = ["Library", "SceneView"]


@dataclass(frozen=True)
class SceneView:
    """One decoded scene."""

    picture: NDArray[np.uint8]  # (h, w, 3) RGB
    ids: NDArray[np.uint8]  # (h, w) 0 background, 1 + place in `class_ids`, or `IGNORED`
    class_ids: list[int]
    complete: bool


class Library:
    """Material of one split. It can be sent to other processes, which map the same file."""

    def __init__(self, folder: Path, index: Index, vocabulary: Vocabulary) -> None:
        """Open what `store.prepare` wrote; use `Library.read`."""
        self.vocabulary = vocabulary
        self._folder, self._index = folder, index
        # A plain view: slices of np.memmap itself are slow.
        self._data = np.asarray(np.memmap(folder / DATA, np.uint8, "r")).view(np.ndarray)
        count = len(vocabulary.classes)
        self.cutouts: list[list[CutoutEntry]] = [[] for _ in range(count)]  # by class
        self.distractors: list[CutoutEntry] = []
        for entry in index.cutouts:
            (self.distractors if entry.class_id < 0 else self.cutouts[entry.class_id]).append(entry)
        self.sounds: list[list[SoundEntry]] = [[] for _ in range(count)]  # by class
        self.speech: list[SoundEntry] = []
        self.ambient: list[SoundEntry] = []
        self.unlabelled: list[SoundEntry] = []  # of no class: heard off screen
        for sound in index.sounds:
            for class_id in sound.class_ids:
                self.sounds[class_id].append(sound)
            if sound.speech:
                self.speech.append(sound)
            if not sound.class_ids:
                ambient = sound.label.startswith("ambient")
                (self.ambient if ambient else self.unlabelled).append(sound)
        self.backgrounds = index.backgrounds
        self.rooms = [b for b in index.backgrounds if b.room]
        self.scenes = index.scenes

    @staticmethod
    def read(
        paths: Sequence[Path],
        split: str,
        tiers: Iterable[str] = TIERS,
        *,
        cache: Path,
        vocabulary: Vocabulary = REAL_WORLD,
        jobs: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ) -> Library:
        """Open the material of a split; the first call decodes it, which takes a minute or two.

        Args:
            paths: folders of material, index and scene files, or bundles, which are unpacked into
                `cache`.
            split: train, val or test.
            tiers: of licences to take.
            cache: folder for the decoded material, about 1 GB.
            vocabulary: classes, and how labels map to them.
            jobs: threads that decode.
            progress: called with the number of records decoded and of all.

        Raises:
            InputError: a file is missing or not as its record says, or nothing can be composed.
        """
        chosen = Catalogue.read(opened(paths, cache)).choose(split, tiers)
        if not chosen.backgrounds and not chosen.scenes:
            raise InputError(
                f"{', '.join(map(str, paths))}: no background and no scene of split {split!r} and"
                f" tiers {', '.join(tiers)}; there is nothing to compose on"
            )
        folder, index = prepare(chosen, vocabulary, cache, jobs=jobs, progress=progress)
        return Library(folder, index, vocabulary)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.vocabulary.classes

    @property
    def audible(self) -> list[int]:
        """Classes that have sounds."""
        return [k for k, sounds in enumerate(self.sounds) if sounds]

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """Cut-outs, sounds and scenes of each class."""
        return {
            name: (
                len(self.cutouts[k]),
                len(self.sounds[k]),
                sum(k in scene.class_ids for scene in self.scenes),
            )
            for k, name in enumerate(self.classes)
        }

    def cutout(self, entry: CutoutEntry, level: int) -> NDArray[np.uint8]:
        """(h, w, 4) premultiplied RGBA of one size, not to be written to."""
        offset, height, width = entry.levels[level]
        return self._data[offset : offset + height * width * 4].reshape(height, width, 4)

    def picture(self, entry: PictureEntry, *, half: bool = False) -> NDArray[np.uint8]:
        """(h, w, 3) RGB, or at half size, which decodes twice as fast."""
        data = self._data[entry.offset : entry.offset + entry.size]
        flags = cv2.IMREAD_REDUCED_COLOR_2 if half else cv2.IMREAD_COLOR
        picture = cv2.imdecode(data, flags)
        assert picture is not None, "OpenCV reads what it wrote"
        return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)

    def scene(self, place: int) -> SceneView:
        """Decode one scene."""
        entry = self.scenes[place]
        offset, size = entry.ids
        picture = self.picture(entry.picture)
        packed = zlib.decompress(self._data[offset : offset + size].tobytes())
        ids = np.frombuffer(packed, np.uint8).reshape(picture.shape[:2])
        return SceneView(picture, ids, entry.class_ids, entry.complete)

    def wave(self, entry: SoundEntry) -> NDArray[np.int16]:
        """(samples,) of one recording, peak 0.8 of full scale; not to be written to."""
        data = self._data[entry.offset : entry.offset + 2 * entry.samples]
        return data.view(np.int16)

    def levels(self, entry: SoundEntry) -> NDArray[np.float32]:
        """Loudness of each `BLOCK` of it, root mean square, 1 is full scale."""
        blocks = entry.samples // 400
        return self._data[entry.levels : entry.levels + 4 * blocks].view(np.float32)

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self._folder, "index": self._index, "vocabulary": self.vocabulary}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["folder"], state["index"], state["vocabulary"])  # type: ignore[misc]
