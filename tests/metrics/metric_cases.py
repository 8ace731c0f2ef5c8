"""Ground truth and predictions for tests: golden files, and small ones made to order."""

import gzip
import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from streamavis.metrics import evaluate_files

DATA = Path(__file__).with_name("data")
GOLDEN = sorted(path.name for path in DATA.iterdir() if path.is_dir())
CATEGORIES = [{"id": 1, "name": "person"}, {"id": 2, "name": "violin"}, {"id": 7, "name": "dog"}]
# Their name in the public evaluator's output where it differs.
REFERENCE_NAMES = {
    "FSLA": "FA",
    "FSLAn": "FAn",
    "FSLAs": "FAs",
    "FSLAm": "FAm",
    "mAP": "AP_all",
    "AR": "AR_all",
}


def golden(name, part):
    return json.loads(gzip.decompress((DATA / name / f"{part}.json.gz").read_bytes()))


def rectangle(x, y, width, height, size=(24, 32)):
    mask = np.zeros(size, np.uint8)
    mask[y : y + height, x : x + width] = 1
    return mask


def rle(mask):
    packed = coco.encode(np.asfortranarray(mask))
    return {"size": list(mask.shape), "counts": packed["counts"].decode()}


def uncompressed(mask):
    flat = mask.reshape(-1, order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    return [{"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}]


def truth_file(videos, size=(24, 32)):
    """`videos`: name -> (frames, [(category, masks or None per frame)])."""
    entries, annotations = [], []
    for number, (name, (length, tracks)) in enumerate(videos.items(), start=1):
        names = [f"{name}/{t:05}.jpg" for t in range(length)]
        video = {"id": number, "height": size[0], "width": size[1], "file_names": names}
        entries.append(video)
        for category, masks in tracks:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "video_id": number,
                    "category_id": category,
                    "iscrowd": 0,
                    "height": size[0],
                    "width": size[1],
                    "segmentations": [None if m is None else uncompressed(m) for m in masks],
                    "areas": [None if m is None else int(m.sum()) for m in masks],
                }
            )
    return {"categories": [*CATEGORIES], "videos": entries, "annotations": annotations}


def track(video_id, category, masks, score=0.9, empty="null"):
    """A prediction; `empty`: how a frame without a mask is written, "null" or "zeros"."""
    blank = None if empty == "null" else rle(np.zeros_like(next(m for m in masks if m is not None)))
    return {
        "video_id": video_id,
        "category_id": category,
        "score": score,
        "segmentations": [blank if m is None else rle(m) for m in masks],
    }


def evaluated(folder, truth, predictions, **options):
    """Write both files and evaluate."""
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "pred.json").write_text(json.dumps(predictions))
    return evaluate_files(folder / "gt.json", [folder / "pred.json"], **options)[0]


def different(found, expected, tolerance=1e-9):
    """The entries of `expected` that `found` does not have; null is NaN."""
    assert found.keys() == expected.keys()
    return {
        name: (found[name], value)
        for name, value in expected.items()
        if not (np.isnan(found[name]) if value is None else abs(found[name] - value) <= tolerance)
    }
