"""Starting from another network's file: what fits is taken, and the rest is named."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file
from streamavis_training.initialise import initialise
from streamavis_training.run_state import pack
from streamavis_training.tasks.audio import AudioTask
from tiny_task import CONFIG, trainer

from streamavis import checkpoint
from streamavis.errors import CheckpointError
from streamavis.model import StreamAVIS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    found = trainer(tmp_path_factory.mktemp("run"), steps=1)
    found.run()
    pack(found.checkpoint, found.folder / "small.pt")
    return found


@pytest.mark.parametrize("name", ["nano.safetensors", "last.pt", "small.pt"])
def test_every_file_of_a_run_is_taken_whole(run, name):
    torch.manual_seed(5)
    network = StreamAVIS(CONFIG)
    report = initialise(network, run.folder / name)
    assert not report.left and not report.missing
    assert len(report.taken) == len(network.state_dict())
    for key, value in run.averaged().state_dict().items():
        torch.testing.assert_close(network.state_dict()[key], value, rtol=1e-3, atol=1e-3)


def test_what_does_not_fit_is_named_and_stays(run, tmp_path):
    torch.manual_seed(5)
    changes = {"classes": ("bell", "drum"), "object_layers": 1, "video_layers": 3}
    network = StreamAVIS(replace(CONFIG, **changes))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    report = initialise(network, run.folder / "nano.safetensors")
    name = "heads.class_embed.classify.bias"
    assert report.left[name] == "has shape (4,), this network's is (3,)"
    assert "this network has no such part" in report.left.values()
    assert any(name.startswith("video_decoder.layers.2") for name in report.missing)
    assert name in report.missing
    assert torch.equal(network.state_dict()[name], before[name])
    taken, left, missing = report.lines(most=1)
    assert f"{len(report.taken)} tensors taken" in taken
    assert f"left {len(report.left)}: " in left and f"and {len(report.left) - 1} more" in left
    assert f"as initialised: {len(report.missing)}: " in missing


def test_an_audio_encoder_fills_a_networks(run, tmp_path):
    encoder = StreamAVIS(CONFIG).audio_encoder
    AudioTask(encoder, lambda *_: iter(())).save(encoder, tmp_path / "audio.safetensors", {})
    network = StreamAVIS(CONFIG)
    report = initialise(network, tmp_path / "audio.safetensors")
    assert all(name.startswith("audio_encoder.") for name in report.taken)
    for name, value in encoder.state_dict().items():
        assert torch.equal(network.audio_encoder.state_dict()[name], value)


def test_a_file_that_fits_nowhere_is_refused(tmp_path):
    save_file({"a": torch.zeros(2)}, str(tmp_path / "other.safetensors"))
    with pytest.raises(CheckpointError, match=r"none of its 1 tensors fits .*'a', 'this network"):
        initialise(StreamAVIS(CONFIG), tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"nowhere\.pt"):
        initialise(StreamAVIS(CONFIG), "nowhere.pt")
    assert checkpoint.shipped()
