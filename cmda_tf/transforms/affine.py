"""Affine augmentation on the device: rotation, zoom, shear, translation (the paper, section 3.4).

The warp itself is the core operation `ImageProjectiveTransformV3`. Where tensorflow-addons can be
imported (TensorFlow 2.15, the extra `addons`), `tfa.image.transform` applies it.
"""

import importlib.util
import math

import keras
import tensorflow as tf

from cmda_tf.transforms.settings import AffineAugmentation


def augment_affine(
    images: tf.Tensor, labels: tf.Tensor | None, seed: tf.Tensor, ranges: AffineAugmentation | None
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Warps each image, and its label with it, by a random affine map.

    Images `[B, H, W, C]` float32 are interpolated, labels `[B, H, W]` uint8 are not. The same seed
    `[2]` gives the same maps. Without ranges, or with augmentation off, both are as they were.
    """
    if ranges is None or not ranges.augment:
        return images, labels
    shape = tf.shape(images)
    maps = random_affine(seed, shape[0], shape[1], shape[2], ranges)
    images = transform(images, maps, "bilinear")
    if labels is not None:
        labels = transform(labels[..., tf.newaxis], maps, "nearest")[..., 0]
    return images, labels


def random_affine(seed, count, height, width, ranges: AffineAugmentation) -> tf.Tensor:
    """Random affine maps about the center of images `[count, height, width, C]`.

    They are `[count, 8]` float32 projective maps from output to input pixels, as
    `ImageProjectiveTransformV3` takes them: x_in = a0 x + a1 y + a2, y_in = a3 x + a4 y + a5.
    """
    unit = tf.random.stateless_uniform([5, count], seed, -1.0, 1.0)
    angle = unit[0] * (ranges.rotation_degrees * math.pi / 180.0)
    scale, shear = 1.0 + ranges.zoom * unit[1], ranges.shear * unit[2]
    cos, sin = tf.cos(angle), tf.sin(angle)
    a0, a1 = cos * scale, (cos * shear - sin) * scale
    a3, a4 = sin * scale, (sin * shear + cos) * scale
    height, width = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    a2 = center_x - a0 * center_x - a1 * center_y + ranges.translation * unit[3] * width
    a5 = center_y - a3 * center_x - a4 * center_y + ranges.translation * unit[4] * height
    zero = tf.zeros_like(a0)
    return tf.stack([a0, a1, a2, a3, a4, a5, zero, zero], axis=1)


def transform_core(images: tf.Tensor, maps: tf.Tensor, interpolation: str) -> tf.Tensor:
    """Warps `[B, H, W, C]` images with the core operation; the border pixel fills beyond it."""
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=maps,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation=interpolation.upper(),
        fill_mode="NEAREST",
    )


def transform_addons(images: tf.Tensor, maps: tf.Tensor, interpolation: str) -> tf.Tensor:
    """The same by `tfa.image.transform`; needs tensorflow-addons."""
    import tensorflow_addons as tfa

    return tfa.image.transform(images, maps, interpolation=interpolation, fill_mode="nearest")


def _addons_available() -> bool:
    """Whether tensorflow-addons can be imported: beside Keras 2 alone, it breaks on Keras 3."""
    keras_2 = keras.__version__.startswith("2.")
    return keras_2 and importlib.util.find_spec("tensorflow_addons") is not None


transform = transform_addons if _addons_available() else transform_core
