"""TFRecord files in the form of the authors' preprocessed release: slice triples with labels.

A record is a `tf.train.Example` with `data_vol`, three neighboring slices, and `label_vol`, raw
little-endian float32 of dimensions `dsize_dim0..2` and `lsize_dim0..2`. The release documents one
channel of labels, but its files hold those of all three slices, of which the middle one counts.
Extra keys are ignored. Records do not tell their subject. Messages count them from 1.
"""

import math
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from cmda_tf.data.structures import MAX_CLASSES
from cmda_tf.data.subjects import MAX_SIZE
from cmda_tf.errors import DataError
from cmda_tf.files import readable, replacing
from cmda_tf.release2018.folder import class_indices, file_size

CHANNELS = 3
# A record is: length (uint64), its checksum (uint32), the data, their checksum (uint32).
_HEADER_BYTES, _CHECKSUM_BYTES = 12, 4
_MIN_RECORD_BYTES = 100  # the keys' names alone take more
_MAX_RECORD_BYTES = 1 << 24  # two triples of 512x512 take 6 MB, extra keys perhaps as much

Place = tuple[Path, int, int]  # of a record: its file, its number there, its length


def read_records(
    paths: Sequence[str | Path],
    classes: int = 5,
    size: int | None = None,
    with_labels: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Images float16 [N, H, W, 3] and labels uint8 [N, H, W] of all slice triples, in their order.

    Lengths are checked against the files' sizes before anything is read, and records against
    the size of the arrays before those are made: they take less memory than the files disk. `size`
    is the expected height and width, by default those of the first record. Without labels their
    keys are left alone, whatever they hold. For `classes` see `class_indices`.

    DataError if a file is missing, damaged or holds no record; a record's checksums, dimensions or
    keys are wrong, its image holds NaN, or its label what is no class.
    """
    places = [(path, *r) for path in map(Path, paths) for r in enumerate(_lengths(path), 1)]
    if not places:
        raise DataError("no record files to read")
    samples = _samples(paths, places, classes, size, with_labels)
    for row, (image, label) in enumerate(samples):
        if row == 0:
            size = len(image)
            for path, number, length in places:
                if length < 4 * size * size * (CHANNELS + with_labels):
                    short = f"{length} bytes, too few for {size}x{size}"
                    raise DataError(f"{path}: record {number}: {short}")
            images = np.empty((len(places), *image.shape), np.float16)
            labels = None if label is None else np.empty((len(places), *label.shape), np.uint8)
        images[row] = image
        if labels is not None:
            labels[row] = label
    return images, labels


def first_size(path: str | Path) -> int:
    """Height and width of a file's first record; DataError if there is none."""
    place = (Path(path), 1, _lengths(Path(path))[0])
    image, _ = next(_samples([path], [place], MAX_CLASSES, None, with_labels=False))
    return len(image)


def write_records(path: str | Path, images: np.ndarray, labels: np.ndarray) -> None:
    """Writes slice triples as records that the authors' programs read as well, all or nothing.

    Images are [N, S, S, 3], finite as float16; labels are class indices of all slices, or of the
    middle ones, [N, S, S], which are written to all three channels. DataError if the arrays are no
    such triples, or the file cannot be written.
    """
    images, labels = np.asarray(images), np.asarray(labels)
    if labels.ndim == 3:
        labels = np.broadcast_to(labels[..., None], (*labels.shape, CHANNELS))
    count, *shape = images.shape if images.ndim == 4 else (0,)
    if labels.shape != images.shape or not count or not _is_triple(shape):
        raise DataError(f"{path}: images {images.shape}, labels {labels.shape} are no triples")
    try:
        with replacing(path) as temporary, tf.io.TFRecordWriter(os.fspath(temporary)) as writer:
            for image, label in zip(images, labels):
                writer.write(_encoded(image, label))
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise DataError(f"{path}: cannot be written ({_reason(error)})") from error


def _lengths(path: Path) -> list[int]:
    """Lengths of a file's records, all within the file and the limit; their data stay unread.

    TensorFlow allocates whatever length a record declares, and takes a file that ends within
    a record's header for complete.
    """
    lengths: list[int] = []
    position, end = 0, file_size(path)
    with readable(path), open(path, "rb", buffering=0) as stream:
        while position < end:
            record = f"{path}: record {len(lengths) + 1}"
            stream.seek(position)
            header = stream.read(_HEADER_BYTES)
            if len(header) < _HEADER_BYTES:
                raise DataError(f"{record}: the file is truncated")
            length, checksum = struct.unpack("<QI", header)
            if checksum != _masked_crc32c(header[:8]):
                damage = "damaged or no TFRecord file, the checksum of its length is wrong"
                raise DataError(f"{record}: {damage}")
            position += _HEADER_BYTES + length + _CHECKSUM_BYTES
            if position > end or not _MIN_RECORD_BYTES <= length <= _MAX_RECORD_BYTES:
                exceeds = "exceeds the file or is none of a slice triple"
                raise DataError(f"{record}: its length {length} {exceeds}")
            lengths.append(length)
    if not lengths:
        raise DataError(f"{path}: no records; the file is empty")
    return lengths


def _masked_crc32c(data: bytes) -> int:
    """The checksum of TFRecord files, bit by bit: for a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _samples(
    paths: Iterable[str | Path],
    places: Iterable[Place],
    classes: int,
    size: int | None,
    with_labels: bool,
) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The records' images and labels, see `_decoded`; all are as large as the first."""
    stream = tf.data.TFRecordDataset([os.fsencode(p) for p in paths]).as_numpy_iterator()
    for path, number, length in places:
        try:
            data = next(stream, b"")  # TensorFlow verifies its checksum
            if len(data) != length:
                raise ValueError("the file changed while it was read")
            image, label = _decoded(data, classes, size, with_labels)
        except tf.errors.DataLossError as error:
            raise DataError(f"{path}: record {number}: damaged, its checksum is wrong") from error
        except tf.errors.OpError as error:
            raise DataError(f"{path}: cannot be read ({_reason(error)})") from error
        except DecodeError as error:
            raise DataError(f"{path}: record {number}: no tf.train.Example") from error
        except ValueError as error:
            raise DataError(f"{path}: record {number}: {error}") from error
        size = len(image)
        yield image, label


def _decoded(
    data: bytes, classes: int, size: int | None, with_labels: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Image float16 [H, W, 3] and, if asked for, label uint8 [H, W] of a record."""
    example = tf.train.Example.FromString(data)
    image = _array(example, "data_vol", (CHANNELS,))
    label = _array(example, "label_vol", (1, CHANNELS)) if with_labels else None
    if size not in (None, len(image)) or (label is not None and label.shape[:2] != image.shape[:2]):
        of_label = "" if label is None else f", label {label.shape}"
        expected = f", expected {size}x{size}" if size else ""
        raise ValueError(f"image {image.shape}{of_label}{expected}")
    half = _half(image)
    if label is None:
        return half, None
    return half, class_indices(label[..., label.shape[2] // 2], classes)


def _encoded(image: np.ndarray, label: np.ndarray) -> bytes:
    """The record of an image and a label, both [S, S, 3]; ValueError if none could read it."""
    _half(image)
    class_indices(label, MAX_CLASSES)
    features = {}
    for key, array in (("data_vol", image), ("label_vol", label)):
        data = tf.train.BytesList(value=[array.astype("<f4").tobytes()])
        features[key] = tf.train.Feature(bytes_list=data)
        for axis, length in enumerate(array.shape):
            dim = tf.train.Int64List(value=[length])
            features[f"{key[0]}size_dim{axis}"] = tf.train.Feature(int64_list=dim)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _is_triple(shape: Sequence[int]) -> bool:
    """Whether the shape is [S, S, 3] with a side that is allowed."""
    return len(shape) == 3 and 1 <= shape[0] == shape[1] <= MAX_SIZE and shape[2] == CHANNELS


def _half(image: np.ndarray) -> np.ndarray:
    """The image as float16; ValueError where that is not finite."""
    with np.errstate(over="ignore"):
        image = image.astype(np.float16)
    if not np.isfinite(image).all():
        raise ValueError("the image holds NaN or values that float16 cannot hold")
    return image


def _array(example: tf.train.Example, key: str, channels: tuple[int, ...]) -> np.ndarray:
    """The float32 array of a key, of the shape that the record declares for it."""
    dims = f"{key[0]}size"
    shape = tuple(_only_value(example, f"{dims}_dim{axis}", "int64") for axis in range(3))
    if not _is_triple((*shape[:2], CHANNELS)) or shape[2] not in channels:
        raise ValueError(f"{dims} {shape} are no dimensions of slices up to {MAX_SIZE}")
    data = _only_value(example, key, "bytes")
    if len(data) != 4 * math.prod(shape):
        raise ValueError(f"{key} holds {len(data)} bytes, not float32 {shape}")
    return np.frombuffer(data, "<f4").reshape(shape)


def _only_value(example: tf.train.Example, key: str, kind: str) -> Any:
    """The single value, "int64" or "bytes", of a record's key."""
    if key not in example.features.feature:
        raise ValueError(f"key {key} is missing")
    values = getattr(example.features.feature[key], f"{kind}_list").value
    if len(values) != 1:
        raise ValueError(f"key {key} holds {len(values)} {kind} values, not one")
    return values[0]


def _reason(error: Exception) -> str:
    """An error's cause in one line."""
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    return " ".join(text.split()) or type(error).__name__
