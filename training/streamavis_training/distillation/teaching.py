"""Filling the folder of a teacher's outputs: once, in one or several processes, resumable."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from streamavis import checkpoint
from streamavis.errors import InputError
from streamavis_training.data.workers import Workers
from streamavis_training.devices import device_of
from streamavis_training.distillation.targets import TargetFiles, file_key, observe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streamavis.audio.vggish import VGGish
    from streamavis.model.avism import AVISM
    from streamavis_training.distillation.clips import FixedClips

__all__ = ["fill", "target_folder"]


def target_folder(cache: Path, teacher: Path, pool: FixedClips, data: str) -> Path:
    """Where the outputs of a teacher on these clips are kept.

    Args:
        cache: folder of all of them.
        teacher: its weights file; another file has another folder.
        pool: the clips; data: what they are drawn from, as text.
    """
    return cache / file_key(teacher, data, pool.seed, pool.shape)


def fill(
    folder: Path,
    teacher: Path,
    pool: FixedClips,
    count: int,
    *,
    jobs: int = 1,
    device: str = "auto",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Run the teacher over the clips whose outputs are missing.

    What is there is kept: an interrupted call goes on where it stood.

    Args:
        folder: of `target_folder`.
        teacher: weights of an offline network, with its VGGish inside if it needs one.
        pool, count: clips 0 .. count-1.
        jobs: processes, where the device is a CPU.
        device: auto, cpu, cuda or cuda:N.
        progress: called with the clips done, and of how many.

    Raises:
        CheckpointError: the teacher cannot be loaded.
        InputError: its classes are not those of the clips, or a clip cannot be drawn.
        CapacityError: a worker process was killed.
    """
    _check_classes(checkpoint.load_avism(teacher), pool)
    files = TargetFiles(folder)
    todo = [index for index in range(count) if not files.has(index)]
    progress(count - len(todo), count)
    if not todo:
        return
    work = _Observing(folder, teacher, pool, device)
    on_cpu = device_of(device).type == "cpu"
    if jobs == 1 or not on_cpu or len(todo) == 1:
        _follow(map(work, todo), count - len(todo), count, progress)
        return
    workers = Workers(work, min(jobs, len(todo)))
    with closing(workers):
        _follow(workers.run(todo), count - len(todo), count, progress)


def _check_classes(teacher: AVISM, pool: FixedClips) -> None:
    """Refuse a teacher of other classes.

    Raises:
        InputError: names both.
    """
    theirs, ours = teacher.config.classes, tuple(pool.source.classes)
    if theirs != ours:
        raise InputError(
            f"the teacher has the classes {', '.join(theirs)}, but the clips have "
            f"{', '.join(ours)}; train the teacher on the same data set"
        )


def _follow(
    results: Iterator[Exception | None],
    done: int,
    total: int,
    progress: Callable[[int, int], None],
) -> None:
    for result in results:
        if result is not None:
            raise result
        done += 1
        progress(done, total)


class _Observing:
    """Runs the teacher over one clip and keeps its outputs; loads it on first use."""

    def __init__(self, folder: Path, teacher: Path, pool: FixedClips, device: str) -> None:
        self._files, self._path, self._pool = TargetFiles(folder), teacher, pool
        self._device = device
        self._loaded: tuple[AVISM, VGGish | None] | None = None

    def __call__(self, index: int) -> Exception | None:
        try:
            if self._loaded is None:
                device = device_of(self._device)
                vggish = checkpoint.load_vggish(self._path)
                self._loaded = (
                    checkpoint.load_avism(self._path).to(device),
                    None if vggish is None else vggish.to(device),
                )
            sample = self._pool.draw(index)
            self._files.write(index, observe(*self._loaded, sample))
        except Exception as error:
            return error
        return None
