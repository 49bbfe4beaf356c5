"""The network's building blocks, and the factory their layers come from.

Every block takes a `LayerFactory` and asks it for layers by name, new ones (a segmenter, a DAM, a
critic) or those of an existing model (the shared upper layers): one piece of code builds both.
Tensors are `[B, H, W, C]`.
"""

import math
import zlib
from collections.abc import Callable

import tensorflow as tf

from cmda_tf.models.layers import BatchNorm, ChannelPad, PixelShuffle, SymmetricPad
from cmda_tf.models.settings import ModelConfig
from cmda_tf.models.topology import UPSAMPLING, Unit

SLOPE = 0.2  # LeakyReLU
NORM_DECAY = 0.90  # BatchNorm moving statistics
NORM_EPSILON = 1e-3
GROUPS = 8


class LayerFactory:
    """Makes layers named `prefix + name`, or hands out those of the model `shared`.

    The precision of the model's configuration becomes every new layer's dtype policy, so that no
    global policy is touched. `norm` is `batch`, `layer`, `group` or `none`; all but a critic's are
    `batch`.
    """

    def __init__(
        self, config: ModelConfig, prefix="", shared: tf.keras.Model | None = None, norm="batch"
    ):
        self.config, self.prefix, self.norm, self._shared = config, prefix, norm, shared
        self._policy = tf.keras.mixed_precision.Policy(config.precision)

    def __call__(
        self, name: str, make: Callable[..., tf.keras.layers.Layer], *args, **kwargs
    ) -> tf.keras.layers.Layer:
        """The layer called `name`; `make(*args, **kwargs)` if it is a new one."""
        if self._shared is not None:
            return self._shared.get_layer(self.prefix + name)
        kwargs.setdefault("dtype", self._policy)
        return make(*args, name=self.prefix + name, **kwargs)

    def initializer(self, name: str) -> tf.keras.initializers.Initializer:
        """Glorot's for the layer called `name`, whatever was drawn before it and elsewhere."""
        seed = zlib.crc32(f"{self.config.seed}/{self.prefix}{name}".encode())
        return tf.keras.initializers.GlorotUniform(seed=seed % 2**31)


def convolution(x, layers, name, filters, *, size=3, stride=1, dilation=1, symmetric=False):
    """A convolution without bias; `symmetric` padding mirrors the border (conv10, output)."""
    if symmetric:
        x = layers(f"{name}_pad", SymmetricPad, size // 2)(x)
    options = {"strides": stride, "dilation_rate": dilation, "use_bias": False}
    options["padding"] = "valid" if symmetric else "same"
    options["kernel_initializer"] = layers.initializer(f"{name}_conv")
    return layers(f"{name}_conv", tf.keras.layers.Conv2D, filters, size, **options)(x)


def normalize(x, layers, name):
    """BatchNorm with the paper's decay; in a critic as its factory says."""
    if layers.norm == "none":
        return x
    if layers.norm == "batch":
        return layers(f"{name}_norm", BatchNorm, momentum=NORM_DECAY, epsilon=NORM_EPSILON)(x)
    # Layer normalization of an image is group normalization with one group.
    groups = 1 if layers.norm == "layer" else math.gcd(GROUPS, x.shape[-1])
    norm = tf.keras.layers.GroupNormalization
    return layers(f"{name}_norm", norm, groups=groups, epsilon=NORM_EPSILON)(x)


def activate(x, layers, name):
    """LeakyReLU, then dropout where asked."""
    x = layers(f"{name}_act", tf.keras.layers.LeakyReLU, SLOPE)(x)
    rate = layers.config.dropout
    return layers(f"{name}_drop", tf.keras.layers.Dropout, rate)(x) if rate else x


def conv_norm_act(x, layers, name, filters, **kwargs):
    """Convolution, normalization, activation."""
    x = convolution(x, layers, name, filters, **kwargs)
    return activate(normalize(x, layers, name), layers, name)


def residual_block(x, layers, name, filters, dilation=1):
    """conv-norm-act-conv-norm, add, act; a narrower shortcut is zero-padded in channels."""
    h = conv_norm_act(x, layers, f"{name}_1", filters, dilation=dilation)
    h = convolution(h, layers, f"{name}_2", filters, dilation=dilation)
    h = normalize(h, layers, f"{name}_2")
    if x.shape[-1] < filters:
        x = layers(f"{name}_shortcut", ChannelPad, filters)(x)
    return activate(layers(f"{name}_add", tf.keras.layers.Add)([x, h]), layers, name)


def apply_unit(x, layers: LayerFactory, unit: Unit):
    """Applies one row of the topology table to `x`."""
    config = layers.config
    if unit.kind == "upsample":
        filters = UPSAMPLING**2 * 8 * config.classes
        x = convolution(x, layers, unit.name, filters, symmetric=True)
        x = layers(f"{unit.name}_shuffle", PixelShuffle, UPSAMPLING)(x)
    elif unit.kind == "output":
        x = convolution(x, layers, unit.name, config.classes, size=5, symmetric=True)
        # Losses and softmax want full precision whatever the policy of the layers below.
        x = layers("logits", tf.keras.layers.Activation, "linear", dtype="float32")(x)
    else:
        blocks: dict[str, Callable] = {"conv": convolution, "residual": residual_block}
        block = blocks.get(unit.kind, conv_norm_act)
        x = block(x, layers, unit.name, config.scaled(unit.width), dilation=unit.dilation)
    return layers(f"{unit.name}_pool", tf.keras.layers.MaxPooling2D)(x) if unit.pool else x


def apply_units(x, layers: LayerFactory, units: tuple[Unit, ...]) -> dict[int, tf.Tensor]:
    """Applies units in order; gives each one's output by the index of its last convolution."""
    features = {}
    for unit in units:
        x = features[unit.last_layer] = apply_unit(x, layers, unit)
    return features
