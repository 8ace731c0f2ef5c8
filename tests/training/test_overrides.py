"""Any field of a recipe by its path: what is changed, and what is refused and why."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamavis_training.overrides import (
    as_values,
    differences,
    merged,
    override,
    parse,
    read_config,
)
from streamavis_training.recipes import RECIPES
from streamavis_training.recipes.nano_drawn import NanoDrawnRecipe

from streamavis.errors import ArgumentError, InputError

RECIPE = NanoDrawnRecipe()


def changed(*settings: str) -> NanoDrawnRecipe:
    return override(RECIPE, merged(map(parse, settings)))


def test_fields_of_every_kind_are_changed():
    found = changed(
        "trainer.rate=1e-4",
        "trainer.steps=7",
        "trainer.schedule=wsd",
        "trainer.milestones=[0.5, 0.75]",
        "student.frozen=['backbone.stem']",
        "stages.1.batch.clips=2",
        "network.backbone.channels=[8, 16, 24, 32]",
        "audio=none",
        "network.audio=none",
        "init=nano",
        "losses.class_=1",
    )
    assert found.trainer == replace(
        RECIPE.trainer, rate=1e-4, steps=7, schedule="wsd", milestones=(0.5, 0.75)
    )
    assert found.student.frozen == ("backbone.stem",)
    assert found.stages[1].batch == replace(RECIPE.stages[1].batch, clips=2)
    assert found.stages[2:] == RECIPE.stages[2:]
    assert found.network.backbone.channels == (8, 16, 24, 32)
    assert (found.audio, found.init, found.losses.class_) == (None, "nano", 1.0)
    assert found.network.audio == "none", "where it is the name of a choice it is no missing value"
    assert found.pool is RECIPE.pool


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("trainer.rat=1", r"trainer\.rat: there is no such field; .*: steps, minutes, rate"),
        ("trainr.rate=1", r"trainr: there is no such field; the fields are: network, trainer"),
        ("trainer.steps=many", r"trainer\.steps is 'many': .*int"),
        ("trainer.schedule=linear", r"trainer\.schedule is 'linear': .*type .*cosine.*wsd"),
        ("trainer.steps=0", r"trainer: steps is 0, expected at least 1"),
        ("network.sinks=-1", r"network: sinks is -1, expected at least 0"),
        ("stages.9.until=1", r"stages\.9: there is no such entry; stages has 0 to 3"),
        ("trainer.rate", r"'trainer\.rate' is no setting; expected PATH=VALUE"),
    ],
)
def test_what_cannot_be_changed_is_named(setting, sentence):
    with pytest.raises(ArgumentError, match=sentence):
        changed(setting)


@pytest.mark.parametrize("name", RECIPES)
def test_settings_as_written_are_the_same_recipe(name):
    recipe = RECIPES[name]()
    assert override(recipe, as_values(recipe)) == recipe


def test_a_file_changes_the_same_and_later_settings_count(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("init = 'a.pt'\n[trainer]\nrate = 0.5\nsteps = 3\n")
    found = override(RECIPE, merged([read_config(file), parse("trainer.rate=0.25")]))
    assert (found.init, found.trainer.steps, found.trainer.rate) == ("a.pt", 3, 0.25)
    file.write_text("trainer = [")
    with pytest.raises(InputError, match=r"run\.toml: neither TOML nor JSON"):
        read_config(file)
    with pytest.raises(InputError, match=r"none\.toml: cannot be read"):
        read_config(tmp_path / "none.toml")


def test_a_part_that_is_none_has_no_fields():
    with pytest.raises(ArgumentError, match=r"audio\.steps: audio is none in this recipe"):
        override(replace(RECIPE, audio=None), parse("audio.steps=5"))


def test_differences_name_the_path():
    later = changed("trainer.rate=0.5", "audio=none")
    found = differences(as_values(RECIPE), as_values(later))
    assert found[-1] == f"trainer.rate: {RECIPE.trainer.rate} -> 0.5"
    assert len(found) == 2
