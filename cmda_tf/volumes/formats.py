"""The image formats that are read: how a path tells them apart, and what checks each first."""

import gzip
import math
import os
from collections.abc import Callable
from io import BufferedIOBase
from pathlib import Path

import SimpleITK as sitk

from cmda_tf.errors import DataError
from cmda_tf.files import readable
from cmda_tf.volumes import dicom, metaimage, nifti, nrrd
from cmda_tf.volumes.checks import Sound

# By a file's ending: ITK's name for what reads it, and what refuses all but sound volumes.
_FORMATS: dict[str, tuple[str, Callable[[BufferedIOBase, Path], Sound]]] = {
    **dict.fromkeys((".nii.gz", ".nii"), ("NiftiImageIO", nifti.check_stream)),
    **dict.fromkeys((".nrrd", ".nhdr"), ("NrrdImageIO", nrrd.check_stream)),
    **dict.fromkeys((".mha", ".mhd"), ("MetaImageIO", metaimage.check_stream)),
}
ENDINGS = tuple(_FORMATS)
_HEADERS = (".nhdr", ".mhd")  # whose voxels lie in another file


def stem(path: str | Path) -> str:
    """The name of an image without its ending; a DICOM folder's own name, also of `.`."""
    name = Path(os.path.abspath(path)).name
    return next((name[: -len(e)] for e in ENDINGS if name.lower().endswith(e)), name)


def exact_ending(path: str | Path) -> str:
    """The ending of a file that can keep the grid of the image at `path` to the last digit."""
    # NIfTI rounds to single precision, which ITK takes for another grid than the other format's.
    return ".nii.gz" if Path(path).name.lower().endswith((".nii.gz", ".nii")) else ".nrrd"


def check_files(path: str | Path) -> Sound:
    """Checks a file with one of `ENDINGS` or a folder of DICOM slices; DataError if not sound."""
    path = Path(path)
    if path.is_dir():
        return dicom.check_folder(path)
    _, check = _format(path)
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with readable(path), opener(path, "rb") as stream:
        return check(stream, path)


def volume_files(path: str | Path) -> list[Path]:
    """All files of a volume. Only where a header has to say which they are, they are checked."""
    path = Path(path)
    several = path.is_dir() or path.suffix.lower() in _HEADERS
    return check_files(path).files if several else [path]


def load(path: str | Path) -> sitk.Image:
    """A volume as float32, once its files are known to be sound.

    DataError if they are not, or ITK finds another volume in them; RuntimeError if it finds none.
    """
    path, (files, voxels) = Path(path), check_files(path)
    if not path.is_dir():
        io, _ = _format(path)
        _check_header(path, io, voxels)
        return sitk.ReadImage(str(path), sitk.sitkFloat32, io)
    # The first slice decides what is allocated; ITK refuses others of another size.
    _check_header(files[0], "GDCMImageIO", voxels // len(files))
    return sitk.ReadImage(list(map(str, files)), sitk.sitkFloat32, "GDCMImageIO")


def _check_header(path: Path, io: str, voxels: int) -> None:
    """Refuses a header in which ITK sees another volume than was found sound, and would allocate.

    A tag that is there twice, for instance, is read by one program and passed over by another.
    """
    header = sitk.ImageFileReader()
    header.SetImageIO(io)
    header.SetFileName(str(path))
    header.ReadImageInformation()
    size, components = header.GetSize(), header.GetNumberOfComponents()
    if math.prod(size) * components != voxels:
        found = f"{'x'.join(map(str, size))} with {components} component(s)"
        raise DataError(f"{path}: its header is ambiguous: expected {voxels} voxels, found {found}")


def _format(path: Path) -> tuple[str, Callable[[BufferedIOBase, Path], Sound]]:
    """The row of `_FORMATS` for a file."""
    ending = next((e for e in ENDINGS if path.name.lower().endswith(e)), None)
    if ending is None:
        found = "another ending" if path.exists() else "no such file"
        expected = f"{', '.join(ENDINGS)} or a folder of DICOM slices"
        raise DataError(f"{path}: expected {expected}, found {found}")
    return _FORMATS[ending]
