"""The sampling operators: against a loop anyone can check, in every dtype, through autograd."""

import inspect
import math
from pathlib import Path

import numpy as np
import pytest
import streamavis_kernels as kernels
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from runners import close, needs_compiler
from sampling_inputs import F32, F64, audio_inputs, flat, gradients, plain_inputs, with_shapes
from streamavis_kernels.sampling import native, reference

# (B, Q, M, D, P, level_shapes): odd sizes, one-pixel levels, nothing to do
SIZES = [
    (2, 7, 3, 5, 2, ((3, 5), (1, 1))),
    (1, 70, 2, 16, 4, ((7, 4), (4, 2), (1, 3))),
    (1, 9, 1, 24, 3, ((6, 1),)),
    (0, 4, 2, 8, 2, ((2, 3), (1, 1))),
    (2, 0, 2, 8, 2, ((2, 3), (1, 1))),
]


def loop(value, shapes, locations, weights):
    """The definition, one sample at a time."""
    B, _, M, D = value.shape
    _, Q, _, _, P, _ = locations.shape
    out = torch.zeros(B, Q, M, D, dtype=F64)
    for b, q, m, p in np.ndindex(B, Q, M, P):
        start = 0
        for level, (h, w) in enumerate(shapes):
            x, y = (locations[b, q, m, level, p].double() * torch.tensor([w, h]) - 0.5).tolist()
            if math.isfinite(x) and math.isfinite(y):
                for row in (math.floor(y), math.floor(y) + 1):
                    for column in (math.floor(x), math.floor(x) + 1):
                        if 0 <= row < h and 0 <= column < w:
                            share = (1 - abs(x - column)) * (1 - abs(y - row))
                            pixel = value[b, start + row * w + column, m]
                            out[b, q, m] += weights[b, q, m, level, p] * share * pixel
            start += h * w
    return out.view(B, Q, M * D)


@pytest.mark.parametrize("size", SIZES)
def test_reference_is_the_definition(size):
    value, locations, weights = (x.detach() for x in plain_inputs(*size))
    found = reference.deform_attn(value, size[-1], locations, weights)
    close(found, loop(value, size[-1], locations, weights), 1e-12)


def test_audio_reference_is_the_definition():
    B, Q, M, _, P, shapes = SIZES[0]
    value, rows, points, bias, gate = (x.detach() for x in audio_inputs(*SIZES[0]))
    L = len(shapes)
    logits = rows[..., M * L * P * 2 :].view(B, Q, M, L * P) + bias.view(B, 1, M, L * P)
    weights = (logits.exp() / logits.exp().sum(-1, keepdim=True)).view(B, Q, M, L, P)
    locations = torch.empty(B, Q, M, L, P, 2, dtype=F64)
    for b, q, m, level, p, axis in np.ndindex(*locations.shape):
        offset = rows[b, q, (((m * L) + level) * P + p) * 2 + axis]
        size = shapes[level][1 - axis]
        locations[b, q, m, level, p, axis] = points[q, level, axis] + offset / size
    expected = loop(value, shapes, locations, weights) * gate[:, None]
    close(reference.audio_deform_attn(value, shapes, rows, points, bias, gate), expected, 1e-12)


@needs_compiler
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(F64, 1e-12), (F32, 1e-5)])
def test_native_equals_the_reference(size, dtype, tolerance):
    shapes = size[-1]
    for operator, truth, make in (
        (kernels.deform_attn, reference.deform_attn, plain_inputs),
        (kernels.audio_deform_attn, reference.audio_deform_attn, audio_inputs),
    ):
        # The reference runs in float64 on the very numbers that the operator gets.
        inputs = make(*size, dtype)
        exact = [x.detach().double().requires_grad_() for x in inputs]
        found = gradients(with_shapes(operator, shapes), inputs)
        expected = gradients(with_shapes(truth, shapes), exact)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == dtype
            close(one, other, tolerance)


