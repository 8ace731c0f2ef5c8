"""Predictions of a split as they grow: a file a video, so that a stopped run goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamavis.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Part", "Parts", "digest"]

_ABOUT = "about.json"


@dataclass(frozen=True)
class Part:
    """What was found in one video, and what it took."""

    results: list[dict[str, Any]]
    frames: int
    seconds: float


class Parts:
    """The folder `OUT.parts` beside the results that are asked for.

    Each file appears whole or not at all.
    """

    def __init__(self, out: Path) -> None:
        self.folder = out.with_name(out.name + ".parts")
        self._out = out

    def open(self, about: dict[str, str], *, resume: bool) -> None:
        """Make the folder, or find that of an earlier run with the same settings.

        Args:
            about: everything that the predictions depend on.
            resume: False: remove what an earlier run left.

        Raises:
            OutputError: the folder is of a run with other settings, or cannot be written.
        """
        place = self.folder / _ABOUT
        try:
            if not resume:
                shutil.rmtree(self.folder, ignore_errors=True)
            if place.is_file():
                self._compare(json.loads(place.read_text()), about)
            self.folder.mkdir(parents=True, exist_ok=True)
            _write(place, json.dumps(about, indent=1))
        except (OSError, ValueError) as error:
            raise OutputError(f"{self.folder}: cannot be used: {error}") from error

    def _compare(self, before: dict[str, str], now: dict[str, str]) -> None:
        changed = [name for name in now if before.get(name) != now[name]]
        if changed:
            raise OutputError(
                f"{self.folder} holds videos predicted with another {', '.join(changed)}; "
                "give another --out, or --no-resume to predict them again"
            )

    def done(self, video_id: int) -> bool:
        """Whether the video was predicted."""
        return self._place(video_id).is_file()

    def write(self, video_id: int, part: Part) -> None:
        """Keep one video.

        Raises:
            OutputError: the disk is full, or the folder was taken away.
        """
        content = {"frames": part.frames, "seconds": part.seconds, "results": part.results}
        try:
            _write(self._place(video_id), json.dumps(content))
        except OSError as error:
            raise OutputError(f"{self.folder}: cannot be written: {error.strerror}") from error

    def read(self, video_id: int) -> Part:
        """One video that is `done`.

        Raises:
            OutputError: its file was damaged.
        """
        place = self._place(video_id)
        try:
            content = json.loads(place.read_text())
            return Part(content["results"], content["frames"], content["seconds"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{place}: is damaged; remove it and run again ({error})") from error

    def join(self, video_ids: Sequence[int]) -> list[Part]:
        """Write the videos' predictions to the file that was asked for, in this order.

        Raises:
            OutputError: it cannot be written.
        """
        parts = [self.read(video_id) for video_id in video_ids]
        results = [one for part in parts for one in part.results]
        try:
            _write(self._out, json.dumps(results))
        except OSError as error:
            raise OutputError(f"{self._out}: cannot be written: {error.strerror}") from error
        return parts

    def remove(self) -> None:
        """Nothing is left to go on with."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _place(self, video_id: int) -> Path:
        return self.folder / f"{video_id}.json"


def digest(path: Path) -> str:
    """First 16 hexadecimal digits of a file's SHA-256."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _write(path: Path, text: str) -> None:
    """Replace the file at once."""
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text + "\n")
    unfinished.replace(path)
