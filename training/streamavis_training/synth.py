"""Procedural clips as files: a labelled data set, and a playable mp4 of each clip."""

from __future__ import annotations

import multiprocessing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pycocotools import mask as coco

from streamavis.errors import ArgumentError, OutputError
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
from streamavis_training.world import CLASSES, VERSION, WorldClip, WorldConfig, clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path


__all__ = ["MOVIES", "clip_seed", "write", "write_movie"]

_GENERATOR = "streamavis synth"


@dataclass(frozen=True)
class _Task:
    out: Path
    index: int
    seed: int
    config: WorldConfig

    @property
    def name(self) -> str:
        return f"clip{self.index:05d}"


def clip_seed(seed: int, index: int) -> int:
    """Seed of one clip of a data set: the same for every size of the set."""
    return int(np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)[0])


def write(
    out: Path,
    n: int,
    seed: int,
    *,
    config: WorldConfig | None = None,
    progress: Callable[[int], None] | None = None,
    jobs: int = 1,
) -> None:
    """Write `n` procedural clips in the layout that `layout.read` reads.

    The first clips of a larger set with the same seed are the same. An earlier output is replaced.
    `annotations.json` appears last: without it the output is not complete.

    Args:
        out: folder to write, created if missing.
        n: number of clips.
        seed: of the set, any non-negative integer.
        config: size, rate and odds of the clips.
        progress: called with the number of clips done so far.
        jobs: processes that render.

    Raises:
        OutputError: `out` holds something else, or cannot be written.
    """
    config = config or WorldConfig()
    if config.lead_s:
        raise ArgumentError(f"lead_s is {config.lead_s}; on disk the first picture is at time 0")
    info = {
        "generator": _GENERATOR,
        "version": VERSION,
        "seed": seed,
        "config": asdict(config),
    }
    tasks = [_Task(out, i, clip_seed(seed, i), config) for i in range(n)]
    try:
        prepare(out, info, (FRAMES, AUDIO, MOVIES))
        records = _render_all(tasks, jobs, progress)
        publish(out, info, records, CLASSES)
    except OSError as error:
        raise OutputError(f"{out}: cannot write the clips ({error})") from error


def _render_all(
    tasks: list[_Task], jobs: int, progress: Callable[[int], None] | None
) -> list[Record]:
    if jobs == 1:
        return _collect(map(_render_one, tasks), progress)
    context = multiprocessing.get_context("spawn")  # a fork would copy held locks
    with context.Pool(jobs, initializer=cv2.setNumThreads, initargs=(1,)) as workers:
        return _collect(workers.imap(_render_one, tasks), progress)


def _collect(found: Iterable[Record], progress: Callable[[int], None] | None) -> list[Record]:
    records = []
    for record in found:
        records.append(record)
        if progress is not None:
            progress(len(records))
    return records


def _render_one(task: _Task) -> Record:
    made = clip(task.seed, task.config)
    folder = task.out / FRAMES / task.name
    folder.mkdir()
    names = [f"{task.name}/{i:05d}.jpg" for i in range(len(made.frames))]
    for name, frame in zip(names, made.frames, strict=True):
        write_jpeg(task.out / FRAMES / name, frame)
    write_wav(task.out / AUDIO / f"{task.name}.wav", made.waveform)
    write_movie(task.out / MOVIES / f"{task.name}.mp4", made)
    video = {
        "id": task.index + 1,
        "file_names": names,
        "height": made.frames.shape[1],
        "width": made.frames.shape[2],
        "length": len(names),
        "fps": made.fps,
        "off_screen": [
            {"category_id": source.class_id + 1, "sounding": source.sounding.tolist()}
            for source in made.off_screen
        ],
    }
    return video, [_annotation(made, i, task.index + 1) for i in range(len(made.class_ids))]


def _annotation(made: WorldClip, i: int, video_id: int) -> dict[str, Any]:
    visible = made.visible[:, i]
    masks = made.ids == i + 1
    packed = [
        run_lengths(mask) if seen else None for mask, seen in zip(masks, visible, strict=True)
    ]
    return {
        "video_id": video_id,
        "category_id": int(made.class_ids[i]) + 1,
        "iscrowd": 0,
        "bboxes": [p and coco.toBbox(p).tolist() for p in packed],
        "segmentations": packed,
        "visible": visible.tolist(),
        "sounding": made.sounding[:, i].tolist(),
        "avg_area": float(masks.sum() / max(visible.sum(), 1)),
    }
