"""`streamavis inspect`: figures that can be checked by hand, and a table for people."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
import torch
from app_media import write_network
from rich.console import Console
from streamavis_apps.inspection import examine, run

from streamavis import checkpoint
from streamavis.errors import UnknownModelError
from streamavis.model import StreamAVIS

sys.path.append(str(Path(__file__).parents[1] / "model"))
from tiny import KINDS, network

SIZE = (64, 96)


@pytest.fixture
def tiny(tmp_path) -> str:
    return str(write_network(tmp_path / "tiny.safetensors"))


def test_parameters_and_bytes_are_those_of_the_network(tiny):
    facts, model = examine(tiny, SIZE), checkpoint.load(tiny)
    assert sum(s.parameters for s in facts.stages) == sum(p.numel() for p in model.parameters())
    assert sum(facts.state_bytes.values()) == model.init_state(1).nbytes
    config, frames, layers = model.config, 2, 3  # object, audio and video layers, one of each
    values = 2 * frames * config.frame_queries * config.channels * 4
    rings = [size for name, size in facts.state_bytes.items() if name.startswith("keys")]
    assert sum(rings) == layers * values


def test_flops_are_those_counted_by_hand(tiny):
    stages = {stage.name: stage.flops for stage in examine(tiny, SIZE).stages}
    # Object encoder: Q = 4 tokens of C = 32, FFN 32, one layer for them and one for the sound;
    # W = 2 remembered frames, the current one, and 1 sink.
    q, c, hidden, rows = 4, 32, 32, 1 + 3 * 4
    project = q * c * c
    layer = 3 * q * c * c + 2 * q * rows * c + q * c * c + 2 * q * c * hidden
    sound = 128 * c + c * c + 2 * q * c * c + 2 * rows * c + c * c + 2 * c * hidden
    assert stages["object encoder"] == 2 * (project + layer + sound)
    # Audio encoder: 92 spectra of 257 bins to 64 bands, four strided convolutions, linear layers.
    convolutions, (height, width), inputs = 0, (92, 64), 1
    for outputs in (16, 32, 64, 96):
        height, width = (height + 1) // 2, (width + 1) // 2
        convolutions += height * width * outputs * inputs * 9
        inputs = outputs
    token = (96 + 5 * 64) * 128 + 128 * 128 + 2 * 128 * 2
    assert stages["audio encoder"] == 2 * (92 * 257 * 64 + convolutions + token)


def test_sampling_is_counted_with_the_rest(tiny):
    stages = {stage.name: stage.flops for stage in examine(tiny, SIZE).stages}
    # Pixel decoder at 64x96: maps of 16x24 (40 channels), 8x12 (80), 4x6 (112), 2x3 (144).
    tokens, c, d, hidden = 96 + 24 + 6, 32, 16, 256
    project = c * (96 * 80 + 24 * 112 + 6 * 144)
    samples = 4 * 3 * 2  # heads, levels, points
    layer = tokens * (c * c + 3 * samples * c + c * c + 2 * c * hidden)
    fine = 16 * 24 * (40 * d + 9 * d * d + d * d + d * d) + 96 * c * d
    sampling = tokens * samples * (c // 4) * 10
    assert stages["pixel decoder"] == 2 * (project + layer + fine) + sampling


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_is_understood(kind, tmp_path):
    path = tmp_path / "net.safetensors"
    model = network(0, kind)
    checkpoint.save(model, path)
    facts = examine(str(path), SIZE)
    assert sum(s.parameters for s in facts.stages) == sum(p.numel() for p in model.parameters())
    assert all(s.flops > 0 for s in facts.stages if s.name != "audio encoder")
    assert (facts.audio_s == 0) == (kind == "deaf")


@pytest.mark.parametrize("sinks", [0, 2])
def test_it_reaches_as_far_back_as_is_said(sinks, tmp_path):
    """Whatever happened within reach shows, and nothing before it does."""
    changes = {"slot_start": "learned", "sounding": "found", "sinks": sinks}
    model = network(1, window=2, memory_stride_s=1.0, **changes)
    path = tmp_path / "net.safetensors"
    checkpoint.save(model, path)
    facts = examine(str(path), SIZE)
    assert (facts.remembers_s, facts.reaches_s) == (2.0, 8.0)
    assert facts.carries == ()
    rng = torch.Generator().manual_seed(0)
    steps = 11
    frames = torch.randint(0, 256, (1, steps, 3, 64, 64), generator=rng, dtype=torch.uint8)
    audio = torch.rand(1, steps, 15_360, generator=rng) - 0.5
    times = torch.arange(steps, dtype=torch.float64)[None]

    def last(frames: torch.Tensor) -> torch.Tensor:
        return model(frames, audio, times).class_logits[:, -1]

    for back, matters in ((0, True), (2, True), (8, True), (9, False), (10, False)):
        other = frames.clone()
        other[:, -1 - back] = 255 - other[:, -1 - back]
        assert torch.equal(last(frames), last(other)) != matters, f"{back} s back"


def test_tables_are_for_people_and_json_for_programs(tiny):
    text = io.StringIO()
    run(tiny, size=SIZE, console=Console(file=text, width=100))
    said = text.getvalue()
    for words in ("2 classes", "backbone", "kept per stream", "0.96 s", "attends to frames"):
        assert words in said
    text = io.StringIO()
    run(tiny, size=SIZE, json_path=Path("-"), console=Console(file=text, width=40))
    facts = json.loads(text.getvalue())
    assert facts["total"]["parameters"] == sum(s["parameters"] for s in facts["stages"])
    assert facts["network_size"] == list(SIZE)


def test_presets_and_shipped_weights_are_known_by_name():
    assert "preset, untrained" in examine("r50", (360, 640)).model
    nano = examine("nano", (360, 640))
    assert sum(stage.parameters for stage in nano.stages) < 8_000_000
    assert isinstance(checkpoint.configuration("nano"), type(StreamAVIS(nano_config()).config))
    with pytest.raises(UnknownModelError, match=r"'colossus'.*nano.*or a preset .r50, swin_l."):
        examine("colossus", SIZE)


def nano_config():
    return checkpoint.configuration("nano")
