"""Refuses damaged and unsuitable MetaImage files before ITK reads them.

A text header of `Key = Value` lines whose last is `ElementDataFile`: LOCAL (the voxels follow,
`.mha`) or the name of a data file (`.mhd`).
"""

import os
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cmda_tf.errors import DataError
from cmda_tf.volumes.voxel_stream import (
    MAX_HEADER_BYTES,
    Sound,
    ZlibStream,
    check_spacing,
    check_voxels,
    count_voxels,
    field,
    local_file,
    numbers,
    readable,
)

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_ORIENTATION = ("TransformMatrix", "Rotation", "Orientation")


def check_file(path: Path) -> Sound:
    """Checks that a file is a complete MetaImage of one 3-D scalar volume.

    Args:
      path: `.mha`, or `.mhd` with its data file in the same folder.

    Returns:
      The files that hold the volume, and its voxels.

    Raises:
      DataError: it is missing, damaged, truncated, no such volume, or states no orientation; its
        voxels are written as text or lie in several files or elsewhere.
    """
    with readable(path), open(path, "rb") as stream:
        fields = _read_header(stream, path)
        sizes = numbers(field(fields, "DimSize", path), int, "DimSize", path)
        voxels = count_voxels(sizes, path)
        if field(fields, "NDims", path) != "3" or len(sizes) != 3:
            raise DataError(f"{path}: expected a 3-D volume, found {fields['NDims'][:8]} axes")
        _check_geometry(fields, path)
        dtype = _voxel_type(fields, path)
        data = fields["ElementDataFile"]
        if _is_local(fields):
            check_voxels(_unpacked(stream, fields, path), voxels, dtype, path)
            return Sound([path], voxels)
    if data.upper() == "LIST":
        raise DataError(f"{path}: expected voxels in one file, found a list of files")
    data_path = local_file(data, path)
    with readable(data_path), open(data_path, "rb") as stream:
        check_voxels(_unpacked(stream, fields, data_path), voxels, dtype, data_path)
    return Sound([path, data_path], voxels)


def _read_header(stream: BinaryIO, path: Path) -> dict[str, str]:
    """The header's fields; the stream is left where the voxels begin, if they follow."""
    fields, left = {}, MAX_HEADER_BYTES
    while "ElementDataFile" not in fields:
        line = stream.readline(left)
        left -= len(line)
        # ITK's reader takes a colon for an equals sign: what it would see must be seen here.
        name, *value = re.split("[=:]", line.decode("utf-8", "replace"), maxsplit=1)
        name = name.strip()  # of what others have noted perhaps "dim[1]" or "Patient's Name"
        if not value or left <= 0 or not name or not (name.isascii() and name.isprintable()):
            raise DataError(f"{path}: expected a MetaImage file, found something else")
        if name in fields:
            raise DataError(f"{path}: its header has two fields {name!r}")
        fields[name] = value[0].strip()
    return fields


def _flag(fields: dict[str, str], name: str, default: bool) -> bool:
    return fields.get(name, str(default))[:1].lower() in ("t", "1")  # as ITK's reader decides


def _is_local(fields: dict[str, str]) -> bool:
    """Whether the voxels follow the header."""
    return fields["ElementDataFile"].upper() == "LOCAL"


def _voxel_type(fields: dict[str, str], path: Path) -> np.dtype:
    name = field(fields, "ElementType", path)
    channels = fields.get("ElementNumberOfChannels", "1")
    if name not in TYPES or channels != "1":
        raise DataError(
            f"{path}: expected scalar voxels, found {channels[:8]} channel(s) of {name[:40]!r}"
        )
    if not _flag(fields, "BinaryData", True):
        raise DataError(f"{path}: expected binary voxels, found them written as text")
    if fields.get("HeaderSize", "0") != "0":
        raise DataError(f"{path}: expected voxels without a header of their own")
    msb = any(_flag(fields, n, False) for n in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"))
    return np.dtype((">" if msb else "<") + TYPES[name])


def _check_geometry(fields: dict[str, str], path: Path) -> None:
    """Refuses geometries that ITK would silently replace by a guess."""
    name = next((name for name in _ORIENTATION if name in fields), None)
    if name is None or not ("ElementSpacing" in fields or "ElementSize" in fields):
        raise DataError(f"{path}: states no orientation or no voxel spacing")
    matrix = numbers(fields[name], float, name, path)
    if len(matrix) != 9 or not np.isfinite(matrix).all():
        raise DataError(
            f"{path}: expected nine finite numbers as {name}, found {fields[name][:80]!r}"
        )
    spacing = fields.get("ElementSpacing", fields.get("ElementSize"))
    check_spacing(numbers(spacing, float, "ElementSpacing", path), path)


def _unpacked(stream: BinaryIO, fields: dict[str, str], path: Path) -> BinaryIO | ZlibStream:
    """The voxels' stream. ITK allocates as many compressed bytes as the header claims, and takes
    voxels as they come where those are too few."""
    if not _flag(fields, "CompressedData", False):
        return stream
    held = os.fstat(stream.fileno()).st_size - stream.tell()
    # Without it ITK takes all of a data file, but nothing behind a header.
    text = fields.get("CompressedDataSize", "0" if _is_local(fields) else str(held))
    claimed = numbers(text, int, "CompressedDataSize", path)
    if len(claimed) != 1 or not 0 < claimed[0] <= held:
        raise DataError(f"{path}: claims {text[:80]} compressed bytes of voxels, holds {held}")
    return ZlibStream(stream, claimed[0])
