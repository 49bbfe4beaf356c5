"""Refuses damaged and unsuitable NRRD files before ITK reads them.

A text header of `key: value` lines up to an empty one, then the voxels; or the header alone
(`.nhdr`) with the name of a data file.
"""

import gzip
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cmda_tf.errors import DataError
from cmda_tf.volumes.voxel_stream import (
    MAX_HEADER_BYTES,
    Sound,
    check_spacing,
    check_voxels,
    count_voxels,
    field,
    local_file,
    numbers,
    readable,
)

_NAMES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("uchar", "unsigned char", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("uint", "unsigned int", "uint32", "uint32_t"),
    "i8": (
        *("longlong", "long long", "long long int", "signed long long", "signed long long int"),
        *("int64", "int64_t"),
    ),
    "u8": (*("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"),),
    "f4": ("float",),
    "f8": ("double",),
}
TYPES = {name: code for code, names in _NAMES.items() for name in names}
_VECTOR = re.compile(r"\(([^()]*)\)")


def check_file(path: Path) -> Sound:
    """Checks that a file is a complete NRRD file of one 3-D scalar volume.

    Args:
      path: `.nrrd`, or `.nhdr` with its data file in the same folder.

    Returns:
      The files that hold the volume, and its voxels.

    Raises:
      DataError: it is missing, damaged, truncated, no such volume, or states no orientation; its
        encoding is neither raw nor gzip; its data file lies elsewhere.
    """
    with readable(path), open(path, "rb") as stream:
        fields = _read_header(stream, path)
        rank = numbers(field(fields, "dimension", path), int, "dimension", path)
        sizes = numbers(field(fields, "sizes", path), int, "sizes", path)
        voxels = count_voxels(sizes, path)
        if rank != [3] or len(sizes) != 3:
            raise DataError(f"{path}: expected a 3-D volume, found dimension {rank}, sizes {sizes}")
        _check_geometry(fields, path)
        dtype, encoding = _voxel_type(fields, path), _encoding(fields, path)
        data = fields.get("data file", fields.get("datafile"))
        if data is None:
            _check_data(stream, encoding, voxels, dtype, path)
            return Sound([path], voxels)
    data_path = local_file(data, path)
    with readable(data_path), open(data_path, "rb") as stream:
        _check_data(stream, encoding, voxels, dtype, data_path)
    return Sound([path, data_path], voxels)


def _read_header(stream: BinaryIO, path: Path) -> dict[str, str]:
    """The header's fields by name in small letters; the stream is left where the voxels begin."""
    if not re.fullmatch(rb"NRRD000\d\r?\n", stream.readline(16)):
        raise DataError(f"{path}: expected an NRRD file, found something else")
    fields, left = {}, MAX_HEADER_BYTES
    while (line := stream.readline(left)).strip():
        left -= len(line)
        name, colon, value = line.decode("utf-8", "replace").partition(":")
        name = name.strip().lower()
        if not line.startswith(b"#") and colon and not value.startswith("="):
            if name in fields:
                raise DataError(f"{path}: its header has two fields {name!r}")
            fields[name] = value.strip()
        if left <= 0 or not line.endswith(b"\n"):
            raise DataError(f"{path}: its header does not end")
    return fields


def _voxel_type(fields: dict[str, str], path: Path) -> np.dtype:
    name = field(fields, "type", path)
    if name not in TYPES:
        raise DataError(f"{path}: expected scalar voxels, found NRRD type {name[:40]!r}")
    order = {"little": "<", "big": ">"}.get(fields.get("endian", "little"))
    if order is None:
        raise DataError(
            f"{path}: expected little or big as endian, found {fields['endian'][:40]!r}"
        )
    return np.dtype(order + TYPES[name])


def _encoding(fields: dict[str, str], path: Path) -> str:
    """`raw` or `gzip`."""
    encoding = field(fields, "encoding", path)
    for name in ("line skip", "lineskip", "byte skip", "byteskip"):
        if fields.get(name, "0") != "0":
            raise DataError(f"{path}: expected voxels right behind the header, found a {name}")
    found = {"raw": "raw", "gzip": "gzip", "gz": "gzip"}.get(encoding)
    if found is None:
        raise DataError(f"{path}: expected raw or gzip encoding, found {encoding[:40]!r}")
    return found


def _check_geometry(fields: dict[str, str], path: Path) -> None:
    """Refuses geometries that ITK would silently replace by a guess."""
    if "space" not in fields or "space directions" not in fields:
        raise DataError(f"{path}: states no orientation (no field space or space directions)")
    axes = [
        numbers(vector.replace(",", " "), float, "space directions", path)
        for vector in _VECTOR.findall(fields["space directions"])
    ]
    if [len(axis) for axis in axes] != [3, 3, 3]:
        raise DataError(f"{path}: expected three 3-D vectors as space directions")
    check_spacing([float(np.linalg.norm(axis)) for axis in axes], path)


def _check_data(stream: BinaryIO, encoding: str, voxels: int, dtype: np.dtype, path: Path) -> None:
    if encoding == "gzip":
        with gzip.GzipFile(fileobj=stream) as unpacked:
            check_voxels(unpacked, voxels, dtype, path)
    else:
        check_voxels(stream, voxels, dtype, path)
