"""What the checks of formats share: sizes, spacings, text headers, and streams of voxels.

ITK allocates whatever a header claims, reads truncated compressed files without complaint and
turns NaN into 0. So headers are read here first, and voxels streamed once to their end.
"""

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cmda_tf.errors import DataError
from cmda_tf.files import readable

# A full-body CT has 2**29 voxels; what claims more than this is a damaged or hostile header.
MAX_VOXELS = 2**31
_MAX_HEADER_BYTES = 1 << 16
_PIECE_BYTES = 1 << 20
# What may follow the voxels; a stream that goes on is no volume but meant to keep us busy.
_MAX_TRAILING_BYTES = 1 << 24


class Sound(NamedTuple):
    """All files of a volume that is complete, 3-D, scalar, finite and has a place; its voxels."""

    files: list[Path]
    voxels: int


def count_voxels(shape: Sequence[int], path: Path) -> int:
    """Number of voxels of a 3-D shape; trailing axes of length 1 are allowed.

    DataError for any other shape, and above `MAX_VOXELS`.
    """
    shape = list(shape)
    if len(shape) < 3 or min(shape[:3]) < 2 or max(shape[3:], default=1) > 1:
        text = f"{len(shape)}-D data ({' x '.join(map(str, shape)) or 'no legal shape'})"
        raise DataError(f"{path}: expected a 3-D volume, two voxels per axis or more, found {text}")
    if (voxels := math.prod(shape[:3])) > MAX_VOXELS:
        raise DataError(f"{path}: its header claims {voxels} voxels; the limit is {MAX_VOXELS}")
    return voxels


def check_spacing(spacing: Sequence[float], path: Path) -> None:
    """Raises DataError unless there are three positive, finite spacings."""
    if len(spacing) != 3 or not np.isfinite(spacing).all() or min(spacing) <= 0:
        raise DataError(f"{path}: expected positive voxel spacings, found {list(spacing)}")


def check_voxels(pieces: Iterable[bytes], voxels: int, dtype: np.dtype, path: Path) -> None:
    """Raises DataError unless a file's pieces hold as many voxels as promised, all finite."""
    expected, held, rest = voxels * dtype.itemsize, 0, b""
    promise = f"its header promises {expected} bytes of voxels"
    for piece in pieces:
        if dtype.kind == "f":
            part = rest + piece[: max(0, expected - held)]
            count = len(part) // dtype.itemsize
            if not np.isfinite(np.frombuffer(part, dtype, count)).all():
                raise DataError(f"{path}: expected finite voxels, found NaN or infinite ones")
            rest = part[count * dtype.itemsize :]
        held += len(piece)
        if held > expected + _MAX_TRAILING_BYTES:
            raise DataError(f"{path}: {promise}, but more come")
    if held < expected:
        raise DataError(f"{path}: truncated; {promise}, found {held}")


def plain(stream: BufferedIOBase) -> Iterator[bytes]:
    """The rest of a stream in pieces."""
    return iter(lambda: stream.read(_PIECE_BYTES), b"")


def unzip(stream: BufferedIOBase, left: int) -> Iterator[bytes]:
    """The content of `left` zlib-compressed bytes of a stream, in pieces of bounded size.

    EOFError if they or the file end before the compressed data does.
    """
    unpacker = zlib.decompressobj()
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail
        if not packed:
            packed = stream.read(min(_PIECE_BYTES, left))
            left -= len(packed)
        if not packed:
            raise EOFError("its end before that of the compressed voxels")
        yield unpacker.decompress(packed, _PIECE_BYTES)


class Fields(dict[str, str]):
    """The fields of a file's text header, each there once."""

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def __setitem__(self, name: str, value: str) -> None:
        if name in self:
            raise self.error(f"its header has two fields {name!r}")
        super().__setitem__(name, value.strip())

    def __missing__(self, name: str) -> str:
        raise self.error(f"its header has no field {name!r}")

    def error(self, text: str) -> DataError:
        """An error that names the file."""
        return DataError(f"{self.path}: {text}")

    def numbers(self, name: str, kind: type, between: str = "") -> list:
        """The numbers in a field, with spaces or characters of `between` around them."""
        text = self[name].translate(dict.fromkeys(map(ord, between), " "))
        try:
            return [kind(word) for word in text.split()]
        except ValueError as error:
            raise self.error(f"expected numbers as {name}, found {text.strip()[:80]!r}") from error

    def lines(self, stream: BufferedIOBase) -> Iterator[str]:
        """The lines of a header as long as someone asks for them; DataError for too many."""
        left = _MAX_HEADER_BYTES
        while line := stream.readline(left):
            left -= len(line)
            if left <= 0:
                raise self.error("its header does not end; found something else than an image")
            yield line.decode("utf-8", "replace")

    def check_data(
        self,
        stream: BufferedIOBase,
        data: str | None,
        unpack: Callable[[BufferedIOBase], Iterable[bytes]],
        voxels: int,
        dtype: np.dtype,
    ) -> Sound:
        """Checks the voxels that the header promises, `unpack`ed from how they are stored.

        They follow in `stream`, or lie in the file `data` of the same folder. DataError if they are
        not there, or the name leads elsewhere: a header must not decide what else is read.
        """
        if data is None:
            check_voxels(unpack(stream), voxels, dtype, self.path)
            return Sound([self.path], voxels)
        name = data.removeprefix("./")
        if name in ("", ".", "..") or Path(name).name != name or set(name) & set("\\%\0"):
            raise self.error(f"expected a data file in the same folder, found {data!r}")
        path = self.path.with_name(name)
        with readable(path), open(path, "rb") as data_stream:
            check_voxels(unpack(data_stream), voxels, dtype, path)
        return Sound([self.path, path], voxels)
