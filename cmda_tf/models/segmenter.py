"""The ConvNet segmenter (the paper, section 3.1), the DAM (3.2) and the router (Fig. 2).

All are Keras functional models made from the table in `topology`. Images are `[B, size, size, 3]`
float32; logits `[B, size, size, classes]` float32, before the softmax.
"""

import tensorflow as tf

from cmda_tf.models.blocks import LayerFactory, apply_units
from cmda_tf.models.settings import ModelConfig
from cmda_tf.models.topology import NUM_LAYERS, check_depth, units_between

DAM_PREFIX = "dam_"


def image_input(config: ModelConfig, name: str = "image") -> tf.Tensor:
    """The symbolic input image."""
    return tf.keras.Input((config.size, config.size, config.channels), name=name)


def build_segmenter(config: ModelConfig) -> tf.keras.Model:
    """The 33-layer segmenter, with new weights: image to logits."""
    image = image_input(config)
    features = apply_units(image, LayerFactory(config), units_between(1, NUM_LAYERS))
    return tf.keras.Model(image, features[NUM_LAYERS], name="segmenter")


def build_dam(config: ModelConfig, depth: int, segmenter: tf.keras.Model) -> tf.keras.Model:
    """The domain adaptation module: layers 1..depth anew, called as before with prefix `dam_`.

    It leads from the image to the feature map of layer `depth`, one of `topology.LEGAL_DEPTHS`.
    The weights of the trained segmenter, BatchNorm state included, are copied.
    """
    image = image_input(config)
    features = lower_features(image, config, check_depth(depth))
    dam = tf.keras.Model(image, features[depth], name="dam")
    for layer in dam.layers:
        if layer.weights:
            layer.set_weights(segmenter.get_layer(layer.name[len(DAM_PREFIX) :]).get_weights())
    return dam


def build_upper(
    config: ModelConfig, depth: int, segmenter: tf.keras.Model, dam: tf.keras.Model
) -> tf.keras.Model:
    """The segmenter's own layers above `depth`: the DAM's feature map to logits.

    Called apart from the DAM, they can stay in inference mode while it trains.
    """
    at_depth, features = upper_features(config, depth, segmenter, dam.output)
    return tf.keras.Model(at_depth, features[NUM_LAYERS], name="upper")


def upper_features(
    config: ModelConfig, depth: int, segmenter: tf.keras.Model, like: tf.Tensor
) -> tuple[tf.Tensor, dict[int, tf.Tensor]]:
    """An input `like` layer `depth`'s output, and the feature maps of the layers above it."""
    at_depth = tf.keras.Input(like.shape[1:], name="at_depth", dtype=like.dtype)
    units = units_between(depth + 1, NUM_LAYERS)
    return at_depth, apply_units(at_depth, LayerFactory(config, shared=segmenter), units)


def lower_features(image, config: ModelConfig, depth: int, dam: tf.keras.Model | None = None):
    """Feature maps of layers 1..depth by layer index: the DAM's own, or of a new DAM."""
    layers = LayerFactory(config, DAM_PREFIX, dam)
    return apply_units(image, layers, units_between(1, depth))


def build_router(
    config: ModelConfig, depth: int, segmenter: tf.keras.Model, dam: tf.keras.Model
) -> tf.keras.Model:
    """One functional model with both paths of Fig. 2, `source` and `target`: images to logits.

    Source images run through the segmenter's first `depth` layers, target images through the DAM,
    both then through the same upper layers. `path` cuts one of them out.
    """
    parts: dict[str, tuple] = {"source": (), "target": (dam, depth)}
    images = {role: image_input(config, name=role) for role in parts}
    logits = {
        role: all_features(images[role], config, segmenter, *of_dam)[NUM_LAYERS]
        for role, of_dam in parts.items()
    }
    return tf.keras.Model(images, logits, name="router")


def all_features(
    image, config: ModelConfig, segmenter: tf.keras.Model, dam=None, depth: int = 0
) -> dict[int, tf.Tensor]:
    """Feature maps of a path of Fig. 2 by layer index, sharing all layers with their models.

    The layers 1..depth of the symbolic image's path are the DAM's, those above the segmenter's;
    without a DAM all are the segmenter's, as on the source path.
    """
    features = lower_features(image, config, depth, dam) if dam is not None else {}
    upper = LayerFactory(config, shared=segmenter)
    below = features.get(depth, image)
    return features | apply_units(below, upper, units_between(depth + 1, NUM_LAYERS))


def path(router: tf.keras.Model, role: str) -> tf.keras.Model:
    """The router's path for `role` (`source` or `target`): image to logits, weights shared."""
    return tf.keras.Model(router.input[role], router.output[role], name=f"{role}_path")
