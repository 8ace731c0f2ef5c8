"""One split of a data set to predict: its videos, frame times, sound and categories. No truth.

Reads AVISeg's layout, our own and YouTube-VIS's; annotations in the file are left alone. Ids are
those of the file. See `data.places` for the folders.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

import av
import cv2
import msgspec
import numpy as np

from streamavis.errors import InputError
from streamavis.io.resample import MonoResampler
from streamavis.metrics.limits import UNREADABLE, first_repeated, reason
from streamavis.types import SAMPLE_RATE
from streamavis_training.data.places import AUDIO, FRAMES, find_one

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis.types import AudioChunk

__all__ = [
    "AVISEG_SHIFT_S",
    "FEATURES",
    "ClassMap",
    "Clip",
    "Split",
    "match_classes",
    "read_split",
    "read_waveform",
]

FEATURES = "FEATAudios"
# AVISM's frame i gets the sound of [i, i + 0.96) s: a causal network gets the same at its end.
AVISEG_SHIFT_S = 0.96
_AVISEG_FPS, _YOUTUBE_VIS_FPS = 1.0, 6.0  # where the file does not say


@dataclass(frozen=True)
class Clip:
    """One video of a split; pictures and sound are read on demand."""

    id: int  # the file's
    name: str
    frames: tuple[Path, ...]  # (T)
    rate: float  # frames per second
    times_ns: NDArray[np.int64]  # (T) when each frame is shown to a causal network
    wav: Path | None  # None: there is no sound
    features: Path | None  # VGGish's rows, ready made, where there are any

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """(H, W, 3) RGB, frame by frame.

        Raises:
            InputError: a file is no picture.
        """
        for path in self.frames:
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
            if picture is None:
                raise InputError(f"video {self.name!r}: {path} cannot be decoded as a picture")
            yield np.asarray(picture, np.uint8)

    def waveform(self) -> NDArray[np.float32]:
        """(samples,) 16 kHz mono in [-1, 1] from stream time 0, up to the last frame at least.

        Where the file ends before the last frame, zeros follow.

        Raises:
            InputError: there is no sound, or the file cannot be decoded.
        """
        if self.wav is None:
            raise InputError(f"video {self.name!r} has no sound file in {AUDIO}")
        try:
            heard = read_waveform(self.wav)
        except InputError as error:
            raise InputError(f"video {self.name!r}: {error}") from error
        needed = -(-int(self.times_ns[-1]) * SAMPLE_RATE // 1_000_000_000)
        return np.pad(heard, (0, max(needed - len(heard), 0)))


@dataclass(frozen=True)
class Split:
    """Videos in the file's order, and the categories by id."""

    source: Path  # the JSON
    clips: tuple[Clip, ...]
    categories: dict[int, str]

    @property
    def has_sound(self) -> bool:
        """Whether any video has."""
        return any(clip.wav is not None for clip in self.clips)


@dataclass(frozen=True)
class ClassMap:
    """A network's classes as a data set's categories, by name."""

    ids: tuple[int | None, ...]  # (K) category id of each class; None: the data set lacks it
    unknown: tuple[str, ...]  # classes of the network that the data set lacks
    missing: tuple[str, ...]  # categories that the network does not know


class _Category(msgspec.Struct):
    id: int
    name: str


class _Video(msgspec.Struct):
    id: int
    file_names: list[str]
    fps: float | None = None
    times_s: list[float] | None = None


