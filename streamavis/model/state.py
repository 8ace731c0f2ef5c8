"""A stream's past, as one typed dataclass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.export import register_dataclass

from streamavis.errors import StreamStateError
from streamavis.model.memory import Counters, Ring

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["ModelState"]

_MOST = 1 << 53  # frames that a stream may have seen


@dataclass
class ModelState:
    """Everything `StreamAVIS.step` remembers of B streams. Allocated once, written in place."""

    object_rings: list[Ring]  # per object layer, then per audio layer
    video_rings: list[Ring]  # per video decoder layer
    slots: Tensor  # (B, V, C), video queries after the previous frame
    evidence: Tensor  # (B, V, C), how well motion and sound of a slot have agreed
    counters: Counters

    @property
    def streams(self) -> int:
        return self.slots.shape[0]

    def reset(self, streams: Tensor) -> None:
        """Forget everything of the streams where `streams` (B,) is True, in place.

        What the rings, slots and evidence still hold is never read again: the counters say so.

        Raises:
            StreamStateError: `streams` has another length than the state.
        """
        if streams.shape != (self.streams,) or streams.dtype != torch.bool:
            raise StreamStateError(
                f"reset takes a bool mask of shape ({self.streams},), one entry per stream, "
                f"but got {tuple(streams.shape)} {streams.dtype}"
            )
        self.counters.reset(streams)

    def clone(self) -> ModelState:
        """A copy that shares no memory with this one."""
        return self._with(Tensor.clone)

    def view(self, stream: int) -> ModelState:
        """The state of one stream, B = 1, in the same memory: what one changes the other sees."""
        return self._with(lambda kept: kept[stream : stream + 1])

    def select(self, streams: Sequence[int]) -> ModelState:
        """A copy of the state of some streams, in that order."""
        rows = torch.as_tensor(streams, device=self.slots.device)
        return self._with(lambda kept: kept.index_select(0, rows))

    def assign(self, streams: Sequence[int], other: ModelState) -> None:
        """Write the streams of `other` over these, in that order, in place."""
        rows = torch.as_tensor(streams, device=self.slots.device)
        for kept, new in zip(self.tensors(), other.tensors(), strict=True):
            kept.index_copy_(0, rows, new)

    def check(self) -> None:
        """Refuse counters that no past can have: it came from outside.

        Raises:
            StreamStateError: a count is negative or beyond another, or a time is not finite or
                before another; names both.
        """
        c = self.counters
        order = (
            ("written", c.written, "seen", c.seen),
            ("start_s", c.start_s, "last_s", c.last_s),
        )
        for low_name, low, high_name, high in order:
            if not bool((low <= high).all()):
                raise StreamStateError(
                    f"the past's {low_name} is {low.tolist()}, which is beyond its {high_name} "
                    f"{high.tolist()}"
                )
        for name in ("written", "seen", "last_tick"):
            count = getattr(c, name)
            if not bool(((count >= 0) & (count <= _MOST)).all()):
                raise StreamStateError(
                    f"the past's {name} is {count.tolist()}, expected 0 to {_MOST}"
                )
        for name in ("start_s", "last_s"):
            time_s = getattr(c, name)
            if not bool(time_s.isfinite().all()):
                raise StreamStateError(f"the past's {name} is {time_s.tolist()}, expected seconds")

    def _with(self, change: Callable[[Tensor], Tensor]) -> ModelState:
        def rings(kept: list[Ring]) -> list[Ring]:
            return [Ring(change(ring.keys), change(ring.values)) for ring in kept]

        return ModelState(
            rings(self.object_rings),
            rings(self.video_rings),
            change(self.slots),
            change(self.evidence),
            Counters(*map(change, self.counters.tensors())),
        )

    def tensors(self) -> list[Tensor]:
        """Every tensor of the state, always in the same order."""
        rings = [*self.object_rings, *self.video_rings]
        kept = [t for ring in rings for t in (ring.keys, ring.values)]
        return [*kept, self.slots, self.evidence, *self.counters.tensors()]

    @property
    def nbytes(self) -> int:
        """Memory of the state in bytes, all streams together."""
        return sum(t.numel() * t.element_size() for t in self.tensors())


# `torch.export` takes `StreamAVIS.step`, whose state is an argument that it changes.
for _kind in (ModelState, Ring, Counters):
    register_dataclass(_kind)
