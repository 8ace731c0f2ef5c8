"""The gate between a slot and the next frame's."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamavis.model.video_decoder import SlotCarry


def a_gate(seed: int, carry: float = 1.0) -> tuple[SlotCarry, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    gate = SlotCarry(8, carry).requires_grad_(False)
    return gate, torch.randn(2, 3, 8), torch.randn(2, 3, 8)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10_000),
    gap_s=st.floats(0.001, 100),
    carry=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_slot_starts_as_far_from_the_learned_query_as_the_gate_is_open(seed, gap_s, carry):
    gate, base, previous = a_gate(seed, carry)
    gate.log_gap.normal_()
    gap = torch.tensor([gap_s, 1.0], dtype=torch.float64)
    started = gate(base, previous, gap)
    weight, bias = gate.gate.weight, gate.gate.bias
    for stream, log_gap in enumerate(gap.log().float()):
        both = torch.cat([base[stream], previous[stream]], 1)
        opening = 1 / (1 + torch.exp(-(both @ weight.T + bias + gate.log_gap * log_gap)))
        expected = (1 - carry * opening) * base[stream] + carry * opening * previous[stream]
        torch.testing.assert_close(started[stream], expected, rtol=1e-4, atol=1e-5)


def test_an_open_gate_carries_the_slot_and_a_shut_one_the_query():
    gate, base, previous = a_gate(0)
    gap = torch.ones(2, dtype=torch.float64)
    for bias, expected in ((100.0, previous), (-100.0, base)):
        gate.gate.bias.fill_(bias)
        torch.testing.assert_close(gate(base, previous, gap), expected)
