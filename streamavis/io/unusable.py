"""What PyAV raises where a packet or a frame is damaged, or of a kind that it does not know."""

from __future__ import annotations

import av

from streamavis.errors import InputError

__all__ = ["UNUSABLE"]

# Caught around the decoding and converting of one packet or frame, which is then left out.
UNUSABLE = (
    av.error.FFmpegError,
    InputError,
    ValueError,
    TypeError,
    OverflowError,
    IndexError,
    MemoryError,
    NotImplementedError,
)
