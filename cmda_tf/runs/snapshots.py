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
    """One snapshot on disk.

    Attributes:
      update: joint updates that had been done.
      path: its file.
    """

    update: int
    path: Path

    @property
    def name(self) -> str:
        """Such as `joint_0020`."""
        return self.path.stem

    def read(self) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """The DAM's weights by name, and the metrics of the update; none for update 0.

        Raises:
          DataError: the file is damaged.
        """
        content = load_weights(self.path)
        metrics = {k: float(v) for k, v in content.items() if k.startswith(_METRIC)}
        weights = {k: v for k, v in content.items() if k not in metrics}
        return weights, {k[len(_METRIC) :]: v for k, v in metrics.items()}


def snapshot_writer(
    run_folder: Path, dam: tf.keras.Model, interval: int, total: int
) -> Callable[[int, dict[str, Any]], None]:
    """A function that the training calls after each joint update to keep what is to be kept.

    A file is named by its update and appears only when it is complete, so that an update that
    is done again after a crash replaces its own snapshot.

    Args:
      run_folder: of the run.
      dam: whose weights to keep.
      interval: joint updates between snapshots; 0 and `total`, the last, are kept in any case.

    Returns:
      A function of (joint updates done, metrics of the last one).
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
