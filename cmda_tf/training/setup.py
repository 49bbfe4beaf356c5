"""What the phases share when they set up: data, configuration, seeds, the source model."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cmda_tf.data.preparation import prepare
from cmda_tf.data.prepared import MANIFEST_NAME, Dataset, read_prepared
from cmda_tf.data.slices import SliceStack, batches, load_slices
from cmda_tf.errors import DataError, UsageError
from cmda_tf.models.blocks import ModelConfig
from cmda_tf.models.segmenter import build_segmenter
from cmda_tf.old_settings import AdaptSettings, PhaseSettings, SegmentationSettings
from cmda_tf.phantom.generate import write_phantom
from cmda_tf.release2018.dataset import checksum, open_dataset
from cmda_tf.runs.naming import (
    PHANTOM_SIZE,
    PHANTOM_SPACING_MM,
    PHANTOM_SUBJECTS,
    phantom_folders,
)
from cmda_tf.runs.run import Run, finished_run
from cmda_tf.runs.weights import digest, set_weights
from cmda_tf.transforms.affine import AffineAugmentation
from cmda_tf.transforms.intensity import IntensityAugmentation

MEASURED_SLICES = 256  # some 16 of each training subject; more of them hardly differ
_SLICES_PER_BATCH = 32


def prepared_data(settings: PhaseSettings) -> Dataset:
    """The dataset of `--prepared`; without that flag the phantom, made on first use."""
    if settings.prepared is not None:
        return open_dataset(settings.prepared)
    raw, prepared = phantom_folders(settings)
    if not (prepared / MANIFEST_NAME).is_file():
        write_phantom(raw, subjects=PHANTOM_SUBJECTS, seed=settings.phantom_seed)
        grid = {"size": PHANTOM_SIZE, "spacing_mm": PHANTOM_SPACING_MM}
        prepare(raw, prepared, **grid, center_on_labels=(settings.source,))
    return read_prepared(prepared)


def check_modalities(settings: PhaseSettings, dataset: Dataset) -> None:
    """Raises UsageError if the data has no such modality."""
    for flag in ("source", "target", "modality"):
        modality = getattr(settings, flag, None)
        if modality is not None and modality not in dataset.modalities:
            there = ", ".join(dataset.modalities)
            raise UsageError(
                f"--{flag}: expected a modality of {dataset.folder} ({there}), found {modality!r}"
            )


def model_config(settings: PhaseSettings, dataset: Dataset) -> ModelConfig:
    """The networks' configuration; the image size is that of the prepared data.

    Raises:
      UsageError: the prepared size does not suit the network.
    """
    if dataset.size % 8 or dataset.size < 16:
        raise UsageError(
            f"--prepared: expected volumes of a size that is a multiple of 8, at least 16; "
            f"{dataset.folder} has {dataset.size}"
        )
    return ModelConfig(
        size=dataset.size,
        classes=dataset.structures.classes,
        width=settings.width,
        dropout=settings.dropout,
        precision=settings.precision,
        seed=settings.seed,
    )


def source_run(settings: PhaseSettings) -> Run:
    """The finished source run that a phase starts from, in the same `--runs` folder.

    Raises:
      DataError: it is not there or not finished.
      UsageError: `--origin` names a run that has learned from other labels than the source's.
    """
    folder = Path(settings.runs) / (settings.origin or f"source_{settings.source}")
    command = f"python -m cmda_tf.train --phase=source --runs={settings.runs}"
    run = finished_run(folder, command)
    modality = run.record["inputs"]["modality"]
    if run.phase != "source" or modality != settings.source:
        raise UsageError(
            f"--origin: expected a run of --phase=source on {settings.source!r}; {folder} is of "
            f"--phase={run.phase} on {modality!r}"
        )
    return run


def trained_segmenter(config: ModelConfig, origin: Run) -> tf.keras.Model:
    """The segmenter with the weights of a finished source run."""
    segmenter = build_segmenter(config)
    set_weights(segmenter, origin.weights(), str(origin.folder))
    return segmenter


def target_slices(settings: PhaseSettings, dataset: Dataset) -> SliceStack:
    """The unlabeled training slices of the target.

    Raises:
      DataError: labels have decided where these images were cropped.
    """
    for entry in dataset.select(settings.target, "train"):
        if entry.centered_on == "label":
            raise DataError(
                f"{dataset.path(entry)}: this target training image is centered on its label, "
                "which adaptation must not know; prepare the data again with "
                f"--center_on_labels={settings.source}"
            )
    return load_slices(dataset, settings.target, "train", with_labels=False)


def foreground_only(
    settings: AdaptSettings, stack: SliceStack, segmenter: tf.keras.Model
) -> SliceStack:
    """The same stack; with `--foreground_only` those slices alone are usable in which the source
    segmenter finds a structure.

    Supervised training sees every structure as often (`--balanced`), and the statistics of its
    BatchNorm are those of such slices. Slices that show none, half of a volume, would shift a
    DAM's statistics although nothing about the modality asks for it.

    Args:
      settings: of the phase.
      stack: of either modality; its labels, if any, are not looked at.
      segmenter: images `[N, H, W, 3]` to logits, trained on the source, not adapted.

    Returns:
      The stack as it was where fewer slices than a batch are found: such a segmenter knows too
      little of this modality.
    """
    if not settings.foreground_only:
        return stack
    shape = [None, stack.size, stack.size, 3]

    @tf.function(input_signature=[tf.TensorSpec(shape)])
    def finds(images: tf.Tensor) -> tf.Tensor:
        classes = tf.argmax(segmenter(images, training=False), axis=-1)
        return tf.reduce_any(classes > 0, axis=[1, 2])

    starts = range(0, len(stack.usable), _SLICES_PER_BATCH)
    parts = [stack.usable[s : s + _SLICES_PER_BATCH] for s in starts]
    shown = tqdm(parts, desc="find", unit="batch", leave=False)
    found = np.concatenate([part[finds(stack.inputs(part)).numpy()] for part in shown])
    if len(found) < settings.batch:
        return stack
    return dataclasses.replace(stack, usable=found)


def measured_batches(stack: SliceStack) -> tf.data.Dataset:
    """Batches for statistics: up to `MEASURED_SLICES` usable slices, drawn at random, in whole
    batches of 32; all in one where there are fewer."""
    count = len(stack.usable)
    number = max(1, min(MEASURED_SLICES, count) // _SLICES_PER_BATCH)
    return batches(stack, min(_SLICES_PER_BATCH, count), 0, 0, number)


def augmentation(settings: PhaseSettings) -> AffineAugmentation | None:
    """The augmentation that the settings ask for; None for none."""
    if not settings.augment:
        return None
    names = ("rotation_degrees", "zoom", "shear", "translation")
    return AffineAugmentation(**{name: getattr(settings, name) for name in names})


def appearance(settings: SegmentationSettings) -> IntensityAugmentation:
    """How strongly the settings augment_intensity the appearance of images."""
    return IntensityAugmentation(
        **{f.name: getattr(settings, f.name) for f in dataclasses.fields(IntensityAugmentation)}
    )


def run_inputs(dataset: Dataset, modality: str, origin: Run | None) -> dict[str, Any]:
    """What a run's result depends on besides its settings, for `settings.json`.

    Args:
      dataset: of the prepared data.
      modality: whose training images are learned from.
      origin: the run that it starts from, if any.
    """
    return {
        "prepared_folder": str(dataset.folder),
        "prepared_sha256": checksum(dataset),
        "spacing_mm": dataset.spacing_mm,
        "structures": dataset.structures.to_dict(),
        "modality": modality,
        "origin_folder": None if origin is None else str(origin.folder),
        "origin_sha256": None if origin is None else digest(origin.weights()),
    }


def limit_threads(threads: int) -> None:
    """Lets TensorFlow use this many CPU threads; 0 leaves it as it is, at first one per core.

    Raises:
      UsageError: TensorFlow has begun to work with another number in this process.
    """
    threading = tf.config.threading
    if threads in (0, threading.get_intra_op_parallelism_threads()):
        return
    try:
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise UsageError(
            f"--threads: {threads} comes too late, TensorFlow has begun to work with "
            f"{threading.get_intra_op_parallelism_threads()}"
        ) from error


def seed_everything(settings: PhaseSettings) -> None:
    """Seeds what still draws from a global state (dropout); asks for repeatable operations."""
    tf.keras.utils.set_random_seed(settings.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()


def previews(
    model: tf.keras.Model, stack: SliceStack, count: int = 4
) -> Callable[[], dict[str, tf.Tensor]]:
    """A function that shows the model's present prediction on a few fixed training slices.

    Returns:
      A function to a dict of `[count, H, W, 1]` images in 0..1 for TensorBoard.
    """
    chosen = stack.usable[np.linspace(0, len(stack.usable) - 1, 2 * count + 1).astype(int)[1::2]]
    images = stack.inputs(chosen)
    low, high = images.min(), images.max()

    def draw() -> dict[str, tf.Tensor]:
        classes = tf.argmax(model(images, training=False), axis=-1)[..., tf.newaxis]
        shown = {"image": (images[..., 1:2] - low) / (high - low), "prediction": classes}
        if stack.labels is not None:
            shown["truth"] = stack.labels[chosen][..., np.newaxis]
        scale = float(stack.classes - 1)
        return {
            name: tf.cast(value, tf.float32) / (1.0 if name == "image" else scale)
            for name, value in shown.items()
        }

    return draw
