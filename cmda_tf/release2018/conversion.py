"""Prepared data in the form of the authors' release, and back.

    OUT/mr_train_tfs/mr_train_slice0.tfrecords    one slice triple per file, as published
    OUT/mr_train_list.txt                         their names, in the order of subjects and slices
    OUT/ct_test/ct_1003.npz                       test volumes, listed in OUT/ct_test_list.txt

The form has no place for spacing, geometry and subjects. Those that are trained on come back from
records in slice order, where each triple overlaps with the next.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cmda_tf.data.prepared import Dataset, Entry, write_manifest
from cmda_tf.data.structures import HEART
from cmda_tf.data.subjects import Subject, save_subject
from cmda_tf.errors import DataError
from cmda_tf.files import make_folder, write_text
from cmda_tf.release2018.dataset import load_prepared, load_test_subject
from cmda_tf.release2018.folder import MODALITIES, write_test_volume
from cmda_tf.release2018.records import read_records, write_records
from cmda_tf.volumes.geometry import LIP_DIRECTION, Geometry

MIN_SLICES = 3  # of a subject; fewer mean that the records are not in slice order


def to_release(dataset: Dataset, out: str | Path) -> Path:
    """Writes prepared subjects as records and test volumes.

    A training subject without label gets labels of zeros, as the form asks for some; test
    subjects without label are left out.

    Args:
      dataset: of `cmda_tf.prepare`.
      out: folder that does not exist or is empty.

    Returns:
      `out` as a Path.

    Raises:
      DataError: the data has other modalities or structures than the release, a store is damaged, or
        `out` holds something.
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
            subject = load_prepared(dataset, entry)
            if entry.split == "train":
                lists["train"] += _write_triples(out, subject, len(lists["train"]))
            elif subject.label is not None:
                name = f"{modality}_test/{entry.id.replace('_train_', '_')}.npz"
                arrays = (np.moveaxis(a, 0, -1) for a in (subject.image, subject.label))
                write_test_volume(out / name, *arrays)
                lists["test"].append(name)
        for split, names in lists.items():
            write_text(out / f"{modality}_{split}_list.txt", "".join(f"{name}\n" for name in names))
    return out


def from_release(dataset: Dataset, out: str | Path) -> Dataset:
    """Writes the subjects of a release as prepared data.

    Args:
      dataset: of `open_dataset`, of a release.
      out: folder that does not exist or is empty.

    Returns:
      The new dataset.

    Raises:
      DataError: a file is damaged, training records are not in slice order (such a folder can be
        used as it is), or `out` holds something.
    """
    if any(entry.form == "store" for entry in dataset.entries):
        raise DataError(f"{dataset.folder}: expected published records, found prepared data")
    out, entries = _empty_folder(out), []
    for modality in dataset.modalities:
        found = [(s, "train") for s in _training_subjects(dataset, modality)]
        found += [(load_test_subject(dataset, e), "test") for e in dataset.select(modality, "test")]
        for subject, split in tqdm(found, desc=modality, unit="subject", disable=None):
            save_subject(out / f"{subject.id}.npz", subject)
            entries.append(_entry(subject, split, dataset.spacing_mm))
    made = dataclasses.replace(dataset, folder=out, entries=tuple(entries))
    write_manifest(made)
    return made


def _empty_folder(path: str | Path) -> Path:
    path = make_folder(path)
    if any(path.iterdir()):
        raise DataError(f"{path}: expected an empty folder to convert into, found files in it")
    return path


def _write_triples(out: Path, subject: Subject, number: int) -> list[str]:
    """Writes a subject's slice triples as files numbered from `number`; returns their names."""
    modality, last = subject.modality, len(subject.image) - 1
    label = np.zeros(subject.image.shape, np.uint8) if subject.label is None else subject.label
    names = []
    for k in range(last + 1):
        triple = [max(k - 1, 0), k, min(k + 1, last)]
        names.append(f"{modality}_train_tfs/{modality}_train_slice{number + k}.tfrecords")
        image, labels = (np.moveaxis(a[triple], 0, -1)[np.newaxis] for a in (subject.image, label))
        write_records(out / names[-1], image, labels)
    return names


def _training_subjects(dataset: Dataset, modality: str) -> Iterator[Subject]:
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
                "that no subjects can be put together; --prepared takes the folder as it is"
            )
        image = images[rows, ..., 1].astype(np.float32)
        spacing_mm = (dataset.spacing_mm,) * 3
        size_ijk = (dataset.size, dataset.size, len(rows))
        grid = Geometry(size_ijk, spacing_mm, (0.0, 0.0, 0.0), LIP_DIRECTION)
        yield Subject(f"{modality}_train_{number:04d}", modality, image, labels[rows], grid, grid)


def _natural(entry: Entry) -> list[str | int]:
    """Sorting key by which slice10 comes after slice9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", entry.file)]


def _entry(subject: Subject, split: str, spacing_mm: float) -> Entry:
    return Entry(
        id=subject.id,
        modality=subject.modality,
        split=split,
        file=f"{subject.id}.npz",
        labeled=True,
        raw_spacing_mm=subject.raw.spacing_mm,
        spacing_mm=spacing_mm,
        centered_on="unknown",
        intensity_cut=0.0,
        label_inside=None,
        sha256={"image": None, "label": None},
    )
