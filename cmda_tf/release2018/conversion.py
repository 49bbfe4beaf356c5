"""Prepared data in the form of the authors' release, and back.

    OUT/mr_train_tfs/mr_train_slice0.tfrecords    one slice triple per file, as published
    OUT/mr_train_list.txt                         their names, in the order of subjects and slices
    OUT/ct_test/ct_1003.npz                       test volumes, listed in OUT/ct_test_list.txt

The form has no place for spacing, geometry and subjects. Those that are trained on come back from
records in slice order, where each triple overlaps with the next.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmda_tf.data.dataset import Entry
from cmda_tf.data.prepared import PreparedDataset, write_manifest
from cmda_tf.data.slices import volume_triples
from cmda_tf.data.structures import HEART
from cmda_tf.data.subjects import Subject, save_subject
from cmda_tf.errors import DataError
from cmda_tf.files import make_folder, write_text
from cmda_tf.release2018.dataset import Release2018, unplaced_grid
from cmda_tf.release2018.folder import MODALITIES, write_test_volume
from cmda_tf.release2018.records import read_records, write_records

MIN_SLICES = 3  # of a subject; fewer mean that the records are not in slice order


def to_release(dataset: PreparedDataset, out: str | Path) -> None:
    """Writes prepared subjects as records and test volumes into a new or empty folder.

    A training subject without label gets labels of zeros, as the form asks for some; test
    subjects without label are left out. DataError if the data has other modalities or structures
    than the release, a store is damaged, or `out` holds something.
    """
    if dataset.structures != HEART or not set(dataset.modalities) <= set(MODALITIES):
        raise DataError(
            f"{dataset.folder}: expected modalities mr and ct and the heart's structures, the only "
            f"ones that the release has; found {', '.join(dataset.modalities)}"
        )
    out = _empty_folder(out)
    for modality in dataset.modalities:
        lists: dict[str, list[str]] = {"train": [], "test": []}
        entries = dataset.select(modality, "train") + dataset.select(modality, "test")
        for entry in tqdm(entries, desc=modality, unit="subject", disable=None):
            subject = dataset.subject(entry)
            if entry.split == "train":
                lists["train"] += _write_triples(out, subject, len(lists["train"]))
            elif subject.label is not None:
                name = f"{modality}_test/{entry.id.replace('_train_', '_')}.npz"
                arrays = (np.moveaxis(a, 0, -1) for a in (subject.image, subject.label))
                write_test_volume(out / name, *arrays)
                lists["test"].append(name)
        for split, names in lists.items():
            write_text(out / f"{modality}_{split}_list.txt", "".join(f"{name}\n" for name in names))


def from_release(dataset: Release2018, out: str | Path) -> None:
    """Writes the subjects of a release as prepared data into a new or empty folder.

    DataError if a file is damaged, training records are not in slice order (such a folder can be
    used as it is), or `out` holds something.
    """
    out, entries = _empty_folder(out), []
    for modality in dataset.modalities:
        subjects = [(s, "train") for s in _training_subjects(dataset, modality)]
        subjects += [(dataset.test_subject(e), "test") for e in dataset.select(modality, "test")]
        for subject, split in tqdm(subjects, desc=modality, unit="subject", disable=None):
            entry = Entry(subject.id, modality, split, f"{subject.id}.npz", labeled=True)
            save_subject(out / entry.file, subject)
            entries.append(entry)
    form = dataset.size, dataset.spacing_mm, dataset.structures
    write_manifest(PreparedDataset(out, *form, tuple(entries)))


def _empty_folder(path: str | Path) -> Path:
    path = make_folder(path)
    if any(path.iterdir()):
        raise DataError(f"{path}: expected an empty folder to convert into, found files in it")
    return path


def _write_triples(out: Path, subject: Subject, number: int) -> list[str]:
    """Writes a subject's slice triples as files numbered from `number`; returns their names."""
    modality = subject.modality
    label = np.zeros(subject.image.shape, np.uint8) if subject.label is None else subject.label
    names = []
    for k, triple in enumerate(volume_triples(len(subject.image))):
        names.append(f"{modality}_train_tfs/{modality}_train_slice{number + k}.tfrecords")
        image, labels = (np.moveaxis(a[triple], 0, -1)[np.newaxis] for a in (subject.image, label))
        write_records(out / names[-1], image, labels)
    return names


def _training_subjects(dataset: Release2018, modality: str) -> Iterator[Subject]:
    """Subjects put together from a modality's training records."""
    entries = sorted(dataset.select(modality, "train"), key=_natural)
    if not entries:
        return
    paths = [dataset.path(entry) for entry in entries]
    images, labels = read_records(paths, dataset.structures.classes, dataset.size)
    overlap = (images[:-1, ..., 1:] == images[1:, ..., :2]).all(axis=(1, 2, 3))
    # At a subject's ends the middle slice is its own neighbor.
    ends = np.flatnonzero(~overlap) + 1
    for number, rows in enumerate(np.split(np.arange(len(images)), ends), 1):
        if len(rows) < MIN_SLICES:
            raise DataError(
                f"{dataset.folder}: the training records of {modality} are not in slice order, so "
                "that no subjects can be put together; it can be trained on as it is"
            )
        image = images[rows, ..., 1].astype(np.float32)
        label = None if labels is None else labels[rows]
        grid = unplaced_grid((dataset.size, dataset.size, len(rows)), dataset.spacing_mm)
        yield Subject(f"{modality}_train_{number:04d}", modality, image, label, grid, grid)


def _natural(entry: Entry) -> list[str | int]:
    """Sorting key by which slice10 comes after slice9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", entry.file)]
