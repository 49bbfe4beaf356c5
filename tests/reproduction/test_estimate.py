"""Estimates against counts by hand."""

import pytest
import tensorflow as tf

from cmda_tf.models.critic import build_critic
from cmda_tf.models.segmenter import build_segmenter
from cmda_tf.models.settings import ModelConfig
from cmda_tf.reproduction import estimate as module
from cmda_tf.reproduction.estimate import (
    estimate,
    forward_flop,
    measured_throughput,
    side_by_side,
)
from cmda_tf.training.phases import (
    AdabnPhase,
    AdaptPhase,
    FinetunePhase,
    SelftrainPhase,
    SourcePhase,
)


def test_operations_of_two_layers():
    x = tf.keras.Input((8, 8, 3))
    y = tf.keras.layers.Conv2D(4, 3, strides=2, padding="same")(x)
    model = tf.keras.Model(x, tf.keras.layers.Dense(5)(tf.keras.layers.Flatten()(y)))
    assert forward_flop(model) == 2 * (9 * 3 * 4 * 4 * 4) + 2 * (64 * 5)


def test_one_slice_at_the_papers_size():
    """About 83 GFLOP: the sum over the table of kernels times maps at 256x256."""
    flop = forward_flop(build_segmenter(ModelConfig(size=256, width=1)))
    assert flop == pytest.approx(83e9, rel=0.02)


def test_updates_scale_what_is_counted():
    small = {"width": 0.0625, "batch": 2}
    forward = forward_flop(build_segmenter(ModelConfig(size=16, width=0.0625)))

    def cost(settings):
        return estimate(settings, 16)

    source = cost(SourcePhase.of(steps=10, **small))
    assert source.flop == pytest.approx(10 * 2 * 3 * forward)
    assert cost(FinetunePhase.of(finetune_steps=5, **small)).flop == source.flop / 2
    selftrain = cost(SelftrainPhase.of(selftrain_steps=3, **small))
    assert selftrain.flop == pytest.approx(3 * 2 * 4 * forward)
    assert cost(AdabnPhase.of(width=0.0625)).flop == 0
    joint = {"warmup_updates": 0, "critic_updates": 4}
    one = cost(AdaptPhase.of(joint_updates=1, **joint, **small))
    assert cost(AdaptPhase.of(joint_updates=3, **joint, **small)).flop == 3 * one.flop
    masked = cost(AdaptPhase.of(joint_updates=1, mask_critic_weight=0.3, **joint, **small))
    mask = forward_flop(build_critic(ModelConfig(size=16, width=0.0625), 5))
    assert masked.flop - one.flop == pytest.approx(2 * (4 * 2 * 3 + 3) * mask)
    segmenter = build_segmenter(ModelConfig(size=16, width=0.0625))
    kept = sum(int(tf.reduce_prod(x.output.shape[1:])) for x in segmenter.layers)
    more = cost(SourcePhase.of(width=0.0625, batch=5)).memory
    assert more - source.memory == 4 * 3 * kept  # bytes of float32, three more slices


def test_two_batches_are_learned_from_beside_source_images():
    forward = forward_flop(build_segmenter(ModelConfig(size=16, width=0.0625)))
    options = {"selftrain_steps": 3, "width": 0.0625, "batch": 2, "source_weight": 1.0}
    cost = estimate(SelftrainPhase.of(**options), 16)
    assert cost.flop == pytest.approx(3 * 2 * (1 + 2 * 3) * forward)


@pytest.mark.parametrize(
    ("workers", "threads", "expected"),
    [(1, 1, 1), (2, 1, 2), (9, 1, 4), (9, 2, 2), (3, 8, 1), (3, 0, 1)],
)
def test_workers_help_as_far_as_there_are_cores(monkeypatch, workers, threads, expected):
    monkeypatch.setattr(module, "available_cores", lambda: 4)
    assert side_by_side(workers, threads) == expected


def test_images_and_tensorflow_itself_take_memory():
    small = estimate(SourcePhase(), 16).memory
    assert small > 0.6 * 2**30
    paper = estimate(AdaptPhase.of(batch=1, width=0.0625), 256)
    assert paper.memory > 2 * 16 * 256**3 * 3  # two modalities of 16 volumes, image and label


def test_throughput_is_measured():
    assert 1e8 < measured_throughput(1) < 1e15
