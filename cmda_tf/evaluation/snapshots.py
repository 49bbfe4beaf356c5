"""Dice of every snapshot of an adaptation, with test labels: for reports, after the fact.

Nothing here may flow back into a choice; a test holds that `cmda_tf.selection` imports no
evaluation.
"""

import numpy as np
from tqdm import tqdm

from cmda_tf.data.manifest import Manifest
from cmda_tf.evaluation.experiments import test_subjects
from cmda_tf.evaluation.hindsight import Hindsight
from cmda_tf.evaluation.overlap import dice_percent
from cmda_tf.evaluation.predict import predictor
from cmda_tf.selection.bench import workbench
from cmda_tf.selection.choice import read_selection
from cmda_tf.selection.snapshots import find_snapshots
from cmda_tf.training.runs import Run


def look_back(run: Run, manifest: Manifest) -> Hindsight:
    """Measures all snapshots of a finished run with test labels.

    Raises:
      DataError: the run has no snapshots, or the target no labelled test subject.
    """
    selection = read_selection(run)
    return Hindsight(selection.criterion, selection.chosen, measure_snapshots(run, manifest))


def measure_snapshots(run: Run, manifest: Manifest) -> dict[int, float]:
    """Mean Dice [%] over the target's test subjects of each snapshot, by joint update."""
    bench, found = workbench(run, manifest), {}
    subjects = test_subjects(manifest, bench.settings.target)
    predict = predictor(bench.model)
    for snapshot in tqdm(find_snapshots(run.folder), desc="snapshots", unit="snapshot"):
        bench.restore(snapshot)
        found[snapshot.update] = mean_dice(
            [predict(s.image) for s in subjects],
            [s.label for s in subjects],
            manifest.structures.classes,
        )
    return found


def mean_dice(predictions: list[np.ndarray], truths: list[np.ndarray], classes: int) -> float:
    """The table's mean Dice [%]: mean over structures of their means over subjects.

    Args:
      predictions, truths: class maps `[K, J, I]`, one a subject.
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
