"""What the phases share when they set up."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data.prepared import Dataset
from cmda_tf.data.slices import load_slices
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError, UsageError
from cmda_tf.old_settings import SourceSettings
from cmda_tf.training import common
from cmda_tf.transforms.affine import AffineAugmentation


def test_phantom_is_made_once_and_only_without_prepared_data(tmp_path, dataset, monkeypatch):
    settings = SourceSettings(data=str(tmp_path))
    calls, centered = [], []

    def prepare(raw, prepared, **options):
        calls.append(("prepare", raw.name, options["size"]))
        centered.append(options["center_on_labels"])
        prepared.mkdir()
        (prepared / "manifest.json").write_bytes((dataset.folder / "manifest.json").read_bytes())

    monkeypatch.setattr(common, "write_phantom", lambda raw, subjects, seed: calls.append(seed))
    monkeypatch.setattr(common, "prepare", prepare)
    for _ in range(2):
        assert len(common.prepared_data(settings).entries) == len(dataset.entries)
    assert calls == [0, ("prepare", "phantom", 64)]
    common.prepared_data(SourceSettings(data=str(tmp_path), phantom_seed=7))
    assert calls[2:] == [7, ("prepare", "phantom_seed7", 64)]
    assert centered == [("mr",)] * 2
    other = SourceSettings(data=str(tmp_path), source="ct", target="mr")
    assert common.prepared_data(other).folder == tmp_path / "phantom_prepared_from_ct"
    assert centered[2:] == [("ct",)] and calls[4:] == [0, ("prepare", "phantom", 64)]
    given = SourceSettings(prepared=str(dataset.folder), data=str(tmp_path / "none"))
    assert common.prepared_data(given) == dataset
    with pytest.raises(DataError, match=r"python -m cmda_tf\.prepare"):
        common.prepared_data(SourceSettings(prepared=str(tmp_path / "none")))
    assert len(calls) == 6


def test_threads_are_limited_before_tensorflow_begins_or_not_at_all():
    tf.constant(0).numpy()  # it has begun
    common.limit_threads(0)
    with pytest.raises(UsageError, match="--threads: 7 comes too late"):
        common.limit_threads(7)


def test_network_follows_settings_and_data(dataset):
    settings = SourceSettings(width=0.25, dropout=0.1, precision="mixed_bfloat16", seed=4)
    config = common.model_config(settings, dataset)
    assert (config.size, config.channels, config.classes) == (16, 3, 5)
    assert (config.width, config.dropout, config.precision) == (0.25, 0.1, "mixed_bfloat16")
    assert config.seed == 4


@pytest.mark.parametrize("size", [8, 20, 63])
def test_sizes_the_network_cannot_take_are_refused(size, tmp_path):
    with pytest.raises(UsageError, match=rf"--prepared: .*multiple of 8.* has {size}$"):
        common.model_config(SourceSettings(), Dataset(tmp_path, size, 1.0, HEART, ()))


def test_augmentation_follows_settings():
    settings = SourceSettings(rotation_degrees=1.0, zoom=0.2, shear=0.3, translation=0.4)
    assert common.augmentation(settings) == AffineAugmentation(1.0, 0.2, 0.3, 0.4)
    assert common.augmentation(SourceSettings(augment=False)) is None


def test_previews_show_image_prediction_and_truth(dataset):
    stack = load_slices(dataset, "mr", "train", with_labels=True)

    def model(images, training):
        assert not training and images.shape == (3, 16, 16, 3)
        return np.eye(5)[np.full((3, 16, 16), 2)]

    shown = {name: np.asarray(x) for name, x in common.previews(model, stack, count=3)().items()}
    assert set(shown) == {"image", "prediction", "truth"}
    for image in shown.values():
        assert image.shape == (3, 16, 16, 1) and image.min() >= 0 and image.max() <= 1
    assert np.all(shown["prediction"] == 0.5)  # class 2 of 0..4
    assert set(np.unique(shown["truth"])) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    unlabeled = load_slices(dataset, "ct", "train", with_labels=False)
    assert set(common.previews(model, unlabeled, count=3)()) == {"image", "prediction"}
