"""Procedural clips as files: a labelled data set, and a playable mp4 of each clip."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import wave
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from pycocotools import mask as coco

from streamavis.errors import ArgumentError, OutputError
from streamavis.masks import encode
from streamavis.types import SAMPLE_RATE
from streamavis_training.layout import ANNOTATIONS, AUDIO, FRAMES
from streamavis_training.world import CLASSES, VERSION, WorldClip, WorldConfig, clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MOVIES", "clip_seed", "write", "write_movie"]

MOVIES = "Videos"
_GENERATOR = "streamavis synth"
_Record = tuple[dict[str, Any], list[dict[str, Any]]]  # a video and its annotations
_PARTIAL = f"{ANNOTATIONS}.partial"  # marks a folder as ours until the last clip is written
_JPEG_QUALITY = 95
_CRF = 18  # H.264, visually lossless


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
        _prepare(out, info)
        records = _render_all(tasks, jobs, progress)
        annotations = [annotation for _, found in records for annotation in found]
        content = {
            "info": info,
            "videos": [video for video, _ in records],
            "annotations": [{"id": i, **a} for i, a in enumerate(annotations, 1)],
            "categories": [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)],
        }
        (out / _PARTIAL).write_text(json.dumps(content))
        (out / _PARTIAL).replace(out / ANNOTATIONS)
    except OSError as error:
        raise OutputError(f"{out}: cannot write the clips ({error})") from error


def _prepare(out: Path, info: dict[str, Any]) -> None:
    """Make room for a new output, and mark it as ours before the first file is written."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file; name a folder to write the clips to")
    if out.exists() and any(out.iterdir()) and not _is_ours(out):
        raise OutputError(
            f"{out} is not empty and not an earlier output of synth; name another folder"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / _PARTIAL).write_text(json.dumps({"info": info}))
    (out / ANNOTATIONS).unlink(missing_ok=True)
    for name in (FRAMES, AUDIO, MOVIES):
        shutil.rmtree(out / name, ignore_errors=True)
        (out / name).mkdir()


def _is_ours(out: Path) -> bool:
    for name in (ANNOTATIONS, _PARTIAL):
        try:
            content = json.loads((out / name).read_text())
        except (OSError, ValueError):
            continue
        if isinstance(content, dict) and content.get("info", {}).get("generator") == _GENERATOR:
            return True
    return False


def _render_all(
    tasks: list[_Task], jobs: int, progress: Callable[[int], None] | None
) -> list[_Record]:
    if jobs == 1:
        return _collect(map(_render_one, tasks), progress)
    context = multiprocessing.get_context("spawn")  # a fork would copy held locks
    with context.Pool(jobs, initializer=cv2.setNumThreads, initargs=(1,)) as workers:
        return _collect(workers.imap(_render_one, tasks), progress)


def _collect(found: Iterable[_Record], progress: Callable[[int], None] | None) -> list[_Record]:
    records = []
    for record in found:
        records.append(record)
        if progress is not None:
            progress(len(records))
    return records


def _render_one(task: _Task) -> _Record:
    made = clip(task.seed, task.config)
    folder = task.out / FRAMES / task.name
    folder.mkdir()
    names = [f"{task.name}/{i:05d}.jpg" for i in range(len(made.frames))]
    for name, frame in zip(names, made.frames, strict=True):
        picture = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        _, packed = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        (task.out / FRAMES / name).write_bytes(packed.tobytes())
    _write_wav(task.out / AUDIO / f"{task.name}.wav", made.waveform)
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
    packed: list[dict[str, Any] | None] = [None] * len(masks)
    for t in np.flatnonzero(visible):
        rle = encode(masks[t])
        packed[t] = {"size": list(rle.size), "counts": rle.counts}
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


def _write_wav(path: Path, waveform: NDArray[np.float32]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.round(waveform * 32767).astype("<i2").tobytes())


def write_movie(path: Path, made: WorldClip) -> None:
    """Write a clip as an mp4 that any player and `streamavis replay` take."""
    rate = Fraction(made.fps).limit_denominator(1001)
    height, width = made.frames.shape[1:3]
    with av.open(str(path), "w") as file:
        video = file.add_stream("libx264", rate, options={"crf": str(_CRF), "preset": "fast"})
        video.width, video.height = width, height
        video.pix_fmt = "yuv420p" if width % 2 == height % 2 == 0 else "yuv444p"
        audio = file.add_stream("aac", SAMPLE_RATE, layout="mono")
        heard = 0
        for n, frame in enumerate(made.frames):
            until = round((n + 1) * SAMPLE_RATE / made.fps)
            sound = av.AudioFrame.from_ndarray(made.waveform[None, heard:until], "fltp", "mono")
            sound.sample_rate, sound.pts, heard = SAMPLE_RATE, heard, until
            file.mux(audio.encode(sound))
            # One thread: with several, swscale at times spoils pixels of odd sizes.
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            picture = picture.reformat(format=video.pix_fmt, threads=1)
            picture.pts, picture.time_base = n, 1 / rate
            file.mux(video.encode(picture))
        for stream in (audio, video):
            file.mux(stream.encode(None))
