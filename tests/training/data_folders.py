"""Tiny data sets on disk in the exact layouts of AVISeg, YouTube-VIS and COCO."""

from __future__ import annotations

import json
import wave

import cv2
import numpy as np
from pycocotools import mask as coco

HEIGHT, WIDTH = 48, 64
GREY, RED = 100, (40, 40, 220)  # of background and objects, BGR


def box_at(t):
    """x, y, w, h of the object in frame t: 16 x 12 pixels, moving right and down."""
    return [4 + t % 24, 6 + t % 20, 16, 12]


def mask_at(t):
    x, y, w, h = box_at(t)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y : y + h, x : x + w] = 1
    return mask


def polygon(t):
    x, y, w, h = box_at(t)
    return [[x, y, x + w, y, x + w, y + h, x, y + h]]


def compressed(t):
    packed = coco.encode(np.asfortranarray(mask_at(t)))
    return {"size": packed["size"], "counts": packed["counts"].decode()}


def runs(t):
    flat = mask_at(t).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return {"size": [HEIGHT, WIDTH], "counts": [0, *counts] if flat[0] else counts}


FORMS = (polygon, compressed, runs)


def write_picture(path, t, suffix=".jpg"):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
    image[mask_at(t).astype(bool)] = RED
    ok, packed = cv2.imencode(suffix, image, [cv2.IMWRITE_JPEG_QUALITY, 98])
    assert ok
    path.write_bytes(packed.tobytes())


def write_wav(path, seconds, rate=44_100, channels=2):
    """A tone that is louder in every second than in the one before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    at = np.arange(round(seconds * rate)) / rate
    tone = np.sin(2 * np.pi * 440 * at) * (1 + np.floor(at)) / 64
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(np.round(tone * 32767).astype("<i2"), channels).tobytes())


def aviseg(folder, videos=2, frames=8, split="train"):
    """DIR/train.json, DIR/train/JPEGImages, DIR/train/WAVAudios. Object of frame 2 is silent."""
    listed, annotations = [], []
    for v in range(videos):
        names = [f"video{v}/{t}.jpg" for t in range(frames)]
        for t, name in enumerate(names):
            write_picture(folder / split / "JPEGImages" / name, t)
        write_wav(folder / split / "WAVAudios" / f"video{v}.wav", frames)
        listed.append(_video(v + 1, names))
        masks = [None if t == 2 else FORMS[(t + v) % 3](t) for t in range(frames)]
        annotations.append(_annotation(v + 1, v + 1, 1 + v % 2, masks))
    categories = [{"id": i, "name": n} for i, n in ((1, "person"), (2, "violin"), (5, "flute"))]
    return _write(folder / f"{split}.json", listed, annotations, categories), folder / split


def youtube_vis(folder, videos=2, frames=4, annotated=True):
    """DIR/instances.json, DIR/JPEGImages/VIDEO/00000.jpg, as the 2019 set; no sound."""
    listed, annotations = [], []
    for v in range(videos):
        names = [f"clip{v}/{5 * t:05d}.jpg" for t in range(frames)]
        for t, name in enumerate(names):
            write_picture(folder / "JPEGImages" / name, t)
        listed.append(_video(v + 1, names))
        masks = [None if t == 1 else runs(t) for t in range(frames)]
        annotations.append(_annotation(v + 1, v + 1, 1 + v % 2, masks))
    categories = [{"id": 1, "name": "person"}, {"id": 2, "name": "skateboard"}]
    return _write(folder / "instances.json", listed, annotations if annotated else None, categories)


def coco_pictures(folder, pictures=3):
    """ROOT/annotations/instances_val2017.json, ROOT/val2017/N.jpg; a person, a chair, a crowd."""
    images, annotations = [], []
    for p in range(pictures):
        write_picture(folder / "val2017" / f"{p:012d}.jpg", p)
        images.append(
            {"id": 100 + p, "file_name": f"{p:012d}.jpg", "height": HEIGHT, "width": WIDTH}
        )
        corner = [[40, 30, 60, 30, 60, 44, 40, 44]]
        crowd = np.zeros((HEIGHT, WIDTH), np.uint8)
        crowd[:6, 40:] = 1
        packed = coco.encode(np.asfortranarray(crowd))
        counts = {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()}
        for k, (category, stored, is_crowd) in enumerate(
            ((1, polygon(p), 0), (62, corner, 0), (1, counts, 1))
        ):
            annotations.append(
                {
                    "id": 10 * p + k + 1,
                    "image_id": 100 + p,
                    "category_id": category,
                    "segmentation": stored,
                    "iscrowd": is_crowd,
                    "bbox": box_at(p),
                    "area": 192.0,
                }
            )
    content = {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}, {"id": 62, "name": "chair"}],
    }
    path = folder / "annotations" / "instances_val2017.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def change(path, how):
    """Change a file of annotations."""
    content = json.loads(path.read_text())
    how(content)
    path.write_text(json.dumps(content))


def _video(number, names):
    return {
        "id": number,
        "file_names": names,
        "height": HEIGHT,
        "width": WIDTH,
        "length": len(names),
    }


def _annotation(number, video, category, masks):
    return {
        "id": number,
        "video_id": video,
        "category_id": category,
        "iscrowd": 0,
        "bboxes": [None if m is None else box_at(t) for t, m in enumerate(masks)],
        "segmentations": masks,
        "areas": [None if m is None else 192 for m in masks],
        "avg_area": 192.0,
    }


def _write(path, videos, annotations, categories):
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"videos": videos, "categories": categories}
    if annotations is not None:
        content["annotations"] = annotations
    path.write_text(json.dumps(content))
    return path
