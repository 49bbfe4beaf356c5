"""Weights in a form that both Keras 2 and Keras 3 read: arrays named `layer/variable`.

The `.keras` format of one generation cannot be opened by the other, and names its variables by
position. These `.npz` files are what the package itself loads; nothing in them is unpickled.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmda_tf import npz
from cmda_tf.errors import DataError


def _named_variables(model: tf.keras.Model) -> dict[str, Any]:
    """The model's variables by `layer/variable`, such as `conv1_conv/kernel`."""
    return {
        f"{layer.name}/{variable.name.split(':')[0].split('/')[-1]}": variable
        for layer in model.layers
        for variable in layer.weights
    }


def get_weights(model: tf.keras.Model) -> dict[str, np.ndarray]:
    """All weights by name, as float32 arrays."""
    return {name: np.array(variable) for name, variable in _named_variables(model).items()}


def set_weights(model: tf.keras.Model, weights: dict[str, np.ndarray], origin: str) -> None:
    """Sets all weights of `model` by name; further entries of `weights` are ignored. DataError,
    which names their `origin`, if a weight is missing or has another shape."""
    for name, variable in _named_variables(model).items():
        if name not in weights:
            raise DataError(f"{origin}: expected a weight {name!r}, found none")
        if weights[name].shape != tuple(variable.shape):
            shapes = f"{tuple(variable.shape)}, found {weights[name].shape}"
            raise DataError(f"{origin}: expected {name!r} of shape {shapes}")
        variable.assign(weights[name])


def save_weights(path: str | Path, model: tf.keras.Model) -> None:
    """Writes the weights of a model to an `.npz` file."""
    npz.save(path, get_weights(model))


def digest(weights: dict[str, np.ndarray]) -> str:
    """A checksum of named weights, whatever file they are in."""
    total = hashlib.sha256()
    for name in sorted(weights):
        total.update(name.encode())
        total.update(np.ascontiguousarray(weights[name]).tobytes())
    return total.hexdigest()


def load_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Reads a file of `save_weights`; DataError if it is missing or damaged."""
    with npz.opened(path, "expected a weights file of cmda_tf") as archive:
        held = Path(path).stat().st_size
        claimed = sum(info.file_size for info in archive.infolist())
        if claimed > held:  # nothing is packed in a file of ours
            raise ValueError(f"it claims {claimed} bytes of weights, and holds {held}")
        return {n: npz.read_array(archive, n, most_bytes=held) for n in npz.names(archive)}
