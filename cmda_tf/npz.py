"""Arrays of `.npz` files that may be damaged or hostile: nothing unpickled, no size believed.

`numpy.load` allocates what an array's header claims, and lets each of zipfile's, zlib's and its own
exceptions through.
"""

import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import DTypeLike

from cmda_tf.errors import DataError
from cmda_tf.files import replacing

_ENDING = ".npy"
_MAX_NUMBER_BYTES = 8
_MAX_REASON = 200  # NumPy quotes a header, however long
# Other methods may ask for gigabytes of memory before they give a byte.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def save(path: str | Path, arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Writes arrays by name; the file appears only when complete. DataError if it cannot be."""
    write = np.savez_compressed if compressed else np.savez
    try:
        # Through an open file, since NumPy would add its ending to a path that has another.
        with replacing(path) as temporary, open(temporary, "wb") as stream:
            write(stream, **arrays)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def opened(path: str | Path, failure: str) -> Iterator[zipfile.ZipFile]:
    """The archive; whatever goes wrong while it is read becomes a DataError.

    `failure` is what it says before the reason, such as "not a readable test volume".
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    # Damage shows as any of a dozen exceptions of zipfile, zlib, struct, tokenize and NumPy.
    except Exception as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        reason = reason[:_MAX_REASON] or type(error).__name__
        raise DataError(f"{path}: {failure} ({reason})") from error


def names(archive: zipfile.ZipFile) -> list[str]:
    """Names of the archive's arrays."""
    return [n.removesuffix(_ENDING) for n in archive.namelist() if n.endswith(_ENDING)]


def read_array(
    archive: zipfile.ZipFile,
    name: str,
    shape: tuple[int, ...] | None = None,
    dtype: DTypeLike | None = None,
    most_bytes: int = 0,
) -> np.ndarray:
    """One array of an archive, if its header says what is expected.

    None stands for any `shape` of at most `most_bytes`, and for any `dtype` of numbers. Raises
    ValueError, or whatever damage raises: see `opened`.
    """
    with _stream(archive, name) as stream:
        claimed, fortran_order, kind = npy_format.read_array_header_1_0(stream)
        numbers = kind.kind in "fiu" and kind.itemsize <= _MAX_NUMBER_BYTES
        if not numbers or dtype not in (None, kind) or shape not in (None, claimed):
            raise ValueError(f"{name} is {kind} {claimed}, not {dtype or 'numbers'} {shape or ''}")
        count = math.prod(claimed) * kind.itemsize
        if shape is None and not 0 <= count <= most_bytes:
            raise ValueError(f"{name} claims {count} bytes, the limit is {most_bytes}")
        data = stream.read(count)
        if len(data) != count or stream.read(1):
            raise ValueError(f"{name} does not hold {count} bytes")
    # Volumes that come from NIfTI are stored with the first axis fastest.
    return np.frombuffer(data, kind).reshape(claimed, order="F" if fortran_order else "C")


def read_shape(archive: zipfile.ZipFile, name: str) -> tuple[int, ...]:
    """The shape that an array's header claims."""
    with _stream(archive, name) as stream:
        return npy_format.read_array_header_1_0(stream)[0]


@contextmanager
def _stream(archive: zipfile.ZipFile, name: str) -> Iterator[IO[bytes]]:
    """An array's bytes, from its header on."""
    info = archive.getinfo(name + _ENDING)
    if info.compress_type not in _METHODS:
        raise ValueError(f"{name} is compressed in an unknown way")
    with archive.open(info) as stream:
        if npy_format.read_magic(stream) != (1, 0):
            raise ValueError(f"{name} is in an unknown format")
        yield stream
