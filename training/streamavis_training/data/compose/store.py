"""Decoded material in two files: `library.bin`, mapped by every process, and `library.json`.

Cut-outs are premultiplied RGBA at full, half, quarter and eighth size. Pictures are JPEG and
maps of object ids are deflated: both decode in about a millisecond. Sounds are int16.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import av
import cv2
import msgspec
import numpy as np
from pycocotools import mask as coco

from streamavis.errors import InputError, OutputError
from streamavis.types import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis_training.data.compose.catalogue import (
        Background,
        Catalogue,
        Cutout,
        Scene,
        Sound,
    )
    from streamavis_training.data.compose.vocabulary import Vocabulary

__all__ = [
    "BLOCK",
    "DATA",
    "IGNORED",
    "CutoutEntry",
    "Index",
    "PictureEntry",
    "SceneEntry",
    "SoundEntry",
    "prepare",
    "read_picture",
    "read_wave",
]

VERSION = 4  # rises whenever the files change their meaning
BLOCK = 400  # samples of one loudness value, 25 ms
IGNORED = 255  # id of crowds and of objects beyond the last id
DATA, INDEX = "library.bin", "library.json"
_SIDE = 480  # pixels, longest side of a kept picture
_CUTOUT_HEIGHT = 400
_SOUND_SAMPLES = 12 * SAMPLE_RATE
_LEAST_PIXELS = 40  # of an object in a scene
_QUALITY = 93

_Record = TypeVar("_Record")


class CutoutEntry(msgspec.Struct):
    """Where one cut-out is."""

    class_id: int  # -1: of no class
    label: str
    group: str
    truncated: tuple[bool, bool, bool, bool]
    face: bool | None
    levels: list[tuple[int, int, int]]  # offset, height, width of each size, largest first


class PictureEntry(msgspec.Struct):
    """Where one JPEG is."""

    offset: int
    size: int
    height: int
    width: int
    room: bool = False


class SceneEntry(msgspec.Struct):
    """Where one annotated picture is. Ids are 1 + place in `class_ids`, or `IGNORED`."""

    picture: PictureEntry
    ids: tuple[int, int]  # offset, size
    class_ids: list[int]
    areas: list[float]  # shares of the picture
    complete: bool
    ignored: bool  # some pixels are `IGNORED`
    group: str


class SoundEntry(msgspec.Struct):
    """Where one recording is."""

    class_ids: tuple[int, ...]  # that it can be played for, its own first
    maybe: tuple[int, ...]  # that may be heard in it
    label: str
    group: str
    offset: int  # int16 samples
    samples: int
    levels: int  # offset of float32 loudness, one per whole `BLOCK`
    peak: float  # the largest of them
    speech: bool


class Index(msgspec.Struct):
    """Everything in `library.bin`."""

    key: str
    size: int
    cutouts: list[CutoutEntry]
    backgrounds: list[PictureEntry]
    scenes: list[SceneEntry]
    sounds: list[SoundEntry]


def prepare(
    catalogue: Catalogue,
    vocabulary: Vocabulary,
    folder: Path,
    *,
    jobs: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, Index]:
    """Decode the material of a catalogue once; later calls find it.

    Args:
        folder: created; different catalogues have different folders inside it.
        jobs: threads that decode.
        progress: called with the number of records done and of all.

    Returns:
        the folder with the two files, and what the second one says.

    Raises:
        InputError: a file cannot be decoded or has another size than its record.
        OutputError: `folder` cannot be written.
    """
    key = _key(catalogue, vocabulary)
    place = folder / key[:16]
    try:
        ready = _ready(place, key)
        if ready is not None:
            return place, ready
        place.mkdir(parents=True, exist_ok=True)
        # Its own name: two processes that start together both finish, the last one stays.
        partial = place / f"{DATA}.{os.getpid()}"
        try:
            with partial.open("wb") as file:
                builder = _Builder(_Writer(file), vocabulary, jobs, progress)
                index = builder.build(catalogue, key)
            partial.replace(place / DATA)
        finally:
            partial.unlink(missing_ok=True)
        written = place / f"{INDEX}.{os.getpid()}"
        written.write_bytes(msgspec.json.encode(index))
        written.replace(place / INDEX)
    except OSError as error:
        raise OutputError(f"{place}: cannot keep the decoded material ({error})") from error
    return place, index


def _ready(place: Path, key: str) -> Index | None:
    if not (place / INDEX).is_file() or not (place / DATA).is_file():
        return None
    try:
        index = msgspec.json.decode((place / INDEX).read_bytes(), type=Index)
    except msgspec.DecodeError:
        return None  # of an older version: made again
    complete = index.key == key and (place / DATA).stat().st_size == index.size
    return index if complete else None


def _key(catalogue: Catalogue, vocabulary: Vocabulary) -> str:
    """The same for the same material, wherever it lies."""
    digest = hashlib.sha256(repr((VERSION, vocabulary)).encode())
    for kind in (catalogue.cutouts, catalogue.sounds, catalogue.backgrounds, catalogue.scenes):
        for record in kind:
            facts = {k: v for k, v in vars(record).items() if k != "path"}
            size = record.path.stat().st_size if record.path.exists() else -1
            digest.update(repr((record.path.name, size, facts)).encode())
    return digest.hexdigest()


class _Writer:
    """Appends arrays to a file, each at a multiple of four bytes."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size = 0

    def add(self, data: bytes) -> int:
        """Write, and return where."""
        at = self.size
        padding = -len(data) % 4
        self._file.write(data + bytes(padding))
        self.size += len(data) + padding
        return at


