"""A small made-up catalogue on disk: shapes as cut-outs, tones as sounds."""

import json
import wave

import cv2
import numpy as np
from pycocotools import mask as coco

RATE = 16000
TONES = {"person": 300.0, "dog": 700.0, "guitar": 1700.0, "ambient_rain": 4000.0}
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 23, "name": "bear"}]


def facts(split="train", tier="open", **more):
    return {"licence": "CC0", "tier": tier, "split": split, "source": "made up", **more}


def rle(mask):
    packed = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(packed["size"]), "counts": packed["counts"].decode()}


def add_cutout(folder, index, label, n, colour, *, height=120, width=60, **more):
    picture = np.zeros((height, width, 4), np.uint8)
    middle = (width // 2, height // 2)
    shape = (width // 2 - 2, height // 2 - 2)
    cv2.ellipse(picture, middle, shape, 0, 0, 360, (*colour, 255), -1)
    name = f"cutouts/{label}_{n}.png"
    cv2.imwrite(str(folder / name), picture)
    record = facts(**{"group": f"{label}{n}", **more})
    index["cutouts"].append({"file": name, "cls": label, "w": width, "h": height, **record})


def add_sound(folder, index, label, n, *, seconds=1.0, **more):
    times = np.arange(int(seconds * RATE)) / RATE
    samples = np.sin(2 * np.pi * TONES[label] * times) * 0.5
    name = f"sounds/{label}_{n}.wav"
    with wave.open(str(folder / name), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    record = facts(**{"group": f"voice-{label}{n}", **more})
    index["sounds"].append({"file": name, "cls": label, "dur": seconds, **record})


def add_background(folder, index, n, **more):
    ramp = np.linspace(0, 255, 240 * 320 * 3).reshape(240, 320, 3).astype(np.uint8)
    name = f"backgrounds/plain{n}.png"
    cv2.imwrite(str(folder / name), np.roll(ramp, 40 * n, 0))
    index["backgrounds"].append({"file": name, **facts(**{"group": f"plain{n}", **more})})


def add_scene(folder, scenes, n, boxes, *, complete=True, crowd=None, **more):
    """`boxes`: (category, x, y, w, h) of each object of a 320 x 240 picture."""
    picture = np.full((240, 320, 3), 90, np.uint8)
    for category, x, y, w, h in boxes:
        mask = np.zeros((240, 320), bool)
        mask[y : y + h, x : x + w] = True
        picture[mask] = (200, 10 * category, 30)
        scenes["annotations"].append(
            {
                "id": len(scenes["annotations"]) + 1,
                "image_id": n,
                "category_id": category,
                "iscrowd": int(category == crowd),
                "segmentation": rle(mask),
                "area": float(mask.sum()),
                "bbox": [x, y, w, h],
            }
        )
    name = f"scenes/scene{n}.png"
    cv2.imwrite(str(folder / name), picture)
    record = facts(**{"group": f"scene{n}", **more})
    image = {"id": n, "file_name": name, "width": 320, "height": 240, "complete": complete}
    scenes["images"].append({**image, **record})


def start(folder):
    for name in ("cutouts", "sounds", "backgrounds", "scenes"):
        (folder / name).mkdir(parents=True)
    index = {"cutouts": [], "sounds": [], "backgrounds": []}
    return index, {"images": [], "annotations": [], "categories": CATEGORIES}


def finish(folder, index, scenes):
    (folder / "index.json").write_text(json.dumps(index))
    (folder / "scenes" / "scenes.json").write_text(json.dumps(scenes))
    return folder


def build(folder):
    """A complete little catalogue of split train, and some of test."""
    index, scenes = start(folder)
    colours = {"person": (60, 60, 220), "dog": (60, 200, 60), "guitar": (220, 80, 40)}
    for label, colour in colours.items():
        for n in range(3):
            add_cutout(folder, index, label, n, colour)
            add_sound(folder, index, label, n)
    add_cutout(folder, index, "lamp", 0, (10, 10, 10))
    add_sound(folder, index, "ambient_rain", 0)
    add_background(folder, index, 0, form="room without people")
    add_background(folder, index, 1)
    two_and_a_dog = [(1, 40, 60, 80, 160), (1, 180, 60, 90, 160), (18, 130, 150, 40, 60)]
    add_scene(folder, scenes, 1, two_and_a_dog)
    add_scene(folder, scenes, 2, [(18, 60, 40, 200, 180)], complete=False)
    add_cutout(folder, index, "person", 9, (5, 5, 5), split="test")
    add_sound(folder, index, "person", 9, split="test")
    add_background(folder, index, 9, split="test")
    return finish(folder, index, scenes)
