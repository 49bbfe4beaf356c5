"""Which files of a folder are the slices of one DICOM series, in order, once they can be right.

What the headers claim is checked against the files before anything is decoded, and what a regular
grid needs before GDCM makes one: one series, one orientation, equal slices without gaps.
"""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from pydicom import uid
from pydicom.charset import default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator, read_sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import VR

from cmda_tf.errors import DataError
from cmda_tf.files import readable
from cmda_tf.volumes.checks import Sound, check_spacing, count_voxels

MAX_FILES = 10000
GAP_TOLERANCE = 0.01  # share of the slice spacing
_PIXEL_DATA = 0x7FE00010
_UNDEFINED = 0xFFFFFFFF  # length of what consists of items up to their end
_ITEM, _ITEMS_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_KEYWORDS = """TransferSyntaxUID SeriesInstanceUID SamplesPerPixel NumberOfFrames Rows Columns
    BitsAllocated PixelSpacing ImagePositionPatient ImageOrientationPatient"""
_TAGS = {tag_for_keyword(keyword) for keyword in _KEYWORDS.split()}
_TYPES = {kind.value for kind in VR}
_MAX_VALUE_BYTES = 1 << 10
_MAX_PADDING_BYTES = 1 << 12
_MAX_COMPRESSION = 200  # a plane's bytes over its file's; lossless coding of noise reaches about 4


@dataclass(frozen=True, eq=False)
class _Slice:
    path: Path
    series: str
    shape: tuple[int, int]
    spacing: np.ndarray
    position_mm: np.ndarray
    orientation: np.ndarray  # [2, 3]: directions of columns' and of rows' index


def check_folder(folder: Path) -> Sound:
    """The slices of a folder's one series, at least two, in the order of their positions.

    Files that are no DICOM images are ignored. DataError if there is no series or more than one; a
    file is damaged, multi-frame, colored or holds less than it claims; slices differ in size,
    spacing or orientation, lie twice at one place, are missing, or are tilted against their stack.
    """
    with readable(folder):
        files = sorted(p for p in folder.iterdir() if p.is_file() and p.name[0] != ".")
    if len(files) > MAX_FILES:
        raise DataError(f"{folder}: holds {len(files)} files; the limit is {MAX_FILES}")
    slices = [s for path in files if (s := _read_slice(path)) is not None]
    counts = Counter(s.series for s in slices)
    if not counts:
        raise DataError(f"{folder}: expected a folder of DICOM slices, found none in it")
    if len(counts) > 1:
        found = ", ".join(f"{uid} ({n} slices)" for uid, n in sorted(counts.items()))
        raise DataError(f"{folder}: expected one series, found {found}; give each a folder")
    return _in_order(folder, slices)


def _read_slice(path: Path) -> _Slice | None:
    """A file's slice; None if it is no DICOM image."""
    with readable(path), open(path, "rb", buffering=0) as raw, catch_warnings():
        simplefilter("ignore")  # pydicom warns of what does not matter here
        if path.name == "DICOMDIR" or raw.read(132)[128:] != b"DICM":
            return None
        try:
            header, pixel_bytes = _read_header(_Bounded(raw))
            return None if pixel_bytes is None else _slice(path, header, pixel_bytes)
        except DataError:
            raise
        except Exception as error:  # pydicom promises no kind of error
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{path}: expected a sound DICOM file ({reason})") from error


class _Bounded(io.BufferedReader):
    """A file of which no more can be read than a slice's header needs, whatever it claims."""

    def __init__(self, raw: io.FileIO):
        super().__init__(raw)
        self.size = self.seek(0, io.SEEK_END)
        self.seek(max(0, self.size - _MAX_PADDING_BYTES))
        tail = super().read()
        self.padding = self.size - len(tail) + len(tail.rstrip(b"\0"))  # where only zeros follow
        self.seek(132)
        self._left = 1 << 26

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= max(size or 0, 64)  # Python's objects outweigh short values
        if self._left < 0:
            raise ValueError("too many elements, or a nested one that claims too much")
        return super().read(size)


def _read_header(data: _Bounded) -> tuple[Dataset, int | None]:
    """The first of each element in `_TAGS`, and the pixels' length: 0 if compressed, None if none.

    What follows the pixels is walked too: GDCM reads all elements, and believes any length.
    """
    first: dict[BaseTag, RawDataElement | DataElement] = {}
    pixel_bytes: list[int] = []
    end = data.tell()

    def stops(tag: BaseTag, kind: str | None, length: int) -> bool:
        """Looks at an element before its value is read."""
        if end >= data.padding:
            return True
        beyond = length != _UNDEFINED and data.tell() + length > data.size
        if beyond or (tag in _TAGS and length > _MAX_VALUE_BYTES):
            raise _wrong(tag, f"claims {length} bytes")
        if tag == _PIXEL_DATA:
            pixel_bytes.append(0 if length == _UNDEFINED else length)
        return False

    def walk(implicit: bool, stop_when: Callable[[BaseTag, str | None, int], bool]) -> None:
        nonlocal end
        for element in data_element_generator(data, implicit, True, stop_when, _MAX_VALUE_BYTES):
            end = data.tell()
            _check_within(data, element)
            data.seek(end)
            if element.tag in _TAGS:
                first.setdefault(element.tag, element)

    walk(False, lambda tag, kind, length: tag >> 16 != 2 or stops(tag, kind, length))
    syntax = Dataset(first).get("TransferSyntaxUID")
    if syntax in (None, uid.DeflatedExplicitVRLittleEndian, uid.ExplicitVRBigEndian):
        raise ValueError(f"its transfer syntax {syntax} is not supported")
    walk(syntax == uid.ImplicitVRLittleEndian, stops)
    if end < data.size and not (pixel_bytes and end >= data.padding):
        raise ValueError("its last element is not complete")
    return Dataset(first), pixel_bytes[0] if pixel_bytes else None


