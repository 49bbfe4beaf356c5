"""Slices in which a segmenter finds something, by one that looks at brightness."""

import dataclasses

import numpy as np
import tensorflow as tf

from cmda_tf.inference.foreground import MIN_SLICES, foreground_slices


class Bright:
    """Class 1 where the middle slice is brighter than a level; an input shape, as networks have."""

    input_shape = (None, 16, 16, 3)

    def __init__(self, level):
        self.level = level

    def __call__(self, images, training):
        assert not training
        bright = images[..., 1] > self.level
        return tf.stack([tf.zeros_like(images[..., 1]), tf.where(bright, 1.0, -1.0)], axis=-1)


def test_slices_are_those_in_which_the_segmenter_finds_something(dataset):
    stack = dataset.slices("ct", "train", with_labels=False)
    level = np.median(stack.images.max(axis=(1, 2)))
    bright = stack.images[stack.usable].max(axis=(1, 2)) > level
    actual = foreground_slices(stack, Bright(level))
    np.testing.assert_array_equal(actual.usable, stack.usable[bright])
    assert MIN_SLICES < bright.sum() < len(bright) and actual.images is stack.images
    assert foreground_slices(stack, Bright(np.inf)) is stack  # fewer than enough


def test_the_fewest_slices_that_are_enough(dataset):
    stack = dataset.slices("ct", "train", with_labels=False)
    brightness = np.arange(len(stack.images), dtype=np.float16)[:, None, None]
    stack = dataclasses.replace(stack, images=np.broadcast_to(brightness, stack.images.shape))
    enough, few = (Bright(stack.usable[-n] - 0.5) for n in (MIN_SLICES, MIN_SLICES - 1))
    np.testing.assert_array_equal(
        foreground_slices(stack, enough).usable, stack.usable[-MIN_SLICES:]
    )
    assert foreground_slices(stack, few) is stack
