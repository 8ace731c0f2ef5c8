"""A pool of rendered procedural clips on disk, and batches drawn from it.

Rendering is as dear as a training step, so clips are rendered once, at network size, into plain
arrays that every training process maps; each batch then cuts, flips, recolours and re-mixes them.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import multiprocessing.pool
import signal
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from streamavis.model.backbones import STRIDE
from streamavis.types import SAMPLE_RATE, WINDOW_SAMPLES
from streamavis_training.batch import Batch, Truth
from streamavis_training.world import CLASSES, WorldConfig, clip
from streamavis_training.world.config import MAX_OBJECTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["BatchConfig", "Pool", "PoolConfig", "render"]

FRAME_RATES = (5.0, 6.0, 8.0, 10.0, 12.0, 15.0)
_CELL = 4  # masks are learned at stride 4


@dataclass(frozen=True)
class PoolConfig:
    """What is rendered."""

    clips: int = 2200
    frames: int = 16  # per clip, at one of `FRAME_RATES`
    width: int = 341
    height: int = 192
    lead_s: float = 1.0  # of sound before the first picture: streams are rarely at their start
    seed: int = 1_000_000  # of the first clip; far from the seeds people evaluate with


@dataclass(frozen=True)
class BatchConfig:
    """What a batch is."""

    clips: int = 3
    frames: int = 5  # consecutive, of one part; gradients reach back no further
    parts: int = 3  # that follow one another, with the state carried
    height: int = 192  # frames are shrunk to this short side
    muted: float = 0.06  # share of clips with digital silence instead of their sound
    mismatched: float = 0.08  # share with another clip's sound that fits nothing in view
    delayed: float = 0.25  # share whose sound arrives late, as a microphone's
    max_delay_s: float = 0.2
    gain_db: tuple[float, float] = (-10.0, 6.0)


def _arrays(config: PoolConfig) -> dict[str, tuple[tuple[int, ...], Any]]:
    t, n, k = config.frames, MAX_OBJECTS, len(CLASSES)
    samples = int((config.lead_s + t / min(FRAME_RATES) + 1) * SAMPLE_RATE)
    picture = (t, config.height, config.width)
    return {
        "frames": ((*picture, 3), np.uint8),
        "ids": (picture, np.uint8),
        "waveform": ((samples,), np.int16),
        "times_ns": ((t,), np.int64),
        "class_ids": ((n,), np.int64),
        "visible": ((t, n), np.bool_),
        "sounding": ((t, n), np.bool_),
        "level": ((t, n), np.float32),
        "heard": ((t, k), np.bool_),
    }


def render(
    folder: Path,
    config: PoolConfig,
    *,
    jobs: int = 1,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Render the pool, or do nothing if `folder` already holds this very one.

    Args:
        folder: created; the arrays are `NAME.npy`.
        progress: called with the number of clips done so far.
    """
    stamp = folder / "pool.json"
    wanted = json.dumps({"config": asdict(config), "classes": CLASSES}, sort_keys=True)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    for name, (shape, kind) in _arrays(config).items():
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, (config.clips, *shape))
    work = [(folder, config, i) for i in range(config.clips)]
    with _workers(jobs) as workers:
        for done, _ in enumerate(workers.imap_unordered(_render_one, work, chunksize=8)):
            if progress is not None:
                progress(done + 1)
    stamp.write_text(wanted)


def _workers(jobs: int) -> multiprocessing.pool.Pool:
    """They never get SIGINT, or each would print a traceback: this process ends them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return multiprocessing.get_context("spawn").Pool(jobs)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _render_one(work: tuple[Path, PoolConfig, int]) -> None:
    folder, config, index = work
    cv2.setNumThreads(1)
    rng = np.random.default_rng([config.seed, index])
    fps = float(rng.choice(FRAME_RATES))
    scene = clip(
        config.seed + index,
        WorldConfig(
            width=config.width,
            height=config.height,
            fps=fps,
            duration_s=config.frames / fps,
            lead_s=config.lead_s,
        ),
    )
    count = len(scene.class_ids)
    values: dict[str, NDArray[Any]] = {
        "frames": _compressed(scene.frames, rng),
        "ids": scene.ids,
        "times_ns": scene.times_ns,
        "heard": scene.heard,
    }
    files = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in _arrays(config)}
    for name, value in values.items():
        files[name][index] = value
    samples = min(len(scene.waveform), files["waveform"].shape[1])
    files["waveform"][index, :samples] = np.round(scene.waveform[:samples] * 32767)
    files["class_ids"][index] = -1
    files["class_ids"][index, :count] = scene.class_ids
    for name in ("visible", "sounding", "level"):
        files[name][index, :, :count] = getattr(scene, name)


def _compressed(frames: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Half of the clips have been through a lossy camera or codec, as real ones have."""
    if rng.random() < 0.5:
        return frames
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 95))]
    worn = np.empty_like(frames)
    for i, frame in enumerate(frames):
        decoded = cv2.imdecode(cv2.imencode(".jpg", frame, quality)[1], cv2.IMREAD_COLOR)
        assert decoded is not None, "OpenCV reads what it wrote"
        worn[i] = decoded
    return worn


