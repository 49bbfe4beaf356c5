"""Segmenter, DAM, router and critic: layers counted, values recomputed, weights shared."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.models.blocks import LayerFactory, residual_block
from cmda_tf.models.critic import build_critic, build_feature_paths, critic_strides
from cmda_tf.models.layers import ChannelPad, PixelShuffle, SymmetricPad
from cmda_tf.models.segmenter import (
    build_dam,
    build_router,
    build_segmenter,
    build_upper,
    path,
)
from cmda_tf.models.settings import ModelConfig
from cmda_tf.models.topology import DEFAULT_TAPS, LEGAL_DEPTHS

LAST_UNITS = ("conv8", "conv9", "conv10", "output")
Conv2D, BatchNormalization = tf.keras.layers.Conv2D, tf.keras.layers.BatchNormalization


@pytest.fixture(scope="module")
def segmenter(config):
    tf.keras.utils.set_random_seed(3)
    model = build_segmenter(config)
    rng = np.random.default_rng(0)
    for layer in model.layers:  # moving statistics as if it had been trained
        if isinstance(layer, BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.moving_variance.shape))
    return model


@pytest.fixture(scope="module")
def full():
    """Configuration and segmenter at the paper's width."""
    config = ModelConfig(size=64, width=1)
    return config, build_segmenter(config)


@pytest.fixture(scope="module")
def images(config):
    shape = (2, config.size, config.size, 3)
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def _convolutions(model):
    return [layer for layer in model.layers if isinstance(layer, Conv2D)]


def test_segmenter_has_33_convolutions_without_bias(segmenter):
    convolutions = _convolutions(segmenter)
    assert len(convolutions) == 33
    assert not any(layer.use_bias for layer in convolutions)
    dilated = [layer.name for layer in convolutions if layer.dilation_rate != (1, 1)]
    assert len(dilated) == 4 and all(name.startswith("rm7_") for name in dilated)


# Side of the map for an image of 64, and channels, after each stage (the paper, section 3.1).
MAPS = {
    "conv1_conv": (64, 16), "rm1_block1_act": (64, 16), "rm1_block1_pool": (32, 16),
    "rm1_block2_act": (32, 32), "rm1_block2_pool": (16, 32),
    "rm2_block1_act": (16, 64), "rm2_block2_act": (16, 64), "rm2_block2_pool": (8, 64),
    "rm3_block1_act": (8, 128), "rm3_block2_act": (8, 128), "rm4_block2_act": (8, 256),
    "rm5_block2_act": (8, 256), "rm6_block2_act": (8, 512), "rm7_block2_act": (8, 512),
    "conv8_act": (8, 512), "conv9_act": (8, 512), "conv10_conv": (8, 64 * 8 * 5),
    "conv10_shuffle": (64, 8 * 5), "output_conv": (64, 5), "logits": (64, 5),
}  # fmt: skip


def test_feature_maps_at_full_width(full):
    _, model = full
    assert {name: tuple(model.get_layer(name).output.shape)[2:] for name in MAPS} == MAPS
    pools = [x.name for x in model.layers if isinstance(x, tf.keras.layers.MaxPooling2D)]
    assert pools == ["rm1_block1_pool", "rm1_block2_pool", "rm2_block2_pool"]


def test_layer_names_are_those_of_the_table(segmenter):
    units = [("conv1", ""), ("rm1_block1", "_1"), ("rm1_block1", "_2"), ("rm1_block2", "_1")]
    first = [f"{unit}{part}_conv" for unit, part in units]
    names = [layer.name for layer in _convolutions(segmenter)]
    assert names[:4] == first
    assert names[-5:] == ["rm7_block2_2_conv", *(f"{n}_conv" for n in LAST_UNITS)]
    everything = [layer.name for layer in segmenter.layers]
    assert len(set(everything)) == len(everything)


def test_parameters_at_full_width(full):
    _, model = full
    square = 9  # weights of a 3x3 kernel for each pair of channels
    pairs = 3 * 16 + (2 * 16 * 16) + (16 * 32 + 32 * 32) + (32 * 64 + 3 * 64 * 64)
    pairs += 64 * 128 + 3 * 128 * 128 + 128 * 256 + 3 * 256 * 256 + 4 * 256 * 256
    pairs += 256 * 512 + 3 * 512 * 512 + 4 * 512 * 512 + 2 * 512 * 512 + 512 * 64 * 8 * 5
    last = 25 * (8 * 5) * 5
    normalized = 2 * 16 + 2 * 32 + 4 * (64 + 128 + 256 + 256 + 512 + 512) + 2 * 512
    assert model.count_params() == square * pairs + last + 4 * normalized


