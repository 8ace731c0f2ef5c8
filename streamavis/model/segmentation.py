"""A recording to scored masks, with the memory of a few frames however long it is.

T frames, V video queries, C channels, H W source pixels, h w network pixels, H4 W4 cells of the
stride-4 grid over the padded network picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from streamavis_kernels import frame_prep, mask_post, run_lengths
from torch import Tensor

from streamavis.errors import ModelOutputError, ShapeError
from streamavis.masks import decode, from_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from streamavis.model.avism import AVISM
    from streamavis.types import Rle

__all__ = ["Candidates", "Pace", "Segmenter", "Segments", "Sizes", "network_size", "segment"]

_LONGEST_SIDE = 1333  # network pixels
_STRIDE = 4
_IN_MEMORY = 1 << 26  # bytes of mask features; more goes to disk


@dataclass(frozen=True)
class Pace:
    """How much is computed at once; it does not change the results."""

    chunk: int  # frames per run of the network
    frames: int  # whose masks are computed together
    masks: int  # of full size that are computed together


# What stays in a core's cache, and what fills a GPU.
_CPU, _GPU = Pace(1, 1, 4), Pace(18, 1, 32)


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
class Sizes:
    """Of one recording's pictures and maps."""

    source: tuple[int, int]
    network: tuple[int, int]
    features: torch.Size  # (H4, W4, C)


def network_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """(height, width) a picture is resized to: aspect kept, long side 1333 at most."""
    scale = min(short_side / min(height, width), _LONGEST_SIDE / max(height, width))
    return max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))


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
    """Find the sounding objects of a recording of any length, with a mask per frame.

    Memory grows with the recording only by its queries and run-length masks. Mask features of more
    than a few seconds wait in a temporary file (15 MiB a frame at 360x640). Masks are computed only
    for queries whose class probability is above `threshold`.

    Args:
        model: in evaluation mode.
        frames: (H, W, 3) uint8 RGB, all of one size, a second apart; taken one by one and
            resized to `config.short_side`.
        audio_features: (T, A) float, as `AVISM.forward`; one row per frame.
        threshold: keep scores above it; a score is class probability times mask quality.
        top: pairs of query and class that are considered; a query may be in several.
        chunk: frames per run of the network; it does not change the results. By default 1 on a
            CPU, whose caches it fits, and 18 elsewhere.
        progress: called with the stage ("seeing", then "drawing") and the frames it has done.

    Raises:
        ShapeError: frames differ in size or are not RGB, or their number is not that of the
            rows of `audio_features`.
        ModelOutputError: the weights are damaged.
    """
    run = Segmenter(model, threshold=threshold, top=top, chunk=chunk, progress=progress)
    return run.segment(frames, audio_features)


class Segmenter:
    """An offline network and how it is run over a recording; see `segment`."""

    def __init__(
        self,
        model: AVISM,
        *,
        threshold: float = 0.3,
        top: int = 100,
        chunk: int | None = None,
        progress: Callable[[str, int], None] = lambda stage, frames: None,
    ) -> None:
        """Prepare a run; the arguments are those of `segment`."""
        self.model = model
        self.threshold, self.top, self.progress = threshold, top, progress
        pace = self.pace(model.device)
        self._pace = replace(pace, chunk=chunk or pace.chunk)

    def pace(self, device: torch.device) -> Pace:
        """What suits a device."""
        return _CPU if device.type == "cpu" else _GPU

    def candidates(self, class_logits: Tensor) -> tuple[Candidates, NDArray[np.int64]]:
        """Choose what may be found, and the queries whose masks are computed for it.

        Args:
            class_logits: (V, K+1)
        """
        found = Candidates.of(class_logits, self.threshold, self.top)
        return found, np.unique(found.queries)

    def encode(self, logits: Tensor, sizes: Sizes) -> list[list[Rle]]:
        """(V, n, h, w) mask logits -> V of n masks of source size."""
        kept = torch.arange(len(logits), device=logits.device)
        encoded: list[list[Rle]] = [[] for _ in logits]
        for frame in logits.unbind(1):
            post = mask_post(frame, kept, sizes.network, sizes.source)
            for rles, runs in zip(encoded, run_lengths(post, sizes.source), strict=True):
                rles.append(from_runs(runs, sizes.source))
        return encoded

    @torch.inference_mode()
    def segment(self, frames: Iterable[NDArray[np.uint8]], audio_features: Tensor) -> Segments:
        """Segment a recording; see `segment`."""
        model, pace = self.model, self._pace
        audio_features = audio_features.to(model.device)
        with SpooledTemporaryFile(max_size=_IN_MEMORY) as spool:
            queries, sizes = self._see(frames, audio_features, spool)
            with model.computing():
                found = model.read(model.track(torch.cat(queries)[None], audio_features[None]))
            candidates, rows = self.candidates(found.class_logits[0].float())
            masks = _Masks(found.mask_embed[0].float(), rows, sizes, pace.masks)
            spool.seek(0)
            count = len(audio_features)
            for t in range(0, count, pace.frames):
                n = min(pace.frames, count - t)
                masks.add(_read(spool, torch.Size((n, *sizes.features))), self.encode)
                self.progress("drawing", t + n)
        return candidates.select(masks, self.threshold)

    def _see(
        self,
        frames: Iterable[NDArray[np.uint8]],
        audio_features: Tensor,
        spool: SpooledTemporaryFile[bytes],
    ) -> tuple[list[Tensor], Sizes]:
        """Frame queries of every chunk; the mask features go to `spool`."""
        model = self.model
        queries: list[Tensor] = []
        done, sizes = 0, None
        for pictures in _chunks(frames, self._pace.chunk):
            if done + len(pictures) > len(audio_features):
                raise ShapeError(
                    f"audio_features has {len(audio_features)} rows for more frames than that; "
                    "give one row per frame"
                )
            small = _resized(pictures, model.config.short_side, model.device)
            with model.computing():
                features, found = model.locate(small, audio_features[done : done + len(pictures)])
                queries.append(model.localizer.norm(found.queries[-1]))
                maps = model.video_mask_features(features.stride4).permute(0, 2, 3, 1).float()
            spool.write(maps.contiguous().cpu().numpy().data)
            height, width = small.shape[-2:]
            sizes = Sizes(pictures.shape[1:3], (height, width), maps.shape[1:])
            done += len(pictures)
            self.progress("seeing", done)
        if sizes is None or done != len(audio_features):
            raise ShapeError(
                f"audio_features has {len(audio_features)} rows for {done} frames; give at least "
                "one frame, and one row for each"
            )
        return queries, sizes


