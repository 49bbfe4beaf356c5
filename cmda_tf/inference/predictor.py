"""Label maps of whole volumes from a finished run, every slice of them.

Volumes are [k, j, i]; the network sees three consecutive coronal slices k-1, k, k+1 as
channels, border slices replicated, and labels the middle one.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from cmda_tf.models.segmenter import (
    all_features,
    build_dam,
    build_router,
    build_segmenter,
    image_input,
    path,
)
from cmda_tf.runs.run import Run
from cmda_tf.runs.weights import set_weights

ROLES = ("target", "source")
SLICES_PER_BATCH = 16

Predictor = Callable[[np.ndarray], np.ndarray]


def load_networks(run: Run) -> tuple[tf.keras.Model, tf.keras.Model | None, int]:
    """A finished run's segmenter, and its DAM and depth; None and 0 where it has none."""
    segmenter = build_segmenter(run.config)
    weights, origin = run.weights(), str(run.folder)
    set_weights(segmenter, weights, origin)
    depth = run.record["settings"].get("depth", 0)
    if not depth:
        return segmenter, None, 0
    dam = build_dam(run.config, depth, segmenter)
    set_weights(dam, weights, origin)
    return segmenter, dam, depth


def load_paths(run: Run) -> dict[str, tf.keras.Model]:
    """A run's final models by the role of their images; they share their upper layers.

    Args:
      run: a finished run of any phase.

    Returns:
      `source` for the segmenter's own path, `target` for the path through the DAM; a run without
      a DAM has one path for both. Images `[B, size, size, 3]` to logits
      `[B, size, size, classes]`.
    """
    segmenter, dam, depth = load_networks(run)
    if dam is None:
        return dict.fromkeys(ROLES, segmenter)
    router = build_router(run.config, depth, segmenter, dam)
    return {role: path(router, role) for role in ROLES}


def load_model(run: Run, role: str) -> tf.keras.Model:
    """A run's final model for one role of images, `source` or `target`: see `load_paths`."""
    return load_paths(run)[role]


def feature_model(run: Run, role: str, layer: int) -> tf.keras.Model:
    """A run's network for one role of images up to a layer.

    Args:
      run, role: as for `load_model`.
      layer: index of a layer that ends a unit of the topology, such as 13, 21, 25, 31.

    Returns:
      Images `[B, size, size, 3]` to the layer's feature maps `[B, h, w, C]`.

    Raises:
      KeyError: no unit ends with this layer.
    """
    segmenter, dam, depth = load_networks(run)
    image = image_input(run.config)
    parts = (None, 0) if role == "source" else (dam, depth)
    return tf.keras.Model(image, all_features(image, run.config, segmenter, *parts)[layer])


def predictor(model: tf.keras.Model) -> Predictor:
    """A function from a normalized volume [K, J, I] to its classes (uint8 [K, J, I])."""
    return _slice_by_slice(model, lambda x: tf.cast(tf.argmax(x, axis=-1), tf.uint8))


def probability_predictor(model: tf.keras.Model) -> Predictor:
    """A function from a normalized volume [K, J, I] to probabilities (float32 [K, J, I, C])."""
    return _slice_by_slice(model, lambda x: tf.nn.softmax(tf.cast(x, tf.float32)))


def _slice_by_slice(model: tf.keras.Model, head: Callable[[tf.Tensor], tf.Tensor]) -> Predictor:
    """A function from a volume to `head` of the model's logits, all slices of it."""

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:]])])
    def classes(images: tf.Tensor) -> tf.Tensor:
        return head(model(images, training=False))

    def predict(image_kji: np.ndarray) -> np.ndarray:
        padded = np.pad(image_kji.astype(np.float32), ((1, 1), (0, 0), (0, 0)), mode="edge")
        triples = np.stack([padded[:-2], padded[1:-1], padded[2:]], axis=-1)
        starts = range(0, len(triples), SLICES_PER_BATCH)
        return np.concatenate([classes(triples[s : s + SLICES_PER_BATCH]).numpy() for s in starts])

    return predict
