"""Kernels that sample feature maps, with sound: one operator, several backends, one reference."""

from streamavis_kernels.backend import backend
from streamavis_kernels.errors import KernelArgumentError, KernelBackendError
from streamavis_kernels.op import audio_deform_attn, deform_attn

__all__ = [
    "KernelArgumentError",
    "KernelBackendError",
    "audio_deform_attn",
    "backend",
    "deform_attn",
]
