"""All criteria of all snapshots, from the target's training images and the source's labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from cmda_tf.data.dataset import Dataset
from cmda_tf.data.slices import SliceStack
from cmda_tf.model_selection import criteria, shapes
from cmda_tf.model_selection.snapshot_model import SnapshotModel
from cmda_tf.runs.snapshots import Snapshot

SLICES_PER_SUBJECT = 16  # predictions of all slices would cost more than they tell
PIXELS = 2048  # of all slices, for the neighborhood density, whose cost is their square


@dataclass(frozen=True)
class Scored:
    """A snapshot's values: after how many joint updates, the logged metrics of the last, and its
    criteria in the order of `CRITERIA`, None where one has no value."""

    update: int
    metrics: dict[str, float]
    criteria: dict[str, float | None]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What snapshots are judged by, the same for all; there is no target label in it.

    Attributes:
      images: `[N, H, W, 3]` float32, some slices of each of the target's training subjects.
      subjects: `[N]` the subject of each.
      pixels: `[P]` indices of pixels among the N H W.
      adabn: `[N, H, W]` uint8, the AdaBN model's prediction.
      source_shapes: `[S, D]` shape statistics of the source's labels.
    """

    images: np.ndarray
    subjects: np.ndarray
    pixels: np.ndarray
    adabn: np.ndarray
    source_shapes: np.ndarray


def score_snapshots(
    model: SnapshotModel, dataset: Dataset, snapshots: Sequence[Snapshot]
) -> list[Scored]:
    """Scores each snapshot of the model's run, also by the source's training labels; its DAM holds
    the last of them afterwards."""
    evidence = gather_evidence(model, dataset)
    return [score(model, evidence, s) for s in tqdm(snapshots, desc="select", unit="snapshot")]


def gather_evidence(model: SnapshotModel, dataset: Dataset) -> Evidence:
    """Predicts with AdaBN and describes the source's labels; everything follows from the seed."""
    chosen, subjects = spread(model.stack)
    images = model.stack.inputs(chosen)
    total = math.prod(images.shape[:3])
    generator = np.random.default_rng(model.record.model.seed)
    model.load_adabn()
    source = dataset.slices(model.record.source, "train", with_labels=True)
    labeled, of_subject = spread(source)
    return Evidence(
        images=images,
        subjects=subjects,
        pixels=generator.choice(total, min(PIXELS, total), replace=False, shuffle=False),
        adabn=_classes(model.probabilities(images)),
        source_shapes=shapes.by_subject(source.truth[labeled], of_subject, source.classes),
    )


def score(model: SnapshotModel, evidence: Evidence, snapshot: Snapshot) -> Scored:
    """All criteria of one snapshot, as the model that the run would end with."""
    metrics = model.load(snapshot)
    probabilities = model.probabilities(evidence.images)
    classes, count = _classes(probabilities), probabilities.shape[-1]
    vectors = probabilities.reshape(-1, count)[evidence.pixels]
    predicted = shapes.by_subject(classes, evidence.subjects, count)
    values = {
        "last": float(snapshot.update),
        "entropy": criteria.negative_entropy(probabilities),
        "mutual_information": criteria.mutual_information(probabilities),
        "neighborhood_density": criteria.neighborhood_density(vectors),
        "critic_distance": -metrics.get("distance", math.nan),
        "adabn_agreement": criteria.agreement(classes, evidence.adabn, evidence.subjects, count),
        "source_shapes": shapes.plausibility(predicted, evidence.source_shapes),
    }
    finite = {k: value if math.isfinite(value) else None for k, value in values.items()}
    return Scored(snapshot.update, metrics, finite)


def spread(stack: SliceStack) -> tuple[np.ndarray, np.ndarray]:
    """Indices `[N]` of slices spread evenly over each subject, at most `SLICES_PER_SUBJECT` of it,
    and `[N]` the subject of each."""
    chosen = []
    for subject in np.unique(stack.subject[stack.subject >= 0]):
        slices = np.flatnonzero(stack.subject == subject)
        edges = np.linspace(0, len(slices), min(SLICES_PER_SUBJECT, len(slices)) + 1)
        chosen.append(slices[((edges[:-1] + edges[1:]) / 2).astype(int)])
    index = np.concatenate(chosen)
    return index, stack.subject[index]


def _classes(probabilities: np.ndarray) -> np.ndarray:
    return probabilities.argmax(axis=-1).astype(np.uint8)
