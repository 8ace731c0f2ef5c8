"""What the operators raise. Each message names the value and what was expected."""

from __future__ import annotations

from streamavis.errors import ShapeError, StreamAVISError

__all__ = ["KernelArgumentError", "KernelBackendError"]


class KernelArgumentError(ShapeError):
    """A tensor has the wrong shape, dtype or device for its operator."""


class KernelBackendError(StreamAVISError, RuntimeError):
    """The requested backend is unknown or cannot be had here."""
