"""One record of the authors' release: a slice triple and its labels as a `tf.train.Example`.

`data_vol`, three neighboring slices, and `label_vol` are raw little-endian float32, with their
dimensions in `dsize_dim0..2` and `lsize_dim0..2`. The release documents one channel of labels, but
its files hold those of all three slices, of which the middle one counts. Extra keys are ignored.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from cmda_tf.data.structures import MAX_CLASSES
from cmda_tf.data.subjects import MAX_SIZE
from cmda_tf.release2018.folder import class_indices

CHANNELS = 3


def decoded(
    data: bytes, classes: int, size: int | None, with_labels: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Image float16 [H, W, 3] and, if asked for, label uint8 [H, W] of a record, or ValueError."""
    try:
        example = tf.train.Example.FromString(data)
    except DecodeError as error:
        raise ValueError("no tf.train.Example") from error
    image = _array(example, "data_vol", "dsize", (CHANNELS,))
    label = _array(example, "label_vol", "lsize", (1, CHANNELS)) if with_labels else None
    if size not in (None, len(image)) or (label is not None and label.shape[:2] != image.shape[:2]):
        of_label = "" if label is None else f", label {label.shape}"
        expected = f", expected {size}x{size}" if size else ""
        raise ValueError(f"image {image.shape}{of_label}{expected}")
    half = _half(image)
    if label is None:
        return half, None
    return half, class_indices(label[..., label.shape[2] // 2], classes)


def encoded(image: np.ndarray, label: np.ndarray) -> bytes:
    """The record of an image and a label, both [S, S, 3]; ValueError if none could read it."""
    _half(image)
    class_indices(label, MAX_CLASSES)
    features = {}
    for key, dims_key, array in (("data_vol", "dsize", image), ("label_vol", "lsize", label)):
        data = tf.train.BytesList(value=[array.astype("<f4").tobytes()])
        features[key] = tf.train.Feature(bytes_list=data)
        for axis, length in enumerate(array.shape):
            dim = tf.train.Int64List(value=[length])
            features[f"{dims_key}_dim{axis}"] = tf.train.Feature(int64_list=dim)
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def is_triple(shape: Sequence[int]) -> bool:
    """Whether the shape is [S, S, 3] with a side that is allowed."""
    return len(shape) == 3 and 1 <= shape[0] == shape[1] <= MAX_SIZE and shape[2] == CHANNELS


def _half(image: np.ndarray) -> np.ndarray:
    """The image as float16; ValueError where that is not finite."""
    with np.errstate(over="ignore"):
        image = image.astype(np.float16)
    if not np.isfinite(image).all():
        raise ValueError("the image holds NaN or values that float16 cannot hold")
    return image


def _array(
    example: tf.train.Example, key: str, dims_key: str, channels: tuple[int, ...]
) -> np.ndarray:
    """The float32 array of a key, of the shape that the record declares for it."""
    shape = tuple(_only_value(example, f"{dims_key}_dim{axis}", "int64") for axis in range(3))
    if not is_triple((*shape[:2], CHANNELS)) or shape[2] not in channels:
        raise ValueError(f"{dims_key} {shape} are no dimensions of slices up to {MAX_SIZE}")
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
