"""Weights in a form that both Keras 2 and Keras 3 read: arrays named `layer/variable`.

The `.keras` format of one generation cannot be opened by the other, and names its variables by
position. These `.npz` files are what the package itself loads; nothing in them is unpickled.
Snapshots are such files of the DAM as it was after some of the joint updates, with the metrics of
the last of these: `runs/adapt_d13/snapshots/joint_0005.npz`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmda_tf import npz
from cmda_tf.errors import DataError
from cmda_tf.runs.record import SNAPSHOTS

_METRIC = "metric/"  # no layer is called so


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


@dataclass(frozen=True)
class Snapshot:
    """One snapshot on disk: after how many joint updates, and its file."""

    update: int
    path: Path

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """The DAM's weights by name, and the metrics of the update, none for update 0; DataError
        if the file is damaged."""
        weights = load_weights(self.path)
        logged = [name for name in weights if name.startswith(_METRIC)]
        return weights, {name.removeprefix(_METRIC): float(weights.pop(name)) for name in logged}


def snapshot_writer(
    run_folder: Path, dam: tf.keras.Model, interval: int, total: int
) -> Callable[[int, dict[str, Any]], None]:
    """A function that the training calls after each joint update to keep what is to be kept.

    It is a function of (joint updates done, metrics of the last one). There are `interval` updates
    between snapshots; the start and `total`, the last, are kept in any case. A file is named by
    its update and appears only when it is complete, so that an update that is done again after a
    crash replaces its own snapshot.
    """

    def keep(update: int, metrics: dict[str, Any]) -> None:
        if update % interval and update != total:
            return
        logged = {_METRIC + name: np.float64(value) for name, value in metrics.items()}
        path = run_folder / SNAPSHOTS / f"joint_{update:04d}.npz"
        npz.save(path, get_weights(dam) | logged)

    return keep


def find_snapshots(run_folder: Path) -> list[Snapshot]:
    """All snapshots of a run, in the order of their updates; DataError if there is none."""
    paths = (run_folder / SNAPSHOTS).glob("joint_*.npz")
    snapshots = [Snapshot(int(path.stem.split("_")[1]), path) for path in paths]
    if not snapshots:
        raise DataError(f"{run_folder / SNAPSHOTS}: no snapshots; train this run anew to have them")
    return sorted(snapshots, key=lambda snapshot: snapshot.update)