@needs_compiler
@settings(max_examples=25, deadline=None)
@given(
    streams=st.integers(1, 3),
    queries=st.integers(1, 130),
    shapes=st.tuples(*[st.tuples(st.integers(1, 9), st.integers(1, 9))] * 3),
    seed=st.integers(0, 2**31),
)
def test_native_equals_the_reference_at_any_size(streams, queries, shapes, seed):
    inputs = audio_inputs(streams, queries, 2, 16, 4, shapes, seed=seed)
    found = gradients(with_shapes(kernels.audio_deform_attn, shapes), inputs)
    expected = gradients(with_shapes(reference.audio_deform_attn, shapes), inputs)
    for one, other in zip(found, expected, strict=True):
        close(one, other, 1e-11)


@pytest.mark.parametrize("module", [kernels, reference], ids=["operator", "reference"])
def test_the_numbers_of_the_operator_avism_was_trained_with(module):
    # One head and stream of a recorded run; of its value's gradient, every seventh position.
    golden = np.load(Path(__file__).parent / "msdeformattn_core.npz")
    shapes = [tuple(shape) for shape in golden["level_shapes"].tolist()]
    names = ("value", "locations", "weights")
    inputs = [torch.from_numpy(golden[name]).requires_grad_() for name in names]
    out = module.deform_attn(inputs[0], shapes, *inputs[1:])
    by_value, *rest = torch.autograd.grad(out, inputs, torch.from_numpy(golden["grad_output"]))
    results = [out, by_value[:, ::7], *rest]
    expected = ["output", "grad_value_sample", "grad_locations", "grad_weights"]
    for found, name in zip(results, expected, strict=True):
        close(found, torch.from_numpy(golden[name]), 1e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float16, 2e-3), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("operator", [pytest.param("native", marks=needs_compiler), "reference"])
def test_sixteen_bit_values_are_summed_in_float32(dtype, tolerance, operator):
    size = SIZES[1]
    module = kernels if operator == "native" else reference
    value, *rest = audio_inputs(*size, F32)
    value = value.detach().to(dtype).requires_grad_()
    found = gradients(with_shapes(module.audio_deform_attn, size[-1]), [value, *rest])
    inputs = [x.detach().double().requires_grad_() for x in (value, *rest)]
    expected = gradients(with_shapes(reference.audio_deform_attn, size[-1]), inputs)
    assert [x.dtype for x in found[:3]] == [dtype, dtype, F32]
    for one, other in zip(found, expected, strict=True):
        close(one, other, tolerance)


@needs_compiler
def test_places_far_out_infinite_or_nan_give_nothing_and_take_nothing():
    shapes = ((3, 4), (1, 1))
    odd = [math.nan, math.inf, -math.inf, 3e38, -3e38, 1e9, -1e9, 2.0]
    places = torch.tensor([(x, y) for x in odd for y in [*odd, 0.5]])
    places = torch.cat([places, places.flip(-1)])  # (144, 2)
    locations = places.view(1, -1, 1, 1, 1, 2).repeat(1, 1, 1, 2, 1, 1).requires_grad_()
    value = torch.randn(1, 13, 1, 4, requires_grad=True)
    weights = torch.ones(locations.shape[:-1], requires_grad=True)
    for module in (kernels, reference):
        results = gradients(with_shapes(module.deform_attn, shapes), [value, locations, weights])
        assert all(torch.equal(x, torch.zeros_like(x)) for x in results)


