"""What the checks of all formats share: sizes, spacings, and a stream that must hold the voxels.

ITK allocates whatever a header claims, reads truncated compressed files without complaint and
turns NaN into 0. So headers are read here first, and voxels streamed once to their end.
"""

import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from cmda_tf.errors import DataError

# A full-body CT has 2**29 voxels; what claims more than this is a damaged or hostile header.
MAX_VOXELS = 2**31
MAX_HEADER_BYTES = 1 << 16
_PIECE_BYTES = 1 << 20
# What may follow the voxels; a stream that goes on is no volume but meant to keep us busy.
_MAX_TRAILING_BYTES = 1 << 24


class Sound(NamedTuple):
    """What the check of a volume found: all files that hold it, and the number of its voxels."""

    files: list[Path]
    voxels: int


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what reading a file may raise into DataErrors that name it."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: expected a complete gzip file, found {error}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def count_voxels(shape: Sequence[int], path: Path) -> int:
    """Number of voxels of a 3-D shape; refuses other shapes and absurd sizes.

    Raises:
      DataError: it is not 3-D (trailing axes of length 1 are allowed) or above `MAX_VOXELS`.
    """
    shape = list(shape)
    if len(shape) < 3 or min(shape[:3]) < 2 or max(shape[3:], default=1) > 1:
        text = " x ".join(map(str, shape)) or "no legal shape"
        raise DataError(
            f"{path}: expected a 3-D volume, two voxels per axis or more, found {len(shape)}-D data "
            f"({text})"
        )
    if (voxels := math.prod(shape[:3])) > MAX_VOXELS:
        raise DataError(f"{path}: its header claims {voxels} voxels; the limit is {MAX_VOXELS}")
    return voxels


def check_spacing(spacing: Sequence[float], path: Path) -> None:
    """Raises DataError unless there are three positive, finite spacings."""
    if len(spacing) != 3 or not np.isfinite(spacing).all() or min(spacing) <= 0:
        raise DataError(f"{path}: expected positive voxel spacings, found {list(spacing)}")


def check_voxels(stream: BinaryIO, voxels: int, dtype: np.dtype, path: Path) -> None:
    """Reads a stream to its end: it must hold as many voxels as promised, all finite.

    Raises:
      DataError: it does not, or goes on far beyond them.
    """
    expected, found = voxels * dtype.itemsize, 0
    while piece := stream.read(_PIECE_BYTES):
        if dtype.kind == "f":
            count = min(len(piece), max(0, expected - found)) // dtype.itemsize
            if not np.isfinite(np.frombuffer(piece, dtype, count)).all():
                raise DataError(f"{path}: expected finite voxels, found NaN or infinite ones")
        found += len(piece)
        if found > expected + _MAX_TRAILING_BYTES:
            raise DataError(
                f"{path}: its header promises {expected} bytes of voxels, but more come"
            )
    if found < expected:
        raise DataError(
            f"{path}: truncated; its header promises {expected} bytes of voxels, found {found}"
        )


class ZlibStream:
    """A zlib-compressed part of a file, `length` bytes of it, read in pieces of bounded size."""

    def __init__(self, stream: BinaryIO, length: int):
        self._stream = stream
        self._left = length
        self._decompressor = zlib.decompressobj()
        self._waiting = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; none at the end.

        Raises:
          EOFError: the part or the file ends before the compressed data does.
        """
        while not self._decompressor.eof:
            data = self._waiting
            if not data:
                data = self._stream.read(min(_PIECE_BYTES, self._left))
                self._left -= len(data)
            if not data:
                raise EOFError("its end before that of the compressed voxels")
            piece = self._decompressor.decompress(data, size)
            self._waiting = self._decompressor.unconsumed_tail
            if piece:
                return piece
        return b""


def local_file(name: str, header: Path) -> Path:
    """The data file that a header names, in the header's own folder.

    Raises:
      DataError: the name leads elsewhere; a header must not decide what else is read.
    """
    if not name or Path(name).name != name or name in (".", "..") or "\\" in name or "%" in name:
        raise DataError(f"{header}: expected a data file in the same folder, found {name!r}")
    return header.with_name(name)


def field(fields: dict[str, str], name: str, path: Path) -> str:
    """A field of a text header; DataError if it is not there."""
    if name not in fields:
        raise DataError(f"{path}: its header has no field {name!r}")
    return fields[name]


def numbers(text: str, kind: type, what: str, path: Path) -> list:
    """The numbers in a header's field.

    Raises:
      DataError: it holds something else.
    """
    try:
        return [kind(word) for word in text.split()]
    except ValueError as error:
        raise DataError(f"{path}: expected numbers as {what}, found {text[:80]!r}") from error
