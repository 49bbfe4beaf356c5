"""Which files of a folder are the slices of one DICOM series, in order, once they can be right.

What the headers claim is checked against the files before anything is decoded, and what a volume
on a regular grid needs is checked before GDCM makes one of it: one series, one orientation, equal
slices without gaps.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmda_tf.errors import DataError
from cmda_tf.volumes.dicom_tags import read_tags
from cmda_tf.volumes.voxel_stream import Sound, check_spacing, count_voxels, numbers

MAX_FILES = 10000
GAP_TOLERANCE = 0.01  # share of the slice spacing
_MAX_COMPRESSION = 200  # a plane's bytes over its file's; lossless coding of noise reaches about 4


@dataclass(frozen=True, eq=False)
class _Slice:
    path: Path
    series: str
    shape: tuple[int, int]
    spacing: tuple[float, ...]
    position_mm: np.ndarray
    orientation: np.ndarray  # [2, 3]: directions of columns' and of rows' index


def check_folder(folder: Path) -> Sound:
    """The slices of a folder's series, in the order of their positions.

    Args:
      folder: holds the files of one series; files that are no DICOM images are ignored.

    Returns:
      The files, at least two, and the voxels of the whole series.

    Raises:
      DataError: there is no series or more than one; a file is damaged, multi-frame, colored or
        claims more pixels than it holds; slices differ in size, spacing or orientation, lie twice
        at one place, are missing, or are tilted against their stack.
    """
    try:
        files = sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from error
    if len(files) > MAX_FILES:
        raise DataError(f"{folder}: holds {len(files)} files; the limit is {MAX_FILES}")
    slices = [s for path in files if (s := _read_slice(path)) is not None]
    if not slices:
        raise DataError(f"{folder}: expected a folder of DICOM slices, found none in it")
    counts = Counter(s.series for s in slices)
    if len(counts) > 1:
        found = ", ".join(f"{uid} ({n} slices)" for uid, n in sorted(counts.items()))
        raise DataError(f"{folder}: expected one series, found {found}; give each a folder")
    return _in_order(folder, slices)


def _read_slice(path: Path) -> _Slice | None:
    """A file's slice; None if it is no DICOM image."""
    tags = None if path.name == "DICOMDIR" else read_tags(path)
    if tags is None:
        return None
    _check_pixels(path, tags)

    def vector(keyword: str, length: int) -> np.ndarray:
        text = str(tags.get(keyword, "")).replace("\\", " ")
        values = np.array(numbers(text, float, keyword, path))
        if len(values) != length or not np.isfinite(values).all():
            raise DataError(f"{path}: expected {length} numbers as {keyword}, found {text[:80]!r}")
        return values

    return _Slice(
        path,
        str(tags.get("SeriesInstanceUID", "")),
        (int(tags["Rows"]), int(tags["Columns"])),
        tuple(vector("PixelSpacing", 2)),
        vector("ImagePositionPatient", 3),
        vector("ImageOrientationPatient", 6).reshape(2, 3),
    )


def _check_pixels(path: Path, tags: Mapping[str, str | int]) -> None:
    """Refuses what is no plane of gray values, and sizes that the file cannot hold."""
    frames = str(tags.get("NumberOfFrames", "1"))
    if frames != "1" or tags.get("SamplesPerPixel", 1) != 1:
        raise DataError(
            f"{path}: expected one gray plane, found {frames[:16]} frame(s) of "
            f"{tags.get('SamplesPerPixel', 1)} sample(s)"
        )
    if missing := [k for k in ("Rows", "Columns", "BitsAllocated") if not tags.get(k)]:
        raise DataError(f"{path}: has no {missing[0]}")
    if tags["BitsAllocated"] not in (8, 16, 32):
        raise DataError(
            f"{path}: expected 8, 16 or 32 bits per pixel, found {tags['BitsAllocated']}"
        )
    claimed = tags["Rows"] * tags["Columns"] * tags["BitsAllocated"] // 8
    held = tags["PixelBytes"] or _MAX_COMPRESSION * path.stat().st_size
    if claimed > held:
        raise DataError(
            f"{path}: claims {tags['Rows']}x{tags['Columns']} pixels, {claimed} bytes; holds {held}"
        )


def _in_order(folder: Path, slices: Sequence[_Slice]) -> Sound:
    """The slices' files along their normal, and their voxels."""
    first = slices[0]
    normal = np.cross(*first.orientation)
    if not np.allclose(first.orientation @ first.orientation.T, np.eye(2), atol=1e-3):
        raise DataError(f"{first.path}: its orientation is not orthonormal")
    for other in slices:
        alike = other.shape == first.shape and np.allclose(other.spacing, first.spacing, rtol=1e-3)
        if not (alike and np.allclose(other.orientation, first.orientation, atol=1e-3)):
            raise DataError(
                f"{other.path}: differs from {first.path.name} in size, spacing or orientation"
            )
    ordered = sorted(slices, key=lambda s: float(s.position_mm @ normal))
    voxels = count_voxels([first.shape[1], first.shape[0], len(ordered)], folder)
    steps_mm = np.diff([s.position_mm for s in ordered], axis=0)
    gaps_mm = steps_mm @ normal
    spacing_mm = float(np.median(gaps_mm))
    if gaps_mm.min() <= GAP_TOLERANCE * abs(spacing_mm):
        twice = int(gaps_mm.argmin())
        names = f"{ordered[twice].path.name} and {ordered[twice + 1].path.name}"
        raise DataError(f"{folder}: {names} lie at the same place")
    check_spacing([*first.spacing, spacing_mm], folder)
    apart_mm = np.abs(steps_mm - spacing_mm * normal).max(axis=1)
    if apart_mm.max() > GAP_TOLERANCE * spacing_mm:
        wrong = int(apart_mm.argmax())
        raise DataError(
            f"{folder}: expected slices every {spacing_mm:.4g} mm along their normal; from "
            f"{ordered[wrong].path.name} to {ordered[wrong + 1].path.name} it is "
            f"{np.round(steps_mm[wrong], 3).tolist()} mm (missing slices, or a tilted gantry)"
        )
    return Sound([s.path for s in ordered], voxels)
