"""What the phases share when they begin."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data.structures import HEART
from cmda_tf.errors import UsageError
from cmda_tf.models.settings import ModelConfig
from cmda_tf.threads import limit_threads
from cmda_tf.training.loop import previews
from cmda_tf.training.phases import PHASES, FinetunePhase, SourcePhase
from cmda_tf.training.setup import start


def test_threads_are_limited_before_tensorflow_begins_or_not_at_all():
    tf.constant(0).numpy()  # it has begun
    limit_threads(0)
    with pytest.raises(UsageError, match=r"^threads: 7 comes too late"):
        limit_threads(7)


def test_network_follows_settings_and_data(dataset, tmp_path):
    changes = {"width": 0.25, "dropout": 0.1, "precision": "mixed_bfloat16", "seed": 4}
    config = start(SourcePhase.of(runs=str(tmp_path), **changes), dataset).config
    assert (config.size, config.channels, config.classes) == (16, 3, 5)
    assert (config.width, config.dropout, config.precision) == (0.25, 0.1, "mixed_bfloat16")
    assert config.seed == 4


def test_record_tells_what_the_run_is_made_of(dataset, tmp_path):
    inputs = start(SourcePhase.of(runs=str(tmp_path)), dataset).record.inputs
    assert inputs.prepared_sha256 == dataset.checksum() and inputs.structures == HEART
    assert (inputs.modality, inputs.crop, inputs.init_from) == ("mr", "label", None)
    run = start(SourcePhase.of(runs=str(tmp_path), modality="ct"), dataset)
    assert run.folder.name == "source_ct" and run.record.inputs.crop == "volume"


@pytest.mark.parametrize("cls", PHASES.values())
def test_adaptation_to_images_of_an_unknown_crop_warns(cls, dataset, tmp_path, caplog):
    """Who learns from labels may as well let them choose the field of view."""
    entries = tuple(dataclasses.replace(e, centered_on=None) for e in dataset.entries)
    unknown = dataclasses.replace(dataset, entries=entries)
    record = start(cls.of(runs=str(tmp_path)), unknown).record
    assert record.inputs.crop is None
    adapts = cls not in (SourcePhase, FinetunePhase)
    assert ("ct for training were cropped in an unknown way" in caplog.text) == adapts


@pytest.mark.parametrize("size", [8, 20, 63])
def test_sizes_the_network_cannot_take_are_refused(size, tmp_path, dataset):
    other = dataclasses.replace(dataset, size=size)
    with pytest.raises(UsageError, match=rf"^prepared: .*multiple of 8.*{size}\)$"):
        start(SourcePhase.of(runs=str(tmp_path)), other)
    assert isinstance(start(SourcePhase.of(runs=str(tmp_path)), dataset).config, ModelConfig)


def test_previews_show_image_prediction_and_truth(dataset):
    stack = dataset.slices("mr", "train", with_labels=True)

    def model(images, training):
        assert not training and images.shape == (3, 16, 16, 3)
        return np.eye(5)[np.full((3, 16, 16), 2)]

    images = {name: np.asarray(x) for name, x in previews(model, stack, count=3)().items()}
    assert set(images) == {"image", "prediction", "truth"}
    for image in images.values():
        assert image.shape == (3, 16, 16, 1) and image.min() >= 0 and image.max() <= 1
    assert np.all(images["prediction"] == 0.5)  # class 2 of 0..4
    assert set(np.unique(images["truth"])) <= {0.0, 0.25, 0.5, 0.75, 1.0}
    unlabeled = dataset.slices("ct", "train", with_labels=False)
    assert set(previews(model, unlabeled, count=3)()) == {"image", "prediction"}
