"""Random arguments of the sampling operators."""

import torch

__all__ = ["F32", "F64", "audio_inputs", "flat", "gradients", "plain_inputs", "with_shapes"]

F64, F32 = torch.float64, torch.float32


def plain_inputs(B, Q, M, D, P, shapes, dtype=F64, seed=0):
    """Value, locations, weights; about a third of the locations lie outside."""
    rng = torch.Generator().manual_seed(seed)
    L, S = len(shapes), sum(h * w for h, w in shapes)
    value = torch.randn(B, S, M, D, generator=rng, dtype=F64)
    locations = torch.rand(B, Q, M, L, P, 2, generator=rng, dtype=F64) * 1.8 - 0.4
    weights = torch.rand(B, Q, M, L, P, generator=rng, dtype=F64)
    return [x.to(dtype).requires_grad_() for x in (value, locations, weights)]


def audio_inputs(B, Q, M, D, P, shapes, dtype=F64, seed=0):
    """Value, projections, reference points (for all streams), bias, gate."""
    rng = torch.Generator().manual_seed(seed)
    L, S = len(shapes), sum(h * w for h, w in shapes)
    sizes = [(B, S, M, D), (B, Q, M * L * P * 3), (Q, L, 2), (B, M, L * P), (B, M * D)]
    tensors = [torch.randn(size, generator=rng, dtype=F64) for size in sizes]
    tensors[1] *= 2
    tensors[2].uniform_(0, 1, generator=rng)
    return [x.to(dtype).requires_grad_() for x in tensors]


def gradients(function, inputs, seed=1):
    """The result and the gradient of each input."""
    out = function(*inputs)
    rng = torch.Generator().manual_seed(seed)
    grad = torch.randn(out.shape, generator=rng, dtype=F64).to(out.dtype)
    return [out, *torch.autograd.grad(out, inputs, grad)]


def with_shapes(operator, shapes):
    return lambda value, *rest: operator(value, shapes, *rest)


def flat(shapes):
    return [size for shape in shapes for size in shape]
