"""Dice of every snapshot of an adaptation, with test labels: for reports, after the fact.

Nothing here may flow back into a choice; a test holds that `cmda_tf.model_selection` imports no
evaluation.
"""

import numpy as np
from tqdm import tqdm

from cmda_tf.data.prepared import Dataset
from cmda_tf.evaluation.oracle_gap import OracleGap
from cmda_tf.evaluation.overlap import dice_percent
from cmda_tf.evaluation.rows import test_subjects
from cmda_tf.inference.predictor import predictor
from cmda_tf.model_selection.choice import read_selection
from cmda_tf.model_selection.snapshot_model import snapshot_model
from cmda_tf.runs.run import Run
from cmda_tf.runs.snapshots import find_snapshots


def measure_oracle_gap(run: Run, dataset: Dataset) -> OracleGap:
    """Measures all snapshots of a finished run with test labels.

    Raises:
      DataError: the run has no snapshots, or the target no labeled test subject.
    """
    selection = read_selection(run)
    return OracleGap(selection.criterion, selection.chosen, measure_snapshots(run, dataset))


def measure_snapshots(run: Run, dataset: Dataset) -> dict[int, float]:
    """Mean Dice [%] over the target's test subjects of each snapshot, by joint update."""
    candidate, found = snapshot_model(run, dataset), {}
    subjects = test_subjects(dataset, candidate.settings.target)
    predict = predictor(candidate.model)
    for snapshot in tqdm(find_snapshots(run.folder), desc="snapshots", unit="snapshot"):
        candidate.restore(snapshot)
        found[snapshot.update] = mean_dice(
            [predict(s.image) for s in subjects],
            [s.label for s in subjects],
            dataset.structures.classes,
        )
    return found


def mean_dice(predictions: list[np.ndarray], truths: list[np.ndarray], classes: int) -> float:
    """The table's mean Dice [%]: mean over structures of their means over subjects.

    Args:
      predictions, truths: class maps `[K, J, I]`, one per subject.
      classes: their number, the background included.

    Returns:
      In [0, 100]; subjects without a structure do not count for it. nan without structures.
    """
    dice = np.array(
        [
            [dice_percent(p == c, t == c) for c in range(1, classes)]
            for p, t in zip(predictions, truths)
        ]
    )
    means = [np.mean(x[~np.isnan(x)]) for x in dice.T if not np.isnan(x).all()]
    return float(np.mean(means)) if means else float("nan")
