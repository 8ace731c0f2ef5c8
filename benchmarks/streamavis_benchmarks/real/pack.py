"""The folder of evaluation data: real clips with truth per second, pictures with masks, sounds.

FOLDER/eval_clips/truth.json, *.mp4   FOLDER/clips/*   FOLDER/scenes/scenes*.json
FOLDER/index*.json                    (sounds, for what is heard from off screen)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streamavis.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

__all__ = [
    "Scene",
    "SceneObject",
    "Second",
    "Seen",
    "TruthClip",
    "every",
    "off_screen_sounds",
    "read_clips",
    "read_scenes",
    "silent_clips",
]

Split = str  # "val" to choose by, "test" for final figures


@dataclass(frozen=True)
class Seen:
    """One object in one second of a clip."""

    label: str
    box: tuple[float, float, float, float]  # left, top, right, bottom in pixels of the clip
    sounding: bool | None  # None: unknown


@dataclass(frozen=True)
class Second:
    """What is known of [start, start + 1) s."""

    start_s: float
    objects: tuple[Seen, ...]


@dataclass(frozen=True)
class TruthClip:
    """A real recording and what a person saw and heard in it."""

    path: Path
    width: int
    height: int
    seconds: tuple[Second, ...]


@dataclass(frozen=True)
class SceneObject:
    """An annotated object of a picture."""

    label: str
    rle: dict[str, Any]  # COCO's, at the size of the annotation
    crowd: bool


@dataclass(frozen=True)
class Scene:
    """A whole picture."""

    path: Path
    complete: bool  # every object of the set's classes is annotated
    objects: tuple[SceneObject, ...]


def read_clips(folder: Path) -> list[TruthClip]:
    """Clips of a folder with a `truth.json`; none where there is no such file.

    Raises:
        InputError: the file is not as it should be, or a clip is missing.
    """
    source = folder / "truth.json"
    if not source.is_file():
        return []
    content = _json(source)
    clips = []
    try:
        for name, one in content.items():
            seconds = tuple(
                Second(float(second["t"]), tuple(_seen(seen) for seen in second["objects"]))
                for second in one["seconds"]
            )
            clips.append(TruthClip(folder / name, one["width"], one["height"], seconds))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source}: not truth of clips, second by second: {error!r}") from error
    lost = next((clip.path for clip in clips if not clip.path.is_file()), None)
    if lost is not None:
        raise InputError(f"{source}: {lost} is missing")
    return clips


def _seen(entry: dict[str, Any]) -> Seen:
    sounding = entry.get("sounding")
    left, top, right, bottom = map(float, entry["box"])
    known = sounding if isinstance(sounding, bool) else None
    return Seen(entry["label"], (left, top, right, bottom), known)


def read_scenes(folder: Path, split: Split) -> list[Scene]:
    """Annotated pictures of one split, in the files' order.

    Raises:
        InputError: a file is not as it should be.
    """
    found: list[Scene] = []
    for source in sorted((folder / "scenes").glob("scenes*.json")):
        content = _json(source)
        try:
            names = {one["id"]: one["name"] for one in content["categories"]}
            objects: dict[Any, list[SceneObject]] = {}
            for one in content["annotations"]:
                seen = SceneObject(
                    names[one["category_id"]], one["segmentation"], bool(one.get("iscrowd"))
                )
                objects.setdefault(one["image_id"], []).append(seen)
            for image in content["images"]:
                if image["split"] == split:
                    known = tuple(objects.get(image["id"], ()))
                    found.append(Scene(folder / image["file_name"], image["complete"], known))
        except (KeyError, TypeError) as error:
            raise InputError(f"{source}: not annotated pictures: {error!r}") from error
    return found


def silent_clips(folder: Path) -> list[Path]:
    """Real clips to be watched in digital silence: those named so."""
    return sorted(path for path in (folder / "clips").glob("*silent*") if path.is_file())


def off_screen_sounds(folder: Path, split: Split) -> dict[str, list[tuple[str, Path]]]:
    """Label and file of each narrator's voice and each piece of music of a split.

    Raises:
        InputError: an index is not as it should be.
    """
    found: dict[str, list[tuple[str, Path]]] = {"narrator": [], "music": []}
    for source in sorted(folder.glob("index*.json")):
        try:
            for one in _json(source)["sounds"]:
                kind = _kind(one)
                if one["split"] == split and kind is not None:
                    found[kind].append((one["cls"], folder / one["file"]))
        except (KeyError, TypeError) as error:
            raise InputError(f"{source}: not an index of sounds: {error!r}") from error
    return found


_STRINGS_AND_KEYS = {"accordion", "banjo", "cello", "guitar", "piano", "violin"}
_WINDS_AND_DRUMS = {"drum", "flute", "saxophone", "trumpet", "tuba"}
_MUSIC = _STRINGS_AND_KEYS | _WINDS_AND_DRUMS | {"offscreen_music"}


def _kind(entry: dict[str, Any]) -> str | None:
    if entry["cls"] == "person" and "baby" not in entry.get("kind", ""):
        return "narrator"
    return "music" if entry["cls"] in _MUSIC else None


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error


def every(items: Sequence[Any], count: int | None) -> Iterator[Any]:
    """`count` items spread evenly over a list, the first among them; None: all."""
    wanted = len(items) if count is None else min(count, len(items))
    return (items[i * len(items) // wanted] for i in range(wanted))
