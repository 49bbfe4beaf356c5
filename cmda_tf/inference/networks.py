"""The networks of a finished run, with its weights."""

from dataclasses import dataclass

import tensorflow as tf

from cmda_tf.models import segmenter as models
from cmda_tf.models.settings import ModelConfig
from cmda_tf.runs.run import Run
from cmda_tf.runs.weights import set_weights

ROLES = ("target", "source")


@dataclass(frozen=True)
class Networks:
    """A segmenter, and where there is one a DAM of its first layers."""

    config: ModelConfig  # of both
    segmenter: tf.keras.Model  # images to logits, trained on the source
    dam: tf.keras.Model | None = None  # replaces layers 1..depth for target images
    depth: int = 0  # of the DAM; 0 without

    def router(self) -> tf.keras.Model:
        """Both paths as one model; only with a DAM."""
        return models.build_router(self.config, self.depth, self.segmenter, self.dam)

    def paths(self) -> dict[str, tf.keras.Model]:
        """Images `[B, size, size, 3]` to logits, by the role of the images' modality.

        Without a DAM both roles have one network; with it they share the upper layers.
        """
        if self.dam is None:
            return dict.fromkeys(ROLES, self.segmenter)
        router = self.router()
        return {role: models.path(router, role) for role in ROLES}

    def features(self, role: str, layer: int) -> tf.keras.Model:
        """Images of a role (`source` or `target`) to the feature maps `[B, h, w, C]` of a layer.

        KeyError unless a unit of the topology ends with it, as with 13, 21, 25, 31.
        """
        image = models.image_input(self.config)
        parts = (None, 0) if role == "source" else (self.dam, self.depth)
        features = models.all_features(image, self.config, self.segmenter, *parts)
        return tf.keras.Model(image, features[layer])


def trained_segmenter(config: ModelConfig, run: Run) -> tf.keras.Model:
    """The segmenter with the weights of a finished run."""
    segmenter = models.build_segmenter(config)
    set_weights(segmenter, run.weights(), str(run.folder))
    return segmenter


def load_networks(run: Run, config: ModelConfig | None = None) -> Networks:
    """A finished run's networks; with a config that differs from its own in precision alone."""
    config = config or run.config
    segmenter = trained_segmenter(config, run)
    if (depth := run.record.depth) is None:
        return Networks(config, segmenter)
    dam = models.build_dam(config, depth, segmenter)
    set_weights(dam, run.weights(), str(run.folder))
    return Networks(config, segmenter, dam, depth)
