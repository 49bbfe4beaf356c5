"""Adaptation: who may change what, signs, no target label, resume to the bit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data import slices, store
from cmda_tf.data.slices import load_slices
from cmda_tf.errors import DataError
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.settings import AdaptSettings
from cmda_tf.training.adabn import adapt_statistics, refresh_statistics
from cmda_tf.training.adversarial import adapt, make_players
from cmda_tf.training.common import source_run, target_slices
from cmda_tf.training.loop import Loop
from cmda_tf.training.steps import make_joint_update, make_warmup_step
from cmda_tf.training.weights import get_weights, set_weights


@pytest.fixture(scope="module")
def source(tiny):
    return source_run(tiny(AdaptSettings)).weights()


@pytest.fixture(scope="module")
def adapted(tiny, manifest, untraced):
    return untraced(adapt, tiny(AdaptSettings), manifest).weights()


@pytest.fixture(scope="module")
def normalised(tiny, manifest, untraced):
    """The AdaBN run."""
    return untraced(adapt_statistics, tiny(AdaptSettings), manifest)


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def _trainable(model):
    return [np.array(v) for v in model.trainable_variables]


def _moved(before, model):
    return [bool((a != np.array(b)).any()) for a, b in zip(before, model.trainable_variables)]


def test_frozen_layers_stay_bit_identical_and_the_dam_moves(source, adapted):
    frozen = {name: value for name, value in adapted.items() if not name.startswith("dam_")}
    assert_equal(frozen, source)
    kernels = [n for n in adapted if n.startswith("dam_") and n.endswith("/kernel")]
    assert len(kernels) == 13
    for name in kernels:
        assert (adapted[name] != source[name.removeprefix("dam_")]).any(), name


def test_no_target_label_is_read(
    tiny, adapted, normalised, manifest_without_target_labels, untraced, monkeypatch
):
    load = store.load_subject

    def watched(path, with_label=True):
        assert "_train_" in path.name, f"{path}: a test subject was read"
        assert path.name.startswith("mr") or not with_label, f"{path}: a label was asked for"
        return load(path, with_label)

    monkeypatch.setattr(slices, "load_subject", watched)
    unlabelled = manifest_without_target_labels
    settings = tiny(AdaptSettings, prepared=str(unlabelled.folder), name="unlabelled")
    assert_equal(untraced(adapt, settings, unlabelled).weights(), adapted)
    settings = tiny(AdaptSettings, prepared=str(unlabelled.folder), name="unlabelled_adabn")
    found = untraced(adapt_statistics, settings, unlabelled).weights()
    assert_equal(found, normalised.weights())
    assert not (unlabelled.folder.parent / "raw/ct_train/ct_train_1001_label.nii.gz").exists()


def test_target_images_that_labels_have_cropped_are_refused(tiny, manifest):
    other_way = tiny(AdaptSettings, source="ct", target="mr", name="other_way")
    with pytest.raises(DataError, match=r"mr_train_1001.*--centre_on_labels=ct"):
        target_slices(other_way, manifest)


def test_stopped_run_resumes_to_the_same_bits(
    tiny, manifest, adapted, untraced, press_ctrl_c, monkeypatch
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
            untraced(adapt, settings, manifest)
    assert_equal(untraced(adapt, settings, manifest).weights(), adapted)


@pytest.fixture(scope="module")
def game(tiny, config, manifest, source):
    """Players at the start, their updates compiled once, and one batch of both domains."""
    tf.keras.utils.set_random_seed(0)
    settings = tiny(AdaptSettings, clip=0.02)
    segmenter = build_segmenter(config)
    set_weights(segmenter, source, "source")
    dam = build_dam(config, 13, segmenter)
    players = make_players(settings, config, segmenter, dam)
    images = {
        domain: tf.constant(
            np.moveaxis(s.images[s.triples(np.arange(22, 26))].astype(np.float32), 1, -1)
        )
        for domain, s in (
            (d, load_slices(manifest, m, "train", False))
            for d, m in (("source", "mr"), ("target", "ct"))
        )
    }
    return players, segmenter, images


def test_critic_update_moves_the_critic_alone_and_the_distance_rises(game):
    players, segmenter, images = game
    step = make_warmup_step(players, 3e-4, None, 0)
    before = _trainable(players.critic), _trainable(players.dam), get_weights(segmenter)
    zero = tf.constant(0, tf.int64)
    distances = [float(step(zero, images)["distance"]) for _ in range(30)]
    assert all(_moved(before[0], players.critic))
    assert not any(_moved(before[1], players.dam))
    assert_equal(get_weights(segmenter), before[2])
    assert np.mean(distances[-5:]) > np.mean(distances[:5]) + 1
    for variable in players.critic.trainable_variables:
        if len(variable.shape) > 1:
            assert np.abs(np.array(variable)).max() <= np.float32(0.02)
    scales = [v for name, v in get_weights(players.critic).items() if name.endswith("/gamma")]
    assert max(np.abs(v).max() for v in scales) > 0.02  # not clipped


def test_dam_update_moves_the_dam_alone_and_lowers_its_loss(game):
    players, segmenter, images = game
    update = players.dam_graph
    before = _trainable(players.critic), _trainable(players.dam), get_weights(segmenter)
    losses = [float(update(images["target"])["dam_loss"]) for _ in range(8)]
    assert not any(_moved(before[0], players.critic))
    assert all(_moved(before[1], players.dam))
    assert_equal(get_weights(segmenter), before[2])
    assert losses[-1] < losses[0]


def test_finished_adaptation_is_not_done_again(tiny, manifest, adapted, monkeypatch):
    monkeypatch.setattr("cmda_tf.training.adversarial.build_dam", None)  # would raise if called
    assert_equal(adapt(tiny(AdaptSettings), manifest).weights(), adapted)


@pytest.mark.parametrize("phase", [adapt, adapt_statistics])
def test_missing_source_run_names_the_command(tiny, manifest, tmp_path, phase):
    settings = tiny(AdaptSettings, runs=str(tmp_path / "runs"))
    with pytest.raises(DataError, match=rf"cmda_tf\.train --phase=source --runs={tmp_path}/runs"):
        phase(settings, manifest)
    assert not (tmp_path / "runs").exists()


def test_updates_in_bfloat16_with_float32_weights(tiny, config, source, game, untraced):
    segmenter = build_segmenter(dataclasses.replace(config, precision="mixed_bfloat16"))
    set_weights(segmenter, source, "source")
    half = dataclasses.replace(config, precision="mixed_bfloat16")
    players = make_players(tiny(AdaptSettings), half, segmenter, build_dam(half, 13, segmenter))
    before = _trainable(players.critic), _trainable(players.dam)
    images = game[2]
    metrics = untraced(players.update_critic, images["source"], images["target"])
    metrics |= untraced(players.update_dam, images["target"])
    assert all(np.isfinite(float(value)) for value in metrics.values())
    assert all(_moved(before[0], players.critic)) and all(_moved(before[1], players.dam))
    weights = {**get_weights(players.critic), **get_weights(players.dam)}
    assert {w.dtype for w in weights.values()} == {np.dtype(np.float32)}
    features = players.paths.target_features(images["target"], training=True)
    assert features.dtype == tf.bfloat16


def test_joint_update_is_its_parts_in_turn(game):
    """One graph of 2 + 1 updates against the same updates called from Python."""
    players, _, images = game
    state = [players.critic, players.dam, players.critic_optimizer, players.dam_optimizer]
    saved = [[np.array(v) for v in _variables(x)] for x in state]
    stacked = {d: tf.stack([x, x[:, ::-1], x[:, :, ::-1]]) for d, x in images.items()}
    joint = make_joint_update(players, lambda n: (1e-3, 2e-3), 2, None, 0)
    metrics = joint(tf.constant(0, tf.int64), stacked)
    found = _trainable(players.critic), _trainable(players.dam)
    for x, values in zip(state, saved):
        for variable, value in zip(_variables(x), values):
            variable.assign(value)
    players.critic_optimizer.learning_rate.assign(1e-3)
    players.dam_optimizer.learning_rate.assign(2e-3)
    distances = [
        float(players.update_critic(stacked["source"][k], stacked["target"][k])["distance"])
        for k in range(2)
    ]
    players.update_dam(stacked["target"][2])
    assert float(metrics["distance"]) == pytest.approx(np.mean(distances), rel=1e-3)
    for values, model in zip(found, (players.critic, players.dam)):
        for value, variable in zip(values, model.trainable_variables):
            np.testing.assert_allclose(value, np.array(variable), atol=2e-4)


def _variables(item):
    return item.variables() if callable(item.variables) else item.variables


def test_adabn_changes_statistics_alone(normalised, source):
    weights = normalised.weights()
    assert normalised.folder.name == "adabn_d13"
    for name, value in weights.items():
        original = source[name.removeprefix("dam_")]
        if name.startswith("dam_") and "moving" in name:
            assert (value != original).any(), name
        else:
            np.testing.assert_array_equal(value, original, err_msg=name)


def test_refreshed_statistics_are_those_of_all_slices(config, manifest, source):
    segmenter = build_segmenter(config)
    set_weights(segmenter, source, "source")
    dam = build_dam(config, 3, segmenter)
    stack = load_slices(manifest, "ct", "train", with_labels=False)
    usable = len(stack.usable)
    refresh_statistics(config, 3, segmenter, dam, stack)
    number = usable // 32
    drawn = [b["images"] for b in slices.batches(stack, 32, 0, 0, number)]
    first = tf.nn.conv2d(tf.concat(drawn, 0), dam.get_layer("dam_conv1_conv").kernel, 1, "SAME")
    first = tf.nn.conv2d(first, dam.get_layer("dam_rm1_block1_1_conv").kernel, 1, "SAME")
    norm = dam.get_layer("dam_rm1_block1_1_norm")
    np.testing.assert_allclose(norm.moving_mean, np.mean(first, (0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, np.var(first, (0, 1, 2)), rtol=1e-3)