class Pool:
    """A rendered pool, mapped; every process of a run opens its own."""

    def __init__(self, folder: Path, config: PoolConfig) -> None:
        self.config = config
        self._files = {name: np.load(folder / f"{name}.npy", "r") for name in _arrays(config)}

    def batches(
        self, config: BatchConfig, seed: int, rank: int
    ) -> Callable[[int], Iterator[Batch]]:
        """Batches from a step on; the same seed, rank and step give the same batch."""

        def from_step(step: int) -> Iterator[Batch]:
            for window in itertools.count(step // config.parts):
                whole = self.batch(config, np.random.default_rng([seed, rank, window]))
                skip = max(step - window * config.parts, 0)
                yield from itertools.islice(whole.parts(config.frames), skip, None)

        return from_step

    def batch(self, config: BatchConfig, rng: np.random.Generator) -> Batch:
        """Draw one batch of clips, all parts in one."""
        clips = [self._cut(config, rng) for _ in range(config.clips)]
        return Batch(
            frames=torch.stack([c.frames[0] for c in clips]),
            audio=torch.stack([c.audio[0] for c in clips]),
            times_s=torch.stack([c.times_s[0] for c in clips]),
            truth=Truth(
                **{
                    name: torch.stack([getattr(c.truth, name)[0] for c in clips])
                    for name in Truth.__dataclass_fields__
                    if name != "ignore"  # all is labelled here
                }
            ),
        )

    def _cut(self, config: BatchConfig, rng: np.random.Generator) -> Batch:
        row = int(rng.integers(self.config.clips))
        length = config.frames * config.parts
        at = int(rng.integers(self.config.frames - length + 1)) + np.arange(length)
        files = {name: file[row] for name, file in self._files.items() if name != "waveform"}
        flip = rng.random() < 0.5
        frames = _recolour(files["frames"][at], config.height, flip, rng)
        ids = files["ids"][at][..., ::-1] if flip else files["ids"][at]
        times_ns = files["times_ns"][at]
        sounding, heard = files["sounding"][at], files["heard"][at].astype(np.float32)
        source, audio = self._sound(config, row, times_ns, rng)
        if source != row:
            sounding = np.zeros_like(sounding)
            # The other clip's frames are at other times.
            heard = np.full_like(heard, 0.0 if source is None else np.nan)
        masks = _cells(ids, frames.shape[-2:])
        # What is smaller than a cell cannot be learned at stride 4.
        visible = torch.from_numpy(files["visible"][at].copy()) & (masks.sum((-2, -1)) >= 1)
        truth = Truth(
            masks=masks[None],
            class_ids=torch.from_numpy(files["class_ids"].copy())[None],
            visible=visible[None].float(),
            sounding=torch.from_numpy(sounding.copy())[None].float(),
            heard=torch.from_numpy(heard)[None],
            level=torch.from_numpy(files["level"][at].copy())[None],
        )
        return Batch(frames[None], audio[None], torch.from_numpy(times_ns / 1e9)[None], truth)

    def sounds(self, config: BatchConfig, count: int, rng: np.random.Generator) -> Batch:
        """Single frames of `count` clips without pictures and masks, for the audio encoder."""
        rows = rng.integers(self.config.clips, size=count)
        frames = rng.integers(self.config.frames, size=count)
        times_ns = self._files["times_ns"][rows, frames]
        windows = [
            self._windows(config, row, now[None], rng)
            for row, now in zip(rows, times_ns, strict=True)
        ]

        def of(name: str) -> Tensor:
            return torch.from_numpy(self._files[name][rows, frames])[:, None]

        truth = Truth(
            masks=torch.zeros(count, 1, MAX_OBJECTS, 0, 0),
            class_ids=torch.from_numpy(self._files["class_ids"][rows]),
            visible=of("visible").float(),
            sounding=of("sounding").float(),
            heard=of("heard").float(),
            level=of("level"),
        )
        pictures = torch.zeros(count, 1, 3, 0, 0, dtype=torch.uint8)
        times_s = torch.from_numpy(times_ns / 1e9)[:, None]
        return Batch(pictures, torch.stack(windows), times_s, truth)

    def _sound(
        self, config: BatchConfig, row: int, times_ns: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[int | None, Tensor]:
        """Whose sound is heard (None: digital silence), and its windows (T, 15360)."""
        draw = rng.random()
        if draw < config.muted:
            return None, torch.zeros(len(times_ns), WINDOW_SAMPLES)
        source = row
        if draw < config.muted + config.mismatched:
            source = self._mismatched(row, rng)
        if rng.random() < config.delayed:
            times_ns = times_ns - int(rng.uniform(0, config.max_delay_s) * 1e9)
        return source, self._windows(config, source, times_ns, rng)

    def _windows(
        self, config: BatchConfig, row: int, ends_ns: NDArray[np.int64], rng: np.random.Generator
    ) -> Tensor:
        """(T, 15360) of a clip's sound, louder or softer and with hiss."""
        padded = np.pad(self._files["waveform"][row], (WINDOW_SAMPLES + SAMPLE_RATE, 0))
        start = ends_ns * SAMPLE_RATE // 1_000_000_000 + SAMPLE_RATE
        windows = padded[start[:, None] + np.arange(WINDOW_SAMPLES)]
        windows = windows * (10 ** (rng.uniform(*config.gain_db) / 20) / 32767)
        hiss = rng.standard_normal(windows.shape[1]) * 10 ** rng.uniform(-4.5, -2.5)
        return torch.from_numpy(np.clip(windows + hiss, -1, 1).astype(np.float32))

    def _mismatched(self, row: int, rng: np.random.Generator) -> int:
        """A clip that sounds of nothing that is in view in clip `row`, or `row`."""
        in_view = {int(c) for c in self._files["class_ids"][row] if c >= 0}
        for other in rng.integers(self.config.clips, size=8):
            heard = set(np.flatnonzero(self._files["heard"][other].any(0)).tolist())
            if heard and not heard & in_view:
                return int(other)
        return row


def _recolour(
    frames: NDArray[np.uint8], height: int, flip: bool, rng: np.random.Generator
) -> Tensor:
    """(T, H, W, 3) -> (T, 3, h, w) uint8, shrunk, maybe flipped, channels and light varied."""
    if height != frames.shape[1]:
        width = int(frames.shape[2] * height / frames.shape[1] + 0.5)
        frames = np.stack(
            [cv2.resize(f, (width, height), interpolation=cv2.INTER_AREA) for f in frames]
        )
    if flip:
        frames = frames[:, :, ::-1]
    gain = rng.uniform(0.8, 1.2) * rng.uniform(0.9, 1.1, 3)
    table = np.clip(np.arange(256)[:, None] * gain + rng.uniform(-15, 15), 0, 255).astype(np.uint8)
    coloured = np.stack([table[:, c][frames[..., c]] for c in range(3)], 1)
    return torch.from_numpy(np.ascontiguousarray(coloured))


def _cells(ids: NDArray[np.uint8], size: torch.Size) -> Tensor:
    """(T, H, W) ids -> (T, N, H4, W4) share of each cell of the padded, shrunk frame."""
    height, width = size
    objects = torch.arange(1, MAX_OBJECTS + 1, dtype=torch.uint8)[:, None, None]
    masks = (torch.from_numpy(np.ascontiguousarray(ids))[:, None] == objects).float()
    if masks.shape[-2:] != size:
        masks = F.interpolate(masks, size, mode="area")
    padded = F.pad(masks, (0, -width % STRIDE, 0, -height % STRIDE))
    return F.avg_pool2d(padded, _CELL)
