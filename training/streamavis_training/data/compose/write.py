"""Composed clips as files: a labelled data set for evaluation, and statistics of what is drawn."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pycocotools import mask as coco

from streamavis.errors import OutputError
from streamavis_training.data.compose.composer import Composer
from streamavis_training.data.compose.look import Look
from streamavis_training.dataset_files import (
    AUDIO,
    FRAMES,
    MOVIES,
    Record,
    prepare,
    publish,
    run_lengths,
    write_jpeg,
    write_movie,
    write_wav,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis_training.data.compose.composer import Composed
    from streamavis_training.data.compose.library import Library
    from streamavis_training.data.sample import ClipShape, Sample

__all__ = ["VERSION", "Statistics", "clips", "write"]

VERSION = 1  # rises whenever a seed no longer means the same clip
_GENERATOR = "streamavis compose"


@dataclass
class Statistics:
    """What composed clips show and hold."""

    classes: tuple[str, ...]
    clips: int
    negatives: int  # clips where nothing in view sounds at any frame
    pairs: int  # clips with two objects of one class in view
    in_view: dict[str, int]  # objects by class
    sounding: dict[str, int]  # of these, sounding at some frame
    kinds: dict[str, int]
    scenarios: dict[str, int]

    @staticmethod
    def of(made: Iterable[Composed], classes: tuple[str, ...]) -> Statistics:
        """Count."""
        in_view: Counter[str] = Counter()
        sounding: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        scenarios: Counter[str] = Counter()
        count = negatives = pairs = 0
        for one in made:
            sample = one.sample
            seen = np.flatnonzero((sample.visible == 1).any(0))
            sounds = (sample.sounding == 1).any(0)
            labels = [classes[sample.class_ids[n]] for n in seen]
            in_view.update(labels)
            sounding.update(classes[sample.class_ids[n]] for n in seen if sounds[n])
            kinds[one.kind] += 1
            scenarios[one.scenario] += 1
            count += 1
            negatives += not sounds.any()
            pairs += len(set(labels)) < len(labels)
        return Statistics(
            classes,
            count,
            negatives,
            pairs,
            {name: in_view[name] for name in classes},
            {name: sounding[name] for name in classes},
            dict(kinds.most_common()),
            dict(scenarios.most_common()),
        )


@dataclass(frozen=True)
class _Task:
    out: Path
    index: int
    seed: int
    shape: ClipShape

    @property
    def name(self) -> str:
        return f"clip{self.index:05d}"


@dataclass(frozen=True)
class _Movie:
    frames: NDArray[np.uint8]
    waveform: NDArray[np.float32]
    fps: float


def clips(
    library: Library, n: int, seed: int, shape: ClipShape, look: Look | None = None
) -> Iterator[Composed]:
    """Compose the clips that `write` writes, one after the other.

    Every object of the classes has a mask in them: pictures where some have none are left out.
    """
    composer = Composer(library, replace(look or Look(), incomplete=False))
    for index in range(n):
        yield _compose(composer, seed, index, shape)


def _compose(composer: Composer, seed: int, index: int, shape: ClipShape) -> Composed:
    return composer.compose(shape, np.random.default_rng([seed, index]), whole=True)


def write(
    library: Library,
    out: Path,
    n: int,
    seed: int,
    shape: ClipShape,
    *,
    look: Look | None = None,
    info: dict[str, Any] | None = None,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Statistics:
    """Write `n` composed clips in the layout that `data.layout.read` reads, each also as an mp4.

    The first clips of a larger set with the same seed are the same. An earlier output is replaced.
    `annotations.json` appears last: without it the output is not complete.

    Args:
        library: material of one split.
        out: folder to write, created if missing.
        n: number of clips.
        seed: of the set, any non-negative integer.
        shape: of a clip; its first rate is the frame rate.
        look: how often what happens.
        info: further facts for the file, such as split and licences.
        jobs: processes that compose.
        progress: called with the number of clips done so far.

    Raises:
        OutputError: `out` holds something else, or cannot be written.
    """
    look = replace(look or Look(), incomplete=False)
    facts = {
        **(info or {}),
        "generator": _GENERATOR,
        "version": VERSION,
        "seed": seed,
        "look": asdict(look),
    }
    tasks = [_Task(out, i, seed, shape) for i in range(n)]
    try:
        prepare(out, facts, (FRAMES, AUDIO, MOVIES))
        records, statistics = _write_all(library, look, tasks, jobs, progress)
        publish(out, facts, records, library.classes)
    except OSError as error:
        raise OutputError(f"{out}: cannot write the clips ({error})") from error
    return statistics


class _Worker:
    """What one process needs to write clips."""

    def __init__(self, library: Library, look: Look) -> None:
        cv2.setNumThreads(1)
        self._composer = Composer(library, look)

    def write(self, task: _Task) -> tuple[Record, Composed]:
        made = _compose(self._composer, task.seed, task.index, task.shape)
        record = _write_one(task, made, self._composer.classes)
        # Statistics need no pixels.
        nothing = made.sample.masks[:, :, :0, :0]
        small = replace(
            made.sample, frames=made.sample.frames[:, :0, :0], masks=nothing, ignore=None
        )
        return record, replace(made, sample=small)


_worker: _Worker | None = None  # of this process


def _start(library: Library, look: Look) -> None:
    global _worker
    _worker = _Worker(library, look)


def _run(task: _Task) -> tuple[Record, Composed]:
    assert _worker is not None, "_start runs first in every process"
    return _worker.write(task)


def _write_all(
    library: Library,
    look: Look,
    tasks: Sequence[_Task],
    jobs: int,
    progress: Callable[[int], None] | None,
) -> tuple[list[Record], Statistics]:
    records: list[Record] = []
    made: list[Composed] = []

    def collect(found: Iterable[tuple[Record, Composed]]) -> None:
        for record, one in found:
            records.append(record)
            made.append(one)
            if progress is not None:
                progress(len(records))

    if jobs == 1:
        collect(map(_Worker(library, look).write, tasks))
    else:
        context = multiprocessing.get_context("spawn")  # a fork would copy held locks
        with context.Pool(jobs, initializer=_start, initargs=(library, look)) as workers:
            collect(workers.imap(_run, tasks))
    return records, Statistics.of(made, library.classes)


def _write_one(task: _Task, made: Composed, classes: tuple[str, ...]) -> Record:
    sample, fps = made.sample, task.shape.rates[0]
    (task.out / FRAMES / task.name).mkdir()
    names = [f"{task.name}/{i:05d}.jpg" for i in range(len(sample.frames))]
    for name, frame in zip(names, sample.frames, strict=True):
        write_jpeg(task.out / FRAMES / name, frame)
    assert sample.waveform is not None, "composed clips have sound"
    write_wav(task.out / AUDIO / f"{task.name}.wav", sample.waveform)
    write_movie(task.out / MOVIES / f"{task.name}.mp4", _Movie(sample.frames, sample.waveform, fps))
    video = {
        "id": task.index + 1,
        "file_names": names,
        "height": sample.frames.shape[1],
        "width": sample.frames.shape[2],
        "length": len(names),
        "fps": fps,
        "kind": made.kind,
        "scenario": made.scenario,
        "off_screen": _off_screen(sample, len(classes)),
    }
    objects = range(len(sample.class_ids))
    return video, [_annotation(sample, n, task.index + 1) for n in objects]


def _off_screen(sample: Sample, classes: int) -> list[dict[str, Any]]:
    """Classes that are heard while no object of theirs in view sounds."""
    found = []
    for class_id in range(classes):
        mine = sample.sounding[:, sample.class_ids == class_id] == 1
        sounding = (sample.heard[:, class_id] == 1) & ~mine.any(1)
        if sounding.any():
            found.append({"category_id": class_id + 1, "sounding": sounding.tolist()})
    return found


def _annotation(sample: Sample, n: int, video_id: int) -> dict[str, Any]:
    visible = sample.visible[:, n] == 1
    masks = sample.masks[:, n] > 127
    visible &= masks.any((1, 2))
    packed = [run_lengths(m) if seen else None for m, seen in zip(masks, visible, strict=True)]
    return {
        "video_id": video_id,
        "category_id": int(sample.class_ids[n]) + 1,
        "iscrowd": 0,
        "bboxes": [p and coco.toBbox(p).tolist() for p in packed],
        "segmentations": packed,
        "visible": visible.tolist(),
        "sounding": ((sample.sounding[:, n] == 1) & visible).tolist(),
        "avg_area": float(masks.sum() / max(visible.sum(), 1)),
    }
