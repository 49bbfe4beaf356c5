"""Slice triples for training: three consecutive coronal slices, label of the middle one.

All volumes of a modality's split are held in memory as one stack of slices (float16); a batch is
a gather from it. Which slices make batch number t is a function of (seed, t) alone, so a
resumed run sees exactly the batches it would have seen, and any shard can compute its part.
Arrays are `[N, H, W]` with H running superior to inferior and W right to left.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from cmda_tf.data.prepared import Dataset
from cmda_tf.errors import DataError
from cmda_tf.release2018.dataset import load_prepared
from cmda_tf.release2018.records import read_records

TRIPLES_PER_GROUP = 64


@dataclass(frozen=True, eq=False)
class SliceStack:
    """The slices of some subjects, one after another.

    Attributes:
      images: `[N, H, W]` float16, normalized.
      labels: `[N, H, W]` uint8 classes, or None where labels were not asked for.
      classes: their number, the background included.
      first, last: `[N]` indices of the first and last slice of each slice's subject.
      usable: indices of the slices that show something (constant padding does not).
      subject: `[N]` number of each slice's subject; -1 for what is only another one's neighbor.
    """

    images: np.ndarray
    labels: np.ndarray | None
    classes: int
    first: np.ndarray
    last: np.ndarray
    usable: np.ndarray
    subject: np.ndarray

    @property
    def size(self) -> int:
        """Height and width of a slice."""
        return self.images.shape[1]

    def triples(self, index: np.ndarray) -> np.ndarray:
        """Indices `[..., 3]` of each slice and its neighbors; border slices replicate."""
        index = np.asarray(index)
        below = np.maximum(index - 1, self.first[index])
        above = np.minimum(index + 1, self.last[index])
        return np.stack([below, index, above], axis=-1)

    def inputs(self, index: np.ndarray) -> np.ndarray:
        """The network's inputs `[N, H, W, 3]` float32 for slices `[N]`."""
        return np.moveaxis(self.images[self.triples(index)].astype(np.float32), 1, -1)


def load_slices(dataset: Dataset, modality: str, split: str, with_labels: bool) -> SliceStack:
    """Loads the slices of a modality's split.

    Args:
      dataset: of the prepared folder.
      modality: `mr` or `ct`.
      split: `train` or `test`.
      with_labels: False never reads a label file; True skips subjects that have none.

    Raises:
      DataError: there is no such subject.
    """
    entries = [e for e in dataset.select(modality, split) if e.labeled or not with_labels]
    if not entries:
        kind = "labeled " if with_labels else ""
        raise DataError(f"{dataset.folder}: no {kind}{split} subject of modality {modality!r}")
    classes = dataset.structures.classes
    if entries[0].form == "records":
        paths = [dataset.path(e) for e in entries]
        return stack_triples(*read_records(paths, classes, dataset.size, with_labels), classes)
    subjects = [load_prepared(dataset, e, with_labels) for e in entries]
    images = np.concatenate([s.image.astype(np.float16) for s in subjects])
    labels = np.concatenate([s.label for s in subjects]) if with_labels else None
    counts = np.array([len(s.image) for s in subjects])
    ends = np.cumsum(counts)
    return SliceStack(
        images=images,
        labels=labels,
        classes=classes,
        first=np.repeat(ends - counts, counts),
        last=np.repeat(ends - 1, counts),
        usable=np.flatnonzero(np.ptp(images, axis=(1, 2)) > 0),
        subject=np.repeat(np.arange(len(counts)), counts),
    )


