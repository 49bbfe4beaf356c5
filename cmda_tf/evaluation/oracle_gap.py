"""How good a choice among snapshots was: measured with test labels, after the fact. Nothing here
may flow back into a choice; a test holds that `cmda_tf.model_selection` imports no evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from cmda_tf.data.dataset import Dataset
from cmda_tf.evaluation.measures import dice_percent
from cmda_tf.evaluation.scores import mean_over_structures, statistic
from cmda_tf.inference.predictor import Predictor, classes
from cmda_tf.model_selection.choice import read_selection
from cmda_tf.model_selection.scoring import snapshot_model
from cmda_tf.runs.run import Run
from cmda_tf.runs.weights import find_snapshots


@dataclass(frozen=True)
class OracleGap:
    """A choice: by which criterion, of which joint update; and what each snapshot would have
    reached, the mean Dice [%] over the target's test subjects by joint update."""

    criterion: str
    chosen: int
    dice: Mapping[int, float]

    @property
    def best(self) -> int:
        """The joint update of the snapshot with the highest Dice."""
        return max(self.dice, key=lambda update: (self.dice[update], update))

    @property
    def regret(self) -> float:
        """Points of Dice between the best snapshot and the chosen one."""
        return self.dice[self.best] - self.dice[self.chosen]

    def __str__(self) -> str:
        """The line of a report."""
        place = f"the best of {len(self.dice)} snapshots"
        if self.regret:
            place = f"{self.regret:.1f} Dice below {place} (joint_{self.best:04d})"
        return (
            f"snapshot joint_{self.chosen:04d} chosen by `{self.criterion}`; {place}, measured on "
            "test labels after the fact"
        )

    def to_result(self) -> dict[str, Any]:
        """JSON-ready values for `results.json`."""
        return {
            "criterion": self.criterion,
            "chosen": self.chosen,
            "best": self.best,
            "regret": self.regret,
            "dice_by_joint_update": {str(update): dice for update, dice in self.dice.items()},
            "measured_with": "test labels, after the fact",
        }


def measure_oracle_gap(run: Run, dataset: Dataset) -> OracleGap:
    """The gap of a finished run's choice; DataError without snapshots or test labels."""
    selection = read_selection(run)
    return OracleGap(selection.criterion, selection.chosen, measure_snapshots(run, dataset))


def measure_snapshots(run: Run, dataset: Dataset) -> dict[int, float]:
    """Mean Dice [%] over the target's test subjects of each snapshot, by joint update."""
    model, dice = snapshot_model(run, dataset), {}
    subjects = dataset.test_subjects(run.record.target)
    truths, predictor = [s.truth for s in subjects], Predictor(model.model, classes)
    for snapshot in tqdm(find_snapshots(run.folder), desc="snapshots", unit="snapshot"):
        model.load(snapshot)
        maps = [predictor.on_volume(s.image) for s in subjects]
        dice[snapshot.update] = mean_dice(maps, truths, dataset.structures.classes)
    return dice


def mean_dice(predictions: list[np.ndarray], truths: list[np.ndarray], count: int) -> float:
    """The table's mean Dice [%], without the surface distances that take longer.

    Of class maps `[K, J, I]`, one per subject, of `count` classes with the background. Subjects
    without a structure do not count for it; nan without structures.
    """
    cells = [
        statistic([dice_percent(p == c, t == c) for p, t in zip(predictions, truths)])
        for c in range(1, count)
    ]
    mean = mean_over_structures(None if cell is None else cell.mean for cell in cells)
    return float("nan") if mean is None else mean
