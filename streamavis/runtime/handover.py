"""A running stream as bytes: what one process writes and another goes on from.

Plain data in MessagePack behind a magic word and a digest: no object is built from it, a length
that does not fit what this side expects is refused before it is used, and bytes that were damaged
on the way are told from bytes of another model.

N rows of the track book.
"""

from __future__ import annotations

import hashlib
import hmac
import math
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from streamavis.errors import StreamStateError
from streamavis.runtime.saved_checks import (
    check_numbers,
    check_stream,
    check_track_config,
    check_tracks,
)
from streamavis.runtime.tracks import TrackConfig, TrackState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

__all__ = [
    "Array",
    "SavedSession",
    "check_model",
    "decode",
    "describe",
    "digest",
    "encode",
    "pack_tensors",
    "pack_tracks",
    "unpack_tensors",
    "unpack_tracks",
]

_MAGIC = b"avis-session.1\n"
_DIGEST_BYTES = 16
_MAX_SIDE = 4096  # pixels: what a picture is resized to is allocated


class Array(msgspec.Struct):
    """Numbers of one kind in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


class SavedSession(msgspec.Struct):
    """Everything a session remembers."""

    config: dict[str, str]  # of the model, by field
    weights: str  # digest of the model's
    stream: str
    audio_delay_s: float
    microphone_lost: bool
    short_side: Annotated[int, msgspec.Meta(ge=1, le=_MAX_SIDE)]
    max_tracks: Annotated[int, msgspec.Meta(ge=0)] | None
    period_ns: int
    gaps_ns: list[int]
    epoch: int
    last_time_ns: int | None
    next_seq: int
    seq_shift: int
    ring: bytes | None  # `AudioRing.to_bytes`; None: no microphone
    heard_until_ns: int
    track_config: TrackConfig
    tracks: dict[str, Array] | None
    model: list[Array]


def encode(saved: SavedSession) -> bytes:
    """Bytes of a session."""
    body = msgspec.msgpack.encode(saved)
    return _MAGIC + _digest([body]) + body


def decode(data: bytes, *, most_gaps: int = 16) -> SavedSession:
    """Read what `encode` wrote.

    Args:
        data: of `encode`.
        most_gaps: times between frames that a session keeps.

    Raises:
        StreamStateError: `data` is something else, of another version, cut off or damaged, or a
            value is out of its range.
    """
    name = _MAGIC.rpartition(b".")[0]
    if not data.startswith(_MAGIC):
        what = "of another version" if data.startswith(name) else "something else"
        raise StreamStateError(
            f"expected the bytes of Session.to_bytes (beginning {_MAGIC!r}) but these are {what}: "
            f"{bytes(data[: len(_MAGIC)])!r}; both sides must run the same version of StreamAVIS"
        )
    start = len(_MAGIC) + _DIGEST_BYTES
    body = data[start:]
    if not hmac.compare_digest(data[len(_MAGIC) : start], _digest([body])):
        raise StreamStateError(
            f"the {len(data)} bytes of a session were cut off or damaged on their way; "
            "call Session.to_bytes again"
        )
    try:
        saved = msgspec.msgpack.decode(body, type=SavedSession)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StreamStateError(f"the bytes are no session: {error}") from error
    check_stream(saved.stream)
    check_numbers(saved, most_gaps)
    check_track_config(saved.track_config)
    return saved


def describe(config: object) -> dict[str, str]:
    """A model's configuration by field, for comparing."""
    if not is_dataclass(config):
        return {"configuration": repr(config)}
    return {f.name: repr(getattr(config, f.name)) for f in fields(config)}


def digest(parameters: Iterable[Tensor]) -> str:
    """Of a model's weights: two models of one digest say the same."""
    return _digest(_bytes(p) for p in parameters).hex()


def check_model(saved: SavedSession, config: dict[str, str], weights: str) -> None:
    """Refuse a model that is not the one the session ran on.

    Raises:
        StreamStateError: names the first difference.
    """
    for name in sorted(saved.config.keys() | config.keys()):
        theirs, ours = saved.config.get(name), config.get(name)
        if theirs != ours:
            raise StreamStateError(
                f"the session ran on a model whose {name} is {theirs}, but this one's is {ours}; "
                "load the model it ran on"
            )
    if saved.weights != weights:
        raise StreamStateError(
            f"the session ran on other weights (digest {saved.weights}) than this model's "
            f"({weights}) of the same configuration; load the file it ran on"
        )


