"""From label maps to the numbers of the paper's Table 1: scores of a subject, a row of means.

Distances are in voxels of the prepared grid, as in the paper. Where a measure is not available
(`cmda_tf.evaluation.measures`) a subject's score is nan; the means run over the subjects that have
one, and their number is kept.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cmda_tf.data.structures import Structures
from cmda_tf.evaluation.measures import average_surface_distance, dice_percent


@dataclass(frozen=True)
class Scores:
    """How well one structure of one subject is segmented; nan where not available."""

    dice_percent: float
    asd_voxel: float


SubjectScores = Mapping[str, Scores]  # by structure name


@dataclass(frozen=True)
class Statistic:
    """A measure over the subjects of a row: mean and population standard deviation over those that
    have a value, their number (at least 1), and the number of all."""

    mean: float
    std: float
    count: int
    total: int


@dataclass(frozen=True)
class Row:
    """One method's row of the table, by structure name, and the scores behind it by subject id,
    which published rows have not; None stands for `N/A`."""

    dice: Mapping[str, Statistic | None]
    asd: Mapping[str, Statistic | None]
    subjects: Mapping[str, SubjectScores] = field(default_factory=dict)
    title: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)  # JSON-ready, those of `TableRow`

    @property
    def mean_dice(self) -> float | None:
        """Mean of the structures' mean Dice [%], over those that have one."""
        return mean_over_structures(None if s is None else s.mean for s in self.dice.values())


def mean_over_structures(means: Iterable[float | None]) -> float | None:
    """The mean Dice of every table: of the structures' means, over those that have one."""
    known = [mean for mean in means if mean is not None]
    return sum(known) / len(known) if known else None


def score_subject(
    prediction_kji: np.ndarray, truth_kji: np.ndarray, structures: Structures
) -> dict[str, Scores]:
    """Scores of one subject's whole volume by structure name, in the order of the table's columns.

    The maps are [K, J, I] integer classes. ValueError: they are not, differ in shape, or hold a
    class that is none.
    """
    maps = [_checked(label_kji, structures.classes) for label_kji in (prediction_kji, truth_kji)]
    scores = {}
    for structure in structures.in_columns:
        masks = [label_kji == structure.index for label_kji in maps]
        scores[structure.name] = Scores(dice_percent(*masks), average_surface_distance(*masks))
    return scores


def summarize(
    subjects: Sequence[SubjectScores],
    ids: Sequence[str] | None = None,
    title: str = "",
    facts: Mapping[str, Any] | None = None,
) -> Row:
    """The row of means and standard deviations over subjects, of results of `score_subject`.

    Without `ids` they are called "1", "2", ... ValueError: there are no subjects, or not one
    distinct id for each.
    """
    ids = [str(n + 1) for n in range(len(subjects))] if ids is None else list(ids)
    if not subjects or len(set(ids)) != len(subjects):
        raise ValueError(f"expected one distinct id per subject, found {len(subjects)}, {ids}")
    return Row(
        dice={n: statistic([s[n].dice_percent for s in subjects]) for n in subjects[0]},
        asd={n: statistic([s[n].asd_voxel for s in subjects]) for n in subjects[0]},
        subjects=dict(zip(ids, subjects)),
        title=title,
        facts=facts or {},
    )


def _checked(label_kji: np.ndarray, classes: int) -> np.ndarray:
    """The label map, once it is known to hold class indices."""
    label_kji = np.asarray(label_kji)
    if not np.issubdtype(label_kji.dtype, np.integer):
        raise ValueError(f"expected integer classes, found {label_kji.dtype}")
    if label_kji.size and not 0 <= label_kji.min() <= label_kji.max() < classes:
        found = f"{label_kji.min()}..{label_kji.max()}"
        raise ValueError(f"expected classes 0..{classes - 1}, found {found}")
    return label_kji


def statistic(values: Sequence[float]) -> Statistic | None:
    """The statistic of the values that are not nan; None if there are none."""
    known = [v for v in values if not math.isnan(v)]
    if not known:
        return None
    return Statistic(float(np.mean(known)), float(np.std(known)), len(known), len(values))
