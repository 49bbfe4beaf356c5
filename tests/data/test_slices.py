"""Slice triples: borders, epochs, balance, resuming, sharding."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.data.batches import batches, draw, sampling_groups
from cmda_tf.data.slices import SliceStack, as_channels, neighbor_triples, volume_triples
from cmda_tf.data.subjects import load_subject
from cmda_tf.errors import DataError


@pytest.fixture(scope="module")
def stack():
    """Two subjects of 5 and 4 slices; slice n holds the value n, subject 2's last is padding."""
    images = np.arange(9, dtype=np.float16)[:, None, None] + np.tile([0, 0.25], (9, 2, 1))
    images[8] = -1
    labels = np.zeros((9, 2, 2), np.uint8)
    labels[2], labels[3], labels[6] = 1, 1, 4
    first, last = np.repeat([0, 5], [5, 4]), np.repeat([4, 8], [5, 4])
    return SliceStack(images, labels, 5, first, last, np.arange(8), first)


def _middles(dataset):
    return np.concatenate([b["images"][:, 0, 0, 1] for b in dataset]).astype(int)


def test_border_slices_replicate(stack):
    np.testing.assert_array_equal(
        stack.triples[[0, 4, 5, 2]], [[0, 0, 1], [3, 4, 4], [5, 5, 6], [1, 2, 3]]
    )
    for batch in batches(stack, 4, 0, 0, 6):
        for triple, label in zip(batch["images"].numpy(), batch["labels"].numpy()):
            below, middle, above = triple[0, 0]
            expected = stack.triples[int(middle)]
            np.testing.assert_array_equal(
                [below, middle, above], stack.images[expected][:, 0, 0].astype(np.float32)
            )
            np.testing.assert_array_equal(label, stack.labels[int(middle)])


def test_an_epoch_shows_every_usable_slice_once(stack):
    drawn = _middles(batches(stack, 4, seed=7, start=0, stop=6))
    epochs = drawn.reshape(3, 8)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(8))  # padding is never drawn
    assert (epochs[0] != epochs[1]).any()


def test_balanced_draws_every_structure_as_often(stack):
    groups = sampling_groups(stack, balanced=True)
    assert [g.tolist() for g in groups] == [list(range(8)), [2, 3], [6]]
    drawn = draw(groups, tf.range(30, dtype=tf.int64), 0).numpy()
    assert set(drawn[1::3]) == {2, 3} and np.bincount(drawn[1::3])[2] == 5
    assert set(drawn[2::3]) == {6}


def test_resumed_sequence_is_the_tail_of_the_whole(stack):
    whole = list(batches(stack, 3, 5, 0, 9, balanced=True))
    tail = list(batches(stack, 3, 5, 4, 9, balanced=True))
    for expected, actual in zip(whole[4:], tail, strict=True):
        np.testing.assert_array_equal(actual["images"], expected["images"])
        np.testing.assert_array_equal(actual["labels"], expected["labels"])


def test_seeds_differ(stack):
    first, second = (_middles(batches(stack, 4, seed, 0, 6)) for seed in (0, 1))
    assert (first != second).any()


def test_shards_together_are_the_global_batch(stack):
    whole = _middles(batches(stack, 6, 2, 0, 4)).reshape(4, 6)
    shards = [_middles(batches(stack, 6, 2, 0, 4, shard=(i, 2))).reshape(4, 3) for i in (0, 1)]
    np.testing.assert_array_equal(np.stack(shards, -1).reshape(4, 6), whole)


def test_loading_splits_by_subject(dataset):
    train = dataset.slices("mr", "train", with_labels=True)
    test = dataset.slices("mr", "test", with_labels=False)
    assert train.images.shape == (48, 16, 16) and test.images.shape == (16, 16, 16)
    assert train.images.dtype == np.float16 and train.labels.dtype == np.uint8
    assert test.labels is None
    whole = [load_subject(dataset.path(e)) for e in dataset.select("mr", "train")]
    assert [s.id for s in whole] == ["mr_train_1001", "mr_train_1002", "mr_train_1003"]
    np.testing.assert_array_equal(train.images, np.concatenate([s.image for s in whole]))
    np.testing.assert_array_equal(train.labels, np.concatenate([s.label for s in whole]))
    held_out = {image.tobytes() for image in test.images[test.usable]}
    assert not held_out & {image.tobytes() for image in train.images}
    np.testing.assert_array_equal(np.unique(train.first), [0, 16, 32])
    assert set(np.unique(train.labels)) == {0, 1, 2, 3, 4}


def test_unlabeled_subjects_cannot_be_trained_on(dataset_without_target_labels):
    with pytest.raises(DataError, match="no labeled train subject of modality 'ct'"):
        dataset_without_target_labels.slices("ct", "train", with_labels=True)


def test_one_rule_for_stacks_and_volumes():
    np.testing.assert_array_equal(volume_triples(3), [[0, 0, 1], [0, 1, 2], [1, 2, 2]])
    first, last = np.array([0, 0, 2, 2]), np.array([1, 1, 3, 3])
    expected = [[0, 0, 1], [0, 1, 1], [2, 2, 3], [2, 3, 3]]
    np.testing.assert_array_equal(neighbor_triples(first, last), expected)
    images = np.arange(4, dtype=np.float16)[:, None, None] * np.ones((1, 2, 2), np.float16)
    inputs = as_channels(images, neighbor_triples(first, last))
    assert inputs.shape == (4, 2, 2, 3) and inputs.dtype == np.float32
    np.testing.assert_array_equal(inputs[:, 0, 0], expected)
