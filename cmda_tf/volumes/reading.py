"""Reads images and label maps in any of `cmda_tf.volumes.formats`; refuses what cannot be right.

Images are SimpleITK images: index order (i, j, k), physical space LPS in millimeters.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cmda_tf.errors import DataError
from cmda_tf.volumes.formats import load
from cmda_tf.volumes.geometry import Geometry

# Legal voxel spacings; a header in meters or micrometers without its unit falls outside.
MIN_SPACING_MM, MAX_SPACING_MM = 0.01, 100.0


def read_volume(path: str | Path) -> sitk.Image:
    """Reads a 3-D scalar image as float32, every voxel finite, not constant.

    `path` is a NIfTI, NRRD or MetaImage file, or a folder with the slices of a DICOM series;
    DataError if it is missing, damaged or not such an image.
    """
    return _varying(_read(path), path)


def check_image(image: sitk.Image, name: str) -> sitk.Image:
    """An image of any pixel type that was not read here, as `read_volume` would return it.

    DataError, with its `name`, if it is not 3-D, scalar, finite and of sane spacing, or constant.
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
    """Reads the codes of a 3-D label map as int32, from a `path` as in `read_volume`.

    DataError if it is missing or damaged, or holds a value that is no whole number.
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
    """Raises DataError, with both files, unless `Geometry.mismatch` finds none."""
    if mismatch := Geometry.of(image).mismatch(Geometry.of(label)):
        raise DataError(f"{label_path}: not on the grid of {image_path}: {mismatch}")


def _read(path: str | Path) -> sitk.Image:
    """The file as a finite float32 image with a sane geometry."""
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # what matters is raised, in one line
    try:
        return _checked(load(path), path)
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
        expected = f"voxel spacings of {MIN_SPACING_MM:g} to {MAX_SPACING_MM:g} mm"
        raise DataError(f"{path}: expected {expected}, found {image.GetSpacing()}")
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
