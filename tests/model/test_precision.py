"""Sixteen bits, and what a step must not do so that a CUDA graph can hold it.

bfloat16 keeps 8 bits of a number. Between one batch of T frames and T batches of one frame, sums
come out in another order, and a mask that is cut at zero may then let a query see one cell more or
less: the law is stated for the mean of the differences, not for the largest.
"""

from __future__ import annotations

import pytest
import torch
from test_streaming_laws import said, stepwise
from tiny import KINDS, Clip, clip, hears_features, network
from torch.utils._python_dispatch import TorchDispatchMode

from streamavis.model import ModelState, StreamAVIS

MEAN_TOLERANCE = 1e-2  # of the value range (at least 1, as in the law for 32 bits), bfloat16
NOT_IN_A_GRAPH = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "unique")

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def on(device: str, c: Clip) -> Clip:
    return Clip(*(t.to(device) for t in (c.frames, c.audio, c.times_s, c.active, c.reset)))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_steps_equal_one_forward_in_sixteen_bits(device, kind, seed):
    model = network(seed, kind, memory_stride_s=0.3).to(device)
    ready = hears_features(model.config)
    c = on(device, clip(seed, 2, 7, pause=0.2, forget=0.1, features=ready))
    with torch.autocast(device, torch.bfloat16):
        whole = said(model(c.frames, c.audio, c.times_s, active=c.active, reset=c.reset))
        steps = [said(one) for one in stepwise(model, c)]
    for name, value in whole.items():
        assert value.isfinite().all(), name
        a = value[c.active].float()
        b = torch.stack([one[name] for one in steps], 1)[c.active].float()
        scale = max(float(a.abs().max()), 1.0)
        assert float((a - b).abs().mean()) <= MEAN_TOLERANCE * scale, name


def test_sixteen_bits_leave_the_past_in_place():
    model = network()
    c = clip(0, 1, 3)
    state = model.init_state(1)
    kept = [(t.data_ptr(), t.dtype) for t in state.tensors()]
    with torch.autocast("cpu", torch.bfloat16):
        for t in range(3):
            model.step(c.frames[:, t], c.audio[:, t], state, times_s=c.times_s[:, t])
    assert [(t.data_ptr(), t.dtype) for t in state.tensors()] == kept


class Watch(TorchDispatchMode):
    """Notes the operators that would make a device wait for the host, or the host for it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if any(name in str(func) for name in NOT_IN_A_GRAPH):
            self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_waits_for_nothing(kind):
    model = network(0, kind)
    c = clip(0, 2, 2, features=hears_features(model.config))
    state = model.init_state(2)
    model.step(c.frames[:, 0], c.audio[:, 0], state, times_s=c.times_s[:, 0])  # makes constants
    active = torch.tensor([True, False])
    with torch.inference_mode(), Watch() as watch:
        state.reset(~active)
        step = (c.frames[:, 1], c.audio[:, 1], state)
        model.step(*step, times_s=c.times_s[:, 1], active=active)
    assert not watch.seen


def test_the_watch_sees_what_it_is_for():
    with Watch() as watch:
        float(torch.ones(2).sum())
        torch.ones(2)[torch.tensor([True, False])]
    assert len(watch.seen) >= 2


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_runs_in_a_cuda_graph(kind):
    """One captured step, replayed over a clip, says what steps say."""
    model = network(0, kind, memory_stride_s=0.3).to("cuda")
    c = on("cuda", clip(0, 2, 6, features=hears_features(model.config)))
    with torch.inference_mode():
        expected = [said(one) for one in stepwise(model, c)]
        state = model.init_state(2)
        frames, audio, times = (
            c.frames[:, 0].clone(),
            c.audio[:, 0].clone(),
            c.times_s[:, 0].clone(),
        )
        step = capture(model, frames, audio, times, state)
        for t in range(6):
            frames.copy_(c.frames[:, t])
            audio.copy_(c.audio[:, t])
            times.copy_(c.times_s[:, t])
            for name, value in step().items():
                close = torch.allclose(value, expected[t][name], rtol=1e-4, atol=1e-4)
                assert close, f"{name} at {t}"


def capture(
    model: StreamAVIS,
    frames: torch.Tensor,
    audio: torch.Tensor,
    times_s: torch.Tensor,
    state: ModelState,
):
    """A function that steps `state` by replaying one captured step."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            model.step(frames, audio, state, times_s=times_s)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = model.step(frames, audio, state, times_s=times_s)
    state.reset(torch.ones(2, dtype=torch.bool, device="cuda"))

    def step():
        graph.replay()
        return said(output)

    return step
