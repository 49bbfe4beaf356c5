"""One prepared subject in one compressed `.npz` file: voxels, labels and the way back.

Members: `about` (JSON as bytes: id, domain, both geometries), `image` (float16 [K, J, I]) and,
for labelled subjects, `label` (uint8 class indices). What is not asked for is not read.
Arrays are [k, j, i] on the LIP grid (`cmda_tf.data.geometry`).
"""

import json
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.lib import format as npy_format

from cmda_tf.data.geometry import Geometry
from cmda_tf.data.structures import MAX_CLASSES, Structures
from cmda_tf.errors import DataError
from cmda_tf.files import replacing

__all__ = ["Geometry", "Subject", "labels_to_raw", "load_subject", "save_subject"]

STORE_FORMAT = 1
MAX_SIZE = 512  # voxels a side of the prepared grid
_MAX_ABOUT_BYTES = 1 << 16

# What zipfile, zlib, NumPy and JSON raise for a missing, damaged or foreign file.
_DAMAGE = (
    OSError,
    EOFError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class Subject:
    """A volume on the prepared grid.

    Attributes:
      id: such as "mr_train_1001".
      domain: such as "mr".
      image: float32 [K, J, I], zero mean and unit standard deviation within the field of view.
      label: uint8 class indices [K, J, I]; None if there are none or they were not asked for.
      grid: geometry of the prepared grid.
      raw: geometry of the file it came from.
      intensity_cut: raw intensity at which the histogram was cut.
      label_inside: share of the structures' volume that lies inside the grid, 0 to 1; None
        for a subject without labels.
    """

    id: str
    domain: str
    image: np.ndarray
    label: np.ndarray | None
    grid: Geometry
    raw: Geometry
    intensity_cut: float | None = None
    label_inside: float | None = None


def save_subject(path: str | Path, subject: Subject) -> None:
    """Writes a subject's store (`.npz`); the file appears only when it is complete.

    Raises:
      DataError: it cannot be written.
    """
    about = {
        "format": STORE_FORMAT,
        "id": subject.id,
        "domain": subject.domain,
        "grid": subject.grid.to_dict(),
        "raw": subject.raw.to_dict(),
        "intensity_cut": subject.intensity_cut,
        "label_inside": subject.label_inside,
    }
    text = json.dumps(about, allow_nan=False).encode()
    members = {"about": np.frombuffer(text, np.uint8), "image": subject.image.astype(np.float16)}
    if subject.label is not None:
        members["label"] = subject.label.astype(np.uint8)
    try:
        with replacing(path) as temporary:
            np.savez_compressed(temporary, **members)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error


def load_subject(path: str | Path, with_label: bool = True, classes: int = MAX_CLASSES) -> Subject:
    """Reads a subject's store.

    Args:
      path: file written by `save_subject`.
      with_label: False leaves the label unread and `Subject.label` None.
      classes: number of classes; a label that holds others is damaged.

    Raises:
      DataError: the file is missing, damaged or no such store. Sizes are checked against the
        header before anything is allocated.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            about = json.loads(_read_member(archive, "about", None, np.uint8).tobytes())
            grid = _checked_grid(about)
            image = _read_member(archive, "image", grid.shape_kji, np.float16)
            label = None
            if with_label and "label.npy" in archive.namelist():
                label = _read_member(archive, "label", grid.shape_kji, np.uint8)
                if label.max() >= classes:
                    raise ValueError(f"label {label.max()} is no class index below {classes}")
            return Subject(
                id=str(about["id"]),
                domain=str(about["domain"]),
                image=image.astype(np.float32),
                label=label,
                grid=grid,
                raw=Geometry.from_dict(about["raw"]),
                intensity_cut=about["intensity_cut"],
                label_inside=about["label_inside"],
            )
    except _DAMAGE as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(
            f"{path}: not a readable prepared subject ({reason}); "
            "python -m cmda_tf.prepare makes it again"
        ) from error


def labels_to_raw(
    label_kji: np.ndarray, subject: Subject, structures: Structures | None = None
) -> sitk.Image:
    """Takes class indices from the prepared grid back to the grid of the subject's file.

    Args:
      label_kji: class indices [K, J, I] on `subject.grid`.
      subject: whose geometries to use.
      structures: return their label codes (uint16) instead of class indices (uint8).

    Returns:
      A label image with exactly the geometry of the subject's file (nearest neighbour);
      background wherever the prepared grid does not reach.
    """
    values, background = np.asarray(label_kji, np.uint8), 0
    if structures is not None:
        background = structures.written_codes[0]
        values = np.array(structures.written_codes, np.uint16)[values]
    return subject.raw.resample(subject.grid.apply(values), sitk.sitkNearestNeighbor, background)


def _read_member(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...] | None, dtype: Any
) -> np.ndarray:
    """One array of the archive, if it is what it should be; `shape` None: any short vector."""
    with archive.open(f"{name}.npy") as stream:
        if npy_format.read_magic(stream) != (1, 0):
            raise ValueError(f"member {name!r} is in an unknown format")
        found_shape, fortran_order, found_dtype = npy_format.read_array_header_1_0(stream)
        if shape is None and len(found_shape) == 1 and found_shape[0] <= _MAX_ABOUT_BYTES:
            shape = found_shape
        if fortran_order or found_shape != shape or found_dtype != dtype:
            raise ValueError(f"member {name!r} is {found_dtype} {found_shape}, not {shape}")
        data = stream.read(int(np.prod(shape)) * found_dtype.itemsize)
    return np.frombuffer(data, dtype).reshape(shape).copy()


def _checked_grid(about: dict[str, Any]) -> Geometry:
    """The prepared grid, if this program's version wrote it and it is not too large."""
    if about["format"] != STORE_FORMAT:
        raise ValueError(f"its format is {about['format']}, this version reads {STORE_FORMAT}")
    grid = Geometry.from_dict(about["grid"])
    if max(grid.size_ijk) > MAX_SIZE:
        raise ValueError(f"its grid {grid.size_ijk} exceeds {MAX_SIZE} voxels a side")
    return grid
