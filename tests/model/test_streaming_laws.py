"""The laws of the causal network (DESIGN section 3), over random memories, pauses and resets."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import Clip, clip, network

from streamavis.errors import ShapeError, StreamStateError
from streamavis.model import StepOutput, StreamAVIS

TOLERANCE = 1e-5  # of the value range, fp32
NAMES = [f.name for f in fields(StepOutput)]


def stepwise(model: StreamAVIS, c: Clip) -> list[StepOutput]:
    state = model.init_state(len(c.frames))
    outputs = []
    for t in range(c.frames.shape[1]):
        state.reset(c.reset[:, t])
        outputs.append(
            model.step(
                c.frames[:, t],
                c.audio[:, t],
                state,
                times_s=c.times_s[:, t],
                active=c.active[:, t],
            )
        )
    return outputs


def assert_close(a: torch.Tensor, b: torch.Tensor, what: str) -> None:
    scale = max(float(b.abs().max()), 1.0)
    assert float((a - b).abs().max()) <= TOLERANCE * scale, what


@settings(max_examples=12)
@given(
    seed=st.integers(0, 10_000),
    streams=st.integers(1, 3),
    window=st.integers(1, 4),
    sinks=st.sampled_from([0, 1, 4]),
    stride=st.sampled_from([0.05, 0.5, 1.0]),
    pinned=st.integers(0, 2),
)
def test_steps_equal_one_forward(seed, streams, window, sinks, stride, pinned):
    model = network(seed, window=window, sinks=sinks, memory_stride_s=stride, pin_first=pinned)
    c = clip(seed, streams, 9, pause=0.2, forget=0.15)
    whole = model(c.frames, c.audio, c.times_s, active=c.active, reset=c.reset)
    for t, one in enumerate(stepwise(model, c)):
        awake = c.active[:, t]
        for name in NAMES:
            assert_close(
                getattr(whole, name)[:, t][awake], getattr(one, name)[awake], f"{name} at {t}"
            ) if awake.any() else None


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 8), pinned=st.integers(0, 1))
def test_a_carried_state_continues_the_clip(seed, cut, pinned):
    model = network(seed, pin_first=pinned)
    c = clip(seed, 2, 9, pause=0.2, forget=0.1)
    parts, state = [], None
    for part in (slice(0, cut), slice(cut, 9)):
        out = model(
            c.frames[:, part],
            c.audio[:, part],
            c.times_s[:, part],
            active=c.active[:, part],
            reset=c.reset[:, part],
            state=state,
        )
        state = out.state
        parts.append(out)
    whole = model(c.frames, c.audio, c.times_s, active=c.active, reset=c.reset)
    for name in NAMES:
        joined = torch.cat([getattr(p, name) for p in parts], 1)
        assert_close(joined[c.active], getattr(whole, name)[c.active], name)


def test_memory_is_used_and_rolls_over():
    model = network(memory_stride_s=0.01, window=2)
    c = clip(3, 1, 8)
    changed = Clip(c.frames.clone(), c.audio, c.times_s, c.active, c.reset)
    changed.frames[:, 0] = 255 - changed.frames[:, 0]
    a, b = stepwise(model, c), stepwise(model, changed)
    assert not torch.equal(a[2].class_logits, b[2].class_logits), "frame 0 is remembered"
    state = model.init_state(1)
    for t in range(5):
        model.step(c.frames[:, t], c.audio[:, t], state, times_s=c.times_s[:, t])
    assert state.counters.written.tolist() == [5]


def test_frames_are_remembered_once_per_stride():
    model = network(memory_stride_s=1.0)
    c = clip(0, 1, 7)
    state = model.init_state(1)
    for t, now in enumerate([10.0, 10.4, 10.6, 11.4, 11.6, 14.0, 14.2]):
        times = torch.tensor([now], dtype=torch.float64)
        model.step(c.frames[:, t], c.audio[:, t], state, times_s=times)
    # round(t - 10): 0 0 1 1 2 4 4, written where it rises
    assert state.counters.written.tolist() == [4]


@settings(max_examples=6)
@given(seed=st.integers(0, 10_000), cut=st.integers(1, 5))
def test_nothing_after_now_changes_now(seed, cut):
    model = network(seed)
    a, b = clip(seed, 1, 6), clip(seed, 1, 6)
    b.frames[:, cut:] = torch.randint_like(b.frames[:, cut:], 255)
    b.audio[:, cut:] += 1
    for t, (x, y) in enumerate(zip(stepwise(model, a), stepwise(model, b), strict=True)):
        for name in NAMES:
            if t < cut:
                assert torch.equal(getattr(x, name), getattr(y, name)), f"{name} at {t}"
    assert not torch.equal(x.class_logits, y.class_logits)


def test_streams_of_a_batch_do_not_touch_each_other():
    model = network()
    c = clip(1, 2, 6)
    other = Clip(c.frames.clone(), c.audio.clone(), c.times_s, c.active.clone(), c.reset.clone())
    other.frames[1] = 255 - other.frames[1]
    other.audio[1] *= -0.3
    other.active[1, 2] = False
    other.reset[1, 4] = True
    for x, y in zip(stepwise(model, c), stepwise(model, other), strict=True):
        for name in NAMES:
            assert torch.equal(getattr(x, name)[0], getattr(y, name)[0]), name


def test_a_paused_stream_stays_as_it_was():
    model = network()
    c = clip(1, 2, 3)
    state = model.init_state(2)
    model.step(c.frames[:, 0], c.audio[:, 0], state, times_s=c.times_s[:, 0])
    before = state.clone()
    active = torch.tensor([True, False])
    model.step(c.frames[:, 1], c.audio[:, 1], state, times_s=c.times_s[:, 1], active=active)
    for now, then in zip(state.tensors(), before.tensors(), strict=True):
        assert torch.equal(now[1], then[1])


def test_a_reset_stream_starts_like_a_new_one():
    model = network()
    c = clip(5, 1, 6)
    used, fresh = model.init_state(1), model.init_state(1)
    for t in range(4):
        model.step(c.frames[:, t], c.audio[:, t], used, times_s=c.times_s[:, t])
    used.reset(torch.tensor([True]))
    for t in (4, 5):
        a, b = (
            model.step(c.frames[:, t], c.audio[:, t], s, times_s=c.times_s[:, t])
            for s in (used, fresh)
        )
        for name in NAMES:
            assert torch.equal(getattr(a, name), getattr(b, name)), name


def test_frame_one_hundred_thousand_is_like_frame_one_hundred():
    model = network()
    c = clip(2, 1, 6)
    young = model.init_state(1)
    for t in range(5):
        model.step(c.frames[:, t], c.audio[:, t], young, times_s=c.times_s[:, t])
    old = young.clone()
    strides, turns = 30_000, 100_000 * model.config.memory.window  # whole turns of the ring
    later = strides * model.config.memory_stride_s
    old.counters.written += turns
    old.counters.seen += turns
    old.counters.last_tick += strides
    old.counters.last_s += later
    times = c.times_s[:, 5]
    a = model.step(c.frames[:, 5], c.audio[:, 5], young, times_s=times)
    b = model.step(c.frames[:, 5], c.audio[:, 5], old, times_s=times + later)
    for name in NAMES:
        assert_close(getattr(b, name), getattr(a, name), name)


def test_the_state_never_moves_or_grows():
    model = network(memory_stride_s=0.01)
    c = clip(2, 1, 8)
    state = model.init_state(1)
    places = [t.data_ptr() for t in state.tensors()]
    size = state.nbytes
    for t in range(8):
        model.step(c.frames[:, t], c.audio[:, t], state, times_s=c.times_s[:, t])
    assert [t.data_ptr() for t in state.tensors()] == places
    assert state.nbytes == size


def test_identity_does_not_hear():
    model = network()
    c = clip(4, 1, 1)
    features = model.see(c.frames[:, 0])
    masks = torch.randn(1, 3, *features.stride4.shape[-2:])
    assert torch.equal(model.identity(masks, features), model.identity(masks, features))
    assert not any("audio" in name for name, _ in model.identity.named_parameters())


def test_forward_leaves_the_state_it_was_given_alone():
    model = network()
    c = clip(4, 1, 4)
    state = model.init_state(1)
    before = state.clone()
    model(c.frames, c.audio, c.times_s, state=state)
    for now, then in zip(state.tensors(), before.tensors(), strict=True):
        assert torch.equal(now, then)


def test_wrong_arguments_are_named():
    model = network()
    c = clip(0, 2, 1)
    frames, audio, times = c.frames[:, 0], c.audio[:, 0], c.times_s[:, 0]
    state = model.init_state(2)
    with pytest.raises(StreamStateError, match=r"holds 3 streams .* batch 2 .*init_state\(2\)"):
        model.step(frames, audio, model.init_state(3), times_s=times)
    with pytest.raises(ShapeError, match="float64"):
        model.step(frames, audio, state, times_s=times.float())
    with pytest.raises(ShapeError, match="uint8"):
        model.step(frames.float(), audio, state, times_s=times)
    with pytest.raises(ShapeError, match="15360"):
        model.step(frames, audio[:, 1:], state, times_s=times)
    with pytest.raises(StreamStateError, match="bool mask"):
        state.reset(torch.tensor([1, 0]))
    with pytest.raises(StreamStateError, match="at least 1"):
        model.init_state(0)


def test_what_a_stream_leaves_behind_serves_training():
    model = network().train().requires_grad_(True)
    c = clip(0, 1, 2, size=96)  # a size that no other test has made constants for
    with torch.inference_mode():
        model.eval()(c.frames, c.audio, c.times_s)
    model.train()(c.frames, c.audio, c.times_s).class_logits.sum().backward()
