"""Masks at full size, their measures and run lengths: the same bits on every backend."""

import inspect

import numpy as np
import pytest
import streamavis_kernels as kernels
import torch
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco
from runners import RUNNERS, needs_compiler
from streamavis_kernels.errors import KernelArgumentError
from streamavis_kernels.masks import cuda, native, reference
from streamavis_kernels.masks.reference import CAPACITY, MaskPost

# cells of the grid, cells that the picture covers, pixels
SIZES = [
    ((12, 16), (11.25, 14.5), (45, 61)),
    ((5, 7), (5, 7), (64, 96)),
    ((9, 4), (8.75, 3.5), (7, 5)),
    ((1, 1), (1, 0.25), (3, 2)),
    ((30, 40), (30, 40), (30, 40)),
]


def logits_of(cells, seed=0, count=5, bias=0.0):
    """Blobs; the second is nothing and the third all of the picture."""
    rng = np.random.default_rng(seed)
    values = rng.normal(bias, 1, (count, *cells)).astype(np.float32)
    values[1:2], values[2:3] = -5, 5
    return torch.from_numpy(values)


def decoded(runs, size):
    """(H, W) bool of COCO's run lengths."""
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(size, order="F")


def assert_same(found, expected):
    names = MaskPost._fields
    for name, one, other in zip(names, found, expected, strict=True):
        one, other = one.cpu(), other.cpu()
        if name == "edges":  # those that do not exist are not written
            kept = torch.arange(one.shape[1]) < expected[3].cpu()[:, None]
            one, other = one.where(kept, 0), other.where(kept, 0)
        assert torch.equal(one, other), name


def everywhere(logits, extent, size):
    """Every pixel by the definition of bilinear sampling, in float64."""
    values = logits.astype(np.float64)
    for axis in (0, 1):
        place = (np.arange(size[axis]) + 0.5) * extent[axis] / size[axis] - 0.5
        last = int(np.ceil(extent[axis])) - 1
        place = place.clip(0, last)
        low = np.floor(place).astype(int)
        weight = np.expand_dims(place - low, 1 - axis)
        high = values.take(np.minimum(low + 1, last), axis)
        values = values.take(low, axis) * (1 - weight) + high * weight
    return values


@pytest.mark.parametrize(("cells", "extent", "size"), SIZES)
def test_the_reference_is_the_definition(cells, extent, size):
    logits, kept = logits_of(cells), torch.tensor([4, 1, 0, 2])
    post = reference.mask_post(logits, kept, extent, size)
    for n, (row, runs) in enumerate(zip(kept, kernels.run_lengths(post, size), strict=True)):
        values = everywhere(logits[row].numpy(), extent, size)
        mask, clear = decoded(runs, size), np.abs(values) > 1e-5
        assert np.array_equal(mask[clear], values[clear] > 0)
        bits = np.unpackbits(post.bitmaps[n].numpy().view(np.uint8), bitorder="little")
        assert np.array_equal(bits[: mask.size].reshape(mask.shape, order="F"), mask)
        assert not bits[mask.size :].any()
        ys, xs = np.nonzero(mask)
        nowhere = [0, size[1], size[0], -1, -1, 0, 0]
        box = (
            [len(xs), xs.min(), ys.min(), xs.max(), ys.max(), xs.sum(), ys.sum()] if len(xs) else 0
        )
        assert post.stats[n].tolist() == (box or nowhere)


