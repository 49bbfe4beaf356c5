"""`--prepared`: a folder of `cmda_tf.prepare`, or one in the form of the authors' release.

The release's records train and its test volumes test; its validation records, by whose labels the
authors' programs chose checkpoints, are left alone. It tells no voxel spacing: the paper's 1 mm is
taken, and surface distances in millimetres rest on that.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

from cmda_tf.data.geometry import LIP_DIRECTION, Geometry
from cmda_tf.data.manifest import MANIFEST_NAME, Entry, Manifest, read_manifest
from cmda_tf.data.release import find_records, read_test_volume, test_volume_size
from cmda_tf.data.store import Subject, load_subject
from cmda_tf.data.structures import HEART
from cmda_tf.errors import DataError

SPACING_MM = 1.0
_FORMS = {"train": "records", "test": "volume"}


def open_prepared(folder: str | Path) -> Manifest:
    """What `--prepared` names.

    Raises:
      DataError: there is neither a manifest nor a record file or test volume, or one is damaged.
    """
    folder = Path(folder)
    if (folder / MANIFEST_NAME).is_file() or not folder.is_dir():
        return read_manifest(folder)
    try:
        found = find_records(folder)
    except DataError as error:
        raise DataError(
            f"{folder}: neither {MANIFEST_NAME} (python -m cmda_tf.prepare --raw=DIR "
            f"--prepared={folder} makes it) nor published records: {error}"
        ) from error
    entries = [
        _entry(folder, path, domain, split)
        for domain, splits in found.items()
        for split in _FORMS
        for path in splits.get(split, ())
    ]
    if not entries:
        raise DataError(f"{folder}: holds validation records alone")
    return Manifest(folder, _size(folder, entries), SPACING_MM, HEART, tuple(entries))


def load_prepared(manifest: Manifest, entry: Entry, with_label: bool = True) -> Subject:
    """A prepared subject, once its store is the one that the manifest tells of.

    Args:
      manifest: of the prepared folder.
      entry: one of its own, of the form "store".
      with_label: False leaves the label unread.

    Raises:
      DataError: its file is missing, damaged, or another subject's or another preparation's.
    """
    path = manifest.path(entry)
    subject = load_subject(path, with_label, manifest.structures.classes)
    found = (subject.id, subject.domain, subject.grid.size_ijk)
    expected = (entry.id, entry.domain, (manifest.size,) * 3)
    if found != expected:
        raise DataError(f"{path}: expected {expected}, as {MANIFEST_NAME} says, found {found}")
    if with_label and entry.labelled and subject.label is None:
        raise DataError(f"{path}: expected a label, as {MANIFEST_NAME} says, found none")
    return subject


def load_test_subject(manifest: Manifest, entry: Entry) -> Subject:
    """A test subject with its label, of either kind of folder.

    Raises:
      DataError: its file is missing or damaged.
    """
    if entry.form == "store":
        return load_prepared(manifest, entry)
    classes, path = manifest.structures.classes, manifest.path(entry)
    image, label = (np.moveaxis(a, -1, 0) for a in read_test_volume(path, classes, manifest.size))
    grid = Geometry(
        (manifest.size,) * 3, (manifest.spacing_mm,) * 3, (0.0, 0.0, 0.0), LIP_DIRECTION
    )
    return Subject(entry.id, entry.domain, image, label, grid, grid)


def checksum(manifest: Manifest) -> str:
    """What tells one folder's content from another's: SHA-256 of the manifest, which has checksums
    of all files; of a release, names and sizes of its files."""
    path = manifest.folder / MANIFEST_NAME
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    files = [(entry.file, manifest.path(entry).stat().st_size) for entry in manifest.entries]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()


def _entry(folder: Path, path: Path, domain: str, split: str) -> Entry:
    file = path.relative_to(folder).as_posix()
    return Entry(
        id=path.stem if split == "test" else file,
        domain=domain,
        split=split,
        file=file,
        labelled=True,
        raw_spacing_mm=(SPACING_MM,) * 3,
        spacing_mm=SPACING_MM,
        centred_on="unknown",
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
    from cmda_tf.data.records import first_size  # TensorFlow is needed from here on

    return first_size(folder / first.file)
