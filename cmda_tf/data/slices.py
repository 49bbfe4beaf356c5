"""Slice triples: three consecutive coronal slices, label of the middle one.

All volumes of a modality's split are held in memory as one stack, from which `cmda_tf.data.batches`
draws. H runs from superior to inferior, W from right to left.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cmda_tf.data.subjects import Subject

TRIPLES_PER_GROUP = 64


@dataclass(frozen=True, eq=False)
class SliceStack:
    """The slices of some subjects, one after another."""

    images: np.ndarray  # [N, H, W] float16, normalized
    labels: np.ndarray | None  # [N, H, W] uint8 classes, or None where they were not asked for
    classes: int  # their number, the background included
    first: np.ndarray  # [N] index of the first slice of each slice's subject
    last: np.ndarray  # [N] index of the last one
    usable: np.ndarray  # indices of the slices that show something (constant padding does not)
    subject: np.ndarray  # [N] number of the subject; -1 for what is only another's neighbor

    @property
    def truth(self) -> np.ndarray:
        """The labels; ValueError where there are none."""
        if self.labels is None:
            raise ValueError("expected a stack of slices with labels, found one without")
        return self.labels

    @property
    def size(self) -> int:
        """Height and width of a slice."""
        return self.images.shape[1]

    @functools.cached_property
    def triples(self) -> np.ndarray:
        """Indices `[N, 3]` of each slice and its neighbors."""
        return neighbor_triples(self.first, self.last)

    def inputs(self, index: np.ndarray) -> np.ndarray:
        """The network's inputs `[n, H, W, 3]` float32 for slices `[n]`."""
        return as_channels(self.images, self.triples[index])


def neighbor_triples(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The one rule of what a network sees: a slice between its two neighbors, borders replicated.

    Their indices `[N, 3]`, from those `[N]` of the first and last slice of each slice's subject.
    """
    index = np.arange(len(first))
    return np.stack([np.maximum(index - 1, first), index, np.minimum(index + 1, last)], axis=-1)


def volume_triples(count: int) -> np.ndarray:
    """`neighbor_triples` of the `count` slices of one volume."""
    return neighbor_triples(np.zeros(count, int), np.full(count, count - 1))


def as_channels(images: np.ndarray, triples: np.ndarray) -> np.ndarray:
    """Slices `[N, H, W]` at `[n, 3]` indices as network inputs `[n, H, W, 3]` float32."""
    return np.moveaxis(images[triples].astype(np.float32), 1, -1)


def stack_subjects(subjects: Sequence[Subject], classes: int, with_labels: bool) -> SliceStack:
    """The slices of at least one prepared subject; with labels, which all must have, or without."""
    images = np.concatenate([s.image.astype(np.float16) for s in subjects])
    labels = np.concatenate([s.label for s in subjects]) if with_labels else None
    counts = np.array([len(s.image) for s in subjects])
    ends = np.cumsum(counts)
    of_subjects = (ends - counts, ends - 1, np.arange(len(counts)))
    first, last, subject = (np.repeat(values, counts) for values in of_subjects)
    usable = np.flatnonzero(np.ptp(images, axis=(1, 2)) > 0)
    return SliceStack(images, labels, classes, first, last, usable, subject)


def stack_triples(images: np.ndarray, labels: np.ndarray | None, classes: int) -> SliceStack:
    """Triples `[N, H, W, 3]` float16, labels of their middle, as a stack where each stands alone.

    What asks for subjects (a choice among snapshots) gets groups of `TRIPLES_PER_GROUP` instead.
    """
    rows = np.arange(3 * len(images))
    first, middle = rows - rows % 3, rows % 3 == 1
    stacked = np.ascontiguousarray(np.moveaxis(images, -1, 1)).reshape(-1, *images.shape[1:3])
    of_all = None
    if labels is not None:
        of_all = np.zeros(stacked.shape, np.uint8)
        of_all[middle] = labels
    usable = np.flatnonzero(middle & (np.ptp(stacked, axis=(1, 2)) > 0))
    groups = max(1, len(images) // TRIPLES_PER_GROUP)
    subject = np.where(middle, (rows // 3) * groups // len(images), -1)
    return SliceStack(stacked, of_all, classes, first, first + 2, usable, subject)
