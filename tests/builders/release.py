"""A small folder in the form of the authors' release, made by hand."""

import numpy as np
import tensorflow as tf

from cmda_tf.release2018.folder import write_test_volume
from cmda_tf.release2018.records import write_records

SIZE = 16


def triples(seed, count=12, top=5):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(count, SIZE, SIZE, 3)).astype(np.float16)
    return images, rng.integers(0, top + 1, (count, SIZE, SIZE, 3))


def write_release(folder):
    """Two modalities, records with label 5 (pulmonary artery), one test volume each."""
    for number, modality in enumerate(("mr", "ct")):
        images, labels = triples(number)
        for n in range(len(images)):
            path = folder / f"{modality}_train_tfs/{modality}_train_slice{n}.tfrecords"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_records(path, images[n : n + 1], labels[n : n + 1])
        validation = folder / f"{modality}_val_tfs/{modality}_val_slice0.tfrecords"
        validation.parent.mkdir()
        validation.write_bytes(b"is never read")
        rng = np.random.default_rng(number + 10)
        image, label = rng.normal(size=(SIZE,) * 3), rng.integers(0, 5, (SIZE,) * 3)
        write_test_volume(folder / f"{modality}_test/{modality}_1003.npz", image, label)
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
