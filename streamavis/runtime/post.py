"""The model's output to what a reader sees: sightings for the track book, then full masks.

Masks of full size are drawn for tracks that are reported, where the model is; only their run
lengths and measures come to the host.

B streams, V slots, K classes, C channels, H W source pixels, h w network pixels, H4 W4 cells of
the stride-4 grid over the padded network picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from streamavis_kernels import mask_post, run_lengths

from streamavis.errors import ModelOutputError
from streamavis.masks import from_runs
from streamavis.runtime.tracks import Sightings
from streamavis.types import MASK_STRIDE, Track

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from streamavis.runtime.tracks import Tracked

__all__ = ["ExtraOutput", "HostSlots", "SlotOutput", "report", "to_host"]


class SlotOutput(Protocol):
    """The part of the model's `StepOutput` that becomes a result, B = 1."""

    @property
    def class_logits(self) -> Tensor: ...  # (B, V, K+1), last = no object
    @property
    def mask_logits(self) -> Tensor: ...  # (B, V, H4, W4)
    @property
    def sounding_logits(self) -> Tensor: ...  # (B, V)
    @property
    def visible_logits(self) -> Tensor | None: ...  # (B, V)
    @property
    def identity(self) -> Tensor: ...  # (B, V, C)
    @property
    def heard_logits(self) -> Tensor | None: ...  # (B, K)


@runtime_checkable
class ExtraOutput(Protocol):
    """A model's output with further heads, each with an entry of its own name.

    An entry reaches `Track.extra` and the wire as it is here: a head applies its own activation.
    """

    @property
    def extra(self) -> Mapping[str, Tensor]: ...  # (B, V) or (B, V, n)


@dataclass
class HostSlots:
    """One frame's slots on the host."""

    class_probs: NDArray[np.float32]  # (V, K)
    mask_logits: NDArray[np.float32]  # (V, cells, cells) of the picture without its padding
    identity: NDArray[np.float32]  # (V, C)
    sounding: NDArray[np.float32]  # (V,) 0..1
    visible: NDArray[np.float32] | None  # (V,) 0..1
    heard: NDArray[np.float32] | None  # (K,) 0..1: a sound of the class is in the air
    extra: dict[str, NDArray[np.float32]]  # (V,) or (V, n), of further heads
    network_size: tuple[int, int]  # h, w
    grid: Tensor  # (V, H4, W4), the mask logits where the model left them

    def sightings(self, *, hears: bool) -> Sightings:
        """What the track book needs; without hearing, `sounding` is unknown.

        A score is the best class probability times the mean probability inside the mask: sure of
        what and sure of where.
        """
        masks = self.mask_logits > 0
        scores = np.zeros(len(masks), np.float32)
        for slot in np.flatnonzero(masks.any(axis=(1, 2))):
            inside = self.mask_logits[slot][masks[slot]]
            scores[slot] = self.class_probs[slot].max() * (1 / (1 + np.exp(-inside))).mean()
        return Sightings(
            scores=scores,
            class_probs=self.class_probs,
            masks=masks,
            embeddings=self.identity,
            sounding=self.sounding if hears else None,
            visible=self.visible,
        )


def to_host(output: SlotOutput, network_size: tuple[int, int]) -> HostSlots:
    """Bring one stream's slots to the host in a single copy.

    Args:
        output: of one step, B = 1.
        network_size: (h, w) of the picture before padding.

    Raises:
        ModelOutputError: a value is NaN or infinite.
    """
    cells = [-(-side // MASK_STRIDE) for side in network_size]
    parts = {
        "class": output.class_logits[0].float().softmax(-1)[:, :-1],
        "mask": output.mask_logits[0, :, : cells[0], : cells[1]],
        "identity": output.identity[0],
        "sounding": output.sounding_logits[0].sigmoid(),
    }
    if output.visible_logits is not None:
        parts["visible"] = output.visible_logits[0].sigmoid()
    if output.heard_logits is not None:
        parts["heard"] = output.heard_logits[0].sigmoid()
    extra = output.extra if isinstance(output, ExtraOutput) else {}
    parts |= {f"extra {name}": values[0] for name, values in extra.items()}
    packed = torch.cat([part.float().reshape(-1) for part in parts.values()]).cpu().numpy()
    if not np.isfinite(packed).all():
        broken = [name for name, part in parts.items() if not part.isfinite().all()]
        raise ModelOutputError(
            f"the model gave NaN or infinity for {', '.join(broken)}; "
            "its weights are damaged or do not fit this model"
        )
    ends = np.cumsum([part.numel() for part in parts.values()])[:-1]
    arrays = {
        name: array.reshape(part.shape)
        for (name, part), array in zip(parts.items(), np.split(packed, ends), strict=True)
    }
    return HostSlots(
        class_probs=arrays["class"],
        mask_logits=arrays["mask"],
        identity=arrays["identity"],
        sounding=arrays["sounding"],
        visible=arrays.get("visible"),
        heard=arrays.get("heard"),
        extra={name: arrays[f"extra {name}"] for name in extra},
        network_size=network_size,
        grid=output.mask_logits[0],
    )


def report(
    slots: HostSlots, tracked: Sequence[Tracked], size: tuple[int, int], classes: Sequence[str]
) -> list[Track]:
    """Give each tracked object its mask in the (H, W) source picture.

    A track whose mask has no source pixel is left out.
    """
    height, width = slots.network_size
    kept = torch.tensor([seen.slot for seen in tracked], dtype=torch.int64)
    extent = height / MASK_STRIDE, width / MASK_STRIDE
    post = mask_post(slots.grid, kept.to(slots.grid.device), extent, size)
    stats = post.stats.tolist()
    tracks = []
    for seen, measured, runs in zip(tracked, stats, run_lengths(post, size), strict=True):
        area, left, top, right, bottom, sum_x, sum_y = measured
        if area == 0:
            continue
        tracks.append(
            Track(
                id=seen.id,
                label=classes[seen.class_id],
                class_id=seen.class_id,
                score=seen.score,
                sounding=seen.sounding,
                visible=seen.visible,
                box=(left, top, right - left + 1, bottom - top + 1),
                centroid=(sum_x / area, sum_y / area),
                area=area,
                rle=from_runs(runs, size),
                extra={name: values[seen.slot].tolist() for name, values in slots.extra.items()},
            )
        )
    return tracks
