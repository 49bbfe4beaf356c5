"""The domain critic module (DCM) and the multi-level features it sees (the paper, section 3.3).

Features at the tapped layers, the logits and the argmax mask are each brought to the image's
resolution and concatenated: the critic's input `[B, size, size, channels]`. Taps up to the depth d
are the paper's set A (from the DAM or the source's own first layers), those after it the set H
(from the shared frozen layers). A second critic, of the journal version (Dou et al., 2019), may
judge the segmentation alone.
"""

import dataclasses
from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from cmda_tf.models import blocks
from cmda_tf.models.blocks import LayerFactory
from cmda_tf.models.layers import ArgmaxMask, PixelShuffle
from cmda_tf.models.segmenter import all_features, image_input, lower_features, upper_features
from cmda_tf.models.settings import ModelConfig
from cmda_tf.models.topology import NUM_LAYERS, check_taps, unit_ending_at

CRITIC_WIDTHS = (64, 128, 256, 512, 512)
CRITIC_STRIDES = (2, 2, 2, 2, 4)  # at 256x256; see critic_strides


class Features(NamedTuple):
    """What a path gives for a batch of images."""

    tapped: tf.Tensor  # `[B, size, size, channels]`, the critic's input
    logits: tf.Tensor  # `[B, size, size, classes]` float32


@dataclass(frozen=True)
class FeaturePaths:
    """Functional models whose outputs, concatenated, are the critic's input.

    Attributes:
      source: image to (all critic inputs, logits), through the source segmenter.
      lower: image to (feature map of layer d, critic inputs of the taps in A), by the DAM.
      upper: feature map of layer d to (critic inputs of the taps in H and the mask, logits), by
        the segmenter's frozen layers.
    """

    source: tf.keras.Model
    lower: tf.keras.Model
    upper: tf.keras.Model
    channels: int  # of the concatenated critic input
    shift: tf.Tensor | None = None  # `[channels]`; the critic sees `(features - shift) / scale`
    scale: tf.Tensor | None = None

    def standardized(self, shift: tf.Tensor, scale: tf.Tensor) -> "FeaturePaths":
        """The same paths, with each channel of the critic's input shifted and scaled."""
        return dataclasses.replace(self, shift=shift, scale=scale)

    def source_features(self, images: tf.Tensor) -> Features:
        """Features of source images `[B, size, size, 3]`; all layers in inference mode."""
        tapped, logits = self.source(images, training=False)
        return Features(self._scaled(tapped), logits)

    def target_features(self, images: tf.Tensor, training: bool) -> Features:
        """Features of target images `[B, size, size, 3]`; only the DAM trains.

        Then it normalizes with the batch's own statistics; the layers above it never do.
        """
        at_depth, lower = self.lower(images, training=training)
        upper, logits = self.upper(at_depth, training=False)
        if self.lower_channels:
            # Keras 2's bilinear upsampling gives float32 whatever the policy.
            upper = tf.concat([tf.cast(lower, upper.dtype), upper], axis=-1)
        return Features(self._scaled(upper), logits)

    @property
    def lower_channels(self) -> int:
        """Channels of the critic input that come from the DAM; 0 if no tap lies before d."""
        return self.channels - self.upper.outputs[0].shape[-1]

    def _scaled(self, tapped: tf.Tensor) -> tf.Tensor:
        if self.scale is None:
            return tapped
        return tf.cast((tf.cast(tapped, tf.float32) - self.shift) / self.scale, tapped.dtype)


def build_feature_paths(
    config: ModelConfig,
    depth: int,
    taps: tuple[int, ...],
    segmenter: tf.keras.Model,
    dam: tf.keras.Model,
) -> FeaturePaths:
    """Builds the paths from images to critic input, sharing all layers with their models.

    UsageError for taps that are not distinct `topology.TAPPABLE_LAYERS`.
    """
    taps = check_taps(taps)

    image = image_input(config)
    features = all_features(image, config, segmenter)
    everything = _critic_input(features, taps, config)
    source = tf.keras.Model(image, [everything, features[NUM_LAYERS]], name="source_features")

    image = image_input(config)
    features = lower_features(image, config, depth, dam)
    tapped = _critic_input(features, taps, config)
    lower = tf.keras.Model(image, [features[depth], tapped], name="dam_features")

    at_depth, features = upper_features(config, depth, segmenter, features[depth])
    tapped = _critic_input(features, taps, config)
    upper = tf.keras.Model(at_depth, [tapped, features[NUM_LAYERS]], name="upper_features")
    return FeaturePaths(source, lower, upper, everything.shape[-1])


