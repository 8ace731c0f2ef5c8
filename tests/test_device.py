"""Where a network runs: `auto`, a device by name, and what is refused before anything starts."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
import torch

from streamavis import checkpoint
from streamavis.device import cuda_problem, place
from streamavis.errors import ArgumentError

sys.path.append(str(Path(__file__).parent / "model"))
from tiny import clip, network


@pytest.fixture
def gpus(monkeypatch):
    """Two CUDA devices that compute: an H200, and one from before bfloat16."""
    capability = {0: (9, 0), 1: (7, 5)}
    ones = torch.ones
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(
        torch.cuda, "get_device_capability", lambda device: capability[device.index]
    )
    monkeypatch.setattr(torch, "ones", lambda size, device: ones(size))
    monkeypatch.setattr(
        torch.cuda, "get_device_name", lambda n: f"GPU {n if isinstance(n, int) else n.index}"
    )


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_auto_takes_a_usable_gpu_and_says_why_in_one_line(gpus, caplog):
    caplog.set_level(logging.INFO, logger="streamavis.device")
    placement = place()
    assert (placement.device, placement.dtype) == (torch.device("cuda:0"), torch.bfloat16)
    assert caplog.messages == ["runs on cuda:0 in bf16: GPU 0 can be used"]


def test_auto_takes_the_cpu_where_there_is_no_gpu(no_gpu):
    lines = []
    placement = place("auto", "auto", log=lines.append)
    assert (placement.device, placement.dtype) == (torch.device("cpu"), torch.float32)
    assert lines == ["runs on cpu in fp32: PyTorch finds no NVIDIA GPU with a driver"]


def test_a_pytorch_without_cuda_is_the_reason(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "is built without CUDA" in place().reason


def test_a_gpu_that_does_not_compute_is_not_taken(gpus, monkeypatch):
    def broken(*size, device):
        raise RuntimeError("CUDA error: no kernel image is available\nmore lines")

    monkeypatch.setattr(torch, "ones", broken)
    assert place().device.type == "cpu"
    assert place().reason == "cuda:0 does not compute: CUDA error: no kernel image is available"
    with pytest.raises(ArgumentError, match="'cuda', but cuda:0 does not compute"):
        place("cuda")


@pytest.mark.parametrize(
    ("name", "device", "dtype"),
    [
        ("cuda", "cuda:0", torch.bfloat16),
        ("cuda:1", "cuda:1", torch.float32),  # computes in bfloat16 by emulation alone
        (torch.device("cuda", 1), "cuda:1", torch.float32),
        ("cpu", "cpu", torch.float32),
    ],
)
def test_a_device_by_its_name(gpus, name, device, dtype):
    placement = place(name)
    assert (str(placement.device), placement.dtype) == (device, dtype)
    assert "as asked for" in placement.reason


def test_an_absent_device_is_one_clear_error(gpus, no_gpu, monkeypatch):
    with pytest.raises(ArgumentError, match="device is 'cuda', but PyTorch finds no NVIDIA GPU"):
        place("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ArgumentError, match=r"'cuda:7', but there are 2 CUDA devices.*use device"):
        place("cuda:7")
    assert cuda_problem(1) == ""


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:x", "", "meta"])
def test_a_name_that_is_no_device_is_refused(name):
    with pytest.raises(ArgumentError, match="expected auto, cpu, cuda or cuda:N"):
        place(name)


@pytest.mark.parametrize("dtype", ["half", "float64", torch.float64, torch.int8])
def test_a_name_that_is_no_number_format_is_refused(dtype):
    with pytest.raises(ArgumentError, match="expected auto, fp32, bf16, fp16"):
        place("cpu", dtype)


def test_sixteen_bits_on_a_cpu():
    assert place("cpu", "bf16").dtype == place("cpu", torch.bfloat16).dtype == torch.bfloat16
    with pytest.raises(ArgumentError, match="fp16, which needs a CUDA device; on a CPU use fp32"):
        place("cpu", "fp16")


def test_a_network_in_sixteen_bits_sees_in_them_and_hears_and_remembers_in_float32():
    c, model = clip(0, 1, 3), network()
    past, other = model.init_state(1), model.init_state(1)
    for t in range(3):
        pictures, times_s = c.frames[:, t], c.times_s[:, t]
        with torch.inference_mode():
            model.compute_dtype = torch.float32
            whole = model.step(pictures, c.audio[:, t], other, times_s=times_s)
            model.compute_dtype = torch.bfloat16
            half = model.step(pictures, c.audio[:, t], past, times_s=times_s)
        assert half.mask_logits.dtype == torch.bfloat16
        assert torch.equal(half.heard_logits, whole.heard_logits)
        assert not torch.equal(half.mask_logits, whole.mask_logits)
        off = (half.mask_logits.float() - whole.mask_logits).abs().mean()
        assert off < 1e-2 * whole.mask_logits.abs().max().clamp_min(1)
    assert all(tensor.dtype != torch.bfloat16 for tensor in past.tensors())


def test_weights_are_loaded_onto_the_device_and_stay_float32(tmp_path):
    checkpoint.save(network(), tmp_path / "tiny.safetensors")
    model = checkpoint.load(tmp_path / "tiny.safetensors")
    assert model.device == torch.device("cpu")
    assert model.compute_dtype == torch.float32
    assert {p.dtype for p in model.parameters()} == {torch.float32}
