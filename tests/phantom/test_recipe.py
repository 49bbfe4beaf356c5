"""The built-in phantom: where it is kept, how it is made and prepared."""

import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from cmda_tf.data import preparation
from cmda_tf.data.prepared import MANIFEST_NAME, read_prepared
from cmda_tf.phantom import generate, recipe
from cmda_tf.phantom.recipe import PhantomRecipe, PhantomSettings
from cmda_tf.settings import define_flags, from_flags


@pytest.mark.parametrize(
    ("seed", "source", "raw", "prepared"),
    [
        (0, "mr", "phantom", "phantom_prepared"),
        (7, "mr", "phantom_seed7", "phantom_seed7_prepared"),
        (0, "ct", "phantom", "phantom_prepared_from_ct"),
        (7, "ct", "phantom_seed7", "phantom_seed7_prepared_from_ct"),
    ],
)
def test_folders(seed, source, raw, prepared):
    phantom = PhantomRecipe("data", seed, source)
    assert (phantom.raw, phantom.prepared) == (Path("data") / raw, Path("data") / prepared)


def test_it_is_written_and_prepared_once(tmp_path, monkeypatch):
    calls = []

    def write(out, **settings):
        calls.append(("write", out, settings))

    def prepare(raw, prepared, *grid, **settings):
        calls.append(("prepare", raw, prepared, grid, settings))
        prepared.mkdir()
        (prepared / MANIFEST_NAME).touch()

    monkeypatch.setattr(generate, "write_phantom", write)
    monkeypatch.setattr(preparation, "prepare", prepare)
    phantom = PhantomRecipe(tmp_path, 7, "ct")
    expected = [
        ("write", phantom.raw, {"subjects": 20, "seed": 7}),
        ("prepare", phantom.raw, phantom.prepared, (64, 3.5), {"center_on_labels": ("ct",)}),
    ]
    for _ in range(2):
        assert phantom.make() == phantom.prepared and calls == expected


def test_a_small_one_is_prepared_with_only_the_source_centered_on_its_labels(tmp_path, monkeypatch):
    monkeypatch.setattr(recipe, "SUBJECTS", 2)
    dataset = read_prepared(PhantomRecipe(tmp_path, source="ct").make())
    assert (dataset.size, dataset.spacing_mm) == (recipe.SIZE, recipe.SPACING_MM) == (64, 3.5)
    assert {(e.modality, e.centered_on) for e in dataset.entries} == {
        ("mr", "volume"),
        ("ct", "label"),
    }


def test_the_commands_flags_say_the_same(tmp_path):
    from cmda_tf.prepare import PrepareSettings

    phantom = PhantomRecipe(tmp_path, 7, "ct")
    values = flags.FlagValues()
    define_flags(PhantomSettings, flag_values=values)
    values(["phantom", *phantom.write_flags])
    assert from_flags(PhantomSettings, values) == PhantomSettings(str(phantom.raw), 20, 7)
    values = flags.FlagValues()
    define_flags(PrepareSettings, flag_values=values)
    values(["prepare", *phantom.prepare_flags])
    assert from_flags(PrepareSettings, values) == PrepareSettings.of(
        raw=str(phantom.raw),
        prepared=str(phantom.prepared),
        size=64,
        spacing_mm=3.5,
        center_on_labels=("ct",),
    )


def test_asking_where_it_is_loads_no_image_library():
    code = (
        "import cmda_tf.phantom.recipe, sys;"
        "sys.exit(bool({'tensorflow', 'SimpleITK', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