def read_split(folder: Path, file: Path | None = None) -> Split:
    """Read which videos there are; pictures must be on disk, sound may be missing.

    Args:
        folder: of the split, or its file of annotations; see `data.places`.
        file: the annotations, where they are not found by their place.

    Raises:
        InputError: no file, or not as the layout says; names file, video and field.
    """
    place = find_one(file or folder)
    source = place.annotations
    if place.file.videos is None:
        _fail(source, "it lists pictures, not videos; COCO has no videos to predict")
    pictures = folder / FRAMES if (folder / FRAMES).is_dir() else place.pictures
    sounds = folder / AUDIO if (folder / AUDIO).is_dir() else place.sounds
    try:
        videos = [msgspec.json.decode(raw, type=_Video) for raw in place.file.videos]
        named = [msgspec.json.decode(raw, type=_Category) for raw in place.file.categories]
    except UNREADABLE as error:
        raise InputError(f"{source}: not a data set's annotations: {reason(error)}") from error
    if not videos or not named:
        _fail(source, "it lists no video or no category; there is nothing to predict")
    twice = first_repeated(video.id for video in videos)
    if twice is not None:
        _fail(source, f"video id {twice} occurs twice")
    clips = tuple(_clip(pictures, sounds, source, video) for video in videos)
    return Split(source, clips, {one.id: one.name for one in named})


def match_classes(classes: Sequence[str], categories: dict[int, str]) -> ClassMap:
    """Pair classes with categories of the same name; case, spaces, - and _ do not count.

    Raises:
        InputError: not a single name is common to both.
    """
    by_name = {_plain(name): id_ for id_, name in categories.items()}
    ids = tuple(by_name.get(_plain(name)) for name in classes)
    found = set(ids)
    if found == {None}:
        raise InputError(
            f"no class of the model is a category of the data set: the model has "
            f"{', '.join(classes)}; the data set has {', '.join(categories.values())}"
        )
    unknown = tuple(name for name, id_ in zip(classes, ids, strict=True) if id_ is None)
    missing = tuple(name for id_, name in categories.items() if id_ not in found)
    return ClassMap(ids, unknown, missing)


def _plain(name: str) -> str:
    return name.lower().replace("-", " ").replace("_", " ").strip()


def _clip(pictures: Path, sounds: Path | None, source: Path, video: _Video) -> Clip:
    where = f"video {video.id}"
    if not video.file_names:
        _fail(source, f"{where} has no file_names")
    frames = tuple(pictures / name for name in video.file_names)
    lost = next((path for path in frames if not path.is_file()), None)
    if lost is not None:
        _fail(source, f"{where}: picture {lost} is missing")
    count = len(frames)
    rate = video.fps or (_YOUTUBE_VIS_FPS if sounds is None else _AVISEG_FPS)
    shift_s = AVISEG_SHIFT_S if video.fps is None and sounds is not None else 0.0
    times_s: NDArray[np.floating] = np.arange(count) / rate + shift_s
    if video.times_s is not None:
        times_s = np.array(video.times_s, np.float64)
    if len(times_s) != count or rate < 0 or (np.diff(times_s) <= 0).any() or times_s[0] < 0:
        _fail(source, f"{where}: fps must be positive, or times_s hold {count} rising numbers >= 0")
    name = frames[0].parent.name
    wav = sounds / f"{name}.wav" if sounds is not None else None
    rows = pictures.parent / FEATURES / f"{name}.npy"
    period_s = float(np.median(np.diff(times_s))) if count > 1 else 1.0 / rate
    return Clip(
        id=video.id,
        name=name,
        frames=frames,
        rate=1.0 / period_s,
        times_ns=np.round(times_s * 1e9).astype(np.int64),
        wav=wav if wav is not None and wav.is_file() else None,
        features=rows if rows.is_file() else None,
    )


def read_waveform(path: Path) -> NDArray[np.float32]:
    """(samples,) 16 kHz mono in [-1, 1] of any sound file, channels averaged.

    Raises:
        InputError: the file is missing or cannot be decoded as sound.
    """
    resampler = MonoResampler()
    chunks: list[AudioChunk] = []
    try:
        with av.open(str(path)) as file:
            for frame in file.decode(audio=0):
                chunks += resampler.feed(frame, None)
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path} cannot be decoded as sound: {error}") from error
    chunks += resampler.flush()
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)])


def _fail(source: Path, what: str) -> NoReturn:
    raise InputError(f"{source}: {what}")
