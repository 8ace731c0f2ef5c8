"""The laws of the causal network (DESIGN section 3), over random memories, pauses and resets."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import KINDS, Clip, clip, hears_features, network

from streamavis.errors import ShapeError, StreamStateError
from streamavis.model import ClipOutput, StepOutput, StreamAVIS

TOLERANCE = 1e-5  # of the value range, fp32
kinds = st.sampled_from(sorted(KINDS))


def said(output: StepOutput) -> dict[str, torch.Tensor]:
    """What the network was taught to say, by name."""
    return output.tensors()


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


def assert_close(a: torch.Tensor, b: torch.Tensor, what: str, tolerance: float = TOLERANCE) -> None:
    scale = max(float(b.abs().max()), 1.0)
    assert float((a - b).abs().max()) <= tolerance * scale, what


def assert_same(a: StepOutput, b: StepOutput, where: str = "") -> None:
    for name, value in said(a).items():
        assert torch.equal(value, getattr(b, name)), f"{name} {where}"


def assert_steps_equal(whole: ClipOutput, steps: list[StepOutput], active: torch.Tensor) -> None:
    clip_said = said(whole)
    for t, one in enumerate(steps):
        awake = active[:, t]
        step_said = said(one)
        assert clip_said.keys() == step_said.keys()
        if awake.any():
            for name, value in step_said.items():
                assert_close(clip_said[name][:, t][awake], value[awake], f"{name} at {t}")


@settings(max_examples=18)
@given(
    seed=st.integers(0, 10_000),
    kind=kinds,
    streams=st.integers(1, 3),
    window=st.integers(1, 4),
    sinks=st.sampled_from([0, 1, 4]),
    stride=st.sampled_from([0.05, 0.5, 1.0]),
    pinned=st.integers(0, 2),
)
def test_steps_equal_one_forward(seed, kind, streams, window, sinks, stride, pinned):
    changes = {"window": window, "sinks": sinks, "memory_stride_s": stride, "pin_first": pinned}
    model = network(seed, kind, **changes)
    c = clip(seed, streams, 9, pause=0.2, forget=0.15, features=hears_features(model.config))
    whole = model(c.frames, c.audio, c.times_s, active=c.active, reset=c.reset)
    assert_steps_equal(whole, stepwise(model, c), c.active)


@settings(max_examples=9)
@given(
    seed=st.integers(0, 10_000),
    kind=kinds,
    cut=st.integers(1, 8),
    pinned=st.integers(0, 1),
    stride=st.sampled_from([0.05, 0.5]),
)
def test_a_carried_state_continues_the_clip(seed, kind, cut, pinned, stride):
    model = network(seed, kind, pin_first=pinned, memory_stride_s=stride)
    c = clip(seed, 2, 9, pause=0.2, forget=0.1, features=hears_features(model.config))
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
        parts.append(said(out))
    whole = said(model(c.frames, c.audio, c.times_s, active=c.active, reset=c.reset))
    for name, value in whole.items():
        joined = torch.cat([part[name] for part in parts], 1)
        assert_close(joined[c.active], value[c.active], name)


@pytest.mark.parametrize("kind", KINDS)
def test_forward_takes_no_step_and_sees_all_frames_at_once(kind, monkeypatch):
    model = network(0, kind)
    calls = {}

    def count(name):
        def hook(module, arguments):
            calls[name] = calls.get(name, 0) + 1

        return hook

    for name in ("backbone", "pixel_decoder", "audio_encoder", "frame_decoder", "object_encoder"):
        model.get_submodule(name).register_forward_pre_hook(count(name))
    for layer in (*model.object_encoder.layers, *model.object_encoder.audio_layers):
        layer.register_forward_pre_hook(count("object layer"))
    model.video_decoder.layers[0].register_forward_pre_hook(count("slots"))
    monkeypatch.setattr(StreamAVIS, "step", None)
    c = clip(0, 2, 5, features=hears_features(model.config))
    model(c.frames, c.audio, c.times_s)
    layers = len(model.object_encoder.layers) + len(model.object_encoder.audio_layers)
    assert calls.pop("slots") == 5, "the slots alone go frame by frame"
    assert calls.pop("object layer") == layers
    assert set(calls.values()) == {1}


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


@settings(max_examples=9)
@given(seed=st.integers(0, 10_000), kind=kinds, cut=st.integers(1, 5))
def test_nothing_after_now_changes_now(seed, kind, cut):
    model = network(seed, kind)
    ready = hears_features(model.config)
    a, b = clip(seed, 1, 6, features=ready), clip(seed, 1, 6, features=ready)
    b.frames[:, cut:] = torch.randint_like(b.frames[:, cut:], 255)
    b.audio[:, cut:] += 1
    for t, (x, y) in enumerate(zip(stepwise(model, a), stepwise(model, b), strict=True)):
        if t < cut:
            assert_same(x, y, f"at {t}")
    assert not torch.equal(x.class_logits, y.class_logits)


@settings(max_examples=9)
@given(seed=st.integers(0, 10_000), kind=kinds, streams=st.integers(2, 3), data=st.data())
def test_streams_of_a_batch_do_not_touch_each_other(seed, kind, streams, data):
    model = network(seed, kind, memory_stride_s=0.5)
    c = clip(seed, streams, 6, features=hears_features(model.config))
    other = Clip(c.frames.clone(), c.audio.clone(), c.times_s.clone(), c.active.clone(), c.reset)
    other.reset = c.reset.clone()
    mine = data.draw(st.integers(0, streams - 1))
    others = torch.arange(streams) != mine
    other.frames[others] = 255 - other.frames[others]
    other.audio[others] *= -0.3
    other.times_s[others] += 17.3
    other.active[others, data.draw(st.integers(0, 5))] = False
    other.reset[others, data.draw(st.integers(0, 5))] = True
    for x, y in zip(stepwise(model, c), stepwise(model, other), strict=True):
        for name, value in said(x).items():
            assert torch.equal(value[mine], getattr(y, name)[mine]), name


@pytest.mark.parametrize("kind", KINDS)
def test_a_paused_stream_stays_as_it_was(kind):
    model = network(0, kind, memory_stride_s=0.01)  # every frame would be remembered
    c = clip(1, 2, 3, features=hears_features(model.config))
    state = model.init_state(2)
    model.step(c.frames[:, 0], c.audio[:, 0], state, times_s=c.times_s[:, 0])
    before = state.clone()
    active = torch.tensor([True, False])
    model.step(c.frames[:, 1], c.audio[:, 1], state, times_s=c.times_s[:, 1], active=active)
    for now, then in zip(state.tensors(), before.tensors(), strict=True):
        assert torch.equal(now[1], then[1])
    assert state.counters.written.tolist() == [2, 1]


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
        assert_same(a, b)


@settings(max_examples=10)
@given(
    seed=st.integers(0, 10_000),
    kind=kinds,
    pinned=st.integers(0, 2),
    stride=st.sampled_from([0.05, 0.5, 1.0]),
)
def test_frame_one_hundred_thousand_is_like_frame_one_hundred(seed, kind, pinned, stride):
    model = network(seed, kind, pin_first=pinned, memory_stride_s=stride)
    c = clip(seed, 1, 8, features=hears_features(model.config))
    c.times_s = stride * (0.1 + torch.arange(8.0, dtype=torch.float64))[None]
    young = model.init_state(1)
    for t in range(7):
        model.step(c.frames[:, t], c.audio[:, t], young, times_s=c.times_s[:, t])
    assert young.counters.written >= model.config.memory.places, "the memory is full"
    old = young.clone()
    strides, turns = 30_000, 100_000 * model.config.memory.window  # whole turns of the ring
    later = strides * model.config.memory_stride_s
    old.counters.written += turns
    old.counters.seen += turns
    old.counters.last_tick += strides
    old.counters.last_s += later
    now, times = (c.frames[:, 7], c.audio[:, 7]), c.times_s[:, 7]
    a = model.step(*now, young, times_s=times)
    b = model.step(*now, old, times_s=times + later)
    for name, value in said(a).items():
        assert_close(getattr(b, name), value, name)


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


def test_a_view_is_one_stream_in_the_same_memory():
    model, c = network(), clip(4, 1, 1)
    state = model.init_state(3)
    untouched = state.clone()
    model.step(c.frames[:, 0], c.audio[:, 0], state.view(1), times_s=c.times_s[:, 0])
    assert state.counters.written.tolist() == [0, 1, 0]
    for now, then in zip(state.tensors(), untouched.tensors(), strict=True):
        assert torch.equal(now[[0, 2]], then[[0, 2]])
    assert not torch.equal(state.slots[1], untouched.slots[1])


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
