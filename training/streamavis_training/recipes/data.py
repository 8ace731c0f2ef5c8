"""Where a recipe's clips come from: a data set on disk, composed material, or the world."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from streamavis.errors import InputError
from streamavis_training.data.compose.composer import Composer
from streamavis_training.data.compose.library import Library
from streamavis_training.data.compose.look import Look
from streamavis_training.data.compose.vocabulary import REAL_WORLD
from streamavis_training.data.layout import read_place
from streamavis_training.data.mix import Mix
from streamavis_training.data.pictures import PictureSource
from streamavis_training.data.places import find_one
from streamavis_training.data.sources import read_other
from streamavis_training.data.videos import VideoSource
from streamavis_training.data.world import PoolSource
from streamavis_training.pool import PoolConfig, render
from streamavis_training.prediction import evaluate_folder
from streamavis_training.split import read_split
from streamavis_training.world import CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.audio.vggish import VGGish
    from streamavis.model import AVISM, StreamAVIS
    from streamavis_training.data.layout import Video
    from streamavis_training.data.sample import Source

__all__ = ["DataConfig"]

_POOL = "pool"


@dataclass(frozen=True)
class DataConfig:
    """Clips to train on and to validate on."""

    # Split in AVISeg's layout, or WORD:PATH of a reader in `data.sources.READERS`. Empty: composed
    # clips, or the procedural world.
    train: str = ""
    val: str = ""  # split that is predicted and scored; empty: none
    val_videos: int = 0  # the first of them; 0: all
    coco: str = ""  # annotated pictures of COCO, to make clips from; empty: none
    coco_share: float = 0.25  # of the clips
    material: tuple[str, ...] = ()  # composed of this: folders with index.json, or such files
    tiers: tuple[str, ...] = ("open", "check")  # of the material's licences that are trained on
    cache: str = "material-cache"  # folder for the decoded material
    pool: PoolConfig = field(default_factory=lambda: PoolConfig(clips=400))  # of the world
    look: Look = field(default_factory=Look)  # of composed clips
    workers: int = 1  # processes that make batches, for each that trains

    def prepare(self, folder: Path, jobs: int, report: Callable[[str, int, int], None]) -> None:
        """Decode the material, or render the world's clips, where they are trained on."""
        if self.train:
            return
        if self.material:
            self.library(jobs, lambda done, of: report("decoding material", done, of))
            return
        render(
            folder / _POOL,
            self.pool,
            jobs=jobs,
            progress=lambda done: report("rendering clips", done, self.pool.clips),
        )

    def classes(self) -> tuple[str, ...]:
        """Those of the data set.

        Raises:
            InputError: it cannot be read.
        """
        if other := read_other(self.train):
            return other.classes
        if self.train:
            return tuple(self.videos()[0])
        return REAL_WORLD.classes if self.material else CLASSES

    def videos(self) -> tuple[list[str], list[Video]]:
        """Labels and videos of the training split.

        Raises:
            InputError: it cannot be read, or no split is named.
        """
        if not self.train:
            raise InputError("this recipe needs a data set: name its training split, data.train")
        return read_place(find_one(Path(self.train)))

    def source(self, folder: Path, classes: tuple[str, ...]) -> Source:
        """Clips of the given shape; those of a data set have consecutive frames.

        Raises:
            InputError: the data set cannot be read or has none of the classes.
        """
        if other := read_other(self.train):
            return other
        if not self.train:
            if self.material:
                return Composer(self.library(), self.look)
            return PoolSource(folder / _POOL)
        videos = VideoSource.read(find_one(Path(self.train)), classes)
        pictures = self.pictures(classes)
        if pictures is None:
            return videos
        return Mix([(videos, 1 - self.coco_share), (pictures, self.coco_share)])

    def pictures(self, classes: tuple[str, ...]) -> PictureSource | None:
        """COCO's pictures, if any are named."""
        return PictureSource.read(find_one(Path(self.coco)), classes) if self.coco else None

    def evaluate(
        self, vggish: VGGish | None = None
    ) -> Callable[[AVISM | StreamAVIS], dict[str, float]] | None:
        """What predicts and scores the validation split; None where there is none."""
        if not self.val:
            return None
        split = read_split(Path(self.val))

        def scores(network: AVISM | StreamAVIS) -> dict[str, float]:
            found = evaluate_folder(network, split, limit=self.val_videos or None, vggish=vggish)
            return {f"{p} {name}": x for p, names in found.items() for name, x in names.items()}

        return scores

    @property
    def best(self) -> str | None:
        """Which of the figures marks the best weights."""
        return "corrected HOTA" if self.val else None

    def library(self, jobs: int = 1, progress: Callable[[int, int], None] | None = None) -> Library:
        """The training split of the material."""
        paths = [Path(path) for path in self.material]
        return Library.read(
            paths, "train", self.tiers, cache=Path(self.cache), jobs=jobs, progress=progress
        )

    def described(self) -> str:
        """For the weights file."""
        if not self.train and self.material:
            return f"composed from {', '.join(self.material)}, tiers {', '.join(self.tiers)}"
        if not self.train:
            return f"procedural world, {self.pool.clips} clips from seed {self.pool.seed}"
        pictures = f", {self.coco_share:.0%} of the clips from {self.coco}" if self.coco else ""
        return f"{self.train}{pictures}"