def test_initial_weights_are_a_function_of_seed_and_name(config):
    tf.random.set_seed(1)
    one = build_segmenter(config)
    two = build_segmenter(config)  # although random numbers have been drawn since
    other = build_segmenter(dataclasses.replace(config, seed=1))
    for a, b, c in zip(one.trainable_weights, two.trainable_weights, other.trainable_weights):
        np.testing.assert_array_equal(np.array(a), np.array(b))
        assert len(a.shape) == 1 or (np.array(a) != np.array(c)).any()
    kernels = [np.array(one.get_layer(f"rm7_block{n}_1_conv").kernel) for n in (1, 2)]
    assert (kernels[0] != kernels[1]).any()


def test_same_weights_whatever_the_size(config):
    other = build_segmenter(dataclasses.replace(config, size=32))
    assert other.output_shape == (None, 32, 32, 5)
    assert other.count_params() == build_segmenter(config).count_params()


@pytest.mark.parametrize("depth", LEGAL_DEPTHS)
def test_dam_has_as_many_layers_as_its_depth(config, segmenter, depth):
    dam = build_dam(config, depth, segmenter)
    assert len(_convolutions(dam)) == depth
    assert all(name.startswith("dam_") or name == "image" for name in (x.name for x in dam.layers))


def test_dam_begins_as_the_source_and_the_router_routes(config, segmenter, images):
    dam = build_dam(config, 13, segmenter)
    router = build_router(config, 13, segmenter, dam)
    expected = segmenter(images).numpy()
    np.testing.assert_array_equal(path(router, "target")(images), expected)
    dam.get_layer("dam_conv1_conv").kernel.assign(
        np.zeros_like(dam.get_layer("dam_conv1_conv").kernel)
    )
    both = router({"source": images, "target": images})
    np.testing.assert_array_equal(both["source"], expected)
    np.testing.assert_array_equal(path(router, "source")(images), expected)
    assert np.abs(both["target"] - expected).max() > 1e-3
    np.testing.assert_allclose(path(router, "target")(images), both["target"], atol=1e-6)


@pytest.mark.parametrize("depth", [1, 13, 32])
def test_layers_above_the_dam_are_the_segmenters_own(config, segmenter, images, depth):
    dam = build_dam(config, depth, segmenter)
    upper = build_upper(config, depth, segmenter, dam)
    np.testing.assert_allclose(upper(dam(images)), segmenter(images), atol=1e-5)
    assert len(_convolutions(upper)) == 33 - depth
    assert all(layer is segmenter.get_layer(layer.name) for layer in _convolutions(upper))


def test_router_is_saved_and_loaded_without_code(config, segmenter, images, tmp_path):
    router = build_router(config, 5, segmenter, build_dam(config, 5, segmenter))
    router.save(tmp_path / "model.keras")
    loaded = tf.keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    pair = {"source": images, "target": images[::-1]}
    for role, logits in router(pair).items():
        np.testing.assert_allclose(loaded(pair)[role], logits, atol=1e-6)


@pytest.mark.parametrize("dilation", [1, 2])
def test_residual_block_pads_its_shortcut_half_on_each_side(dilation):
    config = ModelConfig(size=16, width=1)
    image = tf.keras.Input((6, 6, 2))
    model = tf.keras.Model(image, residual_block(image, LayerFactory(config), "b", 4, dilation))
    x = np.random.default_rng(0).normal(size=(1, 6, 6, 2)).astype(np.float32)
    kernels = [model.get_layer(f"b_{n}_conv").kernel for n in (1, 2)]

    def norm(value):  # untrained moving statistics: mean 0, variance 1
        return value / np.sqrt(1 + 1e-3)

    def convolve(value, kernel):
        return tf.nn.conv2d(value, kernel, 1, "SAME", dilations=dilation)

    h = tf.nn.leaky_relu(norm(convolve(x, kernels[0])), 0.2)
    h = norm(convolve(h, kernels[1]))
    expected = tf.nn.leaky_relu(np.pad(x, ((0, 0), (0, 0), (0, 0), (1, 1))) + h, 0.2)
    np.testing.assert_allclose(model(x), expected, atol=1e-5)


def test_last_two_layers_mirror_the_border(segmenter, images):
    names = ["conv9_act", "conv10_conv", "conv10_shuffle", "logits"]
    outputs = [segmenter.get_layer(name).output for name in names]
    features, before, shuffled, logits = (
        np.asarray(x) for x in tf.keras.Model(segmenter.input, outputs)(images)
    )
    for x, name, margin, expected in (
        (features, "conv10_conv", 1, before),
        (shuffled, "output_conv", 2, logits),
    ):
        padded = np.pad(x, ((0, 0), (margin, margin), (margin, margin), (0, 0)), "symmetric")
        kernel = segmenter.get_layer(name).kernel
        np.testing.assert_allclose(tf.nn.conv2d(padded, kernel, 1, "VALID"), expected, atol=1e-5)
    assert before.shape[-1] == 64 * shuffled.shape[-1]


