"""A snapshot_model: a run's networks, into whose DAM its snapshots are put one after another."""

import numpy as np
import tensorflow as tf

from cmda_tf.data.prepared import Dataset
from cmda_tf.data.slices import SliceStack
from cmda_tf.models.blocks import ModelConfig
from cmda_tf.models.segmenter import build_dam, build_router, build_segmenter, path
from cmda_tf.old_settings import AdaptSettings
from cmda_tf.runs.run import Run
from cmda_tf.runs.snapshots import Snapshot
from cmda_tf.runs.weights import get_weights, set_weights
from cmda_tf.training.adabn import make_refresh
from cmda_tf.training.setup import foreground_only, target_slices

SLICES_PER_BATCH = 16


class SnapshotModel:
    """Makes of a snapshot the very model that a run would end with.

    Args:
      settings: of the run: its depth and whether it refreshes statistics.
      config: of the networks.
      segmenter, dam, router: of the run; only the DAM's weights are ever changed.
      stack: the target's unlabeled training slices.
    """

    def __init__(
        self,
        settings: AdaptSettings,
        config: ModelConfig,
        segmenter: tf.keras.Model,
        dam: tf.keras.Model,
        router: tf.keras.Model,
        stack: SliceStack,
    ):
        self.settings, self.router, self.stack = settings, router, stack
        self.model = path(router, "target")  # images to logits, whatever the DAM holds
        self._dam = dam
        self._origin = get_weights(build_dam(config, settings.depth, segmenter))
        self._refresh = make_refresh(config, settings.depth, segmenter, stack)
        self._probabilities = _probabilities(self.model)

    def restore(self, snapshot: Snapshot) -> dict[str, float]:
        """Puts a snapshot into the DAM, with BatchNorm statistics as the final model gets them.

        Returns:
          The metrics of its update.

        Raises:
          DataError: the snapshot is damaged or of another network.
        """
        weights, metrics = snapshot.read()
        set_weights(self._dam, weights, str(snapshot.path))
        if self.settings.refresh_statistics:
            self._refresh(self._dam)
        return metrics

    def restore_adabn(self) -> None:
        """Puts the AdaBN model into the DAM: the source's weights, the target's statistics."""
        set_weights(self._dam, self._origin, "the source model")
        self._refresh(self._dam)

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Predictions `[N, H, W, C]` float32 for images `[N, H, W, 3]` float32."""
        starts = range(0, len(images), SLICES_PER_BATCH)
        parts = [self._probabilities(images[s : s + SLICES_PER_BATCH]).numpy() for s in starts]
        return np.concatenate(parts)


def snapshot_model(run: Run, dataset: Dataset) -> SnapshotModel:
    """The snapshot_model of a finished run; `dataset` is of the prepared data."""
    settings = AdaptSettings.from_dict(run.record["settings"])
    weights, origin = run.weights(), str(run.folder)
    segmenter = build_segmenter(run.config)
    set_weights(segmenter, weights, origin)
    dam = build_dam(run.config, settings.depth, segmenter)
    router = build_router(run.config, settings.depth, segmenter, dam)
    stack = foreground_only(settings, target_slices(settings, dataset), segmenter)
    return SnapshotModel(settings, run.config, segmenter, dam, router, stack)


def _probabilities(model: tf.keras.Model):
    """A graph from images to class probabilities."""

    @tf.function(input_signature=[tf.TensorSpec([None, *model.input_shape[1:]])])
    def probabilities(images: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(tf.cast(model(images, training=False), tf.float32))

    return probabilities
