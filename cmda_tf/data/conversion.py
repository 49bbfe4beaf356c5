"""Prepared data in the form of the authors' release, and back.

    OUT/mr_train_tfs/mr_train_slice0.tfrecords    a slice triple a file, as published
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

from cmda_tf.data.geometry import LIP_DIRECTION, Geometry
from cmda_tf.data.manifest import Entry, Manifest, write_manifest
from cmda_tf.data.published import load_prepared, load_test_subject
from cmda_tf.data.records import read_records, write_records
from cmda_tf.data.release import DOMAINS, write_test_volume
from cmda_tf.data.store import Subject, save_subject
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError
from cmda_tf.files import make_folder, write_text

MIN_SLICES = 3  # of a subject; fewer mean that the records are not in slice order


def to_release(manifest: Manifest, out: str | Path) -> Path:
    """Writes prepared subjects as records and test volumes.

    A training subject without label gets labels of zeros, as the form asks for some; test
    subjects without label are left out.

    Args:
      manifest: of `cmda_tf.prepare`.
      out: folder that does not exist or is empty.

    Returns:
      `out` as a Path.

    Raises:
      DataError: the data has other domains or structures than the release, a store is damaged, or
        `out` holds something.
    """
    if manifest.structures != HEART or not set(manifest.domains) <= set(DOMAINS):
        raise DataError(
            f"{manifest.folder}: expected domains mr and ct and the heart's structures, the only "
            f"ones that the release has; found {', '.join(manifest.domains)}"
        )
    out = _empty_folder(out)
    for domain in manifest.domains:
        lists: dict[str, list[str]] = {"train": [], "test": []}
        entries = manifest.select(domain, "train") + manifest.select(domain, "test")
        for entry in tqdm(entries, desc=domain, unit="subject", disable=None):
            subject = load_prepared(manifest, entry)
            if entry.split == "train":
                lists["train"] += _write_triples(out, subject, len(lists["train"]))
            elif subject.label is not None:
                name = f"{domain}_test/{entry.id.replace('_train_', '_')}.npz"
                arrays = (np.moveaxis(a, 0, -1) for a in (subject.image, subject.label))
                write_test_volume(out / name, *arrays)
                lists["test"].append(name)
        for split, names in lists.items():
            write_text(out / f"{domain}_{split}_list.txt", "".join(f"{name}\n" for name in names))
    return out


def from_release(manifest: Manifest, out: str | Path) -> Manifest:
    """Writes the subjects of a release as prepared data.

    Args:
      manifest: of `open_prepared`, of a release.
      out: folder that does not exist or is empty.

    Returns:
      The new manifest.

    Raises:
      DataError: a file is damaged, training records are not in slice order (such a folder can be
        used as it is), or `out` holds something.
    """
    if any(entry.form == "store" for entry in manifest.entries):
        raise DataError(f"{manifest.folder}: expected published records, found prepared data")
    out, entries = _empty_folder(out), []
    for domain in manifest.domains:
        found = [(s, "train") for s in _training_subjects(manifest, domain)]
        found += [(load_test_subject(manifest, e), "test") for e in manifest.select(domain, "test")]
        for subject, split in tqdm(found, desc=domain, unit="subject", disable=None):
            save_subject(out / f"{subject.id}.npz", subject)
            entries.append(_entry(subject, split, manifest.spacing_mm))
    made = dataclasses.replace(manifest, folder=out, entries=tuple(entries))
    write_manifest(made)
    return made


def _empty_folder(path: str | Path) -> Path:
    path = make_folder(path)
    if any(path.iterdir()):
        raise DataError(f"{path}: expected an empty folder to convert into, found files in it")
    return path


def _write_triples(out: Path, subject: Subject, number: int) -> list[str]:
    """Writes a subject's slice triples as files numbered from `number`; returns their names."""
    domain, last = subject.domain, len(subject.image) - 1
    label = np.zeros(subject.image.shape, np.uint8) if subject.label is None else subject.label
    names = []
    for k in range(last + 1):
        triple = [max(k - 1, 0), k, min(k + 1, last)]
        names.append(f"{domain}_train_tfs/{domain}_train_slice{number + k}.tfrecords")
        image, labels = (np.moveaxis(a[triple], 0, -1)[np.newaxis] for a in (subject.image, label))
        write_records(out / names[-1], image, labels)
    return names


def _training_subjects(manifest: Manifest, domain: str) -> Iterator[Subject]:
    """Subjects put together from a domain's training records."""
    entries = sorted(manifest.select(domain, "train"), key=_natural)
    if not entries:
        return
    paths = [manifest.path(entry) for entry in entries]
    images, labels = read_records(paths, manifest.structures.classes, manifest.size)
    overlap = (images[:-1, ..., 1:] == images[1:, ..., :2]).all(axis=(1, 2, 3))
    # At a subject's ends the middle slice is its own neighbour.
    ends = np.flatnonzero(~overlap) + 1
    for number, rows in enumerate(np.split(np.arange(len(images)), ends), 1):
        if len(rows) < MIN_SLICES:
            raise DataError(
                f"{manifest.folder}: the training records of {domain} are not in slice order, so "
                "that no subjects can be put together; --prepared takes the folder as it is"
            )
        image = images[rows, ..., 1].astype(np.float32)
        spacing_mm = (manifest.spacing_mm,) * 3
        size_ijk = (manifest.size, manifest.size, len(rows))
        grid = Geometry(size_ijk, spacing_mm, (0.0, 0.0, 0.0), LIP_DIRECTION)
        yield Subject(f"{domain}_train_{number:04d}", domain, image, labels[rows], grid, grid)


def _natural(entry: Entry) -> list[str | int]:
    """Sorting key by which slice10 comes after slice9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", entry.file)]


def _entry(subject: Subject, split: str, spacing_mm: float) -> Entry:
    return Entry(
        id=subject.id,
        domain=subject.domain,
        split=split,
        file=f"{subject.id}.npz",
        labelled=True,
        raw_spacing_mm=subject.raw.spacing_mm,
        spacing_mm=spacing_mm,
        centred_on="unknown",
        intensity_cut=0.0,
        label_inside=None,
        sha256={"image": None, "label": None},
    )
