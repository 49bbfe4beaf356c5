"""Label-free criteria for a snapshot of the DAM: pure functions, higher is better for all.

All look at predictions for the target's training images, `last` and `critic_distance` at what
the training logged. None sees a target label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import entr

from cmda_tf.settings import Settings, setting

TEMPERATURE = 0.05  # of soft neighborhood density, the value of Saito et al.
SMALLEST_SHARE = 1e-4  # a structure that is missing counts as this share of the volume
SMALLEST_DEVIATION = 0.01  # what hardly varies in the source must not decide alone

# The one table: what `--select` may say, in a sentence, with where it is from.
CRITERIA = {
    "last": "The last joint update, as training without a criterion ends.",
    "entropy": "Minus the mean entropy of the pixels' predictions (Morerio et al., ICLR 2018).",
    "mutual_information": "Entropy of the mean prediction minus mean entropy: sure of each pixel, "
    "yet using all classes (Shi and Sha, ICML 2012).",
    "neighborhood_density": "Soft neighborhood density: how many other pixels each pixel's "
    "prediction is close to (Saito et al., ICCV 2021).",
    "critic_distance": "Minus the Wasserstein distance that the critic estimated at this update "
    "(Arjovsky et al., ICML 2017).",
    "adabn_agreement": "Mean Dice between the predictions and those of AdaBN (Li et al., 2016); "
    "by construction it favors the start, of which AdaBN is the model.",
    "source_shapes": "Minus the distance of the predicted structures' volumes and contacts from "
    "those of the source's labels (Mahalanobis, after Bateson et al., MICCAI 2020).",
}


@dataclass(frozen=True)
class SelectionSettings(Settings):
    """Which snapshots are kept, and by what one of them is chosen."""

    key = "selection"
    snapshot_every: int = setting(10, "Joint updates between kept snapshots.", minimum=1)
    select: str = setting(
        "source_shapes",
        "Which snapshot becomes the final DAM; no target label.",
        choices=tuple(CRITERIA),
    )


def negative_entropy(probabilities: np.ndarray) -> float:
    """Minus the mean entropy of predictions `[N, H, W, C]`: in nats, in [-log C, 0]."""
    # Slice by slice: at full size the temporary arrays would be gigabytes.
    return -float(np.mean([entr(part).sum(-1).mean() for part in probabilities]))


def mutual_information(probabilities: np.ndarray) -> float:
    """Entropy of the mean of predictions `[N, H, W, C]` minus their mean entropy: in nats, in
    [0, log C]."""
    mean = np.mean(probabilities, axis=(0, 1, 2), dtype=np.float64)
    return float(entr(mean).sum()) + negative_entropy(probabilities)


def neighborhood_density(vectors: np.ndarray, temperature: float = TEMPERATURE) -> float:
    """Soft neighborhood density: mean entropy of each pixel's cosine similarities to the others, by
    the predicted probabilities `[P, C]` of at least two pixels: in nats, in [0, log(P - 1)]."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = vectors @ vectors.T / temperature
    np.fill_diagonal(similarity, -np.inf)  # a pixel is no neighbor of its own
    weights = np.exp(similarity - similarity.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    return float(entr(weights).sum(axis=1).mean())


def agreement(classes: np.ndarray, reference: np.ndarray, subjects: np.ndarray, count: int):
    """Mean Dice between two predictions, over subjects and structures.

    Of `[N, H, W]` integer classes, `count` with the background, of slices whose subjects are `[N]`.
    In [0, 1]; pairs that are empty in both are left out, nan if all are.
    """
    scores = []
    for subject in np.unique(subjects):
        a, b = classes[subjects == subject], reference[subjects == subject]
        for structure in range(1, count):
            both = np.count_nonzero(a == structure) + np.count_nonzero(b == structure)
            common = np.count_nonzero((a == structure) & (b == structure))
            if both:
                scores.append(2 * common / both)
    return float(np.mean(scores)) if scores else float("nan")


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


def shapes_by_subject(classes: np.ndarray, subjects: np.ndarray, count: int) -> np.ndarray:
    """`shape_statistics` `[S, D]` of every subject; `[N]` say whose each slice `[N, H, W]` is."""
    return np.stack([shape_statistics(classes[subjects == s], count) for s in np.unique(subjects)])


def shape_plausibility(predicted: np.ndarray, source: np.ndarray) -> float:
    """Minus the mean distance of the predicted subjects from the distribution of the source's.

    The heart is the same in both modalities, so that the distribution over the source's labels
    says what a plausible segmentation is, without a target label. The distance is Mahalanobis' with
    a diagonal covariance (there are too few subjects for a full one), as a root mean square over
    the D statistics of predictions `[T, D]` and of the source's labels `[S, D]`. It is at most 0;
    about -1 for subjects drawn as the source's are.
    """
    deviation = np.maximum(source.std(axis=0), SMALLEST_DEVIATION)
    scores = (predicted - source.mean(axis=0)) / deviation
    return -float(np.sqrt(np.mean(scores**2, axis=1)).mean())


def best(values: Mapping[int, float | None]) -> int | None:
    """Of a criterion's values by joint update, None where it has none, the update of the highest,
    the later of equal ones; None if all are None."""
    pairs = [(value, update) for update, value in values.items() if value is not None]
    return max(pairs)[1] if pairs else None
