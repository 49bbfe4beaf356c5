"""Adaptation: who may change what, signs, no target label, resume to the bit."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data import slices, store
from cmda_tf.data.slices import load_slices
from cmda_tf.errors import DataError, UsageError
from cmda_tf.losses.entropy import prediction_entropy
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.settings import AdaptSettings
from cmda_tf.training.adabn import adapt_statistics, refresh_statistics
from cmda_tf.training.adversarial import adapt, make_players, source_moments
from cmda_tf.training.common import source_run, target_slices
from cmda_tf.training.loop import Loop
from cmda_tf.training.players import make_joint_update, make_warmup_step
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
        assert not with_label, f"{path}: a label was asked for"
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
    before = _trainable(players.critic.network), _trainable(players.dam), get_weights(segmenter)
    zero = tf.constant(0, tf.int64)
    distances = [float(step(zero, images)["distance"]) for _ in range(30)]
    assert all(_moved(before[0], players.critic.network))
    assert not any(_moved(before[1], players.dam))
    assert_equal(get_weights(segmenter), before[2])
    assert np.mean(distances[-5:]) > np.mean(distances[:5]) + 1
    for variable in players.critic.network.trainable_variables:
        if len(variable.shape) > 1:
            assert np.abs(np.array(variable)).max() <= np.float32(0.02)
    weights = get_weights(players.critic.network)
    scales = [value for name, value in weights.items() if name.endswith("/gamma")]
    assert max(np.abs(v).max() for v in scales) > 0.02  # not clipped


def test_dam_update_moves_the_dam_alone_and_lowers_its_loss(game):
    players, segmenter, images = game
    update = players.dam_graph
    before = _trainable(players.critic.network), _trainable(players.dam), get_weights(segmenter)
    losses = [float(update(images["target"])["dam_loss"]) for _ in range(8)]
    assert not any(_moved(before[0], players.critic.network))
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
    before = _trainable(players.critic.network), _trainable(players.dam)
    images = game[2]
    metrics = untraced(players.update_critic, images["source"], images["target"], [0, 0])
    metrics |= untraced(players.update_dam, images["target"])
    assert all(np.isfinite(float(value)) for value in metrics.values())
    assert all(_moved(before[0], players.critic.network)) and all(_moved(before[1], players.dam))
    weights = {**get_weights(players.critic.network), **get_weights(players.dam)}
    assert {w.dtype for w in weights.values()} == {np.dtype(np.float32)}
    features = players.paths.target_features(images["target"], training=True)
    assert features.tapped.dtype == tf.bfloat16 and features.logits.dtype == tf.float32


def test_joint_update_is_its_parts_in_turn(game):
    """One graph of 2 + 1 updates against the same updates called from Python."""
    players, _, images = game
    critic = players.critic
    state = [critic.network, players.dam, critic.optimizer, players.dam_optimizer]
    saved = [[np.array(v) for v in _variables(x)] for x in state]
    stacked = {d: tf.stack([x, x[:, ::-1], x[:, :, ::-1]]) for d, x in images.items()}
    joint = make_joint_update(players, lambda n: (1e-3, 2e-3), 2, None, 0)
    metrics = joint(tf.constant(0, tf.int64), stacked)
    found = _trainable(players.critic.network), _trainable(players.dam)
    for x, values in zip(state, saved):
        for variable, value in zip(_variables(x), values):
            variable.assign(value)
    players.critic.optimizer.learning_rate.assign(1e-3)
    players.dam_optimizer.learning_rate.assign(2e-3)
    distances = [
        float(players.update_critic(stacked["source"][k], stacked["target"][k], [0, k])["distance"])
        for k in range(2)
    ]
    players.update_dam(stacked["target"][2])
    assert float(metrics["distance"]) == pytest.approx(np.mean(distances), rel=1e-3)
    for values, model in zip(found, (critic.network, players.dam)):
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


def _new_players(tiny, config, source, **changes):
    """Players of these settings, on the trained source model."""
    settings = tiny(AdaptSettings, **changes)
    segmenter = build_segmenter(config)
    set_weights(segmenter, source, "source")
    dam = build_dam(config, 13, segmenter)
    return make_players(settings, config, segmenter, dam)


@pytest.mark.parametrize(
    "changes",
    [
        {"constraint": "gradient_penalty", "critic_norm": "layer"},
        {"constraint": "spectral", "critic_norm": "group"},
        {"constraint": "clip", "clip": 0.05, "critic_norm": "none"},
    ],
)
def test_other_critics_move_within_their_constraint(tiny, config, source, game, untraced, changes):
    players = _new_players(tiny, config, source, critic_learning_rate=0.05, **changes)
    kernels = [v for v in players.critic.network.trainable_variables if len(v.shape) > 1]
    before = _trainable(players.critic.network)
    images = game[2]
    for number in range(3):
        pair = images["source"], images["target"]
        metrics = untraced(players.update_critic, *pair, tf.constant([0, number]))
        assert np.isfinite(float(metrics["distance"]))
    assert any(_moved(before, players.critic.network))
    norms = [np.linalg.norm(np.array(k).reshape(-1, k.shape[-1]), 2) for k in kernels]
    largest = max(np.abs(np.array(k)).max() for k in kernels)
    if changes["constraint"] == "clip":
        assert largest == np.float32(0.05)
    elif changes["constraint"] == "spectral":
        assert max(norms) < 1.2
    else:
        assert max(norms) > 1.2


def test_gradient_penalty_with_batch_statistics_is_refused(tiny):
    with pytest.raises(UsageError, match=r"--constraint=gradient_penalty.*--critic_norm=layer"):
        tiny(AdaptSettings, constraint="gradient_penalty")


def test_mask_critic_plays_from_the_first_joint_update_on(tiny, config, source, game, untraced):
    players = _new_players(tiny, config, source, mask_critic_weight=0.3, entropy_weight=0.1)
    mask = players.mask_critic.network
    assert mask.input_shape == (None, 16, 16, 5) and players.mask_critic.weight == 0.3
    before, images = _trainable(mask), game[2]
    pair = images["source"], images["target"], tf.constant([0, 0])
    assert untraced(players.update_critic, *pair).keys() == {"distance"}
    assert not any(_moved(before, mask))
    assert untraced(players.update_critics, *pair).keys() == {"distance", "mask_distance"}
    assert any(_moved(before, mask))
    assert max(np.abs(k).max() for k in _trainable(mask) if k.ndim > 1) <= np.float32(0.03)
    features = players.paths.target_features(images["target"], training=True)
    scores = players.critic.network(features.tapped, training=True)
    masks = mask(tf.nn.softmax(features.logits), training=True)
    entropy = prediction_entropy(features.logits)
    expected = -np.mean(scores) - 0.3 * np.mean(masks) + 0.1 * float(entropy)
    found = untraced(players.update_dam, images["target"])
    assert float(found["dam_loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(found["entropy"]) == pytest.approx(float(entropy), rel=1e-4)


def test_average_follows_the_dam(tiny, config, source):
    players = _new_players(tiny, config, source, dam_average=0.5)
    name = "dam_conv1_conv"
    players.dam.get_layer(name).kernel.assign(tf.ones([3, 3, 3, 1]))
    players.average.get_layer(name).kernel.assign(tf.zeros([3, 3, 3, 1]))
    kernel = players.average.get_layer(name).kernel
    players.follow(tf.constant(0, tf.int64))  # decay 1 / 10
    np.testing.assert_allclose(np.array(kernel), 0.9, rtol=1e-6)
    players.follow(tf.constant(100, tf.int64))  # decay 0.5
    np.testing.assert_allclose(np.array(kernel), 0.95, rtol=1e-6)


def test_rmsprop_starts_where_it_is_told(tiny, config, source):
    players = _new_players(tiny, config, source, rmsprop_start=1.0, rmsprop_epsilon=1e-10)
    for optimizer in (players.dam_optimizer, players.critic.optimizer):
        assert optimizer.epsilon == 1e-10
        assert all(np.all(np.array(v) == 1) for v in optimizer._velocities)


def test_source_moments_are_those_of_all_slices(tiny, config, source, manifest):
    players = _new_players(tiny, config, source)
    stack = load_slices(manifest, "mr", "train", with_labels=False)
    mean, deviation = source_moments(players.paths, stack)
    drawn = [b["images"] for b in slices.batches(stack, 32, 0, 0, len(stack.usable) // 32)]
    tapped = np.concatenate([players.paths.source_features(x).tapped for x in drawn])
    np.testing.assert_allclose(mean, tapped.mean((0, 1, 2)), atol=1e-4)
    expected = tapped.std((0, 1, 2))
    np.testing.assert_allclose(deviation, np.where(expected > 1e-4, expected, 1), rtol=1e-2)


def test_adaptation_with_every_option(tiny, manifest, source, untraced):
    """All options in one run: it finishes, and what is frozen stays so."""
    options = {"standardise_taps": True, "mask_critic_weight": 0.3, "dam_average": 0.9}
    settings = tiny(AdaptSettings, name="options", critic_norm="layer", **options)
    weights = untraced(adapt, settings, manifest).weights()
    frozen = {name: value for name, value in weights.items() if not name.startswith("dam_")}
    assert_equal(frozen, source)
    assert (weights["dam_conv1_conv/kernel"] != source["conv1_conv/kernel"]).any()
