"""`--prepared`: a folder of `cmda_tf.prepare`, or one in the form of the authors' release.

The release's records train and its test volumes test; its validation records, by whose labels the
authors' programs chose checkpoints, are left alone. It tells no voxel spacing: the paper's 1 mm is
taken, and surface distances in millimeters rest on that.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from cmda_tf.data.prepared import MANIFEST_NAME, Dataset, Entry, read_prepared
from cmda_tf.data.structures import HEART
from cmda_tf.data.subjects import Subject, load_subject
from cmda_tf.errors import DataError
from cmda_tf.release2018.folder import find_records, read_test_volume, test_volume_size
from cmda_tf.volumes.geometry import LIP_DIRECTION, Geometry

SPACING_MM = 1.0
_FORMS = {"train": "records", "test": "volume"}


def open_dataset(folder: str | Path) -> Dataset:
    """What `--prepared` names.

    Raises:
      DataError: there is neither a dataset nor a record file or test volume, or one is damaged.
    """
    folder = Path(folder)
    if (folder / MANIFEST_NAME).is_file() or not folder.is_dir():
        return read_prepared(folder)
    try:
        found = find_records(folder)
    except DataError as error:
        raise DataError(
            f"{folder}: neither {MANIFEST_NAME} (python -m cmda_tf.prepare --raw=DIR "
            f"--prepared={folder} makes it) nor published records: {error}"
        ) from error
    entries = [
        _entry(folder, path, modality, split)
        for modality, splits in found.items()
        for split in _FORMS
        for path in splits.get(split, ())
    ]
    if not entries:
        raise DataError(f"{folder}: holds validation records alone")
    return Dataset(folder, _size(folder, entries), SPACING_MM, HEART, tuple(entries))


def load_prepared(dataset: Dataset, entry: Entry, with_label: bool = True) -> Subject:
    """A prepared subject, once its store is the one that the dataset tells of.

    Args:
      dataset: of the prepared folder.
      entry: one of its own, of the form "store".
      with_label: False leaves the label unread.

    Raises:
      DataError: its file is missing, damaged, or another subject's or another preparation's.
    """
    path = dataset.path(entry)
    subject = load_subject(path, with_label, dataset.structures.classes)
    found = (subject.id, subject.modality, subject.grid.size_ijk)
    expected = (entry.id, entry.modality, (dataset.size,) * 3)
    if found != expected:
        raise DataError(f"{path}: expected {expected}, as {MANIFEST_NAME} says, found {found}")
    if with_label and entry.labeled and subject.label is None:
        raise DataError(f"{path}: expected a label, as {MANIFEST_NAME} says, found none")
    return subject


def load_test_subject(dataset: Dataset, entry: Entry) -> Subject:
    """A test subject with its label, of either kind of folder.

    Raises:
      DataError: its file is missing or damaged.
    """
    if entry.form == "store":
        return load_prepared(dataset, entry)
    classes, path = dataset.structures.classes, dataset.path(entry)
    image, label = (np.moveaxis(a, -1, 0) for a in read_test_volume(path, classes, dataset.size))
    grid = Geometry((dataset.size,) * 3, (dataset.spacing_mm,) * 3, (0.0, 0.0, 0.0), LIP_DIRECTION)
    return Subject(entry.id, entry.modality, image, label, grid, grid)


def checksum(dataset: Dataset) -> str:
    """What tells one folder's content from another's: SHA-256 of the dataset, which has checksums
    of all files; of a release, names and sizes of its files."""
    path = dataset.folder / MANIFEST_NAME
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = [(entry.file, dataset.path(entry).stat().st_size) for entry in dataset.entries]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _entry(folder: Path, path: Path, modality: str, split: str) -> Entry:
    file = path.relative_to(folder).as_posix()
    return Entry(
        id=path.stem if split == "test" else file,
        modality=modality,
        split=split,
        file=file,
        labeled=True,
        raw_spacing_mm=(SPACING_MM,) * 3,
        spacing_mm=SPACING_MM,
        centered_on="unknown",
        intensity_cut=float("nan"),
        label_inside=None,
        sha256={"image": None, "label": None},
        form=_FORMS[split],
    )


def _size(folder: Path, entries: list[Entry]) -> int:
    """Height and width of the first file's slices; that all others agree is checked on reading."""
    first = entries[0]
    if first.form == "volume":
        return test_volume_size(folder / first.file)
    from cmda_tf.release2018.records import first_size  # TensorFlow is needed from here on

    return first_size(folder / first.file)
