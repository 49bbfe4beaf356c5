"""Snapshots: the DAM's weights as they were after some of the joint updates.

runs/adapt_d13/snapshots/joint_0000.npz    before the first joint update
                         joint_0005.npz    after five, with the metrics of the fifth
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from cmda_tf import npz
from cmda_tf.errors import DataError
from cmda_tf.runs.run import SNAPSHOTS
from cmda_tf.runs.weights import get_weights, load_weights

_METRIC = "metric/"  # no layer is called so


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
