"""Adaptation and AdaBN: what stays frozen, no target label, resume to the bit."""

import dataclasses

import numpy as np
import pytest
from builders.training import assert_equal, stop_at, watch_labels

from cmda_tf.data.batches import batches
from cmda_tf.errors import DataError, UsageError
from cmda_tf.runs.run import is_finished
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.adversarial import adapt, source_moments
from cmda_tf.training.phases import AdabnPhase, AdaptPhase, SourcePhase
from cmda_tf.training.supervised import train_segmenter

BOTH = [(adapt, AdaptPhase), (adapt_statistics, AdabnPhase)]


@pytest.fixture(scope="module")
def adapted(tiny, dataset, untraced):
    return untraced(adapt, tiny(AdaptPhase), dataset).weights()


@pytest.fixture(scope="module")
def normalized(tiny, dataset, untraced):
    """The AdaBN run."""
    return untraced(adapt_statistics, tiny(AdabnPhase), dataset)


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
    labels = watch_labels(monkeypatch)
    unlabeled = dataset_without_target_labels
    settings = tiny(AdaptPhase, prepared=str(unlabeled.folder), name="unlabeled")
    assert_equal(untraced(adapt, settings, unlabeled).weights(), adapted)
    assert labels and all(name.startswith("mr_train_") for name in labels), labels
    settings = tiny(AdabnPhase, prepared=str(unlabeled.folder), name="unlabeled_adabn")
    assert_equal(untraced(adapt_statistics, settings, unlabeled).weights(), normalized.weights())
    assert not (unlabeled.folder.parent / "raw/ct_train/ct_train_1001_label.nii.gz").exists()


def test_target_images_that_labels_have_cropped_are_refused(tiny, dataset, untraced):
    assert dataset.crop("mr") == "label" and dataset.crop("ct") == "volume"
    message = r"mr_train_1001.*is centered on its label, which adapt.* the labels of mr not among"
    with pytest.raises(DataError, match=message):
        dataset.target_slices("mr")
    roles = {"source": "ct", "target": "mr"}
    untraced(train_segmenter, tiny(SourcePhase, steps=1, modality="ct"), dataset)
    for phase, cls in BOTH:
        settings = tiny(cls, name=f"{cls.name}_other_way", **roles)
        with pytest.raises(DataError, match=message):
            untraced(phase, settings, dataset)
        assert not is_finished(settings.folder)


def test_stopped_run_resumes_to_the_same_bits(
    tiny, dataset, adapted, untraced, press_ctrl_c, monkeypatch
):
    settings = tiny(AdaptPhase, name="adapt_stopped")
    stop_at(monkeypatch, press_ctrl_c, ("warmup", 1), ("joint", 1))
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            untraced(adapt, settings, dataset)
    assert_equal(untraced(adapt, settings, dataset).weights(), adapted)


def test_finished_adaptation_is_not_done_again(tiny, dataset, adapted, monkeypatch):
    monkeypatch.setattr("cmda_tf.training.adversarial.build_dam", None)  # would raise if called
    assert_equal(adapt(tiny(AdaptPhase), dataset).weights(), adapted)


@pytest.mark.parametrize(("phase", "settings"), BOTH)
def test_missing_source_run_names_what_makes_it(tiny, dataset, tmp_path, phase, settings):
    with pytest.raises(DataError, match=rf"{tmp_path}/runs/source_mr: no finished run") as caught:
        phase(tiny(settings, runs=str(tmp_path / "runs")), dataset)
    assert caught.value.made_by == "source"
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("phase", "settings"), BOTH)
def test_a_start_that_knows_other_labels_is_refused(tiny, dataset, untraced, phase, settings):
    """A model that has seen target labels would make a supervised row of an unsupervised one."""
    untraced(train_segmenter, tiny(SourcePhase, steps=1, modality="ct"), dataset)
    message = r"^init_from: expected .* on 'mr'; .*source_ct is of .*'ct'"
    with pytest.raises(UsageError, match=message):
        phase(tiny(settings, init_from="source_ct"), dataset)