@needs_compiler
@pytest.mark.parametrize("points_per_stream", [False, True])
def test_gradcheck(points_per_stream):
    shapes = ((3, 2), (1, 1))
    plain = plain_inputs(2, 2, 2, 4, 2, shapes)
    assert torch.autograd.gradcheck(with_shapes(kernels.deform_attn, shapes), plain)
    inputs = audio_inputs(2, 2, 2, 4, 2, shapes)
    if points_per_stream:
        inputs[2] = torch.rand(2, 2, 2, 2, dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(with_shapes(kernels.audio_deform_attn, shapes), inputs)


@needs_compiler
def test_opcheck():
    shapes = ((3, 2), (1, 1))
    sizes = flat(shapes)
    value, *rest = plain_inputs(1, 3, 2, 4, 2, shapes, F32)
    torch.library.opcheck(torch.ops.streamavis.deform_attn, (value, sizes, *rest))
    value, *rest = audio_inputs(1, 3, 2, 4, 2, shapes, F32)
    torch.library.opcheck(torch.ops.streamavis.audio_deform_attn, (value, sizes, *rest))
    silent = (value, sizes, *rest[:2], None, None)
    checks = ("test_schema", "test_faketensor")
    torch.library.opcheck(torch.ops.streamavis.audio_deform_attn, silent, test_utils=checks)


@pytest.mark.parametrize("name", ["deform_attn", "audio_deform_attn"])
def test_operator_and_reference_have_one_signature(name):
    operator, truth = getattr(kernels, name), getattr(reference, name)
    assert inspect.signature(operator) == inspect.signature(truth)


@pytest.mark.parametrize("module", [kernels, reference], ids=["operator", "reference"])
def test_no_sound_is_a_bias_of_zeros_and_a_gate_of_ones_bit_for_bit(module):
    size = SIZES[1]
    value, rows, points, bias, gate = audio_inputs(*size, F32)
    silent = module.audio_deform_attn(value, size[-1], rows, points)
    neutral = (torch.zeros_like(bias), torch.ones_like(gate))
    assert torch.equal(silent, module.audio_deform_attn(value, size[-1], rows, points, *neutral))
    assert not torch.equal(
        silent, module.audio_deform_attn(value, size[-1], rows, points, bias, gate)
    )


@needs_compiler
def test_bits_repeat_and_do_not_depend_on_threads_or_neighbours():
    shapes = ((24, 16), (12, 8), (1, 3))  # large enough for more than one thread
    inputs = plain_inputs(2, 480, 2, 16, 4, shapes, F32)
    assert native.SERIAL_BELOW < 2 * 480 * 2 * 12 * 16
    threads = torch.get_num_threads()
    try:
        runs = []
        for count in (1, 3, 3):
            torch.set_num_threads(count)
            runs.append(gradients(with_shapes(kernels.deform_attn, shapes), inputs))
    finally:
        torch.set_num_threads(threads)
    for other in runs[1:]:
        assert all(torch.equal(x, y) for x, y in zip(runs[0], other, strict=True))
    alone = kernels.deform_attn(inputs[0][1:], shapes, inputs[1][1:], inputs[2][1:])
    assert torch.equal(alone, runs[0][0][1:])


@needs_compiler
def test_strides_do_not_matter():
    size = SIZES[1]
    value, *rest = audio_inputs(*size, F32)
    tight = kernels.audio_deform_attn(value, size[-1], *rest)
    loose = [x.detach().transpose(-1, -2).contiguous().transpose(-1, -2) for x in (value, *rest)]
    assert not loose[0].is_contiguous()
    assert torch.equal(tight, kernels.audio_deform_attn(loose[0], size[-1], *loose[1:]))


@needs_compiler
def test_logits_of_any_size_become_weights():
    shapes, logits = ((2, 2),), torch.tensor([0.0, -50.0, -1e4, -math.inf, 80.0, 3e4])
    rows = torch.zeros(1, 2, 6 * 3)
    rows[0, 0, 12:], rows[0, 1, 12:] = logits, logits[:4].repeat(2)[:6]
    value = torch.ones(1, 4, 1, 8)
    points = torch.full((2, 1, 2), 0.5)
    found = kernels.audio_deform_attn(value, shapes, rows, points)
    close(found, torch.ones(1, 2, 8), 1e-6)
    rows[0, 0, 12] = math.nan
    found = kernels.audio_deform_attn(value, shapes, rows, points)
    assert found[0].isnan().all(-1).tolist() == [True, False]
