"""How good a choice among snapshots was: measured with test labels, after the fact.

`cmda_tf.evaluation.snapshots` measures what is compared here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import spearmanr

from cmda_tf.model_selection.criteria import best

Values = Mapping[int, float | None]  # by joint update


@dataclass(frozen=True)
class OracleGap:
    """A choice and what each snapshot would have reached.

    Attributes:
      criterion: by which the snapshot was chosen.
      chosen: its joint update.
      dice: mean Dice [%] over the target's test subjects of each snapshot, by joint update.
    """

    criterion: str
    chosen: int
    dice: Mapping[int, float]

    @property
    def best(self) -> int:
        """The joint update of the snapshot with the highest Dice."""
        return best(self.dice)

    @property
    def regret(self) -> float:
        """Points of Dice between the best snapshot and the chosen one."""
        return self.dice[self.best] - self.dice[self.chosen]

    def __str__(self) -> str:
        """The line of a report."""
        how = f"snapshot joint_{self.chosen:04d} chosen by `{self.criterion}`"
        if self.regret == 0:
            found = f"the best of {len(self.dice)} snapshots"
        else:
            found = (
                f"{self.regret:.1f} Dice below the best of {len(self.dice)} snapshots "
                f"(joint_{self.best:04d})"
            )
        return f"{how}; {found}, measured on test labels after the fact"

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


def rank_correlation(values: Values, dice: Mapping[int, float]) -> float | None:
    """Spearman's correlation of a criterion with Dice over snapshots.

    Returns:
      In [-1, 1]; None if fewer than three snapshots have a value, or all the same one.
    """
    known = [(value, dice[update]) for update, value in values.items() if value is not None]
    if len(known) < 3 or any(len(set(column)) == 1 for column in zip(*known)):
        return None
    return float(spearmanr(*zip(*known)).statistic)


def regret(values: Values, dice: Mapping[int, float]) -> float | None:
    """Points of Dice between the best snapshot and the one a criterion chooses; None for none."""
    chosen = best(values)
    return None if chosen is None else max(dice.values()) - dice[chosen]