def test_adabn_changes_statistics_alone(normalized, source):
    weights = normalized.weights()
    assert normalized.folder.name == "adabn_d13"
    for name, value in weights.items():
        original = source[name.removeprefix("dam_")]
        if name.startswith("dam_") and "moving" in name:
            assert (value != original).any(), name
        else:
            np.testing.assert_array_equal(value, original, err_msg=name)


def test_source_moments_are_those_of_all_slices(build, dataset):
    networks, _ = build()
    stack = dataset.slices("mr", "train", with_labels=False)
    mean, deviation = source_moments(networks.paths, stack)
    drawn = [b["images"] for b in batches(stack, 32, 0, 0, len(stack.usable) // 32)]
    tapped = np.concatenate([networks.paths.source_features(x).tapped for x in drawn])
    np.testing.assert_allclose(mean, tapped.mean((0, 1, 2)), atol=1e-4)
    expected = tapped.std((0, 1, 2))
    np.testing.assert_allclose(deviation, np.where(expected > 1e-4, expected, 1), rtol=1e-2)


def test_adaptation_with_every_option(tiny, dataset, source, untraced):
    """All options in one run: it finishes, and what is frozen stays so."""
    options = {"standardize_taps": True, "mask_critic_weight": 0.3, "dam_ema_decay": 0.9}
    options |= {"foreground_only": True}
    settings = tiny(AdaptPhase, name="options", critic_norm="layer", **options)
    weights = untraced(adapt, settings, dataset).weights()
    frozen = {name: value for name, value in weights.items() if not name.startswith("dam_")}
    assert_equal(frozen, source)
    assert (weights["dam_conv1_conv/kernel"] != source["conv1_conv/kernel"]).any()


@pytest.mark.slow
def test_average_and_mask_critic_are_resumed(tiny, dataset, untraced, press_ctrl_c, monkeypatch):
    options = {"mask_critic_weight": 0.3, "dam_ema_decay": 0.6, "joint_updates": 3}
    whole = untraced(adapt, tiny(AdaptPhase, name="whole", **options), dataset)
    settings = tiny(AdaptPhase, name="halves", **options)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        stop_at(patched, press_ctrl_c, ("joint", 2))
        untraced(adapt, settings, dataset)
    halves = untraced(adapt, settings, dataset)
    assert_equal(halves.weights(), whole.weights())
    # What is kept is the average, not the DAM as the last update left it.
    plain = untraced(
        adapt, tiny(AdaptPhase, name="plain", **{**options, "dam_ema_decay": 0.0}), dataset
    )
    name = "dam_conv1_conv/kernel"
    assert (plain.weights()[name] != whole.weights()[name]).any()


def test_all_slices_take_part_unless_asked_for_otherwise(
    tiny, dataset, normalized, untraced, monkeypatch
):
    monkeypatch.setattr("cmda_tf.training.adabn.foreground_slices", lambda *_: 1 / 0)
    run = untraced(adapt_statistics, tiny(AdabnPhase, name="all_slices"), dataset)
    assert_equal(run.weights(), normalized.weights())
    with pytest.raises(ZeroDivisionError):
        settings = tiny(AdabnPhase, name="some_slices", foreground_only=True)
        untraced(adapt_statistics, settings, dataset)


def test_a_target_whose_crop_is_unknown_is_told(tiny, dataset, untraced, caplog):
    """Such as the authors' release, which its labels have cropped."""
    entries = [dataclasses.replace(e, centered_on=None) for e in dataset.entries]
    unknown = dataclasses.replace(dataset, entries=tuple(entries))
    run = untraced(adapt_statistics, tiny(AdabnPhase, name="unknown_crop_adabn"), unknown)
    assert run.record.inputs.crop is None
    assert "were cropped in an unknown way, perhaps by their labels" in caplog.text
    caplog.clear()
    run = untraced(adapt_statistics, tiny(AdabnPhase, name="known_crop"), dataset)
    assert run.record.inputs.crop == "volume" and "cropped" not in caplog.text
