"""The few DICOM tags that decide how much memory a slice takes and where it lies.

A toolkit that reads a whole file trusts the lengths in it. This walks the elements first, steps
over what it does not need, and never believes a length beyond the file's end. Of a tag that is
there twice the first one counts, as it does for GDCM.
"""

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from cmda_tf.errors import DataError
from cmda_tf.volumes.voxel_stream import readable

PIXEL_DATA = (0x7FE0, 0x0010)
TRANSFER_SYNTAX = (0x0002, 0x0010)
KEYWORDS = {
    TRANSFER_SYNTAX: "TransferSyntaxUID",
    (0x0020, 0x000E): "SeriesInstanceUID",
    (0x0020, 0x0032): "ImagePositionPatient",
    (0x0020, 0x0037): "ImageOrientationPatient",
    (0x0028, 0x0002): "SamplesPerPixel",
    (0x0028, 0x0008): "NumberOfFrames",
    (0x0028, 0x0010): "Rows",
    (0x0028, 0x0011): "Columns",
    (0x0028, 0x0030): "PixelSpacing",
    (0x0028, 0x0100): "BitsAllocated",
}
_IMPLICIT, _DEFLATED, _BIG_ENDIAN = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"),
)
_LONG = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
_SHORT = {b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN"}
_SHORT |= {b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"}
_UNDEFINED = 0xFFFFFFFF
_ITEM_GROUP = 0xFFFE
_SEQUENCE_END = (_ITEM_GROUP, 0xE0DD)
_MAX_VALUE_BYTES = 1 << 10
_MAX_ELEMENTS = 1 << 14
_MAX_PADDING_BYTES = 1 << 12


def read_tags(path: Path) -> Mapping[str, str | int] | None:
    """Reads the tags of `KEYWORDS` from a DICOM file.

    Args:
      path: of the file.

    Returns:
      Values by keyword, text or a number, and `PixelBytes`: the length of the pixel data, 0 where
      it is compressed. None if this is no DICOM file (no `DICM` at byte 128) or holds no pixels.

    Raises:
      DataError: the file cannot be read, or an element does not fit into it.
    """
    with readable(path), open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        if stream.read(132)[128:] != b"DICM":
            return None
        try:
            return _walk(stream, size)
        except (struct.error, ValueError) as error:
            raise DataError(f"{path}: not a readable DICOM file ({error})") from error


def _walk(stream: BinaryIO, size: int) -> dict[str, str | int] | None:
    """The tags' values, from the first element to the end: what follows the pixels is read too."""
    found: dict[str, str | int] = {}
    implicit, depth = False, 0
    for _ in range(_MAX_ELEMENTS):
        start = stream.tell()
        if start == size:
            return found if "PixelBytes" in found else None
        if "PixelBytes" in found and depth == 0 and _is_padding(stream):
            return found
        tag = struct.unpack("<HH", stream.read(4))
        if tag[0] != 2 and not implicit and depth == 0:
            implicit = _is_implicit(found)
        kind, length = _kind_and_length(stream, tag, implicit)
        if tag == PIXEL_DATA and depth == 0:
            if length != _UNDEFINED and stream.tell() + length > size:
                raise ValueError(f"truncated: its pixels need {length} bytes")
            found.setdefault("PixelBytes", 0 if length == _UNDEFINED else length)
        if length == _UNDEFINED:
            # A sequence or an item: its elements follow, and an end that says so.
            depth += tag[0] != _ITEM_GROUP
        elif tag[0] == _ITEM_GROUP:
            depth -= tag == _SEQUENCE_END
            stream.seek(length if depth > 0 else 0, os.SEEK_CUR)
        elif stream.tell() + length > size:
            raise ValueError(f"element {tag[0]:04x},{tag[1]:04x} claims {length} bytes")
        elif tag in KEYWORDS and depth == 0:
            found.setdefault(KEYWORDS[tag], _value(stream, kind, KEYWORDS[tag], length))
        else:
            stream.seek(length, os.SEEK_CUR)
    raise ValueError("too many elements")


def _is_padding(stream: BinaryIO) -> bool:
    """Whether all that is left of the file is some zeros; the stream stays where it is."""
    start = stream.tell()
    left = stream.read(_MAX_PADDING_BYTES + 1)
    stream.seek(start)
    return len(left) <= _MAX_PADDING_BYTES and not any(left)


def _is_implicit(found: Mapping[str, str | int]) -> bool:
    """Whether the elements behind the file's meta information state no types."""
    syntax = found.get("TransferSyntaxUID")
    if syntax in (None, _DEFLATED, _BIG_ENDIAN):
        raise ValueError(f"its transfer syntax {syntax} is not supported")
    return syntax == _IMPLICIT


def _kind_and_length(stream: BinaryIO, tag: tuple[int, int], implicit: bool) -> tuple[bytes, int]:
    """Type and length of an element whose tag has been read."""
    if implicit or tag[0] == _ITEM_GROUP:
        return b"", struct.unpack("<I", stream.read(4))[0]
    kind = stream.read(2)
    if kind in _LONG:
        return kind, struct.unpack("<2xI", stream.read(6))[0]
    if kind not in _SHORT:  # GDCM would take type and length for a length of gigabytes
        raise ValueError(f"element {tag[0]:04x},{tag[1]:04x} has no type")
    return kind, struct.unpack("<H", stream.read(2))[0]


def _value(stream: BinaryIO, kind: bytes, keyword: str, length: int) -> str | int:
    """A value as text, or as a number where the standard has an unsigned short."""
    if length > _MAX_VALUE_BYTES:
        raise ValueError(f"{keyword} claims {length} bytes")
    data = stream.read(length)
    if keyword in ("SamplesPerPixel", "Rows", "Columns", "BitsAllocated"):
        return struct.unpack("<H", data)[0]
    return data.decode("ascii", "replace").strip(" \0")
