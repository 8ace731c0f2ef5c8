"""The memory against a list that forgets and a softmax written out."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamavis.model.memory import Counters, MemoryAttention, MemoryRules, Ring, plan_clip


class Recollection:
    """One stream's memory as a list of its remembered frames, oldest first."""

    def __init__(self, rules: MemoryRules) -> None:
        self.rules = rules
        self.forget()

    def forget(self) -> None:
        self.frames: list[int] = []
        self.times_s: list[float] = []  # of the active frames
        self.tick = 0

    def seen_from(self, frame: int) -> dict[int, int]:
        """Age, in the words of `MemoryRules.ages`, of every frame that `frame` attends to."""
        pinned, rolling = (
            self.frames[: self.rules.pin_first],
            self.frames[self.rules.pin_first :][-self.rules.window :],
        )
        ages = {frame: 0}
        ages |= {seen: 1 + self.rules.window + n for n, seen in enumerate(pinned)}
        return ages | {seen: n for n, seen in enumerate(reversed(rolling), 1)}

    def take(self, frame: int, time_s: float) -> bool:
        """Whether it is remembered."""
        first = not self.times_s
        self.times_s.append(time_s)
        tick = round((time_s - self.times_s[0]) / self.rules.stride_s)
        if first or tick > self.tick:
            self.frames.append(frame)
            self.tick = tick
            return True
        return False


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    window=st.integers(1, 4),
    pinned=st.integers(0, 2),
    stride=st.sampled_from([0.05, 0.5, 1.0]),
    cut=st.integers(1, 15),
)
def test_a_frame_sees_what_a_list_would_remember(seed, window, pinned, stride, cut):
    rules, steps = MemoryRules(window, 0, stride, pinned), 16
    rng = torch.Generator().manual_seed(seed)

    def uniform() -> torch.Tensor:
        return torch.rand(1, steps, generator=rng, dtype=torch.float64)

    times_s, active, reset = uniform().cumsum(1), uniform() > 0.2, uniform() < 0.1
    memory, counters = Recollection(rules), Counters.fresh(1, torch.device("cpu"))
    held: dict[int, int] = {}  # ring place to frame
    for clip in (range(cut), range(cut, steps)):
        part = slice(clip.start, clip.stop)
        plan = plan_clip(rules, counters, times_s[:, part], active[:, part], reset[:, part])
        counters = plan.counters
        keys = [*(held.get(place, -1) for place in range(rules.places)), *clip]
        for t, frame in enumerate(clip):
            if reset[0, frame]:
                memory.forget()
            ages = dict(zip(keys, plan.ages[0, t].tolist(), strict=True))
            seen = {key: age for key, age in ages.items() if age >= 0}
            assert seen == memory.seen_from(frame)
            before = memory.times_s[-1:]
            assert plan.fresh[0, t] == (not before)
            now = float(times_s[0, frame])
            assert plan.gap_s[0, t] == (now - before[0] if before else 0)
            remembered = bool(active[0, frame]) and memory.take(frame, now)
            assert plan.writes[0, t] == remembered
        for t, frame in enumerate(clip):
            if plan.writes[0, t]:
                held[int(plan.places[0, t])] = frame


def a_memory(seed: int, sinks: int, pinned: int) -> tuple[MemoryAttention, Ring, torch.Tensor]:
    """Random weights, a full ring of two streams, and ages of its places and of one frame more."""
    torch.manual_seed(seed)
    rules = MemoryRules(window=3, sinks=sinks, stride_s=1.0, pin_first=pinned)
    memory = MemoryAttention(16, 4, rules).requires_grad_(False)
    for weight in (memory.age_bias, memory.sink_keys, memory.sink_values):
        weight.normal_()
    ring = Ring(torch.randn(2, rules.places, 5, 16), torch.randn(2, rules.places, 5, 16))
    ages = torch.randint(-1, rules.ages, (2, 1, rules.places + 1))
    ages[..., -1] = 0
    return memory, ring, ages


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), sinks=st.sampled_from([0, 1, 4]), pinned=st.integers(0, 2))
def test_attention_is_a_softmax_over_sinks_and_all_that_has_an_age(seed, sinks, pinned):
    memory, ring, ages = a_memory(seed, sinks, pinned)
    keys, values, query = (torch.randn(2, 1, n, 16) for n in (5, 5, 1))
    said = memory.attend(query[:, 0], ring, keys, values, memory.bias(ages, 5))
    for stream in range(2):
        asked = memory.attention.query(query[stream, 0, 0]).view(4, 4)
        mixed = torch.zeros(4, 4)
        seen = [
            torch.cat([kept[stream], new[stream]])
            for kept, new in ((ring.keys, keys), (ring.values, values))
        ]
        for head in range(4):
            mine = slice(4 * head, 4 * head + 4)
            rows = [
                (torch.zeros(()), sink_key, sink_value)
                for sink_key, sink_value in zip(memory.sink_keys, memory.sink_values, strict=True)
            ]
            for age, *frame in zip(ages[stream, 0].tolist(), *seen, strict=True):
                if age >= 0:
                    bias = memory.age_bias[head, age]
                    rows += [(bias, key, value) for key, value in zip(*frame, strict=True)]
            logits = torch.stack([asked[head] @ key[mine] / 2 + bias for bias, key, _ in rows])
            mixed[head] = logits.softmax(0) @ torch.stack([value[mine] for *_, value in rows])
        expected = memory.attention.out(mixed.flatten())
        torch.testing.assert_close(said[stream, 0], expected, rtol=1e-4, atol=1e-5)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), sinks=st.sampled_from([0, 1, 4]), pinned=st.integers(0, 2))
def test_only_its_age_says_where_a_remembered_frame_lies(seed, sinks, pinned):
    memory, ring, ages = a_memory(seed, sinks, pinned)
    count = ring.keys.shape[1]
    keys, values, query = (torch.randn(2, 1, n, 16) for n in (5, 5, 1))
    query = query[:, 0]
    before = memory.attend(query, ring, keys, values, memory.bias(ages, 5))

    order = torch.randperm(count)
    moved = Ring(ring.keys[:, order], ring.values[:, order])
    places = torch.cat([order, torch.tensor([count])])
    bias = memory.bias(ages[..., places], 5)
    torch.testing.assert_close(memory.attend(query, moved, keys, values, bias), before)

    def sinks_last(new: torch.Tensor, kept: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        return torch.cat([kept.flatten(1, 2), new.flatten(1, 2), rows.expand(2, -1, -1)], 1)

    last = memory.attention.attend(
        query,
        sinks_last(keys, ring.keys, memory.sink_keys),
        sinks_last(values, ring.values, memory.sink_values),
        memory.bias(ages, 5).roll(-sinks, -1),
    )
    torch.testing.assert_close(last, before)
    if not torch.equal(ages, ages[..., places]):
        left = memory.attend(query, moved, keys, values, memory.bias(ages, 5))
        assert not torch.allclose(left, before), "the ages must move along"
