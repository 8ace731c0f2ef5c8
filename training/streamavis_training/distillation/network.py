"""The student as it is distilled: both contexts in one pass, its queries in the teacher's space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from streamavis.model import StreamAVIS

if TYPE_CHECKING:
    from streamavis.model import ClipOutput, ModelState, StreamAVISConfig

__all__ = ["DistillNet", "DistillOutput"]

_PROJECTION = "query_projection."


@dataclass
class DistillOutput:
    """A clip seen causally, and with later frames in view."""

    causal: ClipOutput
    full: ClipOutput | None
    queries: Tensor  # (B, T, V, teacher's C), of the causal output
    full_queries: Tensor | None


class DistillNet(StreamAVIS):
    """A StreamAVIS whose `forward` returns the tensors that distillation compares.

    The projection of its queries is trained with it and is no part of the file it is saved to.
    """

    def __init__(
        self, config: StreamAVISConfig, teacher_channels: int, *, full_context: bool = True
    ) -> None:
        """Build it.

        Args:
            config: of the student; teacher_channels: of the teacher's video queries.
            full_context: also see each clip with later frames in view.
        """
        super().__init__(config)
        self.full_context = full_context
        self.query_projection = nn.Linear(config.channels, teacher_channels)
        if config.channels == teacher_channels:
            nn.init.eye_(self.query_projection.weight)
            nn.init.zeros_(self.query_projection.bias)

    def forward(  # type: ignore[override]
        self,
        frames: Tensor,
        audio: Tensor,
        times_s: Tensor,
        *,
        reset: Tensor | None = None,
        state: ModelState | None = None,
    ) -> DistillOutput:
        """As `StreamAVIS.forward`."""
        if not self.full_context:
            causal = super().forward(frames, audio, times_s, reset=reset, state=state)
            queries = self.query_projection(causal.video_queries)
            return DistillOutput(causal, None, queries, None)
        causal, full = self.forward_dual(frames, audio, times_s, reset=reset, state=state)
        return DistillOutput(
            causal,
            full,
            self.query_projection(causal.video_queries),
            self.query_projection(full.video_queries),
        )

    def advance(self, frames: Tensor, audio: Tensor, times_s: Tensor, active: Tensor) -> ModelState:
        """The state after frames that are not learned from; arguments as `StreamAVIS.forward`."""
        return super().forward(frames, audio, times_s, active=active).state

    def student(self) -> StreamAVIS:
        """A plain StreamAVIS with these weights, in evaluation mode."""
        network = StreamAVIS(self.config)
        weights = {k: v for k, v in self.state_dict().items() if not k.startswith(_PROJECTION)}
        network.load_state_dict(weights)
        return network.to(self.query_projection.weight.device).eval().requires_grad_(False)