def stack_triples(images: np.ndarray, labels: np.ndarray | None, classes: int) -> SliceStack:
    """Slice triples of unknown subjects as a stack in which each has its own neighbors.

    What asks for subjects (a choice among snapshots) gets groups of `TRIPLES_PER_GROUP` instead.

    Args:
      images: `[N, H, W, 3]` float16.
      labels: `[N, H, W]` uint8 of the middle slices, or None.
      classes: their number.
    """
    rows = np.arange(3 * len(images))
    first, middle = rows - rows % 3, rows % 3 == 1
    stacked = np.ascontiguousarray(np.moveaxis(images, -1, 1)).reshape(-1, *images.shape[1:3])
    of_all = None
    if labels is not None:
        of_all = np.zeros(stacked.shape, np.uint8)
        of_all[middle] = labels
    shows = np.ptp(stacked, axis=(1, 2)) > 0
    groups = max(1, len(images) // TRIPLES_PER_GROUP)
    group = (rows // 3) * groups // len(images)
    return SliceStack(
        images=stacked,
        labels=of_all,
        classes=classes,
        first=first,
        last=first + 2,
        usable=np.flatnonzero(middle & shows),
        subject=np.where(middle, group, -1),
    )


def sampling_groups(stack: SliceStack, balanced: bool) -> list[np.ndarray]:
    """Groups of slice indices from which samples are drawn in turn.

    One group of all usable slices; with `balanced` also one for each structure, holding the
    slices that show it, so that every structure is seen as often as any other.
    """
    groups = [stack.usable]
    if balanced:
        flat = stack.labels.reshape(len(stack.labels), -1)
        groups += [np.flatnonzero((flat == c).any(axis=1)) for c in range(1, stack.classes)]
    return [g for g in groups if len(g)]


def draw(groups: list[np.ndarray], positions: tf.Tensor, seed: int) -> tf.Tensor:
    """The slices at the given positions of the endless sample sequence.

    Position p draws from group p mod G; within a group the slices come in epochs, each a
    random permutation of its own.

    Args:
      groups: as from `sampling_groups`.
      positions: `[n]` int64.
      seed: of the permutations.

    Returns:
      `[n]` int64 slice indices.
    """
    sizes = np.array([len(g) for g in groups], np.int64)
    starts = tf.constant(np.cumsum(sizes) - sizes)
    members = tf.constant(np.concatenate(groups).astype(np.int64))
    group = positions % len(groups)
    turn = positions // len(groups)
    size = tf.gather(tf.constant(sizes), group)
    epoch = turn // size
    # The raw operation, since its public wrapper pads a vector of seeds along the wrong axis.
    within = tf.raw_ops.RandomIndexShuffle(
        index=turn % size,
        seed=tf.stack([tf.fill(tf.shape(epoch), tf.cast(seed, tf.int64)), epoch, group], axis=1),
        max_index=size - 1,
        rounds=4,
    )
    return tf.gather(members, tf.gather(starts, group) + within)


def batches(
    stack: SliceStack,
    batch: int,
    seed: int,
    start: int,
    stop: int,
    balanced: bool = False,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Batches number `start` to `stop - 1` of the endless sequence of (seed).

    Args:
      stack: slices to draw from.
      batch: global batch size; a shard gets `batch / count` samples of each batch.
      seed: of the sampling.
      start, stop: range of batch numbers; a resumed run passes its step as `start`.
      balanced: see `sampling_groups`; needs labels.
      shard: (index, count) of this worker.

    Returns:
      A dataset of dicts: `images` `[b, H, W, 3]` float32 and, where the stack has labels,
      `labels` `[b, H, W]` uint8.
    """
    groups = sampling_groups(stack, balanced)
    images, first, last = map(tf.constant, (stack.images, stack.first, stack.last))
    labels = None if stack.labels is None else tf.constant(stack.labels)
    share = np.arange(batch)[shard[0] :: shard[1]]

    def gather(number: tf.Tensor) -> dict[str, tf.Tensor]:
        middle = draw(groups, number * batch + share, seed)
        below = tf.maximum(middle - 1, tf.gather(first, middle))
        above = tf.minimum(middle + 1, tf.gather(last, middle))
        triple = tf.gather(images, tf.stack([below, middle, above], axis=-1))
        sample = {"images": tf.cast(tf.transpose(triple, [0, 2, 3, 1]), tf.float32)}
        if labels is not None:
            sample["labels"] = tf.gather(labels, middle)
        return sample

    numbers = tf.data.Dataset.range(start, stop)
    return numbers.map(gather, num_parallel_calls=2, deterministic=True).prefetch(2)
