"""The convolutions of every task alone, one layer after another: the arithmetic's limit.

Each is TensorFlow's own operation on data that lie ready, with no normalization, activation or
optimizer between; a dilated one counts as the plain one of the same arithmetic. Forward, gradient
of the input and gradient of the kernel count where the task needs them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import tensorflow as tf
from case import CRITIC_UPDATES, DEPTH, Case

from cmda_tf.inference.predictor import SLICES_PER_BATCH
from cmda_tf.models.critic import build_critic, build_feature_paths
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.models.settings import ModelConfig
from cmda_tf.training.settings import CriticSettings


@dataclass
class Convolution:
    """One layer's three operations on random data `[B, H, W, C]`."""

    options: dict
    images: tf.Tensor
    kernel: tf.Tensor
    gradient: tf.Tensor = field(init=False)

    def __post_init__(self):
        self.gradient = self.forward()

    def forward(self) -> tf.Tensor:
        """The convolution."""
        return tf.raw_ops.Conv2D(input=self.images, filter=self.kernel, **self.options)

    def input_gradient(self) -> tf.Tensor:
        """Its gradient for the input."""
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=self.images.shape,
            filter=self.kernel,
            out_backprop=self.gradient,
            **self.options,
        )

    def kernel_gradient(self) -> tf.Tensor:
        """Its gradient for the kernel."""
        return tf.raw_ops.Conv2DBackpropFilter(
            input=self.images,
            filter_sizes=self.kernel.shape,
            out_backprop=self.gradient,
            **self.options,
        )


def convolutions(model: tf.keras.Model, batch: int, precision: str) -> list[Convolution]:
    """The convolutions of a model whose layers have been called once, in order."""
    dtype = tf.float32 if precision == "float32" else tf.bfloat16
    made = []
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.Conv2D):
            options = {"strides": [1, *layer.strides, 1], "padding": layer.padding.upper()}
            images = tf.cast(tf.random.normal([batch, *layer.input.shape[1:]]), dtype)
            kernel = tf.cast(tf.random.normal(layer.kernel.shape, stddev=0.01), dtype)
            made.append(Convolution(options, images, kernel))
    return made


def tasks(case: Case) -> tuple[dict[str, Callable], None]:
    """What of every task is convolution; each call does it once."""
    config = ModelConfig(case.size, width=case.width, precision=case.precision)
    network = build_segmenter(config)
    layers = convolutions(network, case.batch, case.precision)
    slices = convolutions(network, min(SLICES_PER_BATCH, case.size), case.precision)
    dam = build_dam(config, DEPTH, network)
    paths = build_feature_paths(config, DEPTH, CriticSettings().taps, network, dam)
    judge = build_critic(config, paths.channels)
    of_critic = convolutions(judge, case.batch, case.precision)

    def source_step() -> None:
        _forward(layers)
        _backward(layers, layers, first_input=False)

    def critic_update() -> None:
        _forward(layers, layers, of_critic, of_critic)  # both roles
        for _ in range(2):
            _backward(of_critic, of_critic, first_input=False)

    def dam_update() -> None:
        _forward(layers, of_critic)
        _backward(of_critic, [], first_input=True)
        _backward(layers, layers[:DEPTH], first_input=False)

    def joint_update() -> None:
        for _ in range(CRITIC_UPDATES):
            critic_update()
        dam_update()

    def prediction() -> None:
        for _ in range(-(-case.size // SLICES_PER_BATCH)):
            _forward(slices)

    return {
        "forward": lambda: _forward(layers),
        "source_step": source_step,
        "critic_update": critic_update,
        "dam_update": dam_update,
        "joint_update": joint_update,
        "prediction": prediction,
    }, None


def _forward(*groups: list[Convolution]) -> None:
    for group in groups:
        for layer in group:
            layer.forward()


def _backward(layers: list[Convolution], trained: list[Convolution], first_input: bool) -> None:
    """Gradients for the inputs of all layers, the first one's if asked, and trained kernels."""
    for layer in layers if first_input else layers[1:]:
        layer.input_gradient()
    for layer in trained:
        layer.kernel_gradient()
