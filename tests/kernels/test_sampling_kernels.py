"""The CUDA sources of the sampling operators against the reference in float64."""

import mmap
import sys

import numpy as np
import pytest
import torch
from kernel_checks.emulator import Emulator
from runners import RUNNERS, Where, close, needs_compiler, same
from sampling_inputs import F32, F64, audio_inputs, flat, gradients, plain_inputs, with_shapes
from streamavis_kernels.errors import KernelArgumentError
from streamavis_kernels.launch import Launch
from streamavis_kernels.sampling import cuda, reference

F16, BF16 = torch.float16, torch.bfloat16
TOLERANCES = {F64: 1e-12, F32: 1e-5, F16: 2e-3, BF16: 1e-2}
# (B, Q, M, D, P, level_shapes): odd sizes and head widths, one-pixel levels, more samples than are
# prepared at a time, one thread to a head
SIZES = [
    (2, 7, 3, 8, 2, ((3, 5), (1, 1))),
    (1, 13, 1, 24, 3, ((6, 1),)),
    (1, 70, 2, 16, 7, ((7, 4), (4, 2), (1, 3))),
]
# Locations and projections are rounded to 16 bits only where a kernel reads them so.
STORAGES = [(F64, F64), (F32, F32), (F16, F32), (BF16, F32), (F16, F16), (BF16, BF16)]


def stored(inputs, value, rows):
    """The first two in these dtypes. The rest stays precise, or a place may fall on an edge."""
    precise = reference.accumulator(value)
    return [x.detach().to((value, rows, *[precise] * 3)[n]) for n, x in enumerate(inputs)]


def reference_gradients(operator, shapes, inputs, grad):
    """Result and gradients in float64, on the very numbers that a kernel gets."""
    exact = [x.detach().cpu().double().requires_grad_() for x in inputs]
    out = with_shapes(operator, shapes)(*exact)
    return out, torch.autograd.grad(out, exact, grad.double().cpu())


@RUNNERS
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("value_type", TOLERANCES)
def test_plain_forward_and_backward(where, size, value_type):
    shapes, rows = size[-1], reference.accumulator(value_type)
    inputs = stored(plain_inputs(*size), value_type, rows)
    grad = torch.randn(size[0], size[1], size[2] * size[3]).to(value_type)
    expected, by_inputs = reference_gradients(reference.deform_attn, shapes, inputs, grad)
    grad, value, *rest = where.put(grad, *inputs)
    out = cuda.deform_attn(where.runner(1), value, flat(shapes), *rest)
    assert out.dtype == value_type
    close(out, expected, TOLERANCES[value_type])
    found = cuda.deform_attn_backward(where.runner(2), grad, value, flat(shapes), *rest)
    for one, other in zip(found, by_inputs, strict=True):
        assert one.dtype == rows
        close(one, other, TOLERANCES[value_type] if value_type in (F32, F64) else 1e-5)


@RUNNERS
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("value_type", "rows"), STORAGES)
def test_audio_forward_and_backward(where, size, value_type, rows):
    shapes = size[-1]
    inputs = stored(audio_inputs(*size), value_type, rows)
    grad = torch.randn(size[0], size[1], size[2] * size[3]).to(value_type)
    expected, by_inputs = reference_gradients(reference.audio_deform_attn, shapes, inputs, grad)
    grad, value, *rest = where.put(grad, *inputs)
    out = cuda.audio_deform_attn(where.runner(1), value, flat(shapes), *rest)
    assert out.dtype == value_type
    close(out, expected, TOLERANCES[value_type])
    run = where.runner(2)
    found = cuda.audio_deform_attn_backward(run, grad, value, flat(shapes), *rest)
    for one, other in zip(found, by_inputs[:2], strict=True):
        close(one, other, TOLERANCES[value_type])


@RUNNERS
def test_gradcheck_of_both_backward_passes(where):
    shapes = ((3, 2), (1, 1))

    class Sampling(torch.autograd.Function):
        @staticmethod
        def forward(ctx, operator, backward, *inputs):
            ctx.save_for_backward(*inputs)
            ctx.backward_pass = backward
            return operator(where.runner(1), inputs[0], flat(shapes), *inputs[1:])

        @staticmethod
        def backward(ctx, grad):
            value, *rest = ctx.saved_tensors
            by = ctx.backward_pass(where.runner(2), grad, value, flat(shapes), *rest)
            return None, None, *by, *[None] * (len(rest) + 1 - len(by))

    plain = [x.requires_grad_() for x in where.put(*plain_inputs(1, 2, 2, 2, 2, shapes))]
    operators = (cuda.deform_attn, cuda.deform_attn_backward)
    assert torch.autograd.gradcheck(Sampling.apply, (*operators, *plain), nondet_tol=1e-12)
    audio = where.put(*audio_inputs(1, 2, 2, 2, 2, shapes))
    for tensor in audio[:2]:
        tensor.requires_grad_()
    operators = (cuda.audio_deform_attn, cuda.audio_deform_attn_backward)
    assert torch.autograd.gradcheck(Sampling.apply, (*operators, *audio), nondet_tol=1e-12)


