"""Camera frames to network input: every backend against a filter written out in float64."""

import inspect

import cv2
import numpy as np
import pytest
import streamavis_kernels as kernels
import torch
from hypothesis import given
from hypothesis import strategies as st
from runners import RUNNERS, needs_compiler
from streamavis_kernels.errors import KernelArgumentError
from streamavis_kernels.frames import cuda, native, reference

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
PLAIN = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
# Source and result: down, up, one axis each, one pixel, a step that is no whole number
SIZES = [
    ((90, 160), (23, 41)),
    ((37, 50), (24, 64)),
    ((12, 40), (31, 10)),
    ((1, 1), (3, 5)),
    ((64, 48), (1, 1)),
    ((30, 42), (30, 42)),
]


def frames_of(size, count=1, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (count, *size, 3), np.uint8))


def triangle(size, out):
    """(out, size) rows of an antialiased bilinear filter, as PIL defines it."""
    scale = size / out
    centres = (np.arange(out) + 0.5) * scale
    distance = np.abs(np.arange(size)[None] + 0.5 - centres[:, None]) / max(scale, 1.0)
    weights = np.maximum(1 - distance, 0)
    return weights / weights.sum(1, keepdims=True)


def filtered(frames, size):
    """(N, 3, h, w) grey levels in float64, not rounded."""
    image = frames.numpy().transpose(0, 3, 1, 2).astype(np.float64)
    rows, columns = (triangle(a, b) for a, b in zip(frames.shape[1:3], size, strict=True))
    return rows @ image @ columns.T


@RUNNERS
@pytest.mark.parametrize(("source", "size"), SIZES)
def test_the_kernel_rounds_once(where, source, size):
    frames = frames_of(source, 2)
    arguments = (size, size, *PLAIN, torch.uint8, "rgb", False)
    found = cuda.frame_prep(where.runner(), *where.put(frames), *arguments).cpu()
    assert found.dtype == torch.uint8
    assert np.abs(found.numpy() - filtered(frames, size)).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("module", [kernels, reference], ids=["operator", "reference"])
@pytest.mark.parametrize(("source", "size"), SIZES)
def test_every_path_is_within_one_grey_level(module, source, size):
    frames = frames_of(source, 2)
    found = module.frame_prep(frames, size, dtype=torch.uint8)
    assert np.abs(found.numpy() - filtered(frames, size)).max() <= 1.0


@RUNNERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("channels_last", [False, True])
def test_normalised_padded_and_laid_out(where, dtype, channels_last):
    frames, size, padded = frames_of((30, 42), 2), (15, 21), (32, 64)
    arguments = (size, padded, MEAN, STD, dtype, "bgr", channels_last)
    found = cuda.frame_prep(where.runner(), *where.put(frames), *arguments).cpu()
    assert found.dtype == dtype
    assert found.shape == (2, 3, *padded)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    assert found.is_contiguous(memory_format=layout)
    assert not found[:, :, 15:].any()
    assert not found[:, :, :, 21:].any()
    grey = cuda.frame_prep(
        where.runner(), *where.put(frames), size, size, *PLAIN, torch.uint8, "bgr", False
    )
    mean, std = (torch.tensor(x).view(3, 1, 1) for x in (MEAN, STD))
    expected = ((grey.cpu().float() - mean) / std).to(dtype)
    torch.testing.assert_close(found[:, :, :15, :21], expected, rtol=1e-6, atol=0)
    exact = filtered(frames.flip(-1), size)
    assert np.abs(grey.cpu().numpy() - exact).max() <= 0.5 + 1e-3


@RUNNERS
def test_any_strides(where):
    frames = frames_of((20, 31), 2)
    planar = frames.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    cut = torch.nn.functional.pad(frames, (0, 0, 3, 2, 1, 1))[:, 1:-1, 3:-2]
    arguments = ((9, 14), (9, 14), *PLAIN, torch.uint8, "rgb", False)
    expected = cuda.frame_prep(where.runner(), *where.put(frames), *arguments)
    for other in (planar, cut):
        assert not other.is_contiguous()
        found = cuda.frame_prep(where.runner(), *where.put(other), *arguments)
        assert torch.equal(found, expected)
        assert torch.equal(kernels.frame_prep(other, (9, 14)), kernels.frame_prep(frames, (9, 14)))


