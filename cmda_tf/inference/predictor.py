"""The one way from slices to predictions: of each with its neighbors, in volumes [k, j, i]."""

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from cmda_tf.data.slices import SliceStack, as_channels, volume_triples

SLICES_PER_BATCH = 16

Head = Callable[[tf.Tensor], tf.Tensor]


def classes(logits: tf.Tensor) -> tf.Tensor:
    """Logits `[B, H, W, C]` to the likeliest classes, `[B, H, W]` uint8."""
    return tf.cast(tf.argmax(logits, axis=-1), tf.uint8)


def probabilities(logits: tf.Tensor) -> tf.Tensor:
    """Logits `[B, H, W, C]` to probabilities of the same shape, float32."""
    return tf.nn.softmax(tf.cast(logits, tf.float32))


def shows_foreground(logits: tf.Tensor) -> tf.Tensor:
    """Logits `[B, H, W, C]` to whether any pixel is a structure, `[B]` bool."""
    return tf.reduce_any(tf.argmax(logits, axis=-1) > 0, axis=[1, 2])


class Predictor:
    """A network (images to logits) in inference mode, applied to slices batch by batch.

    Its weights are those that it has at each call. The head is what is wanted of the logits.
    """

    def __init__(self, network: tf.keras.Model, head: Head):
        @tf.function(input_signature=[tf.TensorSpec([None, *network.input_shape[1:]])])
        def predict(images: tf.Tensor) -> tf.Tensor:
            return head(network(images, training=False))

        self._predict = predict

    def on_inputs(self, inputs: np.ndarray) -> np.ndarray:
        """The head's output `[N, ...]` for network inputs `[N, size, size, 3]` float32."""
        batches = np.split(inputs, range(SLICES_PER_BATCH, len(inputs), SLICES_PER_BATCH))
        return np.concatenate([self._predict(batch).numpy() for batch in batches])

    def on_volume(self, volume_kji: np.ndarray) -> np.ndarray:
        """The head's output `[K, ...]` for every slice of a normalized volume [K, J, I]."""
        return np.concatenate(list(self._batches(volume_kji, volume_triples(len(volume_kji)))))

    def on_slices(self, stack: SliceStack, index: np.ndarray) -> Iterator[np.ndarray]:
        """Batch by batch the head's output for slices `index` of a stack."""
        return self._batches(stack.images, stack.triples[index])

    def _batches(self, images: np.ndarray, triples: np.ndarray) -> Iterator[np.ndarray]:
        for batch in np.split(triples, range(SLICES_PER_BATCH, len(triples), SLICES_PER_BATCH)):
            yield self._predict(as_channels(images, batch)).numpy()
