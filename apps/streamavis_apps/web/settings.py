"""What viewers may change while a stream runs, and the part of it that acts on the engine."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import msgspec

from streamavis.errors import SchemaError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamavis.types import FrameResult

__all__ = ["MAX_STRIDE", "Controls", "Settings", "shown"]

MAX_STRIDE: Final = 60
_Share: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Label: TypeAlias = Annotated[str, msgspec.Meta(max_length=256)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One set for all viewers.

    All but `stride` choose what is shown; results that go elsewhere stay whole.
    """

    sounding_from: _Share = 0.5  # an object is marked as sounding from this probability on
    score_from: _Share = 0.0  # objects below this score are not shown
    hidden: Annotated[tuple[_Label, ...], msgspec.Meta(max_length=1024)] = ()  # labels
    stride: Annotated[int, msgspec.Meta(ge=1, le=MAX_STRIDE)] = (
        1  # one frame in so many is looked at
    )


class Controls:
    """The settings in force; any thread may read and change them."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._lock = threading.Lock()
        self._followers: list[Callable[[Settings], None]] = []

    @property
    def settings(self) -> Settings:
        """The newest."""
        return self._settings

    def stride(self) -> int:
        """One frame in so many is worth the model's time; for `streamavis_apps.steering`."""
        return self._settings.stride

    def follow(self, follower: Callable[[Settings], None]) -> None:
        """Call `follower` after each change, on the thread that made it."""
        with self._lock:
            self._followers.append(follower)

    def change(self, data: bytes | str) -> Settings:
        """Apply a JSON object of some or all settings; the rest stays.

        Raises:
            SchemaError: it is malformed, or a value is out of its range; nothing changed.
        """
        with self._lock:
            try:
                update = msgspec.json.decode(data, type=dict[str, object])
                merged = {**msgspec.to_builtins(self._settings), **update}
                self._settings = settings = msgspec.convert(merged, Settings)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                raise SchemaError(f"these settings are refused: {error}") from error
            followers = list(self._followers)
        for follower in followers:
            follower(settings)
        return settings


def shown(result: FrameResult, settings: Settings) -> FrameResult:
    """The result as viewers get it: without what is hidden."""
    tracks = [
        track
        for track in result.tracks
        if track.score >= settings.score_from and track.label not in settings.hidden
    ]
    return replace(result, tracks=tracks)
