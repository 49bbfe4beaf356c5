"""Label maps of whole volumes from a finished run, every slice of them.

Volumes are [k, j, i]; the network sees three consecutive coronal slices k-1, k, k+1 as
channels, border slices replicated, and labels the middle one.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cmda_tf.models.segmenter import build_dam, build_router, build_segmenter, path
from cmda_tf.training.runs import Run
from cmda_tf.training.weights import set_weights

SLICES_A_BATCH = 16

Predictor = Callable[[np.ndarray], np.ndarray]


def load_model(run: Run, domain: str) -> tf.keras.Model:
    """A run's final model for one domain of images.

    Args:
      run: a finished run of any phase.
      domain: `source` for the segmenter's own path, `target` for the path through the DAM;
        a run without a DAM has one path for both.

    Returns:
      Images `[B, size, size, 3]` to logits `[B, size, size, classes]`.
    """
    segmenter = build_segmenter(run.config)
    weights, origin = run.weights(), str(run.folder)
    set_weights(segmenter, weights, origin)
    if run.phase in ("source", "finetune"):
        return segmenter
    depth = run.record["settings"]["depth"]
    dam = build_dam(run.config, depth, segmenter)
    set_weights(dam, weights, origin)
    return path(build_router(run.config, depth, segmenter, dam), domain)


def predictor(model: tf.keras.Model) -> Predictor:
    """A function from a normalised volume [K, J, I] to its classes (uint8 [K, J, I])."""

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:]])])
    def classes(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.argmax(model(images, training=False), axis=-1), tf.uint8)

    def predict(image_kji: np.ndarray) -> np.ndarray:
        padded = np.pad(image_kji.astype(np.float32), ((1, 1), (0, 0), (0, 0)), mode="edge")
        triples = np.stack([padded[:-2], padded[1:-1], padded[2:]], axis=-1)
        starts = range(0, len(triples), SLICES_A_BATCH)
        return np.concatenate([classes(triples[s : s + SLICES_A_BATCH]).numpy() for s in starts])

    return predict
