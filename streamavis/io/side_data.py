"""What FFmpeg attaches to a decoded picture, whether PyAV knows its kind or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from av.sidedata.sidedata import SideDataContainer, Type

if TYPE_CHECKING:
    from collections.abc import Mapping

    import av

__all__ = ["display_matrix"]


def _name_unknown(cls: type[Type], value: object) -> Type:
    """A member of its own for a kind that is newer than PyAV's table: EXIF, spatial video, ..."""
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"UNKNOWN_{value}", value
    return cast("Type", cls._value2member_map_.setdefault(value, member))


# Without this, one unknown entry keeps PyAV from giving any of a frame's entries.
Type._missing_ = classmethod(_name_unknown)  # type: ignore[method-assign, assignment]


def display_matrix(frame: av.VideoFrame) -> bytes | None:
    """The 3 x 3 int32 matrix that turns a picture upright; None: it is upright."""
    # Not `frame.side_data`: frame and container would hold each other, and decoded pictures pile
    # up until Python's garbage collector comes by, some of them for thousands of frames.
    container = SideDataContainer(frame)  # type: ignore[call-arg]
    side_data = cast("Mapping[str, bytes]", container)
    return bytes(side_data["DISPLAYMATRIX"]) if "DISPLAYMATRIX" in side_data else None
