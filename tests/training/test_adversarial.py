"""Adaptation and AdaBN: what stays frozen, no target label, resume to the bit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from builders.training import assert_equal

from cmda_tf.data import published, slices, store
from cmda_tf.data.slices import load_slices
from cmda_tf.errors import DataError, UsageError
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.old_settings import AdaptSettings, SourceSettings
from cmda_tf.runs.weights import set_weights
from cmda_tf.training.adabn import adapt_statistics, refresh_statistics
from cmda_tf.training.adversarial import adapt, make_networks, source_moments
from cmda_tf.training.loop import Loop
from cmda_tf.training.setup import foreground_only, target_slices
from cmda_tf.training.supervised import train_segmenter


@pytest.fixture(scope="module")
def adapted(tiny, dataset, untraced):
    return untraced(adapt, tiny(AdaptSettings), dataset).weights()


@pytest.fixture(scope="module")
def normalized(tiny, dataset, untraced):
    """The AdaBN run."""
    return untraced(adapt_statistics, tiny(AdaptSettings), dataset)


def test_frozen_layers_stay_bit_identical_and_the_dam_moves(source, adapted):
    frozen = {name: value for name, value in adapted.items() if not name.startswith("dam_")}
    assert_equal(frozen, source)
    kernels = [n for n in adapted if n.startswith("dam_") and n.endswith("/kernel")]
    assert len(kernels) == 13
    for name in kernels:
        assert (adapted[name] != source[name.removeprefix("dam_")]).any(), name


def test_no_target_label_is_read(
    tiny, adapted, normalized, dataset_without_target_labels, untraced, monkeypatch
):
    load = store.load_subject

    def watched(path, with_label=True, classes=255):
        assert "_train_" in path.name, f"{path}: a test subject was read"
        assert path.name.startswith("mr") or not with_label, f"{path}: a label was asked for"
        return load(path, with_label, classes)

    monkeypatch.setattr(published, "load_subject", watched)
    unlabeled = dataset_without_target_labels
    settings = tiny(AdaptSettings, prepared=str(unlabeled.folder), name="unlabeled")
    assert_equal(untraced(adapt, settings, unlabeled).weights(), adapted)
    settings = tiny(AdaptSettings, prepared=str(unlabeled.folder), name="unlabeled_adabn")
    found = untraced(adapt_statistics, settings, unlabeled).weights()
    assert_equal(found, normalized.weights())
    assert not (unlabeled.folder.parent / "raw/ct_train/ct_train_1001_label.nii.gz").exists()


def test_target_images_that_labels_have_cropped_are_refused(tiny, dataset):
    other_way = tiny(AdaptSettings, source="ct", target="mr", name="other_way")
    with pytest.raises(DataError, match=r"mr_train_1001.*--center_on_labels=ct"):
        target_slices(other_way, dataset)


def test_stopped_run_resumes_to_the_same_bits(
    tiny, dataset, adapted, untraced, press_ctrl_c, monkeypatch
):
    settings = tiny(AdaptSettings, name="adapt_stopped")
    log, stops = Loop._log, [("warmup", 1), ("joint", 1)]

    def stopping(self, counter, number, result):
        if (counter, number) in stops:
            stops.remove((counter, number))
            press_ctrl_c()
        return log(self, counter, number, result)

    monkeypatch.setattr(Loop, "_log", stopping)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            untraced(adapt, settings, dataset)
    assert_equal(untraced(adapt, settings, dataset).weights(), adapted)


def test_finished_adaptation_is_not_done_again(tiny, dataset, adapted, monkeypatch):
    monkeypatch.setattr("cmda_tf.training.adversarial.build_dam", None)  # would raise if called
    assert_equal(adapt(tiny(AdaptSettings), dataset).weights(), adapted)


@pytest.mark.parametrize("phase", [adapt, adapt_statistics])
def test_missing_source_run_names_the_command(tiny, dataset, tmp_path, phase):
    settings = tiny(AdaptSettings, runs=str(tmp_path / "runs"))
    with pytest.raises(DataError, match=rf"cmda_tf\.train --phase=source --runs={tmp_path}/runs"):
        phase(settings, dataset)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("phase", [adapt, adapt_statistics])
def test_an_origin_that_knows_other_labels_is_refused(tiny, dataset, untraced, phase):
    """A model that has seen target labels would make a supervised row of an unsupervised one."""
    settings = tiny(SourceSettings, steps=1, modality="ct")
    untraced(train_segmenter, "source", settings, dataset)
    with pytest.raises(
        UsageError, match=r"--origin: expected .* on 'mr'; .*source_ct is of .*'ct'"
    ):
        phase(tiny(AdaptSettings, origin="source_ct"), dataset)


def test_adabn_changes_statistics_alone(normalized, source):
    weights = normalized.weights()
    assert normalized.folder.name == "adabn_d13"
    for name, value in weights.items():
        original = source[name.removeprefix("dam_")]
        if name.startswith("dam_") and "moving" in name:
            assert (value != original).any(), name
        else:
            np.testing.assert_array_equal(value, original, err_msg=name)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_refreshed_statistics_are_those_of_all_slices(config, dataset, source, dropout):
    """Dropout is a matter of training: statistics are those that inference meets."""
    config = dataclasses.replace(config, dropout=dropout)
    segmenter = build_segmenter(config)
    set_weights(segmenter, source, "source")
    dam = build_dam(config, 3, segmenter)
    stack = load_slices(dataset, "ct", "train", with_labels=False)
    usable = len(stack.usable)
    refresh_statistics(config, 3, segmenter, dam, stack)
    number = usable // 32
    drawn = [b["images"] for b in slices.batches(stack, 32, 0, 0, number)]
    first = tf.nn.conv2d(tf.concat(drawn, 0), dam.get_layer("dam_conv1_conv").kernel, 1, "SAME")
    first = tf.nn.conv2d(first, dam.get_layer("dam_rm1_block1_1_conv").kernel, 1, "SAME")
    norm = dam.get_layer("dam_rm1_block1_1_norm")
    np.testing.assert_allclose(norm.moving_mean, np.mean(first, (0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, np.var(first, (0, 1, 2)), rtol=1e-3)


def test_slices_are_those_in_which_the_segmenter_finds_something(dataset):
    stack = load_slices(dataset, "ct", "train", with_labels=False)
    settings = AdaptSettings(batch=4, foreground_only=True)
    bright = stack.images[stack.usable].max(axis=(1, 2)) > np.median(stack.images.max(axis=(1, 2)))

    def segmenter(images, training):
        assert not training
        found = images[..., 1] > np.median(stack.images.max(axis=(1, 2)))
        return tf.stack([tf.zeros_like(images[..., 1]), tf.where(found, 1.0, -1.0)], axis=-1)

    found = foreground_only(settings, stack, segmenter)
    np.testing.assert_array_equal(found.usable, stack.usable[bright])
    assert 4 < bright.sum() < len(bright) and found.images is stack.images
    everything = dataclasses.replace(settings, foreground_only=False)
    assert foreground_only(everything, stack, None) is stack
    nothing = lambda images, training: segmenter(tf.zeros_like(images), training)  # noqa: E731
    assert foreground_only(settings, stack, nothing) is stack  # fewer than a batch


def test_source_moments_are_those_of_all_slices(tiny, config, source, dataset):
    segmenter = build_segmenter(config)
    set_weights(segmenter, source, "source")
    dam = build_dam(config, 13, segmenter)
    networks = make_networks(tiny(AdaptSettings), config, segmenter, dam)
    stack = load_slices(dataset, "mr", "train", with_labels=False)
    mean, deviation = source_moments(networks.paths, stack)
    drawn = [b["images"] for b in slices.batches(stack, 32, 0, 0, len(stack.usable) // 32)]
    tapped = np.concatenate([networks.paths.source_features(x).tapped for x in drawn])
    np.testing.assert_allclose(mean, tapped.mean((0, 1, 2)), atol=1e-4)
    expected = tapped.std((0, 1, 2))
    np.testing.assert_allclose(deviation, np.where(expected > 1e-4, expected, 1), rtol=1e-2)


def test_adaptation_with_every_option(tiny, dataset, source, untraced):
    """All options in one run: it finishes, and what is frozen stays so."""
    options = {"standardize_taps": True, "mask_critic_weight": 0.3, "dam_ema_decay": 0.9}
    options |= {"foreground_only": True}
    settings = tiny(AdaptSettings, name="options", critic_norm="layer", **options)
    weights = untraced(adapt, settings, dataset).weights()
    frozen = {name: value for name, value in weights.items() if not name.startswith("dam_")}
    assert_equal(frozen, source)
    assert (weights["dam_conv1_conv/kernel"] != source["conv1_conv/kernel"]).any()


def test_average_and_mask_critic_are_resumed(tiny, dataset, untraced, press_ctrl_c, monkeypatch):
    options = {"mask_critic_weight": 0.3, "dam_ema_decay": 0.6, "joint_updates": 3}
    whole = untraced(adapt, tiny(AdaptSettings, name="whole", **options), dataset)
    log = Loop._log

    def stopping(self, counter, number, result):
        if (counter, number) == ("joint", 2):
            press_ctrl_c()
        return log(self, counter, number, result)

    settings = tiny(AdaptSettings, name="halves", **options)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Loop, "_log", stopping)
        untraced(adapt, settings, dataset)
    halves = untraced(adapt, settings, dataset)
    assert_equal(halves.weights(), whole.weights())
    # What is kept is the average, not the DAM as the last update left it.
    plain = untraced(
        adapt, tiny(AdaptSettings, name="plain", **{**options, "dam_ema_decay": 0.0}), dataset
    )
    name = "dam_conv1_conv/kernel"
    assert (plain.weights()[name] != whole.weights()[name]).any()