@RUNNERS
@pytest.mark.parametrize(("cells", "extent", "size"), SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernels_give_the_references_bits(where, cells, extent, size, dtype):
    logits, kept = logits_of(cells, seed=1).to(dtype), torch.tensor([2, 0, 4, 1, 3, 0])
    expected = reference.mask_post(logits, kept, extent, size)
    found = cuda.mask_post(where.runner(3), *where.put(logits, kept), extent, size, CAPACITY)
    assert_same(found, expected)


@needs_compiler
@given(
    st.integers(0, 1000),
    st.tuples(st.integers(1, 20), st.integers(1, 20)),
    st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    st.tuples(st.integers(1, 90), st.integers(1, 90)),
    st.floats(-2, 1),
)
def test_native_gives_the_references_bits(seed, cells, share, size, bias):
    extent = tuple(max(c * s, 0.01) for c, s in zip(cells, share, strict=True))
    logits, kept = logits_of(cells, seed, 4, bias), torch.tensor([3, 0, 1, 2])
    found = kernels.mask_post(logits, kept, extent, size)
    expected = reference.mask_post(logits, kept, extent, size)
    assert_same(found, expected)
    for runs, stats in zip(kernels.run_lengths(found, size), found.stats, strict=True):
        assert runs.sum() == size[0] * size[1]
        assert decoded(runs, size).sum() == stats[0]


@RUNNERS
@pytest.mark.parametrize("seed", range(3))
def test_masks_across_many_words_and_rounds(where, seed):
    """More words than a block of `mask_edges` takes at once, edges in every order of warps."""
    size = (300, 240)
    assert size[0] * size[1] > 2048 * 32
    logits, kept = logits_of((75, 60), seed, 2), torch.tensor([0])
    expected = reference.mask_post(logits, kept, (75, 60), size)
    found = cuda.mask_post(where.runner(seed), *where.put(logits, kept), (75, 60), size, CAPACITY)
    assert_same(found, expected)


@RUNNERS
def test_what_does_not_fit_is_read_from_the_bitmap(where):
    size = (40, 60)
    logits, kept = logits_of((20, 30)), torch.tensor([0, 1, 3])
    whole = reference.mask_post(logits, kept, (20, 30), size)
    assert whole.counts[0] > 8
    found = MaskPost(*cuda.mask_post(where.runner(), *where.put(logits, kept), (20, 30), size, 8))
    assert torch.equal(found.counts.cpu(), whole.counts)
    for small in (found, kernels.mask_post(logits, kept, (20, 30), size, capacity=8)):
        pairs = zip(kernels.run_lengths(small, size), kernels.run_lengths(whole, size), strict=True)
        assert all(np.array_equal(one, other) for one, other in pairs)


@RUNNERS
def test_views_and_nothing(where):
    logits = logits_of((12, 16))
    inside, kept = logits[:, :9, :11], torch.tensor([3, 0])
    arguments = ((8.5, 10.25), (34, 41))
    expected = reference.mask_post(inside, kept, *arguments)
    turned = logits.transpose(1, 2).contiguous().transpose(1, 2)[:, :9, :11]
    for view in (inside, turned):
        assert_same(kernels.mask_post(view, kept, *arguments), expected)
        found = cuda.mask_post(where.runner(), *where.put(view, kept), *arguments, CAPACITY)
        assert_same(found, expected)
    nothing = where.put(inside, kept[:0])
    found = MaskPost(*cuda.mask_post(where.runner(), *nothing, *arguments, CAPACITY))
    assert [len(x) for x in found] == [0, 0, 0, 0]
    assert kernels.run_lengths(found, arguments[1]) == []
    assert kernels.mask_post(inside, kept[:0], *arguments).stats.shape == (0, 7)


@RUNNERS
def test_logits_that_are_not_numbers(where):
    odd = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0, -1.0, 1.0, 3e38, -3e38])
    logits = odd[torch.randint(8, (2, 9, 11), generator=torch.Generator().manual_seed(0))]
    logits[0] = torch.nan
    arguments = (torch.tensor([0, 1]), (9, 11), (40, 30))
    expected = reference.mask_post(logits, *arguments)
    assert expected.stats[0].tolist() == [0, 30, 40, -1, -1, 0, 0]
    assert expected.stats[1, 0] > 0
    assert_same(kernels.mask_post(logits, *arguments), expected)
    found = cuda.mask_post(where.runner(), *where.put(logits, arguments[0]), *arguments[1:], 4096)
    assert_same(found, reference.mask_post(logits, *arguments, capacity=4096))


