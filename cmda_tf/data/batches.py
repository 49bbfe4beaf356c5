"""Batches of slice triples, as many as asked for.

Which slices make batch number t is a function of (seed, t) alone, so a resumed run sees exactly the
batches it would have seen, and any shard can compute its part.
"""

import numpy as np
import tensorflow as tf

from cmda_tf.data.slices import SliceStack


def sampling_groups(stack: SliceStack, balanced: bool) -> list[np.ndarray]:
    """Groups of slice indices from which samples are drawn in turn.

    One of all usable slices; `balanced` also one of each structure's, so that all come as often.
    """
    groups = [stack.usable]
    if balanced:
        flat = stack.truth.reshape(len(stack.truth), -1)
        groups += [np.flatnonzero((flat == c).any(axis=1)) for c in range(1, stack.classes)]
    return [g for g in groups if len(g)]


def draw(groups: list[np.ndarray], positions: tf.Tensor, seed: int) -> tf.Tensor:
    """The slices `[n]` at positions `[n]` of the endless sample sequence, both int64.

    Position p draws from group p mod G; within a group the slices come in epochs, each a
    random permutation of its own.
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

    `batch` is the global size, of which a `shard`, (index, count), gets its part. For `balanced`,
    which needs labels, see `sampling_groups`. A batch is a dict of `images` `[b, H, W, 3]` float32
    and, where the stack has labels, `labels` `[b, H, W]` uint8.
    """
    groups = sampling_groups(stack, balanced)
    images, triples = tf.constant(stack.images), tf.constant(stack.triples)
    labels = None if stack.labels is None else tf.constant(stack.labels)
    share = np.arange(batch)[shard[0] :: shard[1]]

    def gather(number: tf.Tensor) -> dict[str, tf.Tensor]:
        middle = draw(groups, number * batch + share, seed)
        triple = tf.gather(images, tf.gather(triples, middle))
        sample = {"images": tf.cast(tf.transpose(triple, [0, 2, 3, 1]), tf.float32)}
        if labels is not None:
            sample["labels"] = tf.gather(labels, middle)
        return sample

    numbers = tf.data.Dataset.range(start, stop)
    return numbers.map(gather, num_parallel_calls=2, deterministic=True).prefetch(2)
