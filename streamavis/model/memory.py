"""What a stream remembers: rings of keys and values, and the plan of who sees what.

B streams, T frames of a clip, W remembered frames, P = pin_first + W places of a ring, N tokens a
frame keeps, C channels, M heads, S sinks.

Frame number n that is written to memory lies at place n for n < pin_first and at
pin_first + (n - pin_first) mod W after that. `step` reads the ring; `forward` reads the ring it
was handed plus the frames of its own clip under a mask. Both follow one `MemoryPlan`, and the
laws of tests/model say that they agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from streamavis.layers import Attention

__all__ = ["Counters", "MemoryAttention", "MemoryPlan", "MemoryRules", "Ring", "plan_clip"]

_UNSEEN = -1


@dataclass(frozen=True)
class MemoryRules:
    """How long memory is and how often it is written."""

    window: int  # W, remembered frames
    sinks: int  # learned rows per layer that every frame attends to
    stride_s: float  # seconds between remembered frames
    pin_first: int = 0  # remembered frames that are never evicted, besides the window

    @property
    def places(self) -> int:
        return self.window + self.pin_first

    @property
    def ages(self) -> int:
        """Distinct positions a frame can be seen at: itself, 1..W back, each pinned place."""
        return 1 + self.window + self.pin_first


@dataclass
class Ring:
    """Keys and values of the frames one layer remembers. Written in place."""

    keys: Tensor  # (B, P, N, C)
    values: Tensor  # (B, P, N, C)


@dataclass
class Counters:
    """Where each stream is in time. One fact, one field."""

    written: Tensor  # (B,) int64, frames written to memory since the last reset
    seen: Tensor  # (B,) int64, active frames since the last reset
    start_s: Tensor  # (B,) float64, time of the first of them
    last_s: Tensor  # (B,) float64, time of the latest
    last_tick: Tensor  # (B,) int64, memory stride the last write belongs to

    @classmethod
    def fresh(cls, streams: int, device: torch.device) -> Counters:
        def whole() -> Tensor:
            return torch.zeros(streams, dtype=torch.int64, device=device)

        def seconds() -> Tensor:
            return torch.zeros(streams, dtype=torch.float64, device=device)

        return cls(whole(), whole(), seconds(), seconds(), whole())

    def reset(self, streams: Tensor) -> None:
        """Start the streams where `streams` (B,) is True anew, in place."""
        for counter in self.tensors():
            counter.masked_fill_(streams, 0)

    def advance(self, times_s: Tensor, active: Tensor, stride_s: float) -> tuple[Tensor, Tensor]:
        """Count one frame, in place.

        Returns:
            write (B,) bool: the frame belongs into memory; gap_s (B,) float64: seconds since the
            stream's previous frame, 0 for its first.
        """
        first = self.seen == 0
        self.start_s.copy_(torch.where(active & first, times_s, self.start_s))
        gap_s = torch.where(first, 0.0, times_s - self.last_s)
        tick = torch.round((times_s - self.start_s) / stride_s).long()
        write = active & (first | (tick > self.last_tick))
        self.last_tick.copy_(torch.where(write, tick, self.last_tick))
        self.last_s.copy_(torch.where(active, times_s, self.last_s))
        self.written.add_(write)
        self.seen.add_(active)
        return write, gap_s

    def tensors(self) -> list[Tensor]:
        return [self.written, self.seen, self.start_s, self.last_s, self.last_tick]

    def clone(self) -> Counters:
        return Counters(*(counter.clone() for counter in self.tensors()))


@dataclass
class MemoryPlan:
    """Who sees whom in a clip, and what the ring holds after it."""

    ages: Tensor  # (B, T, P + T) int64, position key frames are seen at, -1 = not seen
    fresh: Tensor  # (B, T) bool, first frame of its stream since a reset
    active: Tensor  # (B, T) bool
    gap_s: Tensor  # (B, T) float64, seconds since the stream's previous frame
    writes: Tensor  # (B, T) bool
    places: Tensor  # (B, T) int64, ring place of a frame that is written
    counters: Counters  # after the last frame

    def store(self, ring: Ring, keys: Tensor, values: Tensor) -> None:
        """Write the clip's remembered frames into the ring, in place.

        Args:
            ring: the layer's ring.
            keys, values: (B, T, N, C) of all frames of the clip.
        """
        rows = torch.arange(keys.shape[0], device=keys.device)
        for t in range(keys.shape[1]):
            place, write = self.places[:, t], self.writes[:, t, None, None]
            for kept, new in ((ring.keys, keys), (ring.values, values)):
                kept[rows, place] = torch.where(
                    write, new[:, t].detach().to(kept.dtype), kept[rows, place]
                )


def _place(number: Tensor, rules: MemoryRules) -> Tensor:
    rolling = rules.pin_first + (number - rules.pin_first) % rules.window
    return torch.where(number < rules.pin_first, number, rolling)


def _held(written: Tensor, rules: MemoryRules) -> Tensor:
    """(B, P): number of the frame each ring place holds, -1 where it holds none."""
    places = torch.arange(rules.places, device=written.device)
    latest = written[:, None] - 1
    rolling = latest - (latest - places) % rules.window
    number = torch.where(places < rules.pin_first, places, rolling)
    oldest = torch.where(places < rules.pin_first, 0, rules.pin_first)
    return torch.where((number >= oldest) & (number <= latest), number, _UNSEEN)


def _age(number: Tensor, written: Tensor, rules: MemoryRules) -> Tensor:
    """Position at which frame `number` is seen once `written` frames were; -1 when evicted."""
    age = written - number
    rolling = torch.where((age >= 1) & (age <= rules.window), age, _UNSEEN)
    pinned = torch.where(age >= 1, 1 + rules.window + number, _UNSEEN)
    return torch.where(number < rules.pin_first, pinned, rolling)


def plan_clip(
    rules: MemoryRules,
    counters: Counters,
    times_s: Tensor,
    active: Tensor,
    reset: Tensor,
    *,
    full_context: bool = False,
) -> MemoryPlan:
    """Work out who sees whom from times, pauses and resets alone.

    Args:
        rules: the memory's configuration.
        counters: of the carried state; not changed.
        times_s: (B, T) float64; active: (B, T) bool; reset: (B, T) bool, True = the stream forgets
            everything before this frame.
        full_context: a frame also sees the next W frames that the clip will remember, up to the
            next reset, at the age that a past frame of that distance has. For training only.
    """
    steps = times_s.shape[1]
    now = counters.clone()
    held = _held(now.written, rules)  # (B, P)
    carried = torch.ones_like(active[:, 0])
    segment = torch.zeros_like(now.written)
    rows: dict[str, list[Tensor]] = {
        key: [] for key in ("fresh", "gap_s", "writes", "number", "before", "segment", "ring")
    }
    for t in range(steps):
        now.reset(reset[:, t])
        carried = carried & ~reset[:, t]
        segment = segment + reset[:, t]
        before = now.written.clone()
        rows["fresh"].append(now.seen == 0)
        write, gap_s = now.advance(times_s[:, t], active[:, t], rules.stride_s)
        rows["gap_s"].append(gap_s)
        rows["writes"].append(write)
        rows["number"].append(before)
        rows["segment"].append(segment)
        ring = _age(held, before[:, None], rules)
        rows["ring"].append(torch.where(carried[:, None] & (held >= 0), ring, _UNSEEN))
    number, segments, writes = (
        torch.stack(rows[key], 1) for key in ("number", "segment", "writes")
    )
    clip = _age(number[:, None, :], number[:, :, None], rules)  # (B, T query, T key)
    earlier = torch.ones(steps, steps, dtype=torch.bool, device=times_s.device).tril(-1)
    seen = earlier & writes[:, None, :] & (segments[:, None, :] == segments[:, :, None])
    clip = torch.where(seen, clip, _UNSEEN)
    if full_context:
        # The next remembered frame is 1 ahead, whether or not this frame is remembered itself.
        ahead = number[:, None, :] - number[:, :, None] + (~writes).long()[:, :, None]
        later = torch.ones_like(earlier).triu(1) & writes[:, None, :] & (ahead <= rules.window)
        later = later & (segments[:, None, :] == segments[:, :, None])
        clip = torch.where(later, ahead, clip)
    clip = clip + torch.eye(steps, dtype=clip.dtype, device=clip.device)  # a frame sees itself: 0
    return MemoryPlan(
        ages=torch.cat([torch.stack(rows["ring"], 1), clip], 2),
        fresh=torch.stack(rows["fresh"], 1),
        active=active,
        gap_s=torch.stack(rows["gap_s"], 1),
        writes=writes,
        places=_place(number, rules),
        counters=now,
    )


class MemoryAttention(nn.Module):
    """Attention from a frame's queries to sinks, remembered frames and the frame itself."""

    def __init__(self, channels: int, heads: int, rules: MemoryRules) -> None:
        super().__init__()
        self.attention = Attention(channels, heads)
        self.age_bias = nn.Parameter(torch.zeros(heads, rules.ages))
        self.sink_keys = nn.Parameter(torch.randn(rules.sinks, channels) * 0.02)
        self.sink_values = nn.Parameter(torch.zeros(rules.sinks, channels))

    def keys_values(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Project (B, T, N, C) tokens into what the ring keeps."""
        return self.attention.key(key), self.attention.value(value)

    def bias(self, ages: Tensor, tokens: int) -> Tensor:
        """Attention bias of each query frame.

        Args:
            ages: (B, T, F) of `MemoryPlan.ages` for F key frames; tokens: N per key frame.

        Returns:
            (B, M, T, S + F*N), -inf where not seen.
        """
        table = self.age_bias[:, ages.clamp_min(0)].transpose(0, 1)  # (B, M, T, F)
        frames = table.masked_fill((ages < 0)[:, None], float("-inf"))
        per_token = frames.repeat_interleave(tokens, -1)
        return nn.functional.pad(per_token, (self.sink_keys.shape[0], 0))

    def attend(
        self, query: Tensor, ring: Ring, keys: Tensor, values: Tensor, bias: Tensor
    ) -> Tensor:
        """Attend.

        Args:
            query: (B, R, C), rows of one or several frames.
            ring: the carried memory; keys, values: (B, T, N, C) of the clip's own frames.
            bias: (B, M, R, S + (P+T)*N), `bias()` with one row per query.

        Returns:
            (B, R, C)
        """
        batch = query.shape[0]

        def all_rows(sinks: Tensor, kept: Tensor, new: Tensor) -> Tensor:
            return torch.cat(
                [
                    sinks.expand(batch, -1, -1).to(new.dtype),
                    kept.flatten(1, 2).to(new.dtype),
                    new.flatten(1, 2),
                ],
                1,
            )

        return self.attention.attend(
            query,
            all_rows(self.sink_keys, ring.keys, keys),
            all_rows(self.sink_values, ring.values, values),
            bias,
        )