def _critic_input(features: dict[int, tf.Tensor], taps: tuple[int, ...], config: ModelConfig):
    """Concatenates those taps that are among the features, and the mask if the logits are."""
    layers = LayerFactory(config)
    parts = [_to_full_resolution(features[tap], layers, tap) for tap in taps if tap in features]
    if NUM_LAYERS in features:
        parts.append(layers("mask", ArgmaxMask, dtype="float32")(features[NUM_LAYERS]))
    if len(parts) > 1:
        return layers("critic_input", tf.keras.layers.Concatenate)(parts)
    return parts[0] if parts else features[max(features)]  # no tap: a model still has an output


def _to_full_resolution(x, layers: LayerFactory, tap: int):
    """Pixel shuffle where the channels allow it, else bilinear upsampling."""
    factor = unit_ending_at(tap).stride
    if factor == 1:
        return x
    if x.shape[-1] % factor**2 == 0:
        return layers(f"tap{tap}_shuffle", PixelShuffle, factor)(x)
    upsample = tf.keras.layers.UpSampling2D
    return layers(f"tap{tap}_upsample", upsample, factor, interpolation="bilinear")(x)


def build_critic(
    config: ModelConfig, channels: int, norm: str = "batch", prefix: str = ""
) -> tf.keras.Model:
    """The critic: features `[B, size, size, channels]` to one score `[B, 1]` (float32).

    Residual blocks whose width doubles up to 512, a strided convolution after each, one more
    stride-2 convolution and a linear score without bias. BatchNorm (`norm`: `batch`, `layer`,
    `group` or `none`) keeps the score bounded (without any it exceeds 1e5 within 50 updates), but
    source and target features must be scored in separate calls: it uses the batch's statistics.
    """
    layers = LayerFactory(config, prefix, norm=norm)
    features = tf.keras.Input((config.size, config.size, channels), name="features")
    x = features
    first_width = config.scaled(CRITIC_WIDTHS[0])
    if channels > first_width:  # a shortcut can only grow
        x = blocks.convolution(x, layers, "entry", first_width)
    for index, (width, stride) in enumerate(zip(CRITIC_WIDTHS, critic_strides(config.size)), 1):
        x = blocks.residual_block(x, layers, f"block{index}", config.scaled(width))
        x = blocks.conv_norm_act(x, layers, f"down{index}", config.scaled(width), stride=stride)
    x = blocks.conv_norm_act(x, layers, "down6", config.scaled(CRITIC_WIDTHS[-1]), stride=2)
    x = layers("flatten", tf.keras.layers.Flatten)(x)
    x = layers("features32", tf.keras.layers.Activation, "linear", dtype="float32")(x)
    glorot = layers.initializer("score")
    dense = tf.keras.layers.Dense
    score = layers("score", dense, 1, use_bias=False, kernel_initializer=glorot, dtype="float32")(x)
    return tf.keras.Model(features, score, name=f"{prefix}critic")


def critic_strides(size: int) -> tuple[int, ...]:
    """Strides after the five blocks, so that the last map is 2x2 at 16, 32, 64, 128 and 256.

    At 256 they are (2, 2, 2, 2, 4); a smaller image uses up its factor earlier. At other sizes the
    last map is 3x3 (40, 48, 80, 96, ...), beyond 256 larger, 4x4 at 512.
    """
    left = max(1, size // 4)  # what the five strides may divide by; the sixth is 2
    strides = []
    for largest in CRITIC_STRIDES:
        strides.append(min(largest, left))
        left //= strides[-1]
    return tuple(strides)