@needs_compiler
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_threads_does_not_matter(seed):
    shapes = SIZES[2][-1]
    value, *rest = stored(audio_inputs(*SIZES[2]), F32, F32)
    expected = cuda.audio_deform_attn(Emulator(0), value, flat(shapes), *rest)
    found = cuda.audio_deform_attn(Emulator(seed + 1), value, flat(shapes), *rest)
    assert torch.equal(found, expected)


@RUNNERS
def test_no_sound_is_a_bias_of_zeros_and_a_gate_of_ones_bit_for_bit(where):
    size, shapes = SIZES[2], flat(SIZES[2][-1])
    value, rows, points, bias, gate = where.put(*stored(audio_inputs(*size), F32, F32))
    silent = cuda.audio_deform_attn(where.runner(), value, shapes, rows, points, None, None)
    neutral = (torch.zeros_like(bias), torch.ones_like(gate))
    same(cuda.audio_deform_attn(where.runner(), value, shapes, rows, points, *neutral), silent)
    heard = cuda.audio_deform_attn(where.runner(), value, shapes, rows, points, bias, gate)
    assert not torch.equal(heard, silent)


@RUNNERS
def test_points_of_each_stream(where):
    B, Q, _, _, _, shapes = size = SIZES[0]
    value, rows, _, bias, gate = stored(audio_inputs(*size), F32, F32)
    points = torch.rand(B, Q, len(shapes), 2)
    inputs = (value, shapes, rows, points, bias, gate)
    expected = reference.audio_deform_attn(*inputs)
    value, rows, points, bias, gate = where.put(value, rows, points, bias, gate)
    run = where.runner()
    found = cuda.audio_deform_attn(run, value, flat(shapes), rows, points, bias, gate)
    close(found, expected, 1e-5)


@RUNNERS
def test_places_far_out_infinite_or_nan_give_nothing_and_take_nothing(where):
    shapes = ((3, 4), (1, 1))
    odd = [torch.nan, torch.inf, -torch.inf, 3e38, -3e38, 1e9, -1e9, 2.0]
    places = torch.tensor([(x, y) for x in odd for y in [*odd, 0.5]])
    places = torch.cat([places, places.flip(-1)])
    locations = places.view(1, -1, 1, 1, 1, 2).repeat(1, 1, 1, 2, 1, 1)
    inputs = torch.randn(1, 13, 1, 4), locations, torch.ones(locations.shape[:-1])
    value, *rest = where.put(*inputs)
    out = cuda.deform_attn(where.runner(), value, flat(shapes), *rest)
    grad = torch.ones_like(out)
    by = cuda.deform_attn_backward(where.runner(), grad, value, flat(shapes), *rest)
    assert all(not x.any() for x in (out, *by))


@RUNNERS
def test_logits_of_any_size_become_weights(where):
    shapes, logits = [2, 2], torch.tensor([0.0, -50.0, -1e4, -torch.inf, 80.0, 3e4])
    rows = torch.zeros(1, 2, 6 * 3)
    rows[0, 0, 12:], rows[0, 1, 12:] = logits, logits[:4].repeat(2)[:6]
    inputs = (torch.ones(1, 4, 1, 8), rows, torch.full((2, 1, 2), 0.5))
    value, rows, points = where.put(*inputs)
    found = cuda.audio_deform_attn(where.runner(), value, shapes, rows, points, None, None)
    close(found, torch.ones(1, 2, 8), 1e-6)
    rows[0, 0, 12] = torch.nan
    found = cuda.audio_deform_attn(where.runner(), value, shapes, rows, points, None, None)
    assert found[0].isnan().all(-1).tolist() == [True, False]


@RUNNERS
@pytest.mark.parametrize(("B", "Q"), [(0, 4), (2, 0)])
def test_nothing_to_do(where, B, Q):
    shapes = ((2, 3), (1, 1))
    value, *rest = where.put(*plain_inputs(B, Q, 2, 8, 2, shapes, F32))
    out = cuda.deform_attn(where.runner(), value, flat(shapes), *rest)
    assert out.shape == (B, Q, 16)
    results = cuda.deform_attn_backward(where.runner(), out, value, flat(shapes), *rest)
    assert [x.shape for x in results] == [x.shape for x in (value, *rest)]
    assert not results[0].any()
    value, *rest = where.put(*audio_inputs(B, Q, 2, 8, 2, shapes, F32))
    assert cuda.audio_deform_attn(where.runner(), value, flat(shapes), *rest).shape == (B, Q, 16)


