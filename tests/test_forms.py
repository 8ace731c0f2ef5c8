"""Results in other libraries' forms: nothing is lost, and those libraries read them."""

from __future__ import annotations

import io
import json
import sys
from contextlib import redirect_stdout
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from pycocotools.coco import COCO
from wire_samples import FRAME

from streamavis.errors import MissingExtraError
from streamavis.forms import to_coco

EMPTY = replace(FRAME, tracks=[])


def test_numpy_has_an_array_for_each_property():
    arrays = FRAME.to_numpy()
    assert arrays["ids"].tolist() == [7, 9]
    assert arrays["labels"].tolist() == ["dog", "drum"]
    assert arrays["boxes"].tolist() == [[2, 1, 5, 3], [0, 0, 8, 6]]
    assert arrays["centroids"].tolist() == [[4.0, 2.0], [3.5, 2.5]]
    assert (arrays["sounding"][0], arrays["visible"][1]) == (0.5, 0.25)
    assert np.isnan([arrays["sounding"][1], arrays["visible"][0]]).all()
    assert (arrays["masks"].sum((1, 2)) == arrays["areas"]).all()


def test_arrays_of_no_tracks_have_their_shapes():
    arrays = EMPTY.to_numpy()
    shapes = {name: array.shape for name, array in arrays.items()}
    assert shapes.pop("masks") == (0, 6, 8)
    assert shapes.pop("boxes") == (0, 4)
    assert shapes.pop("centroids") == (0, 2)
    assert set(shapes.values()) == {(0,)}
    assert {name: array.dtype for name, array in arrays.items() if name != "labels"} == {
        name: array.dtype for name, array in FRAME.to_numpy().items() if name != "labels"
    }


def test_coco_is_read_by_pycocotools(tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps(to_coco(FRAME, file_name="a.jpg", first_id=5)))
    with redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "coco.json"))
    (image,) = coco.loadImgs(coco.getImgIds())
    assert image == {"id": FRAME.seq, "height": 6, "width": 8, "file_name": "a.jpg"}
    found = coco.loadAnns(coco.getAnnIds())
    assert [one["id"] for one in found] == [5, 6]
    assert [one["track_id"] for one in found] == [7, 9]
    assert [one["sounding"] for one in found] == [0.5, None]
    for one, track in zip(found, FRAME.tracks, strict=True):
        assert np.array_equal(coco.annToMask(one).astype(bool), track.mask)
    names = [one["name"] for one in coco.loadCats(coco.getCatIds())]
    assert names == ["dog", "drum"]
    assert EMPTY.to_coco()["annotations"] == []


@pytest.mark.skipif(find_spec("supervision") is None, reason="needs pip install supervision")
def test_supervision_has_masks_ids_and_what_sounds():
    import supervision as sv

    found = FRAME.to_supervision()
    assert isinstance(found.mask, sv.CompactMask)
    assert np.array_equal(np.asarray(found.mask), FRAME.masks)
    assert found.xyxy.tolist() == [[2, 1, 7, 4], [0, 0, 8, 6]]
    assert found.tracker_id.tolist() == [7, 9]
    assert found.confidence.tolist() == [0.75, 1.0]
    heard = found[found.data["sounding"] >= 0.5]
    assert heard["class_name"].tolist() == ["dog"]
    assert np.array_equal(np.asarray(heard.mask)[0], FRAME.tracks[0].mask)
    assert found.metadata["seq"] == FRAME.seq
    picture = np.zeros((6, 8, 3), np.uint8)
    assert sv.MaskAnnotator().annotate(picture.copy(), found).any()
    assert len(EMPTY.to_supervision()) == 0


def test_without_supervision_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"streamavis\[supervision\]"):
        FRAME.to_supervision()
