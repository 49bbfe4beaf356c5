"""Refuses damaged and unsuitable NIfTI-1 files before ITK reads them.

ITK prints its C library's complaints to stderr, and leaves the missing voxels of a truncated
`.nii.gz` as they come. Streaming it to its end also makes gzip verify its checksum.
"""

from io import BufferedIOBase
from pathlib import Path

import numpy as np

from cmda_tf.errors import DataError
from cmda_tf.volumes.checks import Sound, check_spacing, check_voxels, count_voxels, plain

# NIfTI's scalar data types; RGB, complex and 128-bit types are not listed.
SCALAR_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8"}
SCALAR_TYPES |= {256: "i1", 512: "u2", 768: "u4", 1024: "i8", 1280: "u8"}

# The 348-byte NIfTI-1 header; what does not decide has no name.
_HEADER = np.dtype(
    [
        *(("sizeof_hdr", "i4"), ("", "V36"), ("dim", "8i2"), ("", "V14"), ("datatype", "i2")),
        *(("", "V4"), ("pixdim", "8f4"), ("vox_offset", "f4"), ("", "V140")),
        *(("qform_code", "i2"), ("sform_code", "i2"), ("", "V24"), ("srow", "(3,4)f4")),
        *(("", "V16"), ("magic", "S4")),
    ]
)


def check_stream(stream: BufferedIOBase, path: Path) -> Sound:
    """Refuses with a DataError what is no sound volume, or contradicts itself."""
    header = _read_header(stream, path)
    rank = int(header["dim"][0])
    shape = header["dim"][1 : rank + 1].tolist() if 0 < rank < 8 else []
    voxels = count_voxels(shape, path)
    if (code := int(header["datatype"])) not in SCALAR_TYPES:
        raise DataError(f"{path}: expected scalar voxels, found NIfTI data type {code}")
    dtype = np.dtype(SCALAR_TYPES[code]).newbyteorder(header.dtype["datatype"].byteorder)
    _check_geometry(header, path)
    start = header["vox_offset"]
    stream.read(int(start) - _HEADER.itemsize if 352 < start < 1 << 20 else 4)
    check_voxels(plain(stream), voxels, dtype, path)
    return Sound([path], voxels)


def _read_header(stream: BufferedIOBase, path: Path) -> np.void:
    """The header's fields, in whichever byte order makes it one."""
    data = stream.read(_HEADER.itemsize)
    if len(data) == _HEADER.itemsize:
        for dtype in (_HEADER.newbyteorder("<"), _HEADER.newbyteorder(">")):
            header = np.frombuffer(data, dtype)[0]
            if header["sizeof_hdr"] == _HEADER.itemsize and header["magic"] == b"n+1":
                return header
    raise DataError(f"{path}: expected a NIfTI-1 file (.nii or .nii.gz), found something else")


def _check_geometry(header: np.void, path: Path) -> None:
    """Refuses geometries that ITK would silently replace by a guess."""
    spacing = header["pixdim"][1:4].tolist()
    check_spacing(spacing, path)
    if header["qform_code"] <= 0 and header["sform_code"] <= 0:
        raise DataError(f"{path}: states no orientation (its qform and sform codes are both 0)")
    if header["sform_code"] > 0:
        scales = np.linalg.norm(np.array(header["srow"].tolist())[:, :3], axis=0)
        if not np.allclose(scales, spacing, rtol=0.01):
            pixdim, sform = (np.round(v, 4).tolist() for v in (spacing, scales))
            found = f"voxel spacing {pixdim} in pixdim, {sform} in the sform"
            raise DataError(f"{path}: contradicts itself: {found}")
