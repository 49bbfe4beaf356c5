"""All criteria of all snapshots, from the target's training images and the source's labels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cmda_tf.data.dataset import Dataset
from cmda_tf.data.slices import SliceStack
from cmda_tf.inference.foreground import foreground_slices
from cmda_tf.inference.networks import Networks, load_networks
from cmda_tf.inference.predictor import Predictor, probabilities
from cmda_tf.inference.settings import ForegroundSettings, StatisticsSettings
from cmda_tf.inference.statistics import make_refresh
from cmda_tf.model_selection import criteria
from cmda_tf.models.segmenter import build_dam, path
from cmda_tf.runs.run import Run
from cmda_tf.runs.weights import Snapshot, get_weights, set_weights

SLICES_PER_SUBJECT = 16  # predictions of all slices would cost more than they tell
PIXELS = 2048  # of all slices, for the neighborhood density, whose cost is their square


class SnapshotModel:
    """Makes of a snapshot the very model that a run would end with.

    Of the run's networks, whose both paths are the router's, only the DAM's weights are ever
    changed; `stack` are the target's unlabeled training slices.
    """

    def __init__(self, run: Run, nets: Networks, router: tf.keras.Model, stack: SliceStack):
        self.record, self.router, self.stack = run.record, router, stack
        self.model = path(router, "target")  # images to logits, whatever the DAM holds
        self._dam = nets.dam
        self._init = get_weights(build_dam(nets.config, nets.depth, nets.segmenter))
        self._refresh = make_refresh(nets.config, nets.depth, nets.segmenter, stack)
        self._refreshes = run.part(StatisticsSettings).refresh_statistics
        self._predictor = Predictor(self.model, probabilities)

    def load(self, snapshot: Snapshot) -> dict[str, float]:
        """Puts a snapshot into the DAM, with BatchNorm statistics as the final model gets them;
        gives the metrics of its update. DataError: it is damaged or of another network."""
        weights, metrics = snapshot.read()
        set_weights(self._dam, weights, str(snapshot.path))
        if self._refreshes:
            self._refresh(self._dam)
        return metrics

    def load_adabn(self) -> None:
        """Puts the AdaBN model into the DAM: the source's weights, the target's statistics."""
        set_weights(self._dam, self._init, "the source model")
        self._refresh(self._dam)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Predictions `[N, H, W, C]` float32 for images `[N, H, W, 3]` float32."""
        return self._predictor.on_inputs(images)


def snapshot_model(run: Run, dataset: Dataset) -> SnapshotModel:
    """The model of a finished run, for data like that which it was trained on."""
    nets = load_networks(run)
    stack = dataset.target_slices(run.record.target)
    if run.part(ForegroundSettings).foreground_only:
        stack = foreground_slices(stack, nets.segmenter)
    return SnapshotModel(run, nets, nets.router(), stack)


@dataclass(frozen=True)
class Scored:
    """A snapshot's values: after how many joint updates, the logged metrics of the last, and its
    criteria in the order of `CRITERIA`, None where one has no value."""

    update: int
    metrics: dict[str, float]
    criteria: dict[str, float | None]


def score_snapshots(
    model: SnapshotModel, dataset: Dataset, snapshots: Sequence[Snapshot]
) -> list[Scored]:
    """Scores each snapshot of the model's run; its DAM holds the last of them afterwards.

    They are judged by some slices of each of the target's training subjects, without a target
    label, and by the source's training labels; all draws follow from the run's seed.
    """
    chosen, subjects = spread(model.stack)
    images = model.stack.inputs(chosen)
    total = math.prod(images.shape[:3])
    generator = np.random.default_rng(model.record.model.seed)
    model.load_adabn()
    source = dataset.slices(model.record.source, "train", with_labels=True)
    labeled, of_subject = spread(source)
    pixels = generator.choice(total, min(PIXELS, total), replace=False, shuffle=False)
    adabn = _classes(model.probabilities(images))
    shapes = criteria.shapes_by_subject(source.truth[labeled], of_subject, source.classes)

    def score(snapshot: Snapshot) -> Scored:
        metrics = model.load(snapshot)
        predicted = model.probabilities(images)
        classes, count = _classes(predicted), predicted.shape[-1]
        vectors = predicted.reshape(-1, count)[pixels]
        own_shapes = criteria.shapes_by_subject(classes, subjects, count)
        values = {
            "last": float(snapshot.update),
            "entropy": criteria.negative_entropy(predicted),
            "mutual_information": criteria.mutual_information(predicted),
            "neighborhood_density": criteria.neighborhood_density(vectors),
            "critic_distance": -metrics.get("distance", math.nan),
            "adabn_agreement": criteria.agreement(classes, adabn, subjects, count),
            "source_shapes": criteria.shape_plausibility(own_shapes, shapes),
        }
        finite = {k: value if math.isfinite(value) else None for k, value in values.items()}
        return Scored(snapshot.update, metrics, finite)

    return [score(snapshot) for snapshot in tqdm(snapshots, desc="select", unit="snapshot")]


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
