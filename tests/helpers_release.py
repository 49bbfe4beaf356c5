"""A small folder in the form of the authors' release, made by hand."""

import numpy as np
import tensorflow as tf

from cmda_tf.data.records import write_records
from cmda_tf.data.release import write_test_volume

SIZE = 16


def triples(seed, count=12, top=5):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, SIZE, SIZE, 3)).astype(np.float16)
    return images, rng.integers(0, top + 1, (count, SIZE, SIZE, 3))


def write_release(folder):
    """Two domains, records with label 5 (pulmonary artery), one test volume each."""
    for number, domain in enumerate(("mr", "ct")):
        images, labels = triples(number)
        for n in range(len(images)):
            path = folder / f"{domain}_train_tfs/{domain}_train_slice{n}.tfrecords"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_records(path, images[n : n + 1], labels[n : n + 1])
        validation = folder / f"{domain}_val_tfs/{domain}_val_slice0.tfrecords"
        validation.parent.mkdir()
        validation.write_bytes(b"is never read")
        rng = np.random.default_rng(number + 10)
        image, label = rng.normal(size=(SIZE,) * 3), rng.integers(0, 5, (SIZE,) * 3)
        write_test_volume(folder / f"{domain}_test/{domain}_1003.npz", image, label)
    return folder


def without_target_labels(folder):
    """Replaces the labels of the target's records by what is no label."""
    for path in sorted((folder / "ct_train_tfs").iterdir()):
        example = tf.train.Example.FromString(
            next(iter(tf.data.TFRecordDataset(str(path)))).numpy()
        )
        del example.features.feature["label_vol"]
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(example.SerializeToString())
