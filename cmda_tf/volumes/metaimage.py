"""Refuses damaged and unsuitable MetaImage files before ITK reads them.

A text header of `Key = Value` lines whose last is `ElementDataFile`: LOCAL (the voxels follow,
`.mha`) or the name of a data file (`.mhd`).
"""

import os
import re
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from cmda_tf.errors import DataError
from cmda_tf.volumes.checks import Fields, Sound, check_spacing, count_voxels, plain, unzip

TYPES = {"MET_CHAR": "i1", "MET_SHORT": "i2", "MET_INT": "i4", "MET_LONG_LONG": "i8"}
TYPES |= {"MET_UCHAR": "u1", "MET_USHORT": "u2", "MET_UINT": "u4", "MET_ULONG_LONG": "u8"}
TYPES |= {"MET_FLOAT": "f4", "MET_DOUBLE": "f8"}
# What a header may call its direction cosines, spacings and origin.
_GEOMETRY = (
    *(("TransformMatrix", "Rotation", "Orientation"), ("ElementSpacing", "ElementSize")),
    ("Offset", "Position", "Origin"),
)


def check_stream(stream: BufferedIOBase, path: Path) -> Sound:
    """Refuses with a DataError what is no sound volume of binary voxels in one file."""
    fields = _read_header(stream, path)
    sizes = fields.numbers("DimSize", int)
    voxels = count_voxels(sizes, path)
    if fields["NDims"] != "3" or len(sizes) != 3:
        raise DataError(f"{path}: expected a 3-D volume, found {fields['NDims'][:8]} axes")
    _check_geometry(fields)
    dtype, data = _voxel_type(fields), fields["ElementDataFile"]
    if data.upper() == "LIST":
        raise DataError(f"{path}: expected voxels in one file, found a list of files")

    def unzipped(stored: BufferedIOBase) -> Iterator[bytes]:
        return unzip(stored, _packed_bytes(fields, stored))

    unpack = unzipped if _flag(fields, "CompressedData", False) else plain
    local = data.upper() == "LOCAL"
    return fields.check_data(stream, None if local else data, unpack, voxels, dtype)


def _read_header(stream: BufferedIOBase, path: Path) -> Fields:
    """The header's fields; the stream is left where the voxels begin, if they follow."""
    fields = Fields(path)
    for line in fields.lines(stream):
        # ITK's reader takes a colon for an equals sign: what it would see must be seen here.
        name, *value = re.split("[=:]", line, maxsplit=1)
        name = name.strip()  # of what others have noted perhaps "dim[1]" or "Patient's Name"
        if not value or not name or not (name.isascii() and name.isprintable()):
            break
        fields[name] = value[0]
        if name == "ElementDataFile":
            return fields
    raise DataError(f"{path}: expected a MetaImage file, found something else")


def _flag(fields: Fields, name: str, default: bool) -> bool:
    return fields.get(name, str(default))[:1].lower() in ("t", "1")  # as ITK's reader decides


def _voxel_type(fields: Fields) -> np.dtype:
    name, channels = fields["ElementType"], fields.get("ElementNumberOfChannels", "1")
    if name not in TYPES or channels != "1":
        found = f"{channels[:8]} channel(s) of {name[:40]!r}"
        raise fields.error(f"expected scalar voxels, found {found}")
    if not _flag(fields, "BinaryData", True):
        raise fields.error("expected binary voxels, found them written as text")
    if fields.get("HeaderSize", "0") != "0":
        raise fields.error("expected voxels without a header of their own")
    msb = any(_flag(fields, n, False) for n in ("BinaryDataByteOrderMSB", "ElementByteOrderMSB"))
    return np.dtype((">" if msb else "<") + TYPES[name])


def _check_geometry(fields: Fields) -> None:
    """Refuses geometries that ITK would silently replace by a guess."""
    axes, spacing, origin = (next((n for n in names if n in fields), None) for names in _GEOMETRY)
    if axes is None or spacing is None:
        raise fields.error("states no orientation or no voxel spacing")
    check_spacing(fields.numbers(spacing, float), fields.path)
    for name, count in ((axes, 9), (origin, 3)):
        values = fields.numbers(name, float) if name else [0.0] * count
        if len(values) != count or not np.isfinite(values).all():
            raise fields.error(f"expected {count} finite numbers as {name}, found {values[:9]}")


def _packed_bytes(fields: Fields, stored: BufferedIOBase) -> int:
    """Length of compressed voxels. ITK allocates as much as the header claims, and takes voxels
    as they come where that is too little."""
    held = os.fstat(stored.fileno()).st_size - stored.tell()
    # Without it ITK takes all of a data file, but nothing behind a header.
    behind = fields["ElementDataFile"].upper() == "LOCAL"
    text = fields.get("CompressedDataSize", "0" if behind else str(held))
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= held:
        raise fields.error(f"claims {text[:80]} compressed bytes of voxels, holds {held}")
    return int(text)
