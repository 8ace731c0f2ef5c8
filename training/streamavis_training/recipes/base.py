"""What a recipe is: settings, what must be made before, and the phases of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from streamavis_training.schedule import Pace, TrainerConfig
    from streamavis_training.tasks.base import Task

__all__ = ["Phase", "Recipe"]


@dataclass(frozen=True)
class Phase:
    """One run of the trainer."""

    title: str  # for progress bars
    folder: Path  # of its checkpoints; the last phase's is the run's
    trainer: TrainerConfig
    task: Callable[[], Task]  # built in each process, when the phase begins
    pace: Pace | None = None  # that the task's batches follow too; None: they follow the steps


class Recipe(Protocol):
    """A frozen dataclass of plain values and frozen dataclasses, which `--set` can change."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def trainer(self) -> TrainerConfig:
        """Of the last phase."""

    @property
    def init(self) -> str | None:
        """Weights that the last phase starts from: a file or a shipped name.

        With them there is only the last phase, whose task may leave its network untrained. A run
        that goes on is given its checkpoint here.
        """

    def prepare(self, folder: Path, jobs: int, report: Callable[[str, int, int], None]) -> None:
        """Make what training needs and what is not there yet: pools, caches.

        Called once, in one process, before any training.

        Args:
            folder: of the run; jobs: worker processes that may be used.
            report: called with a title, how much is done, and of how much.
        """

    def phases(self, folder: Path) -> Sequence[Phase]:
        """What is trained, in order. A phase finds what those before it left in their folders."""

    def notes(self) -> dict[str, str]:
        """For the weights file: on which data it was trained."""
