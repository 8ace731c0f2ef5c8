"""An AVISM that needs no download: a light backbone and an audio encoder of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from streamavis import checkpoint
from streamavis.errors import ShapeError
from streamavis.model import AVISM, StreamAVIS
from streamavis.model.adopt import adopt_into
from streamavis.model.avism import AVISMConfig
from streamavis.model.light_backbone import NanoConfig

SMALL = AVISMConfig(
    classes=("bell", "drum"),
    backbone=NanoConfig(),
    short_side=64,
    channels=32,
    audio_channels=16,
    heads=4,
    hidden=32,
    pixel_layers=1,
    pixel_hidden=32,
    frame_queries=4,
    frame_layers=3,
    object_layers=2,
    video_queries=4,
    video_layers=2,
    audio="causal",
)


def network() -> AVISM:
    torch.manual_seed(0)
    return AVISM(SMALL).eval().requires_grad_(False)


def test_it_hears_the_windows_that_end_at_the_given_times():
    model = network()
    waveform = torch.randn(3 * 16_000, generator=torch.Generator().manual_seed(0))
    waveform[: 16_000 + 15_360] = 0
    rows = model.hear_recording(waveform, torch.tensor([0.96, 1.96, 2.96, 3.5]).double())
    assert not rows[:2].any()  # no sound yet: zeros, as where a recording has none
    window = torch.zeros(15_360)
    window[: 15_360 - 8000] = waveform[int(2.54 * 16_000) :]
    expected = model.hear(window[None], torch.zeros(1).double())
    assert torch.allclose(rows[3], expected[0], atol=1e-6)
    assert rows[2].any()


def test_ready_features_need_no_encoder():
    model = AVISM(replace(SMALL, audio="vggish"))
    with pytest.raises(ShapeError, match="no audio encoder"):
        model.hear(torch.zeros(1, 15_360), torch.zeros(1).double())


def test_it_is_kept_in_a_file_and_goes_online(tmp_path):
    model = network()
    checkpoint.save(model, tmp_path / "small.safetensors", half=False)
    loaded = checkpoint.load_avism(tmp_path / "small.safetensors")
    assert loaded.config == SMALL
    online = StreamAVIS.from_avism(loaded)
    windows, times_s = torch.randn(1, 15_360), torch.ones(1).double()
    heard = online.audio_encoder(windows, times_s).tokens
    assert torch.equal(heard, model.hear(windows, times_s))
    frames = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    said = online.step(frames, windows, online.init_state(1), times_s=times_s)
    offline = model(frames[None], heard[None])
    assert torch.allclose(said.class_logits, offline.class_logits, atol=1e-4)


def test_a_network_of_another_shape_takes_what_fits():
    model = network()
    config = replace(StreamAVIS.from_avism(model).config, fusion="deformable", sinks=2, slots=3)
    torch.manual_seed(1)
    online = StreamAVIS(replace(config, sounding="taught"))
    before = {name: weight.clone() for name, weight in online.state_dict().items()}
    done = adopt_into(online, model)
    after = online.state_dict()
    assert {*done.taken, *done.new, *done.other_shape} == after.keys()
    assert set(done.other_shape) == {"video_decoder.query_feat", "video_decoder.query_embed"}
    assert any("sink_keys" in name for name in done.new)
    assert any(name.startswith("frame_decoder.fusion.") for name in done.new)
    assert any(name.startswith("sounding.") for name in done.new)
    assert all(torch.equal(after[name], before[name]) for name in (*done.new, *done.other_shape))
    assert torch.equal(after["heads.class_embed.weight"], model.class_embed.weight)
    first = "object_encoder.layers.0.memory.attention.key.weight"
    assert torch.equal(after[first], model.object_encoder.layers[0].attention.key.weight)
