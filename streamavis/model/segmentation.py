"""A recording to scored masks, with the memory of a few frames however long it is.

T frames, V video queries, C channels, H W source pixels, h w network pixels, H4 W4 cells of the
stride-4 grid over the padded network picture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from streamavis_kernels import frame_prep, mask_post, run_lengths
from torch import Tensor

from streamavis.errors import ModelOutputError, ShapeError
from streamavis.masks import decode, encode, from_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from streamavis.model.avism import AVISM
    from streamavis.types import Rle

__all__ = ["Segments", "network_size", "segment"]

_LONGEST_SIDE = 1333  # network pixels
_STRIDE = 4
_IN_MEMORY = 1 << 26  # bytes of mask features; what is more goes to disk


@dataclass(frozen=True)
class _Pace:
    """How much is done at once; the results are the same."""

    chunk: int  # frames put through the network
    frames: int  # drawn
    masks: int  # drawn, of full size
    published: bool  # draw all candidates, those too whose class scores too low, in PyTorch


# What stays in a core's cache; what fills a GPU; what the published code does.
_CPU, _GPU = _Pace(1, 1, 4, published=False), _Pace(18, 1, 32, published=False)
_PUBLISHED = _Pace(18, 5, 100, published=True)


@dataclass
class Segments:
    """The sounding objects of a recording, best first."""

    scores: NDArray[np.float64]  # (N,), class score times mask quality
    labels: NDArray[np.int64]  # (N,), rows of the configuration's classes
    queries: NDArray[np.int64]  # (N,), the video query each came from
    class_scores: NDArray[np.float64]  # (N,)
    qualities: NDArray[np.float64]  # (N,), mean probability within the mask
    rles: list[list[Rle]]  # N of T, of source size; silent or absent is an empty mask
    size: tuple[int, int]  # H, W

    def __len__(self) -> int:
        return len(self.scores)

    def mask(self, index: int, frame: int) -> NDArray[np.bool_]:
        """(H, W) of one object in one frame, decoded on every call."""
        return decode(self.rles[index][frame])

    def masks(self, index: int) -> NDArray[np.bool_]:
        """(T, H, W) of one object, decoded on every call."""
        return np.stack([decode(rle) for rle in self.rles[index]])


@dataclass(frozen=True)
class _Sizes:
    source: tuple[int, int]
    network: tuple[int, int]
    features: torch.Size  # (H4, W4, C)


def network_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) a picture is resized to: aspect kept, long side 1333 at most."""
    scale = min(short_side / min(height, width), _LONGEST_SIDE / max(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


@torch.inference_mode()
def segment(
    model: AVISM,
    frames: Iterable[NDArray[np.uint8]],
    audio_features: Tensor,
    *,
    threshold: float = 0.3,
    top: int = 100,
    chunk: int | None = None,
    progress: Callable[[str, int], None] = lambda stage, frames: None,
) -> Segments:
    """Segment a recording; see `AVISM.segment`."""
    device = model.device
    pace = _PUBLISHED if model.compat else _CPU if device.type == "cpu" else _GPU
    spool = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115, closed below
    with spool:
        queries: list[Tensor] = []
        done, sizes = 0, None
        audio_features = audio_features.to(device)
        for pictures in _chunks(frames, chunk or pace.chunk):
            if done + len(pictures) > len(audio_features):
                raise ShapeError(
                    f"audio_features has {len(audio_features)} rows for more frames than that; "
                    "give one row per frame"
                )
            small = _resized(pictures, model.config.short_side, device)
            with model.computing():
                features, found = model.locate(small, audio_features[done : done + len(pictures)])
                queries.append(model.localizer.norm(found.queries[-1]))
                maps = model.video_mask_features(features.stride4).permute(0, 2, 3, 1).float()
            spool.write(maps.contiguous().cpu().numpy().data)
            height, width = small.shape[-2:]
            sizes = _Sizes(pictures.shape[1:3], (height, width), maps.shape[1:])
            done += len(pictures)
            progress("seeing", done)
        if sizes is None or done != len(audio_features):
            raise ShapeError(
                f"audio_features has {len(audio_features)} rows for {done} frames; give at least "
                "one frame, and one row for each"
            )
        with model.computing():
            prediction = model.read(model.track(torch.cat(queries)[None], audio_features[None]))
        least = -math.inf if pace.published else threshold
        candidates = _Candidates.of(prediction.class_logits[0].float(), least, top)
        drawn = candidates.queries if pace.published else np.unique(candidates.queries)
        masks = _Masks(prediction.mask_embed[0].float(), np.sort(drawn), sizes, pace)
        spool.seek(0)
        for t in range(0, done, pace.frames):
            count = min(pace.frames, done - t)
            masks.add(_read(spool, torch.Size((count, *sizes.features))))
            progress("drawing", t + count)
    return candidates.select(masks, threshold)


@dataclass
class _Candidates:
    """Pairs of a query and a class whose score alone does not rule them out."""

    queries: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]

    @staticmethod
    def of(class_logits: Tensor, threshold: float, top: int) -> _Candidates:
        if not class_logits.isfinite().all():
            raise ModelOutputError(
                "the model gave NaN or infinity as class scores; its weights are damaged"
            )
        scores = class_logits.softmax(-1)[:, :-1]
        best, places = scores.flatten().topk(min(top, scores.numel()))
        # A mask's quality is a mean probability, 1 at most.
        queries, labels = np.divmod(places[best > threshold].cpu().numpy(), scores.shape[1])
        kept = best[best > threshold].double().cpu().numpy()
        return _Candidates(queries, labels, kept)

    def select(self, masks: _Masks, threshold: float) -> Segments:
        rows = np.searchsorted(masks.queries, self.queries)
        qualities = masks.qualities()[rows]
        scores = self.scores * qualities
        order = np.argsort(-scores, kind="stable")
        order = order[scores[order] > threshold]
        return Segments(
            scores=scores[order],
            labels=self.labels[order],
            queries=self.queries[order],
            class_scores=self.scores[order],
            qualities=qualities[order],
            rles=[masks.rles[row] for row in rows[order]],
            size=masks.sizes.source,
        )


class _Masks:
    """Masks of a few queries, frame by frame: drawn, measured, and kept as run lengths."""

    def __init__(
        self, mask_embed: Tensor, queries: NDArray[np.int64], sizes: _Sizes, pace: _Pace
    ) -> None:
        """Prepare those of `queries`, in order."""
        self.queries = queries
        self.sizes = sizes
        self.rles: list[list[Rle]] = [[] for _ in queries]
        self._embed = mask_embed[queries]
        self._at_once = pace.masks
        self._published = pace.published
        # Over the pixels inside: probability - 0.5, summed, and their number.
        self._above_half = np.zeros(len(queries))
        self._area = np.zeros(len(queries))

    def add(self, features: Tensor) -> None:
        """Draw the next frames, (n, H4, W4, C)."""
        features = features.to(self._embed.device)
        height, width = self.sizes.network
        grid = features.shape[:3]
        padded = [_STRIDE * side for side in grid[1:]]
        logits = (self._embed @ features.flatten(0, 2).T).unflatten(1, grid)
        for start in range(0, len(logits), self._at_once):
            rows = slice(start, start + self._at_once)
            large = _scaled(logits[rows], padded)[..., :height, :width]
            for rles, drawn in zip(self.rles[rows], self._draw(large), strict=True):
                rles += drawn
            inside = (large > 0).cpu().numpy()
            # Zero outside, exactly.
            above_half = large.clamp_min_(0).sigmoid_().sub_(0.5)
            self._above_half[rows] += above_half.sum((1, 2, 3)).cpu().numpy()
            self._area[rows] += [np.count_nonzero(mask) for mask in inside]

    def _draw(self, large: Tensor) -> list[list[Rle]]:
        """(V, n, h, w) logits -> V of n masks of source size."""
        size = self.sizes.source
        if self._published:
            masks = _scaled(large, size) if size != self.sizes.network else large
            return [[encode(mask) for mask in frames] for frames in (masks > 0).cpu().numpy()]
        kept = torch.arange(len(large), device=large.device)
        drawn: list[list[Rle]] = [[] for _ in large]
        for logits in large.unbind(1):
            post = mask_post(logits, kept, self.sizes.network, size)
            for rles, runs in zip(drawn, run_lengths(post, size), strict=True):
                rles.append(from_runs(runs, size))
        return drawn

    def qualities(self) -> NDArray[np.float64]:
        return (self._above_half + 0.5 * self._area) / (self._area + 1e-6)


def _scaled(logits: Tensor, size: list[int] | tuple[int, int]) -> Tensor:
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)


