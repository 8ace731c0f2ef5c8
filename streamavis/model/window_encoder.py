"""Object encoder of the offline network: attention within windows of frames, every other shifted.

B clips, T frames, Q object tokens a frame, C channels, W frames of a window.
Windows are cut, never padded: what the reference masks away is not computed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from streamavis.layers import Attention, FeedForward

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WindowLayer", "WindowedObjectEncoder", "spans"]

_WINDOWS_AT_ONCE = 8


def spans(frames: int, window: int, first: int) -> Iterator[tuple[int, int, int]]:
    """Cut `frames` into a first window of `first` frames, whole ones, and the rest.

    Yields:
        (start, end, size): frames start..end are windows of `size`. Never empty.
    """
    lead = min(first, frames)
    whole = lead + (frames - lead) // window * window
    for start, end, size in ((0, lead, lead), (lead, whole, window), (whole, frames, 0)):
        if end > start:
            yield start, end, size or end - start


class WindowLayer(nn.Module):
    """Attention to all tokens of the same window, then feed-forward; both post-norm."""

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(channels, heads)
        self.norm = nn.LayerNorm(channels)
        self.feed_forward = FeedForward(channels, hidden)

    def forward(self, x: Tensor, tokens: Tensor, window: int, first: int) -> Tensor:
        """Let the rows of a frame look at the tokens of its window.

        Args:
            x: (B, T, R, C), R rows a frame; tokens: (B, T, Q, C).
            window: frames; first: frames of the first window, 0 for a whole one.

        Returns:
            (B, T, R, C)
        """
        pieces = []
        for start, end, size in spans(x.shape[1], window, first):
            rows, seen = (
                y[:, start:end].unflatten(1, (-1, size)).flatten(0, 1).flatten(1, 2)
                for y in (x, tokens)
            )
            # A few at a time: what a long clip takes in between does not grow with it.
            parts = zip(rows.split(_WINDOWS_AT_ONCE), seen.split(_WINDOWS_AT_ONCE), strict=True)
            done = torch.cat([self._attend(*part) for part in parts])
            pieces.append(done.reshape(x.shape[0], end - start, *x.shape[2:]))
        return torch.cat(pieces, 1)

    def _attend(self, rows: Tensor, seen: Tensor) -> Tensor:
        return self.feed_forward(self.norm(rows + self.attention(rows, seen, seen)))


class WindowedObjectEncoder(nn.Module):
    """Object layers, then VL-AVFM: one audio token per frame gathers what its window shows."""

    def __init__(
        self,
        channels: int,
        audio_channels: int,
        *,
        layers: int,
        heads: int,
        hidden: int,
        window: int,
        fusion: bool,
    ) -> None:
        super().__init__()
        self.window = window
        self.project = nn.Linear(channels, channels)
        self.layers = nn.ModuleList(WindowLayer(channels, heads, hidden) for _ in range(layers))
        self.audio = nn.Linear(audio_channels, channels) if fusion else None
        self.audio_layers = nn.ModuleList(
            WindowLayer(channels, heads, hidden) for _ in range(layers if fusion else 0)
        )

    def forward(self, frame_queries: Tensor, audio: Tensor, *, shift: bool) -> Tensor:
        """Place objects in time and sound.

        Args:
            frame_queries: (B, T, Q, C); audio: (B, T, A).
            shift: shift the windows of every other object layer by half. Those of the audio
                layers always are.

        Returns:
            object_tokens (B, T, Q, C)
        """
        x = self.project(frame_queries)
        half = self.window // 2
        for i, layer in enumerate(self.layers):
            x = layer(x, x, self.window, half if shift and i % 2 else 0)
        if self.audio is None:
            return x
        heard = self.audio_tokens(self.audio(audio), x)
        for i, layer in enumerate(self.audio_layers):
            heard = layer(heard, x, self.window, half if i % 2 else 0)
        return x + heard

    def audio_tokens(self, projected: Tensor, object_tokens: Tensor) -> Tensor:
        """The audio layers' queries: one token per frame.

        Args:
            projected: (B, T, C); object_tokens: (B, T, Q, C).

        Returns:
            (B, T, 1, C)
        """
        return projected[:, :, None]
