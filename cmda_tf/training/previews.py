"""What TensorBoard shows of a model in training: its predictions on a few fixed slices."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cmda_tf.data.slices import SliceStack


def previews(
    model: tf.keras.Model, stack: SliceStack, count: int = 4
) -> Callable[[], dict[str, tf.Tensor]]:
    """A function that shows the model's present prediction on a few fixed training slices: for
    TensorBoard a dict of `[count, H, W, 1]` images in 0..1."""
    chosen = stack.usable[np.linspace(0, len(stack.usable) - 1, 2 * count + 1).astype(int)[1::2]]
    images = stack.inputs(chosen)
    low, high = images.min(), images.max()

    def draw() -> dict[str, tf.Tensor]:
        classes = tf.argmax(model(images, training=False), axis=-1)[..., tf.newaxis]
        maps = {"prediction": classes}
        if stack.labels is not None:
            maps["truth"] = stack.labels[chosen][..., np.newaxis]
        scale = float(stack.classes - 1)
        scaled = {name: tf.cast(value, tf.float32) / scale for name, value in maps.items()}
        return {"image": tf.cast((images[..., 1:2] - low) / (high - low), tf.float32), **scaled}

    return draw
