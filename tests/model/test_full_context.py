"""The training pass in which a frame also attends to later frames."""

from __future__ import annotations

import pytest
import torch
from tiny import KINDS, clip, hears_features, network

from streamavis.model.memory import Counters, MemoryRules, plan_clip


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_causal_half_of_a_dual_pass_is_forward(kind):
    model = network(kind=kind, memory_stride_s=0.1)
    c = clip(3, 2, 5, pause=0.2, forget=0.2, features=hears_features(model.config))
    before = model(c.frames, c.audio, c.times_s).state
    inputs = (c.frames, c.audio, c.times_s + 4)
    options = {"active": c.active, "reset": c.reset, "state": before}
    alone = model(*inputs, **options)
    causal, full = model.forward_dual(*inputs, **options)
    for name, value in vars(alone).items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(getattr(causal, name), value), name
    for ours, both in zip(alone.state.tensors(), full.state.tensors(), strict=True):
        assert torch.equal(ours, both)
    assert not torch.equal(full.video_queries, causal.video_queries)


def test_full_context_looks_ahead_up_to_the_next_reset():
    model, c = network(memory_stride_s=0.02), clip(5, 1, 4)
    reset = torch.zeros(1, 4, dtype=torch.bool)
    changed = c.frames.clone()
    changed[:, 3] = 255 - changed[:, 3]

    def first(frames, reset):
        outputs = model.forward_dual(frames, c.audio, c.times_s, reset=reset)
        return [output.video_queries[:, 0] for output in outputs]

    (causal, full), (causal_after, full_after) = first(c.frames, reset), first(changed, reset)
    assert torch.equal(causal, causal_after)
    assert not torch.equal(full, full_after)
    reset[0, 2] = True
    assert torch.equal(first(c.frames, reset)[1], first(changed, reset)[1])


def test_later_frames_are_those_that_will_be_remembered():
    """Frames 0 and 2 of every second are written; a window of 2 reaches two of them."""
    rules = MemoryRules(window=2, sinks=0, stride_s=1.0)
    times_s = torch.arange(9, dtype=torch.float64)[None] / 2
    active = torch.ones(1, 9, dtype=torch.bool)
    counters = Counters.fresh(1, torch.device("cpu"))
    causal = plan_clip(rules, counters, times_s, active, ~active)
    full = plan_clip(rules, counters, times_s, active, ~active, full_context=True)
    later = torch.ones(9, 9, dtype=torch.bool).triu(1)
    ages = full.ages[0, :, rules.places :]
    assert torch.equal(ages.masked_fill(later, -1), causal.ages[0, :, rules.places :])
    remembered = causal.writes[0].nonzero()[:, 0].tolist()
    for t in range(9):
        ahead = [frame for frame in remembered if frame > t][:2]
        expected = {frame: n for n, frame in enumerate(ahead, 1)}
        found = {s: int(ages[t, s]) for s in range(t + 1, 9) if ages[t, s] >= 0}
        assert found == expected
    assert torch.equal(full.writes, causal.writes)