@RUNNERS
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_ids(where, dtype):
    size, extent = (37, 150), (9.25, 37.5)
    logits, kept = logits_of((10, 38)).to(dtype), torch.tensor([3, 1, 0, 2])
    scores = torch.tensor([0.9, 0.99, 0.8, 0.3])
    expected = kernels.mask_ids(logits, kept, scores, extent, size)
    assert torch.equal(expected, reference.mask_ids(logits, kept, scores, extent, size))
    found = cuda.mask_ids(where.runner(1), *where.put(logits, kept, scores), extent, size).cpu()
    large = reference.upsample(logits[kept], extent, size)
    sure = (scores[:, None, None] * large.sigmoid()).where(large > 0, 0)
    best = sure.topk(2, 0).values
    clear = (best[0] - best[1] > 1e-5) | (best[0] == 0)
    assert clear.float().mean() > 0.99
    assert torch.equal(found[clear], expected[clear])
    assert set(expected.unique().tolist()) == {0, 2, 3}
    nobody = where.put(logits, kept[:0], scores[:0])
    assert (cuda.mask_ids(where.runner(), *nobody, extent, size) == 255).all()
    assert (kernels.mask_ids(logits, kept[:0], scores[:0], extent, size) == 255).all()


def test_pycocotools_reads_the_run_lengths_and_writes_the_same():
    size = (45, 61)
    logits = logits_of((12, 16))
    logits[3] = 1
    logits[3, 0, 0] = logits[3, -1, -1] = -9
    post = kernels.mask_post(logits, torch.arange(5), (11.25, 14.5), size)
    for runs in kernels.run_lengths(post, size):
        mask = decoded(runs, size)
        packed = coco.frPyObjects({"size": list(size), "counts": runs.tolist()}, *size)
        assert packed == coco.encode(np.asfortranarray(mask.view(np.uint8)))


@needs_compiler
def test_opcheck():
    logits, kept, scores = torch.randn(3, 4, 5), torch.tensor([2, 0]), torch.rand(2)
    grid = ([3.5, 5.0], [9, 11])
    torch.library.opcheck(torch.ops.streamavis.mask_post, (logits, kept, *grid, 64))
    torch.library.opcheck(torch.ops.streamavis.mask_ids, (logits, kept, scores, *grid))


@pytest.mark.parametrize("name", ["mask_post", "mask_ids"])
def test_operator_and_reference_have_one_signature(name):
    operator, truth = getattr(kernels, name), getattr(reference, name)
    assert inspect.signature(operator) == inspect.signature(truth)
    names = list(inspect.signature(getattr(native, name)).parameters)
    assert list(inspect.signature(getattr(cuda, name)).parameters) == ["run", *names]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"mask_logits": torch.zeros(4, 5)},
            r"mask_logits is of .*expected \(V, h, w",
        ),
        ({"mask_logits": torch.zeros(3, 4, 5).double()}, "mask_logits is torch.float64"),
        ({"kept": torch.tensor([0.0])}, "kept is torch.float32 of shape"),
        ({"kept": torch.zeros(1, 1, dtype=torch.int64)}, r"expected \(N,\) int64"),
        ({"kept": torch.zeros(1, dtype=torch.int64, device="meta")}, "kept is on meta"),
        ({"extent": (4.5, 5)}, r"extent is \(4.5, 5\), expected cells .* at most \(4, 5\)"),
        ({"extent": (0, 5)}, "extent is"),
        ({"size": (0, 9)}, r"size is \(0, 9\), expected"),
        ({"size": (65536, 32768)}, "less than 2"),
        ({"capacity": 0}, "capacity is 0, expected at least 1"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    arguments = {
        "mask_logits": torch.zeros(3, 4, 5),
        "kept": torch.tensor([0]),
        "extent": (4, 5),
        "size": (8, 9),
    }
    kernels.mask_post(**arguments)
    with pytest.raises(KernelArgumentError, match=message):
        kernels.mask_post(**arguments | change)


def test_wrong_scores_are_named():
    arguments = (torch.zeros(300, 4, 5), torch.arange(300), torch.zeros(300), (4, 5), (8, 9))
    with pytest.raises(KernelArgumentError, match="at most 255: an id is one byte"):
        kernels.mask_ids(*arguments)
    with pytest.raises(KernelArgumentError, match=r"scores is .*expected float32 of shape \(2,\)"):
        kernels.mask_ids(arguments[0], torch.tensor([0, 1]), torch.zeros(3), (4, 5), (8, 9))
