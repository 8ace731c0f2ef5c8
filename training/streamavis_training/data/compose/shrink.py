"""Records of material as small files: smaller pictures and masks as WebP, sounds as Opus."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import av
import cv2
import numpy as np
from pycocotools import mask as coco

from streamavis.types import SAMPLE_RATE
from streamavis_training.data.compose.store import read_picture, read_wave

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from streamavis_training.data.compose.catalogue import (
        Background,
        Cutout,
        Scene,
        SceneObject,
        Sound,
    )

__all__ = [
    "LEVELS",
    "Level",
    "Small",
    "small_background",
    "small_cutout",
    "small_scene",
    "small_sound",
]

SOUND_S = 6.0  # a longer sound is cut


@dataclass(frozen=True)
class Level:
    """How small files are made."""

    scene: int  # pixels, longest side of scenes and backgrounds
    cutout: int  # likewise
    quality: int  # of WebP, 1 to 100
    kbps: int | None  # of Opus; None: sounds stay as they are


# Training frames are at most 341 pixels wide; speech and animals keep their band at 16 kbit/s.
LEVELS = (
    Level(400, 256, 90, None),
    Level(400, 256, 80, 40),
    Level(400, 256, 75, 32),
    Level(400, 256, 65, 24),
    Level(400, 256, 50, 24),
    Level(384, 240, 45, 20),
    Level(352, 224, 40, 16),
    Level(320, 192, 30, 16),
    Level(256, 160, 25, 12),
)


@dataclass(frozen=True)
class Small:
    """One record's file, and what its record says of it."""

    data: bytes
    suffix: str  # of the file's name
    facts: dict[str, Any]  # fields of the record that are not of every kind
    masks: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # label, annotation
    text: int = 0  # bytes of the run lengths, about


def small_cutout(record: Cutout, level: Level) -> Small:
    """A cut-out; its colours do not mix with those of transparent pixels."""
    picture = read_picture(record.path, cv2.IMREAD_UNCHANGED)
    scale = level.cutout / max(picture.shape[:2])
    if scale < 1:
        alpha = picture[..., 3:].astype(np.float32) / 255
        whole = np.dstack([picture[..., :3] * alpha, picture[..., 3]]).astype(np.float32)
        whole = _resized(whole, scale)
        colours = whole[..., :3] / np.maximum(whole[..., 3:] / 255, 1e-3)
        picture = np.round(np.clip(np.dstack([colours, whole[..., 3]]), 0, 255)).astype(np.uint8)
    data, suffix = _encoded(record.path, picture, level.quality, changed=scale < 1)
    facts = {
        "cls": record.label,
        "h": picture.shape[0],
        "w": picture.shape[1],
        "truncated": record.truncated,
        "face_visible": record.face,
    }
    return Small(data, suffix, facts)


def small_background(record: Background, level: Level) -> Small:
    """A background."""
    picture, changed = _fitting(record.path, level.scene)
    data, suffix = _encoded(record.path, picture, level.quality, changed=changed)
    return Small(data, suffix, {"form": "room" if record.room else ""})


def small_scene(record: Scene, level: Level) -> Small:
    """An annotated picture with masks of its own size."""
    picture, changed = _fitting(record.path, level.scene)
    data, suffix = _encoded(record.path, picture, level.quality, changed=changed)
    height, width = picture.shape[:2]
    masks = [(item.label, _annotation(item, height, width)) for item in record.objects]
    facts = {"height": height, "width": width, "complete": record.complete}
    text = sum(len(mask["segmentation"]["counts"]) for _, mask in masks)
    return Small(data, suffix, facts, masks, text)


def small_sound(record: Sound, level: Level) -> Small:
    """A recording, at most `SOUND_S` long."""
    original = record.path.read_bytes()
    long = record.duration_s > SOUND_S
    data, suffix = original, record.path.suffix
    if long or level.kbps is not None:
        wave = read_wave(record.path)[: int(SOUND_S * SAMPLE_RATE)]
        encoded = _opus(wave, level.kbps or 64)
        if long or len(encoded) < len(original):
            data, suffix = encoded, ".ogg"
    facts = {
        "cls": record.label,
        "dur": min(record.duration_s, SOUND_S),
        # With the file's old name, which may say what makes the sound.
        "subclass": record.name,
        "kind": "speech" if record.speech else "",
    }
    return Small(data, suffix, facts)


def _annotation(item: SceneObject, height: int, width: int) -> dict[str, Any]:
    """An object's mask at another size."""
    before = item.segmentation["size"]
    packed = item.segmentation
    if list(before) != [height, width]:
        whole = coco.decode(item.segmentation)
        small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_NEAREST)
        counts = coco.encode(np.asfortranarray(small))["counts"].decode("ascii")
        packed = {"size": [height, width], "counts": counts}
    area = item.area * height * width / (before[0] * before[1])
    return {"segmentation": packed, "area": round(area, 1), "iscrowd": int(item.crowd)}


def _fitting(path: Path, side: int) -> tuple[NDArray[np.uint8], bool]:
    """The picture at most `side` long, and whether it was made smaller."""
    picture = read_picture(path, cv2.IMREAD_COLOR)
    scale = side / max(picture.shape[:2])
    if scale >= 1:
        return picture, False
    return _resized(picture, scale).astype(np.uint8, copy=False), True


def _resized(picture: NDArray[Any], scale: float) -> NDArray[Any]:
    size = (max(round(picture.shape[1] * scale), 1), max(round(picture.shape[0] * scale), 1))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)


def _encoded(
    path: Path, picture: NDArray[np.uint8], quality: int, *, changed: bool
) -> tuple[bytes, str]:
    """WebP, or the file as it is where it is no larger; and the suffix."""
    done, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
    assert done, "OpenCV encodes an 8-bit picture"
    if not changed:
        original = path.read_bytes()
        if len(original) <= len(data):
            return original, path.suffix
    return data.tobytes(), ".webp"


def _opus(wave: NDArray[np.float32], kbps: int) -> bytes:
    file = io.BytesIO()
    # Else the stream's number is random.
    with av.open(file, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=SAMPLE_RATE, layout="mono")
        stream.bit_rate = 1000 * kbps
        frame = av.AudioFrame.from_ndarray(wave[None], format="flt", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()