def nv12(height, width, seed=0):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (2, height * 3 // 2, width), np.uint8))


def test_nv12_is_read_as_opencv_reads_it():
    frames = nv12(18, 26)
    found = kernels.frame_prep(frames, (18, 26), dtype=torch.uint8, pixels="nv12")
    for one, picture in zip(found, frames.numpy(), strict=True):
        expected = cv2.cvtColor(picture, cv2.COLOR_YUV2RGB_NV12).transpose(2, 0, 1)
        assert np.abs(one.numpy().astype(int) - expected).max() <= 1


@RUNNERS
def test_nv12_resized(where):
    frames = nv12(24, 40)
    arguments = ((9, 13), (9, 13), *PLAIN, torch.uint8, "nv12", False)
    found = cuda.frame_prep(where.runner(), *where.put(frames), *arguments).cpu()
    rgb = reference.as_rgb(frames, "nv12").permute(0, 2, 3, 1)
    assert np.abs(found.numpy() - filtered(rgb, (9, 13))).max() <= 1.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.uint8])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("size", [(30, 42), (13, 20)])
@needs_compiler
def test_native_equals_the_reference_to_the_bit(dtype, channels_last, size):
    frames = frames_of((30, 42), 2)
    colour = {} if dtype == torch.uint8 else {"mean": MEAN, "std": STD}
    same = {"padded": (32, 64), "dtype": dtype, "channels_last": channels_last, **colour}
    found = kernels.frame_prep(frames, size, **same)
    expected = reference.frame_prep(frames, size, **same)
    assert torch.equal(found, expected)
    assert found.stride() == expected.stride()


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from(["rgb", "bgr"]),
)
def test_any_size(source, size, pixels):
    frames = frames_of(source, seed=source[0])
    found = kernels.frame_prep(frames, size, dtype=torch.uint8, pixels=pixels)
    rgb = frames if pixels == "rgb" else frames.flip(-1)
    # PyTorch rounds each of two passes to half a level, with weights of 15 bits.
    assert np.abs(found.numpy() - filtered(rgb, size)).max() <= 1.0 + 1 / 64


@RUNNERS
def test_no_frames(where):
    frames = where.put(frames_of((4, 4), 0))[0]
    out = cuda.frame_prep(where.runner(), frames, (2, 2), (2, 2), *PLAIN, torch.uint8, "rgb", False)
    assert out.shape == (0, 3, 2, 2)
    assert kernels.frame_prep(frames.cpu(), (2, 2)).shape == (0, 3, 2, 2)


@needs_compiler
def test_opcheck():
    frames = frames_of((6, 8))
    for dtype, last in ((torch.uint8, False), (torch.float16, True)):
        arguments = (frames, [3, 4], [4, 8], *(list(x) for x in PLAIN), dtype, "rgb", last)
        torch.library.opcheck(torch.ops.streamavis.frame_prep, arguments)


def test_operator_and_reference_have_one_signature():
    assert inspect.signature(kernels.frame_prep) == inspect.signature(reference.frame_prep)
    names = list(inspect.signature(native.frame_prep).parameters)
    assert list(inspect.signature(cuda.frame_prep).parameters) == ["run", *names]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": torch.zeros(1, 4, 4, 3)}, "frames is torch.float32, expected uint8"),
        ({"frames": torch.zeros(4, 4, 3, dtype=torch.uint8)}, r"expected \(N, H, W, 3\) for rgb"),
        ({"frames": torch.zeros(1, 0, 4, 3, dtype=torch.uint8)}, "expected"),
        ({"size": (0, 4)}, r"size is \(0, 4\), expected \(h, w\) of at least one pixel"),
        ({"padded": (4, 3)}, r"padded is \(4, 3\), expected at least size \(4, 4\)"),
        ({"padded": (4, 70000)}, "65535 at most"),
        ({"dtype": torch.float64}, "dtype is torch.float64"),
        ({"dtype": torch.uint8, "mean": MEAN}, "mean is .*, expected None for uint8"),
        ({"std": (1.0, 0.0, 1.0)}, "std is .*three numbers"),
        ({"mean": (1.0, 0.0)}, "mean is .*three numbers"),
        ({"pixels": "yuv"}, "pixels is 'yuv', expected 'rgb', 'bgr' or 'nv12'"),
        ({"pixels": "nv12"}, "expected .*even H and W for nv12"),
        (
            {"pixels": "nv12", "frames": torch.zeros(1, 7, 4, dtype=torch.uint8)},
            "even H and W for nv12",
        ),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {"frames": torch.zeros(1, 4, 4, 3, dtype=torch.uint8), "size": (4, 4)}
    kernels.frame_prep(**arguments)
    with pytest.raises(KernelArgumentError, match=message):
        kernels.frame_prep(**arguments | change)
