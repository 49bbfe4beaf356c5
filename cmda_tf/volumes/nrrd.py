"""Refuses damaged and unsuitable NRRD files before ITK reads them.

A text header of `key: value` lines up to an empty one, then the voxels; or the header alone
(`.nhdr`) with the name of a data file.
"""

import gzip
import re
from collections.abc import Iterator
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from cmda_tf.errors import DataError
from cmda_tf.volumes.checks import Fields, Sound, check_spacing, count_voxels, plain

_NAMES = {
    "i1": "signed char|int8|int8_t",
    "u1": "uchar|unsigned char|uint8|uint8_t",
    "i2": "short|short int|signed short|signed short int|int16|int16_t",
    "u2": "ushort|unsigned short|unsigned short int|uint16|uint16_t",
    "i4": "int|signed int|int32|int32_t",
    "u4": "uint|unsigned int|uint32|uint32_t",
    "i8": "longlong|long long|long long int|signed long long|signed long long int|int64|int64_t",
    "u8": "ulonglong|unsigned long long|unsigned long long int|uint64|uint64_t",
    "f4": "float",
    "f8": "double",
}
TYPES = {name: code for code, names in _NAMES.items() for name in names.split("|")}


def check_stream(stream: BufferedIOBase, path: Path) -> Sound:
    """Refuses with a DataError what is no sound volume, raw or packed with gzip."""
    fields = _read_header(stream, path)
    rank, sizes = fields.numbers("dimension", int), fields.numbers("sizes", int)
    voxels = count_voxels(sizes, path)
    if rank != [3] or len(sizes) != 3:
        raise DataError(f"{path}: expected a 3-D volume, found dimension {rank}, sizes {sizes}")
    _check_geometry(fields)
    data = fields.get("data file", fields.get("datafile"))
    unpack = _unzipped if _is_packed(fields) else plain
    return fields.check_data(stream, data, unpack, voxels, _voxel_type(fields))


def _read_header(stream: BufferedIOBase, path: Path) -> Fields:
    """The header's fields; the stream is left where the voxels begin."""
    if not re.fullmatch(rb"NRRD000\d\r?\n", stream.readline(16)):
        raise DataError(f"{path}: expected an NRRD file, found something else")
    fields = Fields(path)
    for line in fields.lines(stream):
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and not line.startswith("#") and not value.startswith("="):
            fields[name.strip().lower()] = value
    return fields


def _voxel_type(fields: Fields) -> np.dtype:
    if (name := fields["type"]) not in TYPES:
        raise fields.error(f"expected scalar voxels, found NRRD type {name[:40]!r}")
    endian = fields.get("endian", "little")
    if endian not in ("little", "big"):
        raise fields.error(f"expected little or big as endian, found {endian[:40]!r}")
    return np.dtype((">" if endian == "big" else "<") + TYPES[name])


def _is_packed(fields: Fields) -> bool:
    """Whether the encoding is gzip, not raw; refuses others, and voxels that start elsewhere."""
    for name in ("line skip", "lineskip", "byte skip", "byteskip"):
        if fields.get(name, "0") != "0":
            raise fields.error(f"expected voxels right behind the header, found a {name}")
    if (encoding := fields["encoding"]) not in ("raw", "gzip", "gz"):
        raise fields.error(f"expected raw or gzip encoding, found {encoding[:40]!r}")
    return encoding != "raw"


def _check_geometry(fields: Fields) -> None:
    """Refuses geometries that ITK would silently replace by a guess."""
    if "space" not in fields or "space directions" not in fields:
        raise fields.error("states no orientation (no field space or space directions)")
    axes = fields.numbers("space directions", float, "(,)")
    if len(axes) != 9 or re.sub(r"[^(,)]", "", fields["space directions"]) != "(,,)" * 3:
        raise fields.error("expected three 3-D vectors as space directions")
    check_spacing(np.linalg.norm(np.reshape(axes, (3, 3)), axis=1).tolist(), fields.path)


def _unzipped(stream: BufferedIOBase) -> Iterator[bytes]:
    return plain(gzip.GzipFile(fileobj=stream))
