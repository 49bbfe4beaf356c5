"""Supervised training: real steps, resume to the bit, settings that must not change."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from builders.training import assert_equal, stop_at

from cmda_tf.data.batches import batches
from cmda_tf.errors import DataError, UsageError
from cmda_tf.losses.hybrid import hybrid_loss
from cmda_tf.losses.settings import SegmentationLoss
from cmda_tf.models.segmenter import build_segmenter
from cmda_tf.runs.weights import get_weights
from cmda_tf.training.phases import FinetunePhase, SourcePhase
from cmda_tf.training.steps import fold, make_source_step, staircase
from cmda_tf.training.supervised import train_segmenter
from cmda_tf.transforms.intensity import augment_intensity
from cmda_tf.transforms.settings import IntensityAugmentation


@pytest.fixture(scope="module")
def train(dataset, untraced):
    """`train(settings)`: the finished run."""
    return lambda settings: untraced(train_segmenter, settings, dataset)


@pytest.fixture(scope="module")
def undisturbed(tiny, train):
    return train(tiny(SourcePhase, steps=2, name="undisturbed")).weights()


def test_another_seed_gives_other_weights(tiny, train, undisturbed):
    other = tiny(SourcePhase, steps=2, name="other_seed", seed=1)
    actual = train(other).weights()
    assert (actual["conv1_conv/kernel"] != undisturbed["conv1_conv/kernel"]).any()


def test_stopped_run_resumes_to_the_same_bits(tiny, train, undisturbed, press_ctrl_c, monkeypatch):
    settings = tiny(SourcePhase, steps=2, name="source_stopped")
    with monkeypatch.context() as patch:
        stop_at(patch, press_ctrl_c, ("train", 1))
        with pytest.raises(KeyboardInterrupt):
            train(settings)
    steps = []
    monkeypatch.setattr(
        "cmda_tf.training.supervised.batches",
        lambda *a, **k: steps.append(a[3:5]) or batches(*a, **k),
    )
    resumed = train(settings)
    assert steps == [(1, 2)]
    assert_equal(resumed.weights(), undisturbed)


def test_finished_run_is_not_run_again(tiny, train, undisturbed, monkeypatch):
    monkeypatch.setattr(
        "cmda_tf.training.supervised.build_segmenter", None
    )  # would raise if called
    settings = tiny(SourcePhase, steps=2, name="undisturbed")
    assert_equal(train(settings).weights(), undisturbed)


def test_other_settings_are_refused_unless_started_anew(tiny, train, undisturbed):
    settings = tiny(SourcePhase, steps=1, name="undisturbed")
    with pytest.raises(UsageError, match=r"steps=2, now it is 1; not resuming replaces it"):
        train(settings)
    anew = settings.changed(resume=False)
    run = train(anew)
    assert run.record.settings["schedule"]["steps"] == 1
    assert (run.weights()["conv1_conv/kernel"] != undisturbed["conv1_conv/kernel"]).any()


def test_finetune_starts_from_the_source_model(tiny, train):
    settings = tiny(FinetunePhase, finetune_steps=1, finetune_learning_rate=0.0)
    source = train(tiny(SourcePhase, steps=3)).weights()
    run = train(settings)
    assert run.folder.name == "finetune_ct" and run.record.inputs.modality == "ct"
    assert run.record.settings["schedule"]["finetune_steps"] == 1
    tuned = run.weights()
    np.testing.assert_array_equal(tuned["output_conv/kernel"], source["output_conv/kernel"])
    moving = "rm1_block1_1_norm/moving_mean"
    assert (tuned[moving] != source[moving]).any()  # it has seen CT images


def test_missing_source_run_names_what_makes_it(tiny, train, tmp_path):
    with pytest.raises(DataError, match="source_mr: no finished run here") as caught:
        train(tiny(FinetunePhase, runs=str(tmp_path)))
    assert caught.value.made_by == "source"


def test_loss_that_is_not_finite_stops_the_run(tiny, train):
    settings = tiny(SourcePhase, steps=3, name="diverging", learning_rate=1e30)
    with pytest.raises(DataError, match=r"train: .* is (nan|inf|-inf) at update [123]"):
        train(settings)


def test_training_lowers_the_loss(config, dataset):
    tf.keras.utils.set_random_seed(0)
    segmenter = build_segmenter(config)
    before = get_weights(segmenter)
    optimizer = tf.keras.optimizers.Adam(1e-3)
    step = make_source_step(segmenter, optimizer, lambda n: 1e-2, SegmentationLoss())
    stack = dataset.slices("mr", "train", with_labels=True)
    batch = next(iter(batches(stack, 4, 0, 0, 1, balanced=True)))
    losses = [float(step(tf.constant(n, tf.int64), batch)["loss"]) for n in range(15)]
    assert losses[-1] < losses[0] - 0.2
    for name, after in get_weights(segmenter).items():
        assert (after != before[name]).any(), name


def _two_losses(config, dataset):
    tf.keras.utils.set_random_seed(0)
    segmenter = build_segmenter(config)
    optimizer = tf.keras.optimizers.Adam(1e-3)
    step = make_source_step(segmenter, optimizer, lambda n: 1e-3, SegmentationLoss())
    stack = dataset.slices("mr", "train", with_labels=True)
    batch = next(iter(batches(stack, 4, 0, 0, 1, balanced=True)))
    return [float(step(tf.constant(n, tf.int64), batch)["loss"]) for n in range(2)]


def test_bfloat16_changes_the_loss_little(config, dataset, untraced):
    expected = untraced(_two_losses, config, dataset)
    half = dataclasses.replace(config, precision="mixed_bfloat16")
    np.testing.assert_allclose(untraced(_two_losses, half, dataset), expected, atol=0.02)


def test_staircase():
    rates = [
        float(staircase(1e-3, 0.95, 1500, tf.constant(n, tf.int64))) for n in (0, 1499, 1500, 4500)
    ]
    np.testing.assert_allclose(rates, [1e-3, 1e-3, 0.95e-3, 0.95**3 * 1e-3], rtol=1e-5)


def test_appearance_reaches_the_images_of_the_step(tiny, train, undisturbed):
    """Off by default: `undisturbed` is as it was; each strength is a setting of its own."""
    strengths = {"intensity_curves": 1.0, "bias_field": 0.3, "contrast": 0.2, "noise": 0.1}
    strengths |= {"blur": 0.7, "random_networks": 0.5}
    assert tiny(SourcePhase).intensity == IntensityAugmentation()
    settings = tiny(SourcePhase, steps=2, name="appearances", **strengths)
    assert settings.intensity == IntensityAugmentation(**strengths)
    actual = train(settings).weights()
    assert (actual["conv1_conv/kernel"] != undisturbed["conv1_conv/kernel"]).any()


def test_step_randomizes_images_alone(config, dataset, untraced, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "cmda_tf.training.steps.augment_intensity",
        lambda *a: seen.append(a[2]) or augment_intensity(*a),
    )
    segmenter = build_segmenter(config)
    optimizer = tf.keras.optimizers.Adam(1e-3)
    strengths = IntensityAugmentation(intensity_curves=1.0, noise=0.1)
    loss = SegmentationLoss()
    step = make_source_step(segmenter, optimizer, lambda n: 0.0, loss, None, strengths, 3)
    stack = dataset.slices("mr", "train", with_labels=True)
    batch = next(iter(batches(stack, 4, 0, 0, 1, balanced=True)))
    number = tf.constant(7, tf.int64)
    actual = {name: float(value) for name, value in untraced(step, number, batch).items()}
    assert seen == [strengths]
    images = augment_intensity(batch["images"], fold(3, 7, 1), strengths)
    expected = hybrid_loss(segmenter(images, training=True), batch["labels"], loss)
    for name, value in expected.items():
        assert actual[name] == pytest.approx(float(value), rel=1e-4)
