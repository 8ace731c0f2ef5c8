"""Where a recipe's clips come from: a data set on disk, or the procedural world."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from streamavis.errors import InputError
from streamavis_training.data.layout import read_place
from streamavis_training.data.pictures import PictureSource
from streamavis_training.data.places import find_one
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

    train: str = ""  # split in AVISeg's layout; empty: the procedural world, rendered first
    val: str = ""  # split that is predicted and scored; empty: none
    val_videos: int = 0  # the first of them; 0: all
    coco: str = ""  # annotated pictures of COCO, to make clips from; empty: none
    coco_share: float = 0.25  # of the clips
    pool: PoolConfig = field(default_factory=lambda: PoolConfig(clips=400))  # of the world
    workers: int = 1  # processes that make batches, for each that trains

    def prepare(self, folder: Path, jobs: int, report: Callable[[str, int, int], None]) -> None:
        """Render the world's clips, where they are what is trained on."""
        if self.train:
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
        return tuple(self.videos()[0]) if self.train else CLASSES

    def videos(self) -> tuple[list[str], list[Video]]:
        """Labels and videos of the training split.

        Raises:
            InputError: it cannot be read, or no split is named.
        """
        if not self.train:
            raise InputError("this recipe needs a data set: name its training split, data.train")
        return read_place(find_one(Path(self.train)))

    def source(self, folder: Path, classes: tuple[str, ...]) -> Source:
        """Clips of consecutive frames, cut to the shape that is asked for.

        Raises:
            InputError: the data set cannot be read or has none of the classes.
        """
        if not self.train:
            return PoolSource(folder / _POOL)
        videos = VideoSource.read(Path(self.train), classes)
        pictures = self.pictures(classes)
        if pictures is None:
            return videos
        from streamavis_training.data.mix import Mix

        return Mix([(videos, 1 - self.coco_share), (pictures, self.coco_share)])

    def pictures(self, classes: tuple[str, ...]) -> PictureSource | None:
        """COCO's pictures, if any are named."""
        return PictureSource.read(Path(self.coco), classes) if self.coco else None

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

    def described(self) -> str:
        """For the weights file."""
        if not self.train:
            return f"procedural world, {self.pool.clips} clips from seed {self.pool.seed}"
        pictures = f", {self.coco_share:.0%} of the clips from {self.coco}" if self.coco else ""
        return f"{self.train}{pictures}"
