"""Weights files of others: altered configurations and files that ask for memory are refused."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from streamavis import checkpoint
from streamavis.checkpoint import configured
from streamavis.errors import CheckpointError
from streamavis.model import presets
from streamavis.model.avism import AVISM, AVISMConfig
from streamavis.model.streamavis import StreamAVIS

sys.path.append(str(Path(__file__).parent / "model"))
from tiny import network

NAN = float("nan")
ALTERED = {
    **{f"{name} 1e9": {name: 10**9} for name in ("channels", "frame_queries", "slots", "window")},
    **{f"{name} 1e9": {name: 10**9} for name in ("hidden", "short_side", "sinks", "points")},
    **{f"{name} 1e6": {name: 10**6} for name in ("pixel_layers", "video_layers", "object_layers")},
    "channels 2**70": {"channels": 2**70},
    "heads 0": {"heads": 0},
    "heads 7": {"heads": 7},
    "short side 0": {"short_side": 0},
    "short side -5": {"short_side": -5},
    "stride nan": {"memory_stride_s": NAN},
    "stride 1e-300": {"memory_stride_s": 1e-300},
    "score text": {"score_on": "x"},
    "score nan": {"score_off": NAN},
    "carry inf": {"carry": float("inf")},
    "no frame layers": {"frame_layers": 0},
    "window 6.5": {"window": 6.5},
    "window true": {"window": True},
    "look 1": {"look": 1},
    "mask channels -1": {"mask_channels": -1},
    "classes 5": {"classes": 5},
    "classes text": {"classes": "dogcat"},
    "classes none": {"classes": []},
    "classes objects": {"classes": [1, None, {}, []]},
    "classes long": {"classes": ["x" * 300]},
    "classes many": {"classes": ["x"] * 1_025},
    "classes surrogate": {"classes": ["\ud800"]},
    "backbone list": {"backbone": []},
    "backbone of no kind": {"backbone": {"kind": []}},
    "backbone unknown": {"backbone": {"zz": 1}},
    "backbone deep": {"backbone": {"blocks": [10**7, 1, 1, 1]}},
    "backbone nested": {"backbone": {"blocks": [[[]]]}},
    "backbone wide": {"backbone": {"embed": 10**9, "depths": [2], "heads": [1], "window": 7}},
    "backbone of two stages": {"backbone": {"kind": "resnet", "blocks": [1, 1]}},
    "unknown field": {"colour": "red"},
    "unknown audio": {"audio": "ears"},
}
TEXTS = {
    "nested": "[" * 100_000 + "]" * 100_000,
    "list": "[]",
    "null": "null",
    "huge number": '{"classes": ' + "9" * 5_000 + "}",
    "no classes": "{}",
    "long": '{"classes": "' + "x" * (1 << 20) + '"}',
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    checkpoint.save(network(), path)
    return path


def refused(good, folder, text):
    path = folder / "altered.safetensors"
    save_file(load_file(good), str(path), checkpoint.metadata(good) | {"config": text})
    with pytest.raises(CheckpointError, match="altered") as error:
        checkpoint.load(path)
    return str(error.value)


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_configuration_is_refused_before_anything_is_built(
    name, good, tmp_path, monkeypatch
):
    def build(self, config):
        made(self, config)
        weights = [p for p in self.parameters() if p.numel() > 0]
        assert all(p.is_meta for p in weights), "memory for what a file claims"

    made = StreamAVIS.__init__
    monkeypatch.setattr(StreamAVIS, "__init__", build)
    config = json.loads(checkpoint.metadata(good)["config"]) | ALTERED[name]
    message = refused(good, tmp_path, json.dumps(config))
    words = ALTERED[name].popitem()[0] if "backbone" not in ALTERED[name] else "configuration"
    assert words in message or "shape" in message or "describes no network" in message, message


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_that_is_no_configuration_is_refused(name, good, tmp_path):
    assert "no readable configuration" in refused(good, tmp_path, TEXTS[name])


def test_a_past_beyond_the_budget_is_refused(good, tmp_path, monkeypatch):
    monkeypatch.setattr(configured, "MAX_STATE", 1_000)
    config = checkpoint.metadata(good)["config"]
    assert "one stream's past would take" in refused(good, tmp_path, config)


@pytest.mark.parametrize("make", [presets.nano, presets.nano_drawn, presets.r50, presets.swin_l])
def test_every_preset_is_within_the_ranges(make):
    config = make(("dog", "[/dog]"))
    text = json.dumps(dataclasses.asdict(config))
    assert configured.parsed(type(config), {"config": text}) == config


def test_the_offline_network_is_within_the_ranges():
    text = json.dumps(dataclasses.asdict(AVISMConfig()))
    assert configured.parsed(AVISMConfig, {"config": text}) == AVISMConfig()


@pytest.mark.parametrize(
    "make",
    [
        lambda: StreamAVIS(presets.nano(("dog",))),
        lambda: StreamAVIS(presets.swin_l()),
        lambda: AVISM(AVISMConfig()),
    ],
)
def test_a_network_of_shapes_is_that_network(make):
    with configured._ShapesOnly():
        shapes = {name: t.shape for name, t in make().state_dict().items()}
    with torch.device("meta"):
        assert {name: t.shape for name, t in make().state_dict().items()} == shapes


def test_loading_does_not_load_the_compiler():
    """PyTorch's takes over a second, and a network of shapes made in PyTorch's way imports it."""
    program = (
        "import sys; from streamavis import checkpoint; checkpoint.load('nano');"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": path})
    assert done.returncode == 0


def test_a_compressed_entry_is_refused_before_it_is_unpacked(tmp_path):
    """100 MB of zeros in 100 kB; 1 GB took 9 s and 2 GB of memory."""
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**8)
    with pytest.raises(CheckpointError, match=r"bomb\.pth: its entry .* is compressed"):
        checkpoint.read_foreign(path)


def test_entries_larger_than_their_file_are_refused(tmp_path):
    path = tmp_path / "false.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"N.")
    data = path.read_bytes()
    place = data.rindex(b"PK\x01\x02") + 20  # compressed and plain size in the directory
    huge = (10**9).to_bytes(4, "little")
    path.write_bytes(data[:place] + huge + huge + data[place + 8 :])
    with pytest.raises(CheckpointError, match="false"):
        checkpoint.read_foreign(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_that_repeats_one_number_is_refused(tmp_path, zipped):
    path = tmp_path / "expanded.pth"
    tensors = {"model": {"a.weight": torch.zeros(1).expand(10**12)}}
    torch.save(tensors, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"expanded\.pth: a\.weight has shape .*4 of it"):
        checkpoint.read_foreign(path)


def test_many_tensors_of_one_storage_are_refused(tmp_path):
    path = tmp_path / "views.pth"
    whole = torch.zeros(100_000)
    torch.save({str(n): whole[n:] for n in range(100)}, path)
    with pytest.raises(CheckpointError, match="they overlap"):
        checkpoint.read_foreign(path)


class _Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "asked",
    [
        _Calls(np.ndarray, (10**10,)),
        _Calls(np.empty(0).__reduce__()[0], np.ndarray, (10**10,), b"b"),
    ],
)
def test_a_pickle_cannot_ask_for_a_huge_array(asked, tmp_path):
    path = tmp_path / "huge.pkl"
    path.write_bytes(pickle.dumps({"a": asked}, 2))
    with pytest.raises(CheckpointError, match="huge"):
        checkpoint.read_foreign(path)


def test_a_pickle_cannot_ask_for_a_huge_memo(tmp_path):
    path = tmp_path / "memo.pkl"
    path.write_bytes(b"\x80\x02}r\xff\xff\xff\x7f.")
    with pytest.raises(CheckpointError, match="remembers an object as number"):
        checkpoint.read_foreign(path)