def test_layers_of_our_own():
    x = np.arange(2 * 2 * 4, dtype=np.float32).reshape(1, 2, 2, 4)
    shuffled = PixelShuffle(2)(x).numpy()[0, :, :, 0]
    np.testing.assert_array_equal(
        shuffled, [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    )
    row = np.array([1.0, 2.0, 3.0], np.float32).reshape(1, 1, 3, 1)
    padded = SymmetricPad(1)(row).numpy()[0, :, :, 0]
    np.testing.assert_array_equal(padded, [[1, 1, 2, 3, 3]] * 3)
    np.testing.assert_array_equal(ChannelPad(4)(row).numpy()[0, 0, 1], [0, 2, 0, 0])


@pytest.mark.parametrize(
    ("depth", "taps"), [(13, DEFAULT_TAPS), (21, (31,)), (5, (33,)), (32, (5, 9))]
)
def test_both_paths_give_the_critic_the_same_at_first(config, segmenter, images, depth, taps):
    dam = build_dam(config, depth, segmenter)
    paths = build_feature_paths(config, depth, taps, segmenter, dam)
    source, logits = (x.numpy() for x in paths.source_features(images))
    assert source.shape == (2, 16, 16, paths.channels)
    target, same = (x.numpy() for x in paths.target_features(images, training=False))
    # The channels' order differs only in that the DAM's taps come first, as the depth orders them.
    np.testing.assert_allclose(target, source, atol=1e-5)
    expected = segmenter(images).numpy()
    np.testing.assert_array_equal(source[..., -1], expected.argmax(-1))
    for actual in (logits, same):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_standardized_features_are_shifted_and_scaled(config, segmenter, images):
    paths = build_feature_paths(config, 13, (13, 33), segmenter, build_dam(config, 13, segmenter))
    shift = np.linspace(-1, 1, paths.channels).astype(np.float32)
    scale = np.linspace(0.5, 2, paths.channels).astype(np.float32)
    scaled = paths.standardized(shift, scale)
    for plain, actual in (
        (paths.source_features(images), scaled.source_features(images)),
        (paths.target_features(images, True), scaled.target_features(images, True)),
    ):
        np.testing.assert_allclose(actual.tapped, (plain.tapped - shift) / scale, atol=1e-5)
        np.testing.assert_array_equal(actual.logits, plain.logits)


def test_critic_input_channels_at_full_width(full):
    config, segmenter = full
    dam = build_dam(config, 13, segmenter)
    paths = build_feature_paths(config, 13, DEFAULT_TAPS, segmenter, dam)
    # 128, 256, 512 and 512 channels shuffled by 8, five logits, the mask.
    assert paths.channels == 2 + 4 + 8 + 8 + 5 + 1
    assert paths.lower_channels == 2


def test_critic_scores_one_number_and_ends_at_2x2(config):
    assert critic_strides(256) == (2, 2, 2, 2, 4)
    assert critic_strides(64) == (2, 2, 2, 2, 1)
    for size in (16, 64, 256):
        critic = build_critic(dataclasses.replace(config, size=size), 7)
        assert critic.output_shape == (None, 1)
        assert tuple(critic.get_layer("down6_act").output.shape[1:3]) == (2, 2)
    widths = [build_critic(ModelConfig(size=64, width=1), 28).get_layer(f"block{n}_act").output
              for n in range(1, 6)]  # fmt: skip
    assert [w.shape[-1] for w in widths] == [64, 128, 256, 512, 512]


@pytest.mark.parametrize(("norm", "groups"), [("layer", 1), ("group", 4)])
def test_critic_normalizes_each_sample_by_itself(config, norm, groups):
    critic = build_critic(config, 7, norm)  # widths 4, 8, 16, 32, 32
    layer = critic.get_layer("block1_1_norm")
    assert isinstance(layer, tf.keras.layers.GroupNormalization) and layer.groups == groups
    x = np.random.default_rng(0).normal(size=(3, 16, 16, 7)).astype(np.float32)
    together = critic(x, training=True).numpy()
    alone = np.concatenate([critic(x[k : k + 1], training=True) for k in range(3)])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_critic_without_normalization_has_none(config):
    names = [layer.name for layer in build_critic(config, 7, "none").layers]
    assert not any(name.endswith("_norm") for name in names)
    prefixed = build_critic(config, 7, prefix="mask_")
    assert prefixed.name == "mask_critic" and prefixed.get_layer("mask_score") is not None


def test_bfloat16_keeps_weights_and_logits_in_float32(config, images):
    model = build_segmenter(dataclasses.replace(config, precision="mixed_bfloat16"))
    assert {np.dtype(w.dtype) for w in map(np.asarray, model.weights)} == {np.dtype(np.float32)}
    assert model(images).dtype == tf.float32
    assert model.get_layer("rm3_block1_1_conv").compute_dtype == "bfloat16"
