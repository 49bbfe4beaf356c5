"""A folder in the form of the authors' preprocessed release: its files and its test volumes.

    FOLDER/**/mr_train_tfs/mr_train_slice0.tfrecords     slice triples: `records`
    FOLDER/**/ct_val_tfs/ct_val_slice0.tfrecords
    FOLDER/**/ct_1003.npz                                test volume: `arr_0` image, `arr_1` label

The test volumes of the release are flipped on axes 0 and 1 relative to the records' slices. The
functions here undo that, so slice `[:, :, k]` of a volume lies as a record's `[H, W]` does.
"""

import os
import re
import stat
from pathlib import Path

import numpy as np

from cmda_tf import npz
from cmda_tf.data.subjects import MAX_SIZE
from cmda_tf.errors import DataError
from cmda_tf.files import readable

MODALITIES = ("mr", "ct")
RECORD_SPLITS = ("train", "val")
RECORD_ENDINGS = (".tfrecords", ".tfrecord")
_PREPARED = re.compile(r"\.[0-9a-f]{16}\.npz$")  # left by a cmda_tf.prepare that was stopped
_FAILURE = "not a readable test volume"
PULMONARY_ARTERY = 5  # labeled in some of the release's files, but no class of the paper


def find_records(folder: str | Path) -> dict[str, dict[str, list[Path]]]:
    """Sorted paths of a folder's record files and test volumes, by modality and split.

    A file's modality, "mr" or "ct", is a word of its name between other signs than letters and
    digits (`ct_train_slice0`, `CT-1003`) or else of its own folder's within `folder`. So is the
    split, "train" or "val", of record files (`.tfrecords`, `.tfrecord`); that of volumes (`.npz`)
    is "test". Other files, prepared subjects of our own and hidden ones play no part.

    DataError if there is no such folder or nothing in it, or a file's modality or split is missing,
    ambiguous or not the one of its folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder of records")
    paths: dict[str, dict[str, list[Path]]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or path.is_dir():
            continue
        parent = path.parent.name if path.parent != folder else ""
        if path.suffix in RECORD_ENDINGS:
            split = _word_of(path, parent, RECORD_SPLITS, "split")
        elif path.suffix == ".npz" and not _PREPARED.search(path.name):
            split = "test"
        else:
            continue
        modality = _word_of(path, parent, MODALITIES, "modality")
        paths.setdefault(modality, {}).setdefault(split, []).append(path)
    if not paths:
        expected = "files such as ct_train_tfs/ct_train_slice0.tfrecords or ct_1003.npz"
        raise DataError(f"{folder}: expected {expected}, found none")
    return paths


def read_test_volume(
    path: str | Path, classes: int = 5, size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Image float32 and label uint8 of a test volume, [size, size, size], the last axis slices'.

    DataError if it is missing, damaged or no such volume, its image holds NaN or its label what is
    no class (`class_indices`). Sizes are checked against the headers before the data are read.
    """
    file_size(path)
    with npz.opened(path, _FAILURE) as archive:
        image = npz.read_array(archive, "arr_0", (size,) * 3)
        label = class_indices(npz.read_array(archive, "arr_1", (size,) * 3), classes)
    with np.errstate(over="ignore"):
        image = image.astype(np.float32)
    if not np.isfinite(image).all():
        raise DataError(f"{path}: the image holds NaN or infinite values")
    return _flipped(image), _flipped(label)


def test_volume_size(path: str | Path) -> int:
    """Voxels per side that a test volume's header claims; DataError if there is none such."""
    file_size(path)
    with npz.opened(path, _FAILURE) as archive:
        size = npz.read_shape(archive, "arr_0")[0]
        if not 0 < size <= MAX_SIZE:
            raise ValueError(f"{size} voxels per side")
    return size


def write_test_volume(path: str | Path, image: np.ndarray, label: np.ndarray) -> None:
    """The inverse of `read_test_volume`; writes float32, as in the release, all or nothing.

    DataError if the arrays are no such volume, or the file cannot be written.
    """
    image, label = np.asarray(image, np.float32), np.asarray(label, np.float32)
    if image.ndim != 3 or len(set(image.shape)) != 1 or label.shape != image.shape:
        raise DataError(f"{path}: image {image.shape} and label {label.shape} are no two cubes")
    if not (np.isfinite(image).all() and np.isfinite(label).all()):
        raise DataError(f"{path}: will not write NaN or infinite values")
    npz.save(path, {"arr_0": _flipped(image), "arr_1": _flipped(label)}, compressed=True)


def class_indices(values: np.ndarray, classes: int) -> np.ndarray:
    """Class indices (uint8) from a label's numbers; ValueError for what is none below `classes`.

    5 (pulmonary artery) becomes 0 where it is no class.
    """
    with np.errstate(invalid="ignore"):  # what does not fit a byte differs from it below
        label = values.astype(np.uint8)
    if classes <= PULMONARY_ARTERY:
        label[values == PULMONARY_ARTERY] = 0
    wrong = (label >= classes) | ((label != values) & (values != PULMONARY_ARTERY))
    if wrong.any():
        raise ValueError(f"label {values[wrong][0]} is no class index below {classes}")
    return label


def file_size(path: str | Path) -> int:
    """Bytes of a regular file, else DataError; a pipe would be waited for without end."""
    with readable(path):
        status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path}: not a file")
    return status.st_size


def _word_of(path: Path, parent: str, words: tuple[str, ...], kind: str) -> str:
    """The one of `words` that tells a file's modality or split; see `find_records`."""
    in_name, in_parent = (
        set(re.split(r"[^a-z0-9]+", text.lower())) & set(words) for text in (path.stem, parent)
    )
    choice = in_name or in_parent
    if len(choice) != 1:
        expected = f"one {kind}, {' or '.join(words)}, in the name of the file or of its folder"
        found = " and ".join(sorted(choice)) or "none"
        raise DataError(f"{path}: expected {expected}, found {found}")
    if in_parent and not in_name <= in_parent:
        raise DataError(f"{path}: its {kind} is not its folder's, {' or '.join(sorted(in_parent))}")
    return choice.pop()


def _flipped(volume: np.ndarray) -> np.ndarray:
    """A copy with axes 0 and 1 reversed, as between test volumes and records."""
    return np.ascontiguousarray(volume[::-1, ::-1])
