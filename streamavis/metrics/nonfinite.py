"""Where a file holds NaN or infinity, which Python's `json` writes and JSON does not have."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["first_nonfinite"]

_CONSTANT = re.compile(rb"\b(?:NaN|Infinity)\b")


class _Constant(str):
    """NaN, Infinity or -Infinity where a number should be."""


def first_nonfinite(content: bytes, names: Mapping[int, str]) -> str | None:
    """Say where the first one is: `video 'v', track 0: the score is NaN`; None: there is none.

    Args:
        content: of a ground truth or of predictions.
        names: of the videos by id; an id that is not in it is shown as it is.
    """
    if not _CONSTANT.search(content):
        return None
    try:
        value = json.loads(content, parse_constant=_Constant)
    except (ValueError, RecursionError):
        return None  # malformed otherwise, too
    for path, constant in _constants(value, ()):
        return f"{_place(value, path, names)}the {path[-1] if path else 'file'} is {constant}"
    return None


def _constants(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], str]]:
    """The constants in a value, and the keys that lead to each."""
    if isinstance(value, _Constant):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _constants(item, (*path, key))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _constants(item, (*path, number))


def _place(value: Any, path: tuple[Any, ...], names: Mapping[int, str]) -> str:
    """`video 'v', track 0: ` for what lies in a track, the keys for all else."""
    tracks = value
    if isinstance(value, dict) and path and path[0] == "annotations":
        tracks, path = value["annotations"], path[1:]
    if not isinstance(tracks, list) or not path or not isinstance(tracks[path[0]], dict):
        keys = ".".join(str(key) for key in path[:-1])
        return f"{keys}: " if keys else ""
    video = tracks[path[0]].get("video_id")
    name = names.get(video, video) if isinstance(video, int) else video
    return f"video {name!r}, track {path[0]}: "
