"""Each switch of the configuration changes the network as it is named, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tiny import CONFIG, Clip, clip, network

from streamavis.model import StepOutput, StreamAVIS, nano, r50, swin_l
from streamavis.model.fusion_deformable import DeformableFusion
from streamavis.model.fusion_dense import DenseFusion
from streamavis.model.memory import plan_clip
from streamavis.model.resnet import ResNetConfig, resnet101
from streamavis.model.swin import SwinConfig

# One memory layer after the other sees further back; here none lies on another.
SHALLOW = {"object_layers": 0, "audio_layers": 0, "sounding": "found", "slot_start": "learned"}


def a_frame_per_second(steps: int) -> Clip:
    c = clip(1, 1, steps)
    c.times_s = torch.arange(steps, dtype=torch.float64)[None]
    return c


def at_the_end(model: StreamAVIS, c: Clip) -> torch.Tensor:
    return model(c.frames, c.audio, c.times_s).class_logits[:, -1]


def frames_that_matter(model: StreamAVIS, steps: int) -> list[int]:
    """Frames whose change shows in the last one."""
    c = a_frame_per_second(steps)
    before = at_the_end(model, c)
    matter = []
    for n in range(steps):
        other = replace(c, frames=c.frames.clone())
        other.frames[:, n] = 255 - other.frames[:, n]
        if not torch.equal(at_the_end(model, other), before):
            matter.append(n)
    return matter


@pytest.mark.parametrize("window", [3, 6, 12])
def test_the_window_is_how_many_frames_are_remembered(window):
    model = network(window=window, memory_stride_s=1.0, **SHALLOW)
    steps = window + 3
    assert frames_that_matter(model, steps) == list(range(steps - window - 1, steps))


@pytest.mark.parametrize("pinned", [0, 1, 2])
def test_pinned_frames_are_never_forgotten(pinned):
    model = network(window=2, pin_first=pinned, memory_stride_s=1.0, **SHALLOW)
    assert frames_that_matter(model, 8) == [*range(pinned), 5, 6, 7]


@pytest.mark.parametrize("stride", [0.5, 1.0, 2.0])
def test_the_stride_is_how_often_one_is_remembered(stride):
    model = network(window=2, memory_stride_s=stride, **SHALLOW)
    ticks = [round(t / stride) for t in range(9)]
    written = [t for t in range(9) if t == 0 or ticks[t] > ticks[t - 1]]
    expected = [*[t for t in written if t < 8][-2:], 8]
    assert frames_that_matter(model, 9) == expected


@pytest.mark.parametrize("sinks", [0, 1, 4])
def test_sinks_are_learned_rows_that_every_frame_sees(sinks):
    model = network(sinks=sinks)
    rows = [p for name, p in model.named_parameters() if name.endswith("sink_values")]
    layers = CONFIG.object_layers + CONFIG.audio_layers + CONFIG.video_layers
    assert [p.shape for p in rows] == [(sinks, CONFIG.channels)] * layers
    c = a_frame_per_second(4)
    before = model(c.frames, c.audio, c.times_s).class_logits
    for row in rows:
        row += 1
    after = model(c.frames, c.audio, c.times_s).class_logits
    changed = (before != after).flatten(2).any(-1)[0].tolist()
    assert changed == [sinks > 0] * 4


def said_after(model: StreamAVIS, c: Clip, *, shift: float) -> StepOutput:
    """The second frame's output, with the first one's slots moved by `shift`."""
    state = model.init_state(1)
    model.step(c.frames[:, 0], c.audio[:, 0], state, times_s=c.times_s[:, 0])
    state.slots += shift
    return model.step(c.frames[:, 1], c.audio[:, 1], state, times_s=c.times_s[:, 1])


@pytest.mark.parametrize(("start", "carries"), [("gate", 1), ("previous", 1), ("learned", 0)])
def test_slots_start_from_what_is_named(start, carries):
    model, c = network(slot_start=start), a_frame_per_second(2)
    gates = [name for name, _ in model.named_parameters() if "carry" in name]
    assert bool(gates) == (start == "gate")
    a, b = (said_after(model, c, shift=shift).class_logits for shift in (0.0, 1.0))
    assert torch.equal(a, b) != bool(carries)


def test_a_closed_gate_is_no_gate():
    closed, c = network(carry=0.0), a_frame_per_second(2)
    a, b = (said_after(closed, c, shift=shift).class_logits for shift in (0.0, 1.0))
    assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("fusion", "kind"), [("deformable", DeformableFusion), ("dense", DenseFusion)]
)
def test_fusion_is_of_the_named_kind_and_lets_sound_in(fusion, kind):
    model, c = network(fusion=fusion), a_frame_per_second(1)
    assert type(model.frame_decoder.fusion) is kind
    a = model(c.frames, c.audio, c.times_s).frame_queries
    b = model(c.frames, 0.1 * c.audio, c.times_s).frame_queries
    assert not torch.equal(a, b)


@pytest.mark.parametrize(("audio", "hears"), [("causal", True), ("none", False)])
def test_with_audio_off_sound_changes_nothing(audio, hears):
    model, c = network(audio=audio), a_frame_per_second(3)
    a = model(c.frames, c.audio, c.times_s)
    b = model(c.frames, 0.1 * c.audio, c.times_s)
    for name in ("class_logits", "sounding_logits", "mask_logits", "count_logits", "frame_queries"):
        assert torch.equal(getattr(a, name), getattr(b, name)) != hears, name


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_audio_layers_tell_every_object_what_is_heard(layers):
    model, c = network(audio_layers=layers), a_frame_per_second(3)
    plan = plan_clip(
        model.config.memory, model.init_state(1).counters, c.times_s, c.active, c.reset
    )
    queries = torch.randn(1, 3, CONFIG.frame_queries, CONFIG.channels)
    quiet, loud = (
        model.object_encoder(queries, audio, plan, model.init_state(1).object_rings)
        for audio in torch.randn(2, 1, 3, CONFIG.audio_channels)
    )
    assert (quiet != loud).any(-1).tolist() == [[[layers > 0] * CONFIG.frame_queries] * 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion": "thick"}, "fusion is 'thick', expected one of .*'deformable'"),
        ({"slot_start": "gat"}, "slot_start is 'gat'"),
        ({"audio": "vggish"}, "audio_channels is 32, but VGGish has 128"),
        ({"pixel_decoder": "msdeform"}, "mask_channels is 16, but the msdeform"),
        ({"window": 0}, "window is 0, expected at least 1"),
        ({"sinks": -1}, "sinks is -1"),
        ({"memory_stride_s": 0.0}, "memory_stride_s is 0.0, expected more than 0"),
    ],
)
def test_what_cannot_be_configured_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changes)


def test_presets_are_those_of_the_design():
    small, middle, large = nano(("a", "b")), r50(), swin_l()
    with torch.device("meta"):
        networks = [StreamAVIS(config) for config in (small, middle, large)]
        deeper = StreamAVIS(replace(middle, backbone=resnet101()))
    sizes = [sum(p.numel() for p in model.parameters()) for model in (*networks, deeper)]
    assert sizes[0] <= 8_000_000
    assert sizes[0] < sizes[1] < sizes[3] < sizes[2]
    assert (small.short_side, small.channels, small.pixel_layers) == (192, 128, 3)
    assert (small.frame_queries, small.slots, small.frame_layers) == (24, 24, 3)
    assert (middle.short_side, middle.channels, middle.frame_queries) == (360, 256, 100)
    assert (large.short_side, large.frame_queries, large.slots) == (448, 200, 100)
    assert isinstance(middle.backbone, ResNetConfig)
    assert isinstance(large.backbone, SwinConfig)
    for config in (small, middle, large):
        assert (config.window, config.sinks, config.memory_stride_s) == (6, 4, 1.0)
        assert (config.fusion, config.audio, config.pin_first) == ("deformable", "causal", 0)