def _check_within(data: _Bounded, element: RawDataElement | DataElement) -> None:
    """Looks into all that an element nests, as GDCM will; leaves the stream anywhere."""
    items: Any = element.value
    if isinstance(element, RawDataElement):
        if not element.is_implicit_VR and element.VR not in _TYPES:
            # GDCM would take type and length for a length of gigabytes.
            raise _wrong(element.tag, "has no type")
        if items is not None and len(items) < element.length < _UNDEFINED:
            raise _wrong(element.tag, f"claims {element.length} bytes")
        data.seek(element.value_tell)
        if element.length == _UNDEFINED:
            while (head := data.read(8))[:4] == _ITEM:
                data.seek(int.from_bytes(head[4:], "little"), io.SEEK_CUR)
            if head[:4] != _ITEMS_END:  # pydicom would look for an end between the items
                raise _wrong(element.tag, "holds a damaged item")
        if element.VR != "SQ":
            return
        items = read_sequence(data, element.is_implicit_VR, True, element.length, default_encoding)
    for item in items:
        for nested in item.elements():
            _check_within(data, nested)


def _wrong(tag: BaseTag, what: str) -> ValueError:
    return ValueError(f"element {tag >> 16:04x},{tag & 0xFFFF:04x} {what}")


def _slice(path: Path, header: Dataset, pixel_bytes: int) -> _Slice:
    """The slice, once it is a plane of gray values that the file can hold."""
    counts = [header.get(keyword) for keyword in ("NumberOfFrames", "SamplesPerPixel")]
    frames, samples = [1 if count is None else int(count) for count in counts]
    if (frames, samples) != (1, 1):
        found = f"{frames} frame(s) of {samples} sample(s)"
        raise DataError(f"{path}: expected one gray plane, found {found}")
    if missing := [k for k in ("Rows", "Columns", "BitsAllocated") if not header.get(k)]:
        raise DataError(f"{path}: has no {missing[0]}")
    rows, columns, bits = int(header.Rows), int(header.Columns), header.BitsAllocated
    if bits not in (8, 16, 32):
        raise DataError(f"{path}: expected 8, 16 or 32 bits per pixel, found {bits}")
    claimed = rows * columns * bits // 8
    held = pixel_bytes or _MAX_COMPRESSION * path.stat().st_size
    if claimed > held:
        raise DataError(f"{path}: claims {rows}x{columns} pixels, {claimed} bytes; holds {held}")

    def vector(keyword: str, length: int) -> np.ndarray:
        value = header.get(keyword)
        vector = np.array(value, float)
        if vector.shape != (length,) or not np.isfinite(vector).all():
            raise DataError(f"{path}: expected {length} numbers as {keyword}, found {value!r:.80}")
        return vector

    series, spacing = str(header.get("SeriesInstanceUID", "")), vector("PixelSpacing", 2)
    position_mm, axes = vector("ImagePositionPatient", 3), vector("ImageOrientationPatient", 6)
    return _Slice(path, series, (rows, columns), spacing, position_mm, axes.reshape(2, 3))


def _in_order(folder: Path, slices: Sequence[_Slice]) -> Sound:
    """The slices' files along their normal, and their voxels."""
    first = slices[0]
    normal = np.cross(*first.orientation)
    if not np.allclose(first.orientation @ first.orientation.T, np.eye(2), atol=1e-3):
        raise DataError(f"{first.path}: its orientation is not orthonormal")
    for other in slices:
        alike = other.shape == first.shape and np.allclose(other.spacing, first.spacing, rtol=1e-3)
        if not (alike and np.allclose(other.orientation, first.orientation, atol=1e-3)):
            differs = f"differs from {first.path.name} in size, spacing or orientation"
            raise DataError(f"{other.path}: {differs}")
    ordered = sorted(slices, key=lambda s: float(s.position_mm @ normal))
    files = [s.path for s in ordered]
    voxels = count_voxels([*first.shape[::-1], len(files)], folder)
    steps_mm = np.diff([s.position_mm for s in ordered], axis=0)
    gaps_mm = steps_mm @ normal
    spacing_mm = float(np.median(gaps_mm))
    if gaps_mm.min() <= GAP_TOLERANCE * abs(spacing_mm):
        at = int(gaps_mm.argmin())
        below, above = files[at : at + 2]
        raise DataError(f"{folder}: {below.name} and {above.name} lie at the same place")
    check_spacing([*first.spacing, spacing_mm], folder)
    apart_mm = np.abs(steps_mm - spacing_mm * normal).max(axis=1)
    if apart_mm.max() > GAP_TOLERANCE * spacing_mm:
        at = int(apart_mm.argmax())
        below, above = files[at : at + 2]
        raise DataError(
            f"{folder}: expected slices every {spacing_mm:.4g} mm along their normal; from "
            f"{below.name} to {above.name} it is {np.round(steps_mm[at], 3).tolist()} mm (missing "
            "slices, or a tilted gantry)"
        )
    return Sound(files, voxels)
