"""Records are checked, licences filtered, and no group is in two splits."""

import json

import numpy as np
import pytest
from material import add_background, add_cutout, add_scene, add_sound, finish, start
from streamavis_training.data.compose.catalogue import SPLITS, Catalogue
from streamavis_training.data.compose.library import Library
from streamavis_training.data.compose.vocabulary import REAL_WORLD

from streamavis.errors import InputError


@pytest.fixture
def leaking(tmp_path):
    """Groups that appear in several splits, under different licences and kinds."""
    index, scenes = start(tmp_path)
    add_cutout(tmp_path, index, "dog", 0, (9, 9, 9), group="shared")
    add_cutout(tmp_path, index, "dog", 1, (9, 9, 9), group="own")
    add_cutout(tmp_path, index, "dog", 2, (9, 9, 9), group="closed", tier="nc")
    add_scene(tmp_path, scenes, 1, [(18, 9, 9, 99, 99)], group="shared", split="val", tier="nc")
    add_sound(tmp_path, index, "dog", 0, group="voice")
    add_sound(tmp_path, index, "dog", 1, group="voice", split="test", tier="check")
    add_background(tmp_path, index, 0)
    return finish(tmp_path, index, scenes)


def test_no_group_is_in_two_splits(leaking):
    catalogue = Catalogue.read([leaking])
    tiers = ("open", "check", "nc")
    groups = {}
    for split in SPLITS:
        chosen = catalogue.choose(split, tiers)
        kinds = (chosen.cutouts, chosen.sounds, chosen.backgrounds, chosen.scenes)
        groups[split] = {record.group for kind in kinds for record in kind}
    assert groups["train"] == {"own", "closed", "plain0"}
    assert groups["val"] == {"shared"}
    assert groups["test"] == {"voice"}


def test_only_the_tiers_that_are_asked_for(leaking):
    catalogue = Catalogue.read([leaking])
    assert {c.group for c in catalogue.choose("train").cutouts} == {"own"}
    assert {c.group for c in catalogue.choose("train", ["nc"]).cutouts} == {"closed"}
    assert not catalogue.choose("val").scenes


def test_an_unknown_split_is_refused(leaking):
    with pytest.raises(InputError, match="choose one of train, val, test"):
        Catalogue.read([leaking]).choose("dev")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, s: i["cutouts"][0].update(w=0), "must be above 0"),
        (lambda i, s: i["cutouts"][0].update(truncated=[True]), "truncated"),
        (lambda i, s: i["sounds"][0].update(split="dev"), "'split' is 'dev'"),
        (lambda i, s: s["annotations"][0].update(category_id=77), "no such category"),
        (lambda i, s: s["annotations"][0].update(image_id=77), "no such picture"),
        (lambda i, s: s["images"][0].update(width=100), r"its mask is \[240, 320\]"),
        (lambda i, s: s["images"][0].pop("complete"), "complete"),
    ],
)
def test_a_wrong_record_names_its_file(leaking, change, words):
    paths = leaking / "index.json", leaking / "scenes" / "scenes.json"
    index, scenes = (json.loads(path.read_text()) for path in paths)
    change(index, scenes)
    finish(leaking, index, scenes)
    with pytest.raises(InputError, match=words) as error:
        Catalogue.read([leaking])
    assert str(leaking) in str(error.value)


def test_a_picture_of_another_size_is_refused(leaking):
    path = leaking / "index.json"
    index = json.loads(path.read_text())
    index["cutouts"][1]["h"] = 119
    path.write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"dog_1.png.*\(119, 60, 4\)"):
        Library.read([leaking], "train", cache=leaking / "cache")


def test_a_folder_without_material_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no index\*.json"):
        Catalogue.read([tmp_path])


def test_nothing_to_compose_on_is_refused(leaking):
    with pytest.raises(InputError, match="nothing to compose on"):
        Library.read([leaking], "test", cache=leaking / "cache")


def test_engines_stand_for_each_other_and_horns_do_not():
    car, motorcycle = (REAL_WORLD.classes.index(name) for name in ("car", "motorcycle"))
    assert REAL_WORLD.sound_classes("vehicle", "idle.ogg") == (car, motorcycle)
    assert REAL_WORLD.sound_classes("motorcycle", "x.ogg") == (motorcycle, car)
    assert REAL_WORLD.sound_classes("vehicle", "x.ogg truck horn") == (car,)
    assert REAL_WORLD.sound_classes("cello", "x.ogg") == ()
    assert REAL_WORLD.picture_class("ambulance") == -1
    assert REAL_WORLD.picture_class("bus") == car


def test_credits_count_files_of_one_origin(leaking):
    path = leaking / "index.json"
    index = json.loads(path.read_text())
    for n, cutout in enumerate(index["cutouts"]):
        cutout["source"] = f"COCO2017 image {n} (via owner/name)"
    path.write_text(json.dumps(index))
    credits = Catalogue.read([leaking]).credits()
    assert (credits[0].kind, credits[0].files, credits[0].tier) == ("cut-outs", 2, "open")
    assert {c.origin for c in credits} == {"COCO2017 (via owner/name)", "made"}
    assert sum(c.files for c in credits) == 7


def test_speech_is_told_from_other_voices(tmp_path):
    index, scenes = start(tmp_path)
    for n, kind in enumerate(("speech, home microphones", "baby cry", "")):
        add_sound(tmp_path, index, "person", n, kind=kind)
    finish(tmp_path, index, scenes)
    assert [s.speech for s in Catalogue.read([tmp_path]).sounds] == [True, False, False]


def test_decoded_once_and_found_again(material_folder, tmp_path):
    done = []

    def progress(count, total):
        done.append((count, total))

    first = Library.read([material_folder], "train", cache=tmp_path, progress=progress)
    assert done[-1] == (len(done), len(done))
    count = len(done)
    again = Library.read([material_folder], "train", cache=tmp_path, progress=progress)
    assert len(done) == count, "the second call must not decode"
    assert first.counts() == again.counts()
    entry = first.sounds[0][0]
    assert np.array_equal(first.wave(entry), again.wave(entry))
    # A spoiled file is made anew.
    (path,) = tmp_path.glob("*/library.bin")
    path.write_bytes(path.read_bytes()[:100])
    Library.read([material_folder], "train", cache=tmp_path, progress=progress)
    assert len(done) == 2 * count
