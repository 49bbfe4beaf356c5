"""Critic and DAM: what each update may change, signs, constraints, and the joint update."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from builders.training import assert_equal, moved, trainable

from cmda_tf.errors import UsageError
from cmda_tf.losses.entropy import prediction_entropy
from cmda_tf.runs.weights import get_weights
from cmda_tf.training.adversarial_networks import make_joint_update, make_warmup_step
from cmda_tf.training.phases import AdaptPhase


def test_critic_update_moves_the_critic_alone_and_the_distance_rises(start):
    networks, segmenter, images = start
    step = make_warmup_step(networks, 3e-4, None, 0)
    before = trainable(networks.critic.network), trainable(networks.dam), get_weights(segmenter)
    zero = tf.constant(0, tf.int64)
    distances = [float(step(zero, images)["distance"]) for _ in range(30)]
    assert all(moved(before[0], networks.critic.network))
    assert not any(moved(before[1], networks.dam))
    assert_equal(get_weights(segmenter), before[2])
    assert np.mean(distances[-5:]) > np.mean(distances[:5]) + 1
    for variable in networks.critic.network.trainable_variables:
        if len(variable.shape) > 1:
            assert np.abs(np.array(variable)).max() <= np.float32(0.02)
    weights = get_weights(networks.critic.network)
    scales = [value for name, value in weights.items() if name.endswith("/gamma")]
    assert max(np.abs(v).max() for v in scales) > 0.02  # not clipped


def test_dam_update_moves_the_dam_alone_and_lowers_its_loss(start):
    networks, segmenter, images = start
    update = networks.dam_graph
    before = trainable(networks.critic.network), trainable(networks.dam), get_weights(segmenter)
    losses = [float(update(images["target"])["dam_loss"]) for _ in range(8)]
    assert not any(moved(before[0], networks.critic.network))
    assert all(moved(before[1], networks.dam))
    assert_equal(get_weights(segmenter), before[2])
    assert losses[-1] < losses[0]


def test_updates_in_bfloat16_with_float32_weights(build, config, start, untraced):
    networks, _ = build(dataclasses.replace(config, precision="mixed_bfloat16"))
    before = trainable(networks.critic.network), trainable(networks.dam)
    images = start[2]
    metrics = untraced(networks.update_critics, images["source"], images["target"], [0, 0], True)
    metrics |= untraced(networks.update_dam, images["target"])
    assert all(np.isfinite(float(value)) for value in metrics.values())
    assert all(moved(before[0], networks.critic.network)) and all(moved(before[1], networks.dam))
    weights = {**get_weights(networks.critic.network), **get_weights(networks.dam)}
    assert {w.dtype for w in weights.values()} == {np.dtype(np.float32)}
    features = networks.paths.target_features(images["target"], training=True)
    assert features.tapped.dtype == tf.bfloat16 and features.logits.dtype == tf.float32


def test_joint_update_is_its_parts_in_turn(build, start):
    """One graph of 2 + 1 updates against the graphs of the updates, called one by one.

    The two need not round alike, so the training here does not blow rounding up. With the default
    epsilon RMSProp makes whole steps of the smallest gradients, and BatchNorm of the few pixels
    that a critic of 16x16 images ends with turned 1e-6 of the images into 1e-2 of the DAM's
    weights.
    """
    images, rates = start[2], (0.1, 2.0)
    changes = {"rmsprop_epsilon": 1.0, "critic_norm": "none", "clip": 0.1}
    networks, _ = build(**changes)
    critic = networks.critic
    state = [critic.network, networks.dam, critic.optimizer, networks.dam_optimizer]
    saved = [[np.array(v) for v in _variables(x)] for x in state]
    stacked = {d: tf.stack([x, x[:, ::-1], x[:, :, ::-1]]) for d, x in images.items()}
    joint = make_joint_update(networks, lambda n: rates, 2, None, 0)
    metrics = joint(tf.constant(0, tf.int64), stacked)
    actual = trainable(networks.critic.network), trainable(networks.dam)
    for x, values in zip(state, saved):
        for variable, value in zip(_variables(x), values):
            variable.assign(value)
    networks.critic.optimizer.learning_rate.assign(rates[0])
    networks.dam_optimizer.learning_rate.assign(rates[1])
    before = trainable(critic.network), trainable(networks.dam)
    distances = [
        float(networks.critic_graph(source_k, target_k, tf.constant([0, k]))["distance"])
        for k, (source_k, target_k) in enumerate(zip(stacked["source"][:2], stacked["target"][:2]))
    ]
    networks.dam_graph(stacked["target"][2])
    assert float(metrics["distance"]) == pytest.approx(np.mean(distances), rel=1e-4)
    for values, first, model in zip(actual, before, (critic.network, networks.dam)):
        assert max(np.abs(a - b).max() for a, b in zip(values, first)) > 0.01
        for value, variable in zip(values, model.trainable_variables):
            np.testing.assert_allclose(value, np.array(variable), atol=1e-5)


def _variables(item):
    return item.variables() if callable(item.variables) else item.variables


@pytest.mark.parametrize(
    "changes",
    [
        {"constraint": "gradient_penalty", "critic_norm": "layer"},
        {"constraint": "spectral", "critic_norm": "group"},
        {"constraint": "clip", "clip": 0.05, "critic_norm": "none"},
    ],
)
def test_other_critics_move_within_their_constraint(build, start, untraced, changes):
    networks, _ = build(critic_learning_rate=0.05, **changes)
    kernels = [v for v in networks.critic.network.trainable_variables if len(v.shape) > 1]
    before = trainable(networks.critic.network)
    images = start[2]
    for number in range(3):
        pair = images["source"], images["target"]
        metrics = untraced(networks.update_critics, *pair, tf.constant([0, number]), True)
        assert np.isfinite(float(metrics["distance"]))
    assert any(moved(before, networks.critic.network))
    norms = [np.linalg.norm(np.array(k).reshape(-1, k.shape[-1]), 2) for k in kernels]
    largest = max(np.abs(np.array(k)).max() for k in kernels)
    if changes["constraint"] == "clip":
        assert largest == np.float32(0.05)
    elif changes["constraint"] == "spectral":
        assert max(norms) < 1.2
    else:
        assert max(norms) > 1.2


def test_gradient_penalty_with_batch_statistics_is_refused(tiny):
    with pytest.raises(
        UsageError,
        match=r"constraint: .*gradient_penalty.*expected layer, group or none as critic_norm",
    ):
        tiny(AdaptPhase, constraint="gradient_penalty")


def test_mask_critic_takes_part_from_the_first_joint_update_on(build, start, untraced):
    networks, _ = build(mask_critic_weight=0.3, entropy_weight=0.1)
    mask = networks.mask_critic.network
    assert mask.input_shape == (None, 16, 16, 5) and networks.mask_critic.weight == 0.3
    before, images = trainable(mask), start[2]
    pair = images["source"], images["target"], tf.constant([0, 0])
    assert untraced(networks.update_critics, *pair, True).keys() == {"distance"}
    assert not any(moved(before, mask))
    assert untraced(networks.update_critics, *pair).keys() == {"distance", "mask_distance"}
    assert any(moved(before, mask))
    assert max(np.abs(k).max() for k in trainable(mask) if k.ndim > 1) <= np.float32(0.03)
    features = networks.paths.target_features(images["target"], training=True)
    scores = networks.critic.network(features.tapped, training=True)
    masks = mask(tf.nn.softmax(features.logits), training=True)
    entropy = prediction_entropy(features.logits)
    expected = -np.mean(scores) - 0.3 * np.mean(masks) + 0.1 * float(entropy)
    actual = untraced(networks.update_dam, images["target"])
    assert float(actual["dam_loss"]) == pytest.approx(expected, rel=1e-4)
    assert float(actual["entropy"]) == pytest.approx(float(entropy), rel=1e-4)


def test_average_follows_the_dam(build):
    networks, _ = build(dam_ema_decay=0.5)
    name = "dam_conv1_conv"
    networks.dam.get_layer(name).kernel.assign(tf.ones([3, 3, 3, 1]))
    networks.average.get_layer(name).kernel.assign(tf.zeros([3, 3, 3, 1]))
    kernel = networks.average.get_layer(name).kernel
    networks.update_average(tf.constant(0, tf.int64))  # the start is not in the average
    np.testing.assert_allclose(np.array(kernel), 1.0, rtol=1e-6)
    networks.dam.get_layer(name).kernel.assign(tf.fill([3, 3, 3, 1], 4.0))
    networks.update_average(tf.constant(1, tf.int64))  # weights 1/2 and 1/4, of sum 1
    np.testing.assert_allclose(np.array(kernel), (4 / 2 + 1 / 4) / (3 / 4), rtol=1e-6)
    networks.dam.get_layer(name).kernel.assign(tf.zeros([3, 3, 3, 1]))
    networks.update_average(tf.constant(2, tf.int64))  # weights 1/2, 1/4 and 1/8
    np.testing.assert_allclose(np.array(kernel), (4 / 4 + 1 / 8) / (7 / 8), rtol=1e-6)


def test_rmsprop_starts_where_it_is_told(build):
    networks, _ = build(rmsprop_start=1.0, rmsprop_epsilon=1e-10)
    for optimizer in (networks.dam_optimizer, networks.critic.optimizer):
        assert optimizer.epsilon == 1e-10
        assert all(np.all(np.array(v) == 1) for v in optimizer._velocities)
