"""Reads images and label maps in any of `cmda_tf.volumes.formats`; refuses what cannot be right.

Images are SimpleITK images: index order (i, j, k), physical space LPS in millimeters.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cmda_tf.errors import DataError
from cmda_tf.volumes.formats import make_reader
from cmda_tf.volumes.geometry import Geometry

# Legal voxel spacings; a header in meters or micrometers without its unit falls outside.
MIN_SPACING_MM, MAX_SPACING_MM = 0.01, 100.0

# How far a label's corners may lie from its image's, as a share of the smallest spacing.
# Rounding in a NIfTI header moves them by about 1e-4 voxel; a wrong file by whole voxels.
CORNER_TOLERANCE_VOXEL = 0.1


def read_volume(path: str | Path) -> sitk.Image:
    """Reads a 3-D scalar image.

    Args:
      path: NIfTI, NRRD or MetaImage file, or a folder with the slices of a DICOM series.

    Returns:
      The image as float32, every voxel finite, not constant.

    Raises:
      DataError: the file is missing, damaged or not such an image.
    """
    return _varying(_read(path), path)


def check_image(image: sitk.Image, name: str) -> sitk.Image:
    """An image that was not read here, as `read_volume` would return it.

    Args:
      image: of any pixel type.
      name: what to call it in messages.

    Raises:
      DataError: it is no 3-D scalar image with sane spacing and finite voxels, or it is constant.
    """
    if image.GetDimension() != 3:
        raise DataError(f"{name}: expected a 3-D image, found {image.GetDimension()}-D data")
    try:
        image = sitk.Cast(image, sitk.sitkFloat32)
    except RuntimeError as error:
        kind = image.GetPixelIDTypeAsString()
        raise DataError(f"{name}: expected scalar voxels, found {kind}") from error
    return _varying(_checked(image, name), name)


def read_label(path: str | Path) -> sitk.Image:
    """Reads a 3-D label map.

    Args:
      path: as in `read_volume`, of any scalar type whose values are whole numbers.

    Returns:
      The label codes as int32, as they are in the file.

    Raises:
      DataError: the file is missing or damaged, or holds a value that is no whole number.
    """
    label = _read(path)
    for plane in sitk.GetArrayViewFromImage(label):
        if (broken := plane != np.rint(plane)).any():
            value = plane[broken][0]
            raise DataError(f"{path}: expected whole-number label codes, found {value:g}")
    return sitk.Cast(label, sitk.sitkInt32)


def check_same_geometry(
    image: sitk.Image, label: sitk.Image, image_path: str | Path, label_path: str | Path
) -> None:
    """Checks that an image and its label map lie on the same grid.

    Sizes must be equal and no corner may be farther than `CORNER_TOLERANCE_VOXEL` of the
    smallest spacing from its counterpart.

    Raises:
      DataError: they do not; the message names both files and the difference.
    """
    if image.GetSize() != label.GetSize():
        found = f"size {label.GetSize()} against {image.GetSize()}"
    else:
        apart_mm = Geometry.of(image).corners_mm - Geometry.of(label).corners_mm
        difference_mm = np.linalg.norm(apart_mm, axis=1).max()
        if difference_mm <= CORNER_TOLERANCE_VOXEL * min(image.GetSpacing()):
            return
        found = f"corners up to {difference_mm:.3g} mm apart"
    raise DataError(f"{label_path}: not on the grid of {image_path}: {found}")


def _read(path: str | Path) -> sitk.Image:
    """The file as a finite float32 image with a sane geometry."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters is raised, in one line
    try:
        return _checked(make_reader(path).Execute(), path)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].removeprefix("ITK ERROR: ")
        raise DataError(f"{path}: cannot be read as a 3-D image: {reason}") from error


def _checked(image: sitk.Image, path: str | Path) -> sitk.Image:
    """The image, once its geometry and its voxels are known to be sane."""
    try:
        Geometry.of(image)
    except (RuntimeError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a 3-D image: {error}") from error
    if not all(MIN_SPACING_MM <= s <= MAX_SPACING_MM for s in image.GetSpacing()):
        raise DataError(
            f"{path}: expected voxel spacings of {MIN_SPACING_MM:g} to {MAX_SPACING_MM:g} mm, "
            f"found {image.GetSpacing()}"
        )
    voxels = sitk.GetArrayViewFromImage(image)
    if not np.isfinite([voxels.min(), voxels.max()]).all():  # beyond float32, or scaled there
        raise DataError(f"{path}: expected finite voxels, found some beyond float32")
    return image


def _varying(image: sitk.Image, path: str | Path) -> sitk.Image:
    """The image, unless all its voxels are the same."""
    voxels = sitk.GetArrayViewFromImage(image)
    if voxels.min() == voxels.max():
        raise DataError(f"{path}: expected an image, found the constant {voxels.min():g}")
    return image
