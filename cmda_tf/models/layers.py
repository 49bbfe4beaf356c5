"""Layers that Keras does not have, registered so that a saved model loads without code."""

from typing import Any

import tensorflow as tf

_register = tf.keras.utils.register_keras_serializable(package="cmda_tf")


@_register
class ChannelPad(tf.keras.layers.Layer):
    """Zero-pads channels to `channels`, half on each side: the shortcut of a growing block."""

    def __init__(self, channels: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.channels = channels

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[B, H, W, C]` to `[B, H, W, channels]`."""
        missing = self.channels - inputs.shape[-1]
        sides = [missing // 2, missing - missing // 2]
        return tf.pad(inputs, [[0, 0], [0, 0], [0, 0], sides])

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "channels": self.channels}


@_register
class SymmetricPad(tf.keras.layers.Layer):
    """Pads height and width by `margin` pixels, mirrored with the border repeated."""

    def __init__(self, margin: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.margin = margin

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[B, H, W, C]` to `[B, H + 2 margin, W + 2 margin, C]`."""
        m = self.margin
        return tf.pad(inputs, [[0, 0], [m, m], [m, m], [0, 0]], mode="SYMMETRIC")

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "margin": self.margin}


@_register
class PixelShuffle(tf.keras.layers.Layer):
    """Moves groups of `factor**2` channels into `factor` x `factor` pixels."""

    def __init__(self, factor: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """`[B, H, W, C]` to `[B, factor H, factor W, C / factor**2]`."""
        return tf.nn.depth_to_space(inputs, self.factor)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "factor": self.factor}


@_register
class BatchNorm(tf.keras.layers.BatchNormalization):
    """Batch normalization by TensorFlow's fused kernel, which Keras 2 uses as well.

    Keras 3 writes it as separate operations: the same numbers (but for the moving variance, which
    is here that of a sample, as in Keras 2) in a critic update that takes an eighth longer.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """`[B, H, W, C]` to the same; statistics of the batch if it is trained, else the moving."""
        x = tf.cast(inputs, tf.float32)
        scale, offset = (tf.cast(v, tf.float32) for v in (self.gamma, self.beta))
        fused, options = tf.compat.v1.nn.fused_batch_norm, {"epsilon": self.epsilon}
        if training and self.trainable:
            outputs, mean, variance = fused(x, scale, offset, is_training=True, **options)
            for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving * self.momentum + new * (1.0 - self.momentum))
            return tf.cast(outputs, inputs.dtype)
        mean, variance = map(tf.convert_to_tensor, (self.moving_mean, self.moving_variance))
        if on_gpu():  # whose kernel has no deterministic gradient in this mode
            x = tf.nn.batch_normalization(x, mean, variance, offset, scale, self.epsilon)
        else:
            x = fused(x, scale, offset, mean, variance, is_training=False, **options)[0]
        return tf.cast(x, inputs.dtype)


def on_gpu() -> bool:
    """Whether TensorFlow sees a GPU."""
    return bool(tf.config.list_physical_devices("GPU"))


@_register
class ArgmaxMask(tf.keras.layers.Layer):
    """The predicted class index as one channel; no gradient passes."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Logits `[B, H, W, classes]` to class indices `[B, H, W, 1]` in the logits' dtype."""
        return tf.cast(tf.argmax(inputs, axis=-1)[..., tf.newaxis], inputs.dtype)
