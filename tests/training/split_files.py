"""Small data sets on disk: a red box that moves and a green one that rests, noise or silence."""

from __future__ import annotations

import json
import sys
import wave
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco

sys.path.append(str(Path(__file__).parents[1]))
from runtime_fakes import picture

HEIGHT, WIDTH = 90, 160
CATEGORIES = [
    {"id": 9, "name": "whistle"},
    {"id": 4, "name": "Red_thing"},
    {"id": 7, "name": "green-thing"},
]


def boxes(frame: int) -> dict[int, tuple[int, int, int, int]]:
    """Category -> x, y, w, h."""
    return {4: (12 + 4 * frame, 8, 40, 32), 7: (100, 48, 32, 32)}


def write_wav(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.3, 0.3, round(16_000 * seconds))


def write_split(
    folder: Path,
    *,
    videos: int = 2,
    frames: int = 5,
    sound: bool = True,
    beside: bool = False,
    official: bool = True,
    **fields: object,
) -> Path:
    """AVISeg's layout: red sounds in every frame; `fields` go to the videos."""
    listed, annotations = [], []
    for n in range(videos):
        name = f"v{n}"
        names = [f"{name}/{t}.png" for t in range(frames)]
        for t, file_name in enumerate(names):
            path = folder / "JPEGImages" / file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            shown = boxes(t)
            image = picture((0, *shown[4]), (1, *shown[7]), height=HEIGHT, width=WIDTH)
            cv2.imwrite(str(path), image[..., ::-1])
        if sound:
            write_wav(folder / "WAVAudios" / f"{name}.wav", noise(frames, n))
        size = {"height": HEIGHT, "width": WIDTH, "length": frames}
        listed.append({"id": 30 - n, "file_names": names, **size, **fields})
        areas = [float(np.prod(boxes(t)[4][2:])) for t in range(frames)]
        one = {"id": n + 1, "video_id": 30 - n, "category_id": 4, "iscrowd": 0, "areas": areas}
        one |= size | {"bboxes": [list(boxes(t)[4]) for t in range(frames)]}
        annotations.append(one | {"segmentations": [_mask(t, official) for t in range(frames)]})
    content = {"videos": listed, "annotations": annotations, "categories": CATEGORIES}
    place = folder.with_name(f"{folder.name}.json") if beside else folder / "annotations.json"
    place.write_text(json.dumps(content))
    return folder


def _mask(frame: int, official: bool) -> object:
    x, y, w, h = boxes(frame)[4]
    if official:
        return [[x, y, x + w, y, x + w, y + h, x, y + h]]
    full = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    full[y : y + h, x : x + w] = 1
    packed = coco.encode(full)
    return {"size": packed["size"], "counts": packed["counts"].decode()}
