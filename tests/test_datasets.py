"""What settings name is opened; the phantom is made where they name nothing."""

import pytest

from cmda_tf import datasets
from cmda_tf.datasets import DataSettings, open_data
from cmda_tf.errors import DataError, UsageError
from cmda_tf.phantom.recipe import PhantomRecipe


def test_phantom_is_made_where_no_data_is_named(tmp_path, dataset, monkeypatch):
    made = []
    monkeypatch.setattr(PhantomRecipe, "make", lambda self: made.append(self) or dataset.folder)
    assert open_data(DataSettings(data=str(tmp_path))) == dataset
    settings = DataSettings(data=str(tmp_path), phantom_seed=7, source="ct", target="mr")
    assert open_data(settings) == dataset
    assert made == [PhantomRecipe(tmp_path), PhantomRecipe(tmp_path, 7, "ct")]
    given = DataSettings(prepared=str(dataset.folder), data=str(tmp_path / "none"))
    assert open_data(given) == dataset and len(made) == 2
    with pytest.raises(DataError, match=r"none/manifest\.json: no such file") as caught:
        open_data(DataSettings(prepared=str(tmp_path / "none")))
    assert caught.value.made_by == "prepare" and len(made) == 2


def test_modalities_must_be_there(dataset):
    with pytest.raises(UsageError, match=r"^target: expected a modality of .* \(mr, ct\), found"):
        open_data(DataSettings(prepared=str(dataset.folder), target="pet"))
    with pytest.raises(UsageError, match="^source: expected a modality of .*'us'"):
        open_data(DataSettings(prepared=str(dataset.folder), source="us"))


def test_a_folder_that_is_neither_says_so(tmp_path):
    with pytest.raises(DataError, match=r"neither manifest\.json nor published records"):
        datasets.open_dataset(tmp_path)
