"""Do predicted structures look like the source's? Volumes and contacts, subject by subject.

The heart is the same in both modalities, so that the distribution over the source's labels says
what a plausible segmentation is, without a target label.
"""

from itertools import combinations

import numpy as np

SMALLEST_SHARE = 1e-4  # a structure that is missing counts as this share of the volume
SMALLEST_DEVIATION = 0.01  # what hardly varies in the source must not decide alone


def shape_statistics(classes: np.ndarray, count: int) -> np.ndarray:
    """Logarithms of the structures' volume shares, and which classes touch how often.

    Of `[N, H, W]` integer classes of one subject's slices, `count` with the background:
    `[count - 1 + count (count - 1) / 2]` float64, log of each structure's share of all voxels,
    then, for each pair of classes, its share of the in-plane neighbors of different class.
    """
    shares = np.bincount(classes.ravel(), minlength=count)[1:] / classes.size
    pairs = np.zeros((count, count))
    for a, b in ((classes[:, 1:], classes[:, :-1]), (classes[:, :, 1:], classes[:, :, :-1])):
        np.add.at(pairs, (a.ravel(), b.ravel()), 1)
    contacts = np.array([pairs[i, j] + pairs[j, i] for i, j in combinations(range(count), 2)])
    contacts /= max(1.0, contacts.sum())
    return np.concatenate([np.log(shares + SMALLEST_SHARE), contacts])


def by_subject(classes: np.ndarray, subjects: np.ndarray, count: int) -> np.ndarray:
    """`shape_statistics` `[S, D]` of every subject; `[N]` say whose each slice `[N, H, W]` is."""
    return np.stack([shape_statistics(classes[subjects == s], count) for s in np.unique(subjects)])


def plausibility(predicted: np.ndarray, source: np.ndarray) -> float:
    """Minus the mean distance of the predicted subjects from the distribution of the source's.

    The distance is Mahalanobis' with a diagonal covariance (there are too few subjects for a full
    one), as a root mean square over the D statistics of predictions `[T, D]` and of the source's
    labels `[S, D]`. It is at most 0; about -1 for subjects drawn as the source's are.
    """
    deviation = np.maximum(source.std(axis=0), SMALLEST_DEVIATION)
    scores = (predicted - source.mean(axis=0)) / deviation
    return -float(np.sqrt(np.mean(scores**2, axis=1)).mean())
