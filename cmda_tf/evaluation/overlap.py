"""Dice, the overlap measure of the paper's Table 1 (equal to MedPy's `dc`, in percent).

Empty masks follow the one rule of `cmda_tf.evaluation.masks`: truth empty, nan; only the
prediction empty, 0.
"""

import numpy as np

from cmda_tf.evaluation.masks import checked_masks


def dice_percent(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient, twice the common volume over the sum of both volumes.

    Args:
      prediction: bool array of any shape.
      truth: bool array of the same shape.

    Returns:
      Per cent in [0, 100]; nan where the truth is empty.

    Raises:
      ValueError: the masks are not boolean or differ in shape.
    """
    prediction, truth = checked_masks(prediction, truth)
    if not truth.any():
        return float("nan")
    common = np.count_nonzero(prediction & truth)
    return 200.0 * common / (np.count_nonzero(prediction) + np.count_nonzero(truth))