def _chunks(frames: Iterable[NDArray[np.uint8]], size: int) -> Iterator[NDArray[np.uint8]]:
    """(n, H, W, 3) pieces of n <= size frames, checked."""
    waiting: list[NDArray[np.uint8]] = []
    shape = None
    for index, frame in enumerate(frames):
        shape = frame.shape if shape is None else shape
        good = frame.ndim == 3 and frame.shape[2] == 3 and frame.size and frame.dtype == np.uint8
        if not good or frame.shape != shape:
            raise ShapeError(
                f"frame {index} must be uint8 RGB (H, W, 3), all of one size, the first "
                f"{shape}, but got {frame.dtype} {frame.shape}"
            )
        waiting.append(frame)
        if len(waiting) == size:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)


def _resized(pictures: NDArray[np.uint8], short_side: int, device: torch.device) -> Tensor:
    """(n, H, W, 3) -> (n, 3, h, w) as PIL's antialiased bilinear does, within one grey level."""
    frames = torch.from_numpy(pictures).to(device)
    size = network_size(frames.shape[1], frames.shape[2], short_side)
    if size == tuple(frames.shape[1:3]):
        return frames.permute(0, 3, 1, 2)
    return frame_prep(frames, size, dtype=torch.uint8, channels_last=True)


def _read(spool: SpooledTemporaryFile[bytes], shape: torch.Size) -> Tensor:
    data = bytearray(4 * shape.numel())
    spool.readinto(data)
    return torch.frombuffer(data, dtype=torch.float32).view(shape)