class _Builder:
    def __init__(
        self,
        writer: _Writer,
        vocabulary: Vocabulary,
        jobs: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._writer, self._vocabulary, self._jobs = writer, vocabulary, jobs
        self._progress, self._done, self._all = progress, 0, 0

    def build(self, catalogue: Catalogue, key: str) -> Index:
        kinds: list[Sequence[Any]] = [
            catalogue.cutouts,
            catalogue.backgrounds,
            catalogue.scenes,
            catalogue.sounds,
        ]
        self._all = sum(len(kind) for kind in kinds)
        index = Index(key, 0, [], [], [], [])
        for cutout, levels in self._each(catalogue.cutouts, _decode_cutout):
            index.cutouts.append(self._cutout(cutout, levels))
        for background, (data, height, width) in self._each(
            catalogue.backgrounds, _decode_background
        ):
            index.backgrounds.append(
                PictureEntry(self._writer.add(data), len(data), height, width, background.room)
            )
        for scene, found in self._each(catalogue.scenes, self._decode_scene):
            index.scenes.append(self._scene(scene, *found))
        for sound, (samples, levels) in self._each(catalogue.sounds, _decode_sound):
            index.sounds.append(self._sound(sound, samples, levels))
        index.size = self._writer.size
        return index

    def _each(
        self, records: Sequence[_Record], decode: Callable[[_Record], Any]
    ) -> Iterator[tuple[_Record, Any]]:
        """Decode in threads (OpenCV and FFmpeg let the others run), in order, a few ahead."""
        with ThreadPoolExecutor(self._jobs) as pool:
            for start in range(0, len(records), 64):
                part = records[start : start + 64]
                for record, decoded in zip(part, pool.map(decode, part), strict=True):
                    yield record, decoded
                    self._done += 1
                    if self._progress is not None:
                        self._progress(self._done, self._all)

    def _cutout(self, cutout: Cutout, levels: Iterable[NDArray[np.uint8]]) -> CutoutEntry:
        return CutoutEntry(
            self._vocabulary.picture_class(cutout.label),
            cutout.label,
            cutout.group,
            cutout.truncated,
            cutout.face,
            [(self._writer.add(x.tobytes()), x.shape[0], x.shape[1]) for x in levels],
        )

    def _decode_scene(
        self, scene: Scene
    ) -> tuple[bytes, NDArray[np.uint8], list[int], list[float]]:
        picture = _shrunk(read_picture(scene.path, cv2.IMREAD_COLOR))
        height, width = picture.shape[:2]
        ratio = (width / height) / (scene.width / scene.height)
        if not 0.97 < ratio < 1.03:
            raise InputError(
                f"{scene.path}: is {width}x{height} but its masks are {scene.width}x{scene.height};"
                " the shapes must agree"
            )
        ids = np.zeros((height, width), np.uint8)
        class_ids: list[int] = []
        # Small objects lie on top.
        for item in sorted(scene.objects, key=lambda item: -item.area):
            whole = coco.decode(item.segmentation)
            mask = cv2.resize(whole, (width, height), interpolation=cv2.INTER_NEAREST) > 0
            class_id = self._vocabulary.picture_class(item.label)
            if class_id < 0:
                ids[mask] = 0
            elif item.crowd or mask.sum() < _LEAST_PIXELS or len(class_ids) == IGNORED - 1:
                ids[mask] = IGNORED
            else:
                class_ids.append(class_id)
                ids[mask] = len(class_ids)
        counts = np.bincount(ids.ravel(), minlength=256)[1 : len(class_ids) + 1]
        return _jpeg(picture), ids, class_ids, (counts / ids.size).tolist()

    def _scene(
        self,
        scene: Scene,
        data: bytes,
        ids: NDArray[np.uint8],
        class_ids: list[int],
        areas: list[float],
    ) -> SceneEntry:
        packed = zlib.compress(ids.tobytes(), 6)
        return SceneEntry(
            PictureEntry(self._writer.add(data), len(data), *ids.shape),
            (self._writer.add(packed), len(packed)),
            class_ids,
            areas,
            scene.complete,
            bool((ids == IGNORED).any()),
            scene.group,
        )

    def _sound(
        self, sound: Sound, samples: NDArray[np.int16], levels: NDArray[np.float32]
    ) -> SoundEntry:
        return SoundEntry(
            self._vocabulary.sound_classes(sound.label, sound.name),
            self._vocabulary.maybe_classes(sound.label),
            sound.label,
            sound.group,
            self._writer.add(samples.tobytes()),
            len(samples),
            self._writer.add(levels.tobytes()),
            float(levels.max()),
            sound.speech,
        )


def read_picture(path: Path, flags: int) -> NDArray[np.uint8]:
    """The picture as OpenCV decodes it with these flags.

    Raises:
        InputError: it cannot be decoded.
    """
    picture = cv2.imread(str(path), flags)
    if picture is None:
        raise InputError(f"{path}: not a picture that OpenCV can decode, or missing")
    return picture.astype(np.uint8, copy=False)


def _shrunk(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = _SIDE / max(picture.shape[:2])
    if scale >= 1:
        return picture
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def _resized(picture: NDArray[np.float32], down: float, across: float) -> NDArray[np.float32]:
    size = (max(int(picture.shape[1] * across), 1), max(int(picture.shape[0] * down), 1))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return small.astype(np.float32, copy=False)


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return data.tobytes()


def _decode_background(record: Background) -> tuple[bytes, int, int]:
    picture = _shrunk(read_picture(record.path, cv2.IMREAD_COLOR))
    return _jpeg(picture), picture.shape[0], picture.shape[1]


def _decode_cutout(record: Cutout) -> list[NDArray[np.uint8]]:
    picture = read_picture(record.path, cv2.IMREAD_UNCHANGED)
    if picture.shape != (record.height, record.width, 4):
        raise InputError(
            f"{record.path}: is {picture.shape} but its record says"
            f" ({record.height}, {record.width}, 4) (height, width, RGBA)"
        )
    alpha = picture[..., 3:].astype(np.float32) / 255
    whole = np.dstack([picture[..., 2::-1] * alpha, picture[..., 3]]).astype(np.float32)
    scale = _CUTOUT_HEIGHT / whole.shape[0]
    if scale < 1:
        whole = _resized(whole, scale, scale)
    levels = [whole]
    while min(levels[-1].shape[:2]) > 24 and len(levels) < 4:
        levels.append(_resized(levels[-1], 0.5, 0.5))
    return [np.round(level).astype(np.uint8) for level in levels]


def read_wave(path: Path) -> NDArray[np.float32]:
    """(samples,) of a sound file, mono at `SAMPLE_RATE`, at most 12 s.

    Raises:
        InputError: it cannot be decoded.
    """
    try:
        with av.open(str(path)) as file:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
            parts = [
                out.to_ndarray()[0]
                for frame in file.decode(audio=0)
                for out in resampler.resample(frame)
            ]
            parts += [out.to_ndarray()[0] for out in resampler.resample(None)]
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path}: not a sound that FFmpeg can decode ({error})") from error
    return np.concatenate([*parts, np.zeros(1, np.float32)])[:_SOUND_SAMPLES]


def _decode_sound(record: Sound) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    wave = read_wave(record.path)
    wave = np.pad(wave, (0, -len(wave) % BLOCK))
    largest = float(np.abs(wave).max())
    if largest < 1e-4:
        raise InputError(f"{record.path}: is silent; remove its record")
    wave = wave * (0.8 / largest)
    levels = np.sqrt((wave.reshape(-1, BLOCK) ** 2).mean(1)).astype(np.float32)
    return np.round(wave * 32767).astype(np.int16), levels
