"""Reading data sets: AVISeg's dialect too, and errors that say where."""

import json

import numpy as np
import pytest
from streamavis_training.data import layout

from streamavis.errors import InputError


def rle(counts):
    return {"size": [4, 6], "counts": counts}


def content():
    """Two frames of one video, as AVISeg writes them: no fps, no visible, no sounding."""
    return {
        "videos": [
            {"id": 7, "file_names": ["v/0.jpg", "v/1.jpg"], "height": 4, "width": 6, "length": 2}
        ],
        "annotations": [
            {
                "id": 1,
                "video_id": 7,
                "category_id": 3,
                "iscrowd": 0,
                "bboxes": [[0, 0, 1, 4], None],
                "segmentations": [rle([0, 4, 20]), None],
            }
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 3, "name": "guitar"}],
    }


def store(folder, what, beside=False):
    for name in ("JPEGImages/v/0.jpg", "JPEGImages/v/1.jpg", "WAVAudios/v.wav"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    place = folder.with_name(f"{folder.name}.json") if beside else folder / "annotations.json"
    place.write_text(json.dumps(what))
    return folder


@pytest.mark.parametrize("beside", [False, True])
def test_aviseg(tmp_path, beside):
    (video,) = layout.read(store(tmp_path / "val", content(), beside))
    (instance,) = video.instances
    assert (video.name, video.fps, instance.label, instance.class_id) == ("v", 1.0, "guitar", 1)
    assert instance.visible is None
    assert instance.sounding.tolist() == [True, False]
    assert instance.mask(0).sum() == 4
    assert instance.mask(0)[:, 0].all()
    assert not instance.mask(1).any()


@pytest.mark.parametrize(
    "stored",
    [rle([0, 4, 20]), rle("04d0"), [[0, 0, 1, 0, 1, 4, 0, 4]]],
    ids=["run lengths", "compressed", "polygon"],
)
def test_every_way_to_store_a_mask(tmp_path, stored):
    what = content()
    what["annotations"][0]["segmentations"][0] = stored
    mask = layout.read(store(tmp_path, what))[0].instances[0].mask(0)
    assert np.array_equal(np.flatnonzero(mask.any(0)), [0])


def test_a_mask_without_a_box_does_not_count(tmp_path):
    what = content()
    what["annotations"][0]["bboxes"][0] = None
    (video,) = layout.read(store(tmp_path, what))
    assert not video.instances[0].sounding.any()
    assert not video.instances[0].mask(0).any()


def broken(path, value):
    what = content()
    place = what
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return what


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("videos", 0, "length"), 3, r"video 7.*'length' is 3"),
        (("videos", 0, "height"), "4", r"height"),
        (("videos", 0, "file_names", 1), "v/2.jpg", r"video 7.*2\.jpg is missing"),
        (("annotations", 0, "video_id"), 8, r"annotation 1.*'video_id'.*8"),
        (("annotations", 0, "category_id"), 2, r"video v, annotation 1.*'category_id' is 2"),
        (("annotations", 0, "bboxes"), [None], r"video v, annotation 1.*'bboxes' has 1 entries"),
        (("annotations", 0, "sounding"), [True], r"'sounding' has 1 entries for 2 frames"),
        (("annotations", 0, "visible"), [1, 2], r"visible"),
        (("categories",), None, r"categories"),
    ],
)
def test_errors_name_file_place_and_field(tmp_path, path, value, says):
    with pytest.raises(InputError, match=says) as caught:
        layout.read(store(tmp_path, broken(path, value)))
    assert str(tmp_path / "annotations.json") in str(caught.value)


def test_no_data_set(tmp_path):
    with pytest.raises(InputError, match=r"annotations\.json"):
        layout.read(tmp_path)