def pack_tensors(tensors: Iterable[Tensor]) -> list[Array]:
    """Tensors on any device to numbers."""
    return [Array(str(t.dtype).removeprefix("torch."), tuple(t.shape), _bytes(t)) for t in tensors]


def unpack_tensors(saved: list[Array], into: list[Tensor]) -> None:
    """Write numbers into tensors of the same shapes, in place.

    Raises:
        StreamStateError: their number, shapes or types differ.
    """
    if len(saved) != len(into):
        raise StreamStateError(f"the session holds {len(saved)} tensors, expected {len(into)}")
    for n, (array, tensor) in enumerate(zip(saved, into, strict=True)):
        dtype = str(tensor.dtype).removeprefix("torch.")
        _check(array, f"tensor {n} of the model's past", dtype, tuple(tensor.shape))
        if array.data:
            values = torch.frombuffer(bytearray(array.data), dtype=tensor.dtype)
            if tensor.is_floating_point() and not bool(values.isfinite().all()):
                raise StreamStateError(f"tensor {n} of the model's past holds NaN or infinity")
            tensor.copy_(values.view(tensor.shape))


def pack_tracks(state: TrackState | None) -> dict[str, Array] | None:
    """The track book as numbers."""
    if state is None:
        return None
    return {
        name: Array(array.dtype.name, array.shape, array.tobytes())
        for name, array in state.to_arrays().items()
    }


def unpack_tracks(session: SavedSession, classes: int, slots: int) -> TrackState | None:
    """The track book that `pack_tracks` wrote.

    Args:
        session: as `decode` gave it.
        classes: K of the model.
        slots: V of the model.

    Raises:
        StreamStateError: a column is missing, unknown, or contradicts the others.
    """
    saved = session.tracks
    if saved is None:
        return None
    columns = TrackState.empty(classes, 0).to_arrays()
    if saved.keys() != columns.keys():
        raise StreamStateError(
            f"the session's tracks have columns {sorted(saved)}, expected {sorted(columns)}"
        )
    if not saved["ids"].shape:
        raise StreamStateError("the session's track ids are one number, expected one per track")
    rows, channels = saved["ids"].shape[:1], saved["embeddings"].shape[1:]
    arrays: dict[str, NDArray[Any]] = {}
    for name, column in columns.items():
        width = channels if name == "embeddings" else column.shape[1:]
        shape = (*rows, *width) if column.ndim else ()
        if name == "embeddings" and len(channels) != 1:
            raise StreamStateError(f"the session's embeddings have shape {saved[name].shape}")
        _check(saved[name], f"column {name} of the tracks", column.dtype.name, shape)
        arrays[name] = np.frombuffer(saved[name].data, column.dtype).reshape(shape)
    check_tracks(arrays, session.track_config, slots, session.last_time_ns)
    return TrackState.from_arrays(arrays)


def _check(array: Array, what: str, dtype: str, shape: tuple[int, ...]) -> None:
    if (array.dtype, array.shape) != (dtype, shape):
        raise StreamStateError(
            f"{what} is {array.dtype} {array.shape} in the session, expected {dtype} {shape}"
        )
    size = math.prod(shape) * np.dtype(_NUMPY.get(dtype, dtype)).itemsize
    if len(array.data) != size:
        raise StreamStateError(
            f"{what} has {len(array.data)} bytes in the session, expected {size}"
        )


_NUMPY = {"bfloat16": "uint16"}  # of the same width; NumPy has none of it


def _bytes(tensor: Tensor) -> bytes:
    flat = tensor.detach().cpu().contiguous().flatten()
    return flat.view(torch.uint8).numpy().tobytes() if len(flat) else b""


def _digest(parts: Iterable[bytes]) -> bytes:
    whole = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        whole.update(part)
    return whole.digest()
