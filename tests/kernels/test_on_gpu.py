"""What an emulation cannot show: torch's streams and graphs. And the kernel to compare with."""

import pytest
import streamavis_kernels as kernels
import torch
from kernel_checks.gpu_bench import plain_deform_attn
from runners import RUNNERS, close
from sampling_inputs import F32, audio_inputs, flat, plain_inputs
from streamavis_kernels.sampling import reference

SIZE = (2, 70, 2, 16, 4, ((7, 4), (4, 2), (1, 3)))
SHAPES = SIZE[-1]


def on_gpu(inputs):
    return [x.detach().cuda() for x in inputs]


@RUNNERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_usual_kernel_computes_the_same(where, dtype):
    value, *rest = plain_inputs(*SIZE, F32)
    value = value.detach().to(dtype)
    expected = reference.deform_attn(value, SHAPES, *rest)
    value, *rest = where.put(value, *rest)
    found = plain_deform_attn(where.runner(), value, flat(SHAPES), *rest)
    close(found, expected, 1e-5 if dtype == torch.float32 else 2e-3)


@pytest.mark.gpu
def test_operators_on_cuda_tensors_go_through_cupy_and_have_gradients():
    assert kernels.backend("cuda") == "cupy"
    inputs = audio_inputs(*SIZE, F32)
    expected = torch.autograd.grad(
        kernels.audio_deform_attn(inputs[0], SHAPES, *inputs[1:]).sum(), inputs
    )
    there = [x.requires_grad_() for x in on_gpu(inputs)]
    out = kernels.audio_deform_attn(there[0], SHAPES, *there[1:])
    for one, other in zip(torch.autograd.grad(out.sum(), there), expected, strict=True):
        close(one, other, 1e-5)


@pytest.mark.gpu
def test_a_side_stream_waits_for_nobody_and_is_waited_for():
    inputs = on_gpu(audio_inputs(*SIZE, F32))
    expected = kernels.audio_deform_attn(inputs[0], SHAPES, *inputs[1:])
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(50_000_000)  # the value is set long after the launch was queued
        value = torch.zeros_like(inputs[0])
        value.copy_(inputs[0])
        found = kernels.audio_deform_attn(value, SHAPES, *inputs[1:])
    torch.cuda.current_stream().wait_stream(side)
    assert torch.equal(found, expected)


@pytest.mark.gpu
def test_launches_inside_a_graph():
    value, rows, points, bias, gate = on_gpu(audio_inputs(*SIZE, F32))
    frames = torch.randint(256, (1, 90, 160, 3), dtype=torch.uint8, device="cuda")
    logits, kept = torch.randn(4, 12, 20, device="cuda"), torch.arange(4, device="cuda")

    def step():
        sampled = kernels.audio_deform_attn(value, SHAPES, rows, points, bias, gate)
        small = kernels.frame_prep(frames, (45, 80))
        return sampled, small, *kernels.mask_post(logits, kept, (12, 20), (90, 160))

    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        step()
    side.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        results = step()
    for tensor in (value, bias, logits):
        tensor.mul_(-0.5)
    frames.copy_(255 - frames)
    graph.replay()
    torch.cuda.synchronize()
    for one, other in zip(results[:4], step()[:4], strict=True):
        assert torch.equal(one, other)
