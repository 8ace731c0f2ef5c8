"""A bundle holds what training needs, within its limit, and unpacks nothing else."""

import gzip
import io
import json
import tarfile

import cv2
import numpy as np
import pytest
from material import RATE, add_cutout, add_scene, build, finish, start
from pycocotools import mask as coco
from streamavis_training.data.compose.bundle import write_bundle
from streamavis_training.data.compose.catalogue import Catalogue
from streamavis_training.data.compose.library import Library
from streamavis_training.data.compose.shrink import (
    LEVELS,
    Level,
    small_cutout,
    small_scene,
    small_sound,
)
from streamavis_training.data.compose.store import read_wave
from streamavis_training.data.compose.unbundle import opened

from streamavis.errors import InputError, OutputError

LOW = Level(200, 80, 60, 24)


@pytest.fixture(scope="module")
def chosen(material_folder):
    return Catalogue.read([material_folder]).choose("train")


@pytest.fixture(scope="module")
def bundle(chosen, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "m.tar.gz"
    return write_bundle(chosen, path, 10_000_000, notes={"split": "train"})


def facts(record, *but):
    return {k: v for k, v in vars(record).items() if k not in ("path", *but)}


def test_the_records_are_those_of_the_split(chosen, bundle, tmp_path):
    found = Catalogue.read(opened([bundle.path], tmp_path)).choose("train")
    for ours, theirs in zip(found.cutouts, chosen.cutouts, strict=True):
        assert facts(ours) == facts(theirs)
    for ours, theirs in zip(found.sounds, chosen.sounds, strict=True):
        assert facts(ours, "name") == facts(theirs, "name")
        assert theirs.name in ours.name, "horns and engines are told apart by it"
    for ours, theirs in zip(found.backgrounds, chosen.backgrounds, strict=True):
        assert facts(ours) == facts(theirs)
    assert [facts(x) for x in found.scenes] == [facts(x) for x in chosen.scenes]
    assert found.credits() == chosen.credits()


def test_clips_are_composed_of_a_bundle_as_of_a_folder(bundle, library, tmp_path):
    ours = Library.read([bundle.path], "train", cache=tmp_path)
    assert ours.counts() == library.counts()
    assert len(ours.speech) == len(library.speech) and len(ours.rooms) == len(library.rooms)


def test_licences_and_sources_are_kept(bundle):
    with tarfile.open(bundle.path) as tar:
        notes = json.load(tar.extractfile("bundle.json"))["notes"]
    assert notes["split"] == "train"
    assert {source["licence"] for source in notes["sources"]} == {"CC0"}
    assert sum(source["files"] for source in notes["sources"]) == (
        bundle.cutouts + bundle.sounds + bundle.backgrounds + bundle.scenes
    )


def test_the_same_material_gives_the_same_bytes(chosen, bundle, tmp_path):
    again = write_bundle(
        chosen, tmp_path / "n.tar.gz", 10_000_000, notes={"split": "train"}, jobs=2
    )
    assert again.path.read_bytes() == bundle.path.read_bytes()


def test_a_lower_limit_gives_a_lower_quality_or_a_reason(tmp_path):
    folder = build(tmp_path / "data")
    rng = np.random.default_rng(0)
    for path in (folder / "sounds").iterdir():  # noise: no archive makes it smaller
        path.write_bytes(path.read_bytes()[:44] + rng.bytes(2 * RATE))
    chosen = Catalogue.read([folder]).choose("train")
    bundle = write_bundle(chosen, tmp_path / "m.tar.gz", 10_000_000)
    limit = bundle.size // 2
    found = write_bundle(chosen, tmp_path / "n.tar.gz", limit)
    assert found.path.stat().st_size == found.size <= limit
    assert LEVELS.index(found.level) > LEVELS.index(bundle.level)
    with pytest.raises(InputError, match=r"more than the limit of 0\.0 MB; raise --limit-mb"):
        write_bundle(chosen, tmp_path / "none.tar.gz", 500)
    assert {p.name for p in tmp_path.iterdir()} == {"data", "m.tar.gz", "n.tar.gz"}
    with pytest.raises(OutputError, match=r"must end in \.tar\.gz"):
        write_bundle(chosen, tmp_path / "m.zip", limit)


def test_pictures_and_masks_shrink_together(tmp_path):
    index, scenes = start(tmp_path)
    add_cutout(tmp_path, index, "dog", 0, (60, 200, 60))
    add_scene(tmp_path, scenes, 1, [(1, 40, 60, 80, 160), (18, 200, 20, 60, 60)])
    found = Catalogue.read([finish(tmp_path, index, scenes)])
    small = small_cutout(found.cutouts[0], LOW)
    picture = cv2.imdecode(np.frombuffer(small.data, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (80, 40, 4) == (small.facts["h"], small.facts["w"], 4)
    # Its edge is as green as its middle: no colour of transparent pixels.
    edge = (picture[..., 3] > 60) & (picture[..., 3] < 200)
    assert edge.any() and picture[edge][:, 1].min() > 150
    small = small_scene(found.scenes[0], LOW)
    picture = cv2.imdecode(np.frombuffer(small.data, np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (150, 200, 3) == (small.facts["height"], small.facts["width"], 3)
    label, mask = small.masks[0]
    assert label == "person" and mask["segmentation"]["size"] == [150, 200]
    inside = coco.decode(mask["segmentation"]) > 0
    assert inside.sum() == pytest.approx(mask["area"], rel=0.03) == 80 * 160 * 0.625**2
    assert abs(picture[inside].astype(int) - [200, 10, 30]).mean() < 12


def test_a_sound_is_encoded_again_and_cut(chosen):
    record = next(sound for sound in chosen.sounds if sound.label == "dog")
    assert small_sound(record, LEVELS[0]).data == record.path.read_bytes()
    small = small_sound(record, LOW)
    assert small.suffix == ".ogg" and len(small.data) < record.path.stat().st_size / 4
    assert small.data == small_sound(record, LOW).data


def test_an_encoded_sound_is_the_same_sound(chosen, tmp_path):
    record = next(sound for sound in chosen.sounds if sound.label == "dog")
    path = tmp_path / "dog.ogg"
    path.write_bytes(small_sound(record, LOW).data)
    ours, theirs = read_wave(path), read_wave(record.path)
    assert abs(len(ours) - len(theirs)) < 0.05 * RATE

    def tone(wave):
        return np.abs(np.fft.rfft(wave[:RATE])).argmax() * RATE / RATE

    assert abs(tone(ours) - tone(theirs)) < 5


def archive(path, *members):
    """A bundle of (name, content, type) members."""
    with gzip.open(path, "wb") as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "elsewhere"
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../outside.webp", tarfile.REGTYPE),
        ("scenes/../../outside.webp", tarfile.REGTYPE),
        ("/outside.webp", tarfile.REGTYPE),
        ("scenes/..", tarfile.REGTYPE),
        ("scenes/deep/a.webp", tarfile.REGTYPE),
        ("other/a.webp", tarfile.REGTYPE),
        ("scenes/a.webp", tarfile.SYMTYPE),
        ("scenes/a.webp", tarfile.LNKTYPE),
        ("scenes", tarfile.DIRTYPE),
        ("scenes/pipe", tarfile.FIFOTYPE),
    ],
)
def test_nothing_is_written_elsewhere(tmp_path, name, kind):
    path = archive(tmp_path / "m.tar.gz", (name, b"", kind))
    with pytest.raises(InputError, match="is nothing that a bundle of material holds"):
        opened([path], tmp_path / "cache")
    assert not list((tmp_path / "cache/bundles").iterdir())
    assert {p.name for p in tmp_path.iterdir()} == {"m.tar.gz", "cache"}


def test_a_damaged_bundle_is_refused(bundle, tmp_path, monkeypatch):
    whole = bundle.path.read_bytes()
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged or no bundle"):
        opened([cut], tmp_path)
    cut.write_bytes(b"no archive")
    with pytest.raises(InputError, match="is damaged or no bundle"):
        opened([cut], tmp_path)
    says = json.dumps({"bundle": 1, "files": 2, "size": 1, "notes": {}}).encode()
    kind = tarfile.REGTYPE
    archive(cut, ("scenes/a.webp", b"x", kind), ("bundle.json", says, kind))
    with pytest.raises(InputError, match=r"holds 1 files of 1 bytes .* says 2 of 1"):
        opened([cut], tmp_path)
    archive(cut, ("scenes/a.webp", b"x", kind), ("scenes/a.webp", b"y", kind))
    with pytest.raises(InputError, match="twice"):
        opened([cut], tmp_path)
    monkeypatch.setattr("streamavis_training.data.compose.unbundle._MAX_ALL", 1000)
    with pytest.raises(InputError, match="is beyond what is unpacked"):
        opened([bundle.path], tmp_path)


def test_the_command_says_what_it_wrote(material_folder, tmp_path, monkeypatch):
    from streamavis_apps.app import app
    from typer.testing import CliRunner

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    words = ["--material", material_folder, "--out", tmp_path / "m.tar.gz", "--limit-mb", "1"]
    found = CliRunner().invoke(app, ["data", "bundle", *map(str, words)])
    assert found.exit_code == 0, found.output
    assert "10 cut-outs up to 256 pixels" in found.output
    assert "split train, tiers open, check" in found.output
