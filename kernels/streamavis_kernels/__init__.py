"""Kernels around the network, with sound: few operators, several backends, one reference each."""

from streamavis_kernels.backend import backend
from streamavis_kernels.build import telling_builds
from streamavis_kernels.errors import KernelArgumentError, KernelBackendError
from streamavis_kernels.frames.op import frame_prep
from streamavis_kernels.masks.op import mask_ids, mask_post, run_lengths
from streamavis_kernels.masks.reference import MaskPost
from streamavis_kernels.sampling.op import audio_deform_attn, deform_attn

__all__ = [
    "KernelArgumentError",
    "KernelBackendError",
    "MaskPost",
    "audio_deform_attn",
    "backend",
    "deform_attn",
    "frame_prep",
    "mask_ids",
    "mask_post",
    "run_lengths",
    "telling_builds",
]
