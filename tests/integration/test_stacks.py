"""Weights trained on one TensorFlow stack load on the other with equal predictions.

Each stack leaves its weights and predictions in the folder that CMDA_TF_EXCHANGE names, and
reads what the other has left there.
"""

import dataclasses
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.files import replacing
from cmda_tf.models.segmenter import build_dam, build_router, build_segmenter
from cmda_tf.models.settings import ModelConfig
from cmda_tf.runs.weights import load_weights, save_weights, set_weights

CONFIG = ModelConfig(size=16, width=0.0625)
MAJOR = keras.__version__.split(".")[0]


@pytest.fixture(scope="module")
def exchange():
    folder = os.environ.get("CMDA_TF_EXCHANGE")
    if not folder:
        pytest.skip("CMDA_TF_EXCHANGE names no folder to exchange weights in")
    return Path(folder)


@pytest.fixture(scope="module")
def router():
    """A router that has taken training steps on both paths, so that all its weights matter."""
    config = dataclasses.replace(CONFIG, seed=int(MAJOR))
    segmenter = build_segmenter(config)
    dam = build_dam(config, 13, segmenter)
    router = build_router(config, 13, segmenter, dam)
    optimizer = tf.keras.optimizers.Adam(1e-3)
    for _ in range(2):
        with tf.GradientTape() as tape:
            logits = router(_images(), training=True)
            loss = tf.reduce_mean(logits["source"] ** 2) + tf.reduce_mean(logits["target"] ** 3)
        variables = router.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return router


def _images():
    shape = (2, 2, 16, 16, 3)
    source, target = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return {"source": source, "target": target}


def test_leaves_weights_for_the_other_stack(exchange, router):
    save_weights(exchange / f"keras{MAJOR}_weights.npz", router)
    with replacing(exchange / f"keras{MAJOR}_logits.npz") as temporary:
        np.savez(temporary, **{k: v.numpy() for k, v in router(_images()).items()})
    assert len(load_weights(exchange / f"keras{MAJOR}_weights.npz")) == len(router.weights)


def test_other_stacks_weights_give_its_predictions(exchange, router):
    other = {"2": "3", "3": "2"}[MAJOR]
    path = exchange / f"keras{other}_weights.npz"
    if not path.exists():
        pytest.skip(f"Keras {other} has left nothing in {exchange}")
    before = router(_images())["target"].numpy()
    set_weights(router, load_weights(path), str(path))
    expected = np.load(exchange / f"keras{other}_logits.npz")
    for modality, logits in router(_images()).items():
        np.testing.assert_allclose(logits, expected[modality], atol=1e-5)
    assert np.abs(expected["target"] - before).max() > 1e-3