@dataclass
class Candidates:
    """Pairs of a query and a class whose score alone does not rule them out."""

    queries: NDArray[np.int64]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]

    @staticmethod
    def of(class_logits: Tensor, threshold: float, top: int) -> Candidates:
        """The `top` likeliest pairs of (V, K+1) whose class probability is above `threshold`."""
        if not class_logits.isfinite().all():
            raise ModelOutputError(
                "the model gave NaN or infinity as class scores; its weights are damaged"
            )
        scores = class_logits.softmax(-1)[:, :-1]
        best, places = scores.flatten().topk(min(top, scores.numel()))
        # A mask's quality is a mean probability, 1 at most.
        queries, labels = np.divmod(places[best > threshold].cpu().numpy(), scores.shape[1])
        kept = best[best > threshold].double().cpu().numpy()
        return Candidates(queries, labels, kept)

    def select(self, masks: _Masks, threshold: float) -> Segments:
        """Those whose score, with mask quality, is above `threshold`, best first."""
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
    """Masks of a few queries: computed frame by frame, measured, and kept as run lengths."""

    def __init__(
        self, mask_embed: Tensor, queries: NDArray[np.int64], sizes: Sizes, at_once: int
    ) -> None:
        """Prepare those of `queries`, in rising order; `at_once` are computed together."""
        self.queries = np.sort(queries)
        self.sizes = sizes
        self.rles: list[list[Rle]] = [[] for _ in queries]
        self._embed = mask_embed[self.queries]
        self._at_once = at_once
        # Over the pixels inside: probability - 0.5, summed, and their number.
        self._above_half = np.zeros(len(queries))
        self._area = np.zeros(len(queries))

    def add(self, features: Tensor, encode: Callable[[Tensor, Sizes], list[list[Rle]]]) -> None:
        """Add the next frames, (n, H4, W4, C)."""
        features = features.to(self._embed.device)
        height, width = self.sizes.network
        grid = features.shape[:3]
        padded = (_STRIDE * grid[1], _STRIDE * grid[2])
        logits = (self._embed @ features.flatten(0, 2).T).unflatten(1, grid)
        for start in range(0, len(logits), self._at_once):
            rows = slice(start, start + self._at_once)
            large = _scaled(logits[rows], padded)[..., :height, :width]
            for rles, encoded in zip(self.rles[rows], encode(large, self.sizes), strict=True):
                rles += encoded
            inside = (large > 0).cpu().numpy()
            # Zero outside, exactly.
            above_half = large.clamp_min_(0).sigmoid_().sub_(0.5)
            self._above_half[rows] += above_half.sum((1, 2, 3)).cpu().numpy()
            self._area[rows] += [np.count_nonzero(mask) for mask in inside]

    def qualities(self) -> NDArray[np.float64]:
        return (self._above_half + 0.5 * self._area) / (self._area + 1e-6)


def _scaled(logits: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(logits, size, mode="bilinear", align_corners=False)


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