@RUNNERS
def test_misaligned_and_strided_tensors_are_copied_first(where):
    size, shapes = SIZES[0], flat(SIZES[0][-1])
    value, *rest = where.put(*stored(plain_inputs(*size), F32, F32))
    expected = cuda.deform_attn(where.runner(), value, shapes, *rest)
    shifted = [torch.cat([x.new_zeros(1), x.flatten()])[1:].view(x.shape) for x in (value, *rest)]
    assert shifted[0].data_ptr() % 16
    same(cuda.deform_attn(where.runner(), shifted[0], shapes, *shifted[1:]), expected)
    strided = value.transpose(1, 3).contiguous().transpose(1, 3)
    same(cuda.deform_attn(where.runner(), strided, shapes, *rest), expected)
    grad = torch.randn_like(expected)
    by = cuda.deform_attn_backward(where.runner(), grad, value, shapes, *rest)
    shifted_grad = torch.cat([grad.new_zeros(1), grad.flatten()])[1:].view(grad.shape)
    found = cuda.deform_attn_backward(where.runner(), shifted_grad, shifted[0], shapes, *rest)
    for one, other in zip(found, by, strict=True):
        close(one, other, 1e-6)


def launches(operator, *arguments):
    """What would be launched, without running it."""
    seen: list[Launch] = []
    operator(seen.append, *arguments)
    return seen


@pytest.mark.parametrize(
    ("width", "dtype", "message"),
    [
        (5, F32, "heads of 5 torch.float32 = 20 bytes, expected a multiple of 16 up to 512"),
        (4, F16, "heads of 4 torch.float16 = 8 bytes"),
        (132, F32, "528 bytes"),
    ],
)
def test_a_head_that_the_kernel_cannot_hold_is_refused(width, dtype, message):
    value, *rest = stored(plain_inputs(1, 2, 1, width, 1, ((2, 2),)), dtype, F32)
    with pytest.raises(KernelArgumentError, match=message):
        launches(cuda.deform_attn, value, [2, 2], *rest)


def test_a_map_that_offsets_cannot_reach_is_refused():
    value = torch.empty(1, 2**16, 1, 1, dtype=F32).expand(1, 2**16, 2**11, 16)
    with pytest.raises(
        KernelArgumentError, match=r"elements per stream, expected less than 2\*\*31"
    ):
        launches(cuda.deform_attn, value, [2**8, 2**8], torch.empty(0), torch.empty(0))


def virtual(shape, dtype):
    """Zeros that take memory only where they are written, however many."""
    no_reserve = 0x4000  # Linux; named in mmap since Python 3.13
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    return torch.frombuffer(mmap.mmap(-1, size, flags=flags), dtype=dtype).view(shape)


@needs_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="reserves no memory on Linux only")
def test_addresses_beyond_two_to_the_thirty_one():
    """The last stream of a batch of 3e9 values, of which the last block alone is run."""
    B, S, M, D, Q = 4, 1500 * 1000, 8, 64, 7
    assert S * M * D < 2**31 < (B - 1) * S * M * D
    value = virtual((B, S, M, D), F16)
    value[-1, -1] = torch.arange(M * D, dtype=F16).view(M, D)
    locations = torch.full((B, Q, M, 1, 1, 2), 0.5)
    locations[-1, -1] = 1 - 0.5 / torch.tensor([1000.0, 1500.0])  # the centre of the last pixel
    weights = torch.ones(B, Q, M, 1, 1)
    out = cuda.deform_attn(Emulator(0, first_block=-1), value, [1500, 1000], locations, weights)
    expected = torch.arange(M * D, dtype=F64)
    close(out[-1, -1], expected, 2e-3)


def test_blocks_fit_the_shared_memory_and_the_grid():
    for dtype, width, points in ((F64, 2, 40), (F16, 8, 8), (F32, 4, 64), (F32, 128, 4)):
        value, *rest = plain_inputs(1, 3, 1, width, points, ((2, 2),))
        inputs = stored((value, *rest), dtype, reference.accumulator(dtype))
        (launch,) = launches(cuda.deform_attn, inputs[0], [2, 2], *inputs[1:])
        lanes = width * dtype.itemsize // 16
        groups = launch.block // lanes
        corners = 32 if dtype != F64 else 48
        assert groups * (min(points, 12) + 1) * corners <= 48 << 10
        assert launch.block % 32 == 0
        assert f"AV_THREADS={launch.block}" in launch.variant.defines
        assert launch.grid[0] * groups >= 3


@needs_compiler
def test_the_operators_gradient_is_what_the_kernels_give():
    """The chain from the fused backward to bias, gate and points is one for all backends."""
    size, shapes = SIZES[0], SIZES[0][-1]
    inputs = audio_inputs(*size)
    expected = gradients(with_shapes(reference.audio_deform_attn, shapes), inputs)
    rng = torch.Generator().manual_seed(1)
    grad = torch.randn(expected[0].shape, generator=rng, dtype=F64)
    value, *rest = Where("cpu").put(*inputs)
    by_value, by_rows = cuda.audio_deform_attn_backward(
        Emulator(4), grad, value, flat(shapes), *rest
    )
    close(by_value, expected[1], 1e-11)
    close(by_rows, expected[2], 1e-11)
