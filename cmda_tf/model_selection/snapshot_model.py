"""A run's networks, into whose DAM its snapshots are loaded one after another."""

import numpy as np
import tensorflow as tf

from cmda_tf.data.dataset import Dataset
from cmda_tf.data.slices import SliceStack
from cmda_tf.inference.foreground import foreground_slices
from cmda_tf.inference.networks import Networks, load_networks
from cmda_tf.inference.predictor import Predictor, probabilities
from cmda_tf.inference.settings import ForegroundSettings, StatisticsSettings
from cmda_tf.inference.statistics import make_refresh
from cmda_tf.models.segmenter import build_dam, path
from cmda_tf.runs.run import Run
from cmda_tf.runs.snapshots import Snapshot
from cmda_tf.runs.weights import get_weights, set_weights


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
