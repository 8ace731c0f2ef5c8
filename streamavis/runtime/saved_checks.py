"""Which values the bytes of a session may hold: ranges, and what must agree with what.

A session of ours keeps to all of this at every moment; bytes that do not would end in an error, or
in results that no reader accepts, at some later frame.

N rows of the track book, V slots of the model.
"""

from __future__ import annotations

import math
import re
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from streamavis.errors import StreamStateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from streamavis.runtime.tracks import TrackConfig

__all__ = ["check_numbers", "check_stream", "check_track_config", "check_tracks"]

_FAR: Final = 1 << 62  # of times and counts: far from the end of int64
_MAX_DELAY_S: Final = 60.0
_MAX_PERIOD_NS: Final = 86_400 * 10**9
_MAX_TRACKS: Final = 1_024  # as on the wire
_STREAM: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOLERANCE: Final = 1e-3  # of lengths and probabilities, which are moving averages

_RANGES: Final[dict[str, tuple[float, float]]] = {
    "audio_delay_s": (0, _MAX_DELAY_S),
    "max_tracks": (0, _MAX_TRACKS),
    "period_ns": (0, _MAX_PERIOD_NS),
    "gaps_ns": (0, _FAR),
    "epoch": (0, _FAR),
    "last_time_ns": (-_FAR, _FAR),
    "next_seq": (0, _FAR),
    "seq_shift": (0, _FAR),
    "heard_until_ns": (-_FAR, _FAR),
}
_TRACK_RANGES: Final[dict[str, tuple[float, float]]] = {
    "n_init": (1, 1_000),
    "max_lost_s": (0, 1e9),
    "max_tracks": (1, _MAX_TRACKS),
    "temperature": (1e-3, 1e3),
}
_SHARE: Final = (-1.0, 2.0)  # of every other setting, which are levels between 0 and 1


def check_stream(name: str) -> None:
    """Refuse a name that no stream has.

    Raises:
        StreamStateError: it is not 1 to 64 letters, digits, '_' or '-'.
    """
    if not _STREAM.fullmatch(name):
        raise StreamStateError(
            f"the session's stream is {name[:80]!r}, expected 1 to 64 letters, digits, '_' or '-'"
        )


def check_numbers(saved: object, most_gaps: int) -> None:
    """Refuse a `SavedSession` with a number out of its range.

    Raises:
        StreamStateError: names the field, its value and the range.
    """
    for name, limits in _RANGES.items():
        value = getattr(saved, name)
        values = value if isinstance(value, list) else [] if value is None else [value]
        if len(values) > most_gaps:
            raise StreamStateError(
                f"the session's {name} has {len(values)} entries, at most {most_gaps}"
            )
        for number in values:
            _between(name, number, limits)


def check_track_config(config: TrackConfig) -> None:
    """Refuse settings of a track book with a value out of its range.

    Raises:
        StreamStateError: names the setting, its value and the range.
    """
    for one in fields(config):
        limits = _TRACK_RANGES.get(one.name, _SHARE)
        _between(f"track setting {one.name}", getattr(config, one.name), limits)


def check_tracks(
    columns: Mapping[str, NDArray[Any]],
    config: TrackConfig,
    slots: int,
    last_time_ns: int | None,
) -> None:
    """Refuse a track book whose columns contradict each other, the model or the session.

    Args:
        columns: of `TrackState.to_arrays`, right in type and shape.
        config: of the book.
        slots: V, of the model.
        last_time_ns: of the session's latest frame; None: it has seen none.

    Raises:
        StreamStateError: names what contradicts what.
    """
    ids, bound, hits = columns["ids"], columns["slots"], columns["hits"]
    seen_s, next_id = columns["last_seen_s"], int(columns["next_id"])
    latest_s = -math.inf if last_time_ns is None else last_time_ns / 1e9
    known, taken = ids[ids > 0], bound[bound >= 0]
    looks = columns["embeddings"]
    shares = [columns["strength"], columns["class_probs"]]
    wrong = {
        f"{len(ids)} tracks, but its book holds {config.max_tracks}": len(ids) > config.max_tracks,
        f"next_id {next_id}, expected 1 to {_FAR}": not 1 <= next_id <= _FAR,
        f"a track id below 0 or not below next_id {next_id}": ((ids < 0) | (ids >= next_id)).any(),
        "one track id in two rows": len(np.unique(known)) < len(known),
        f"a slot outside -1 to {slots - 1}, of the model's {slots} slots": (
            (bound < -1) | (bound >= slots)
        ).any(),
        "one slot bound to two tracks": len(np.unique(taken)) < len(taken),
        f"a count of hits outside 0 to n_init {config.n_init}": (
            (hits < 0) | (hits > config.n_init)
        ).any(),
        f"a track seen at no time up to the latest frame at {latest_s} s": not (
            np.isfinite(seen_s).all() and (seen_s <= latest_s).all()
        ),
        "an embedding that is longer than 1 or not finite": not (
            np.linalg.norm(looks.astype(np.float64), axis=1) <= 1 + _TOLERANCE
        ).all(),
        "a strength or a class probability outside 0 to 1": not all(
            ((share >= -_TOLERANCE) & (share <= 1 + _TOLERANCE)).all() for share in shares
        ),
        "a flag that is neither true nor false": any(
            (columns[name].view(np.uint8) > 1).any() for name in ("in_view", "sounding", "held")
        ),
    }
    for what, is_so in wrong.items():
        if is_so:
            raise StreamStateError(f"the session's tracks have {what}; the bytes are damaged")


def _between(name: str, value: float, limits: tuple[float, float]) -> None:
    low, high = limits
    if not low <= value <= high:  # NaN as well
        raise StreamStateError(f"the session's {name} is {value!r}, expected {low} to {high}")
