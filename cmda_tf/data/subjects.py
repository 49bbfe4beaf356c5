"""One prepared subject in one compressed `.npz` file: voxels, labels and the way back.

Members: `about` (JSON as bytes: id, modality, both geometries), `image` (float16 [K, J, I]) and,
for labeled subjects, `label` (uint8 class indices). What is not asked for is not read.
Arrays are [k, j, i] on the LIP grid (`cmda_tf.volumes.geometry`).
"""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmda_tf import npz
from cmda_tf.data.structures import MAX_CLASSES
from cmda_tf.errors import DataError
from cmda_tf.volumes.geometry import Geometry

STORE_FORMAT = 1
MAX_SIZE = 512  # voxels per side of the prepared grid
_MAX_ABOUT_BYTES = 1 << 16


@dataclass(frozen=True, eq=False)
class Subject:
    """A volume on the prepared grid."""

    id: str
    modality: str
    image: np.ndarray  # float32 [K, J, I], zero mean and unit deviation in the field of view
    label: np.ndarray | None  # uint8 class indices [K, J, I]; None: not there, or not asked for
    grid: Geometry  # the prepared one
    raw: Geometry  # of the file it came from
    intensity_cut: float | None = None  # as in `cmda_tf.data.dataset.Entry`
    label_inside: float | None = None

    @property
    def truth(self) -> np.ndarray:
        """The label; ValueError where there is none or it was not asked for."""
        if self.label is None:
            raise ValueError(f"{self.id}: has no label, or it was not read")
        return self.label


def save_subject(path: str | Path, subject: Subject) -> None:
    """Writes a subject's store (`.npz`), all or nothing; DataError if it cannot be written."""
    about = {
        "format": STORE_FORMAT,
        "id": subject.id,
        "domain": subject.modality,  # as it was called when the format was made
        "grid": subject.grid.to_dict(),
        "raw": subject.raw.to_dict(),
        "intensity_cut": subject.intensity_cut,
        "label_inside": subject.label_inside,
    }
    text = json.dumps(about, allow_nan=False).encode()
    arrays = {"about": np.frombuffer(text, np.uint8), "image": subject.image.astype(np.float16)}
    if subject.label is not None:
        arrays["label"] = subject.label.astype(np.uint8)
    npz.save(path, arrays, compressed=True)


def load_subject(path: str | Path, with_label: bool = True, classes: int = MAX_CLASSES) -> Subject:
    """Reads a store of `save_subject`, with its label or without.

    DataError if it is missing, damaged or no such store, or its label holds a class above
    `classes`. Sizes are checked against the header before anything is allocated.
    """
    try:
        with npz.opened(path, "not a readable prepared subject") as archive:
            return _read(archive, with_label, classes)
    except DataError as error:
        error.made_by = "prepare"
        raise


def _read(archive: zipfile.ZipFile, with_label: bool, classes: int) -> Subject:
    """The subject of a store; what damage raises is `npz.opened`'s business."""
    text = npz.read_array(archive, "about", None, np.uint8, _MAX_ABOUT_BYTES)
    about = json.loads(text.tobytes())
    if about["format"] != STORE_FORMAT:
        raise ValueError(f"its format is {about['format']}, this version reads {STORE_FORMAT}")
    grid = Geometry.from_dict(about["grid"])
    if max(grid.size_ijk) > MAX_SIZE:
        raise ValueError(f"its grid {grid.size_ijk} exceeds {MAX_SIZE} voxels per side")
    image = npz.read_array(archive, "image", grid.shape_kji, np.float16).astype(np.float32)
    if not np.isfinite(image).all():
        raise ValueError("its image holds NaN or infinite values")
    label = None
    if with_label and "label" in npz.names(archive):
        label = npz.read_array(archive, "label", grid.shape_kji, np.uint8).copy()
        if label.max() >= classes:
            raise ValueError(f"label {label.max()} is no class index below {classes}")
    id, modality, raw = str(about["id"]), str(about["domain"]), Geometry.from_dict(about["raw"])
    cut, inside = about["intensity_cut"], about["label_inside"]
    return Subject(id, modality, image, label, grid, raw, cut, inside)
