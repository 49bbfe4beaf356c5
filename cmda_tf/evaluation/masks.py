"""The pairs of masks that Dice and surface distance compare, and the one rule for empty ones.

The rule, the same for both measures:

* the truth is empty: the structure is not there to be scored, both are not available (nan);
* the prediction is empty, the truth is not: Dice is 0, the surface distance is not available.
"""

import numpy as np


def checked_masks(prediction: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two masks as arrays.

    Args:
      prediction: bool array of any shape.
      truth: bool array of the same shape.

    Returns:
      Prediction and truth.

    Raises:
      ValueError: they are not both boolean, or their shapes differ.
    """
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    if prediction.dtype != bool or truth.dtype != bool:
        raise ValueError(f"expected boolean masks, found {prediction.dtype} and {truth.dtype}")
    if prediction.shape != truth.shape:
        raise ValueError(f"masks differ in shape: {prediction.shape} and {truth.shape}")
    return prediction, truth
