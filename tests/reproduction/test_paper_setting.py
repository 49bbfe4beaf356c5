"""The first steps of the paper's full setting: its flags on tiny slices, and its full size."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.inference.networks import Networks
from cmda_tf.models.segmenter import build_dam, build_segmenter
from cmda_tf.models.settings import ModelConfig
from cmda_tf.reproduction.estimate import PAPER_SIZE
from cmda_tf.reproduction.plan import make_plan, with_seed
from cmda_tf.training.adversarial import make_networks
from cmda_tf.training.adversarial_networks import make_joint_update
from cmda_tf.training.run_phase import run_phase
from cmda_tf.training.steps import make_source_step

FLAGS = Path(__file__).parents[2] / "flags"
SHORT = ("--width=0.0625", "--steps=2", "--finetune_steps=1", "--warmup_updates=1")


@pytest.mark.slow
def test_first_steps_of_the_papers_setting(dataset, tmp_path, untraced):
    base = [f"--flagfile={FLAGS / 'paper.cfg'}", f"--prepared={dataset.folder}", *SHORT]
    base += ["--joint_updates=1", "--critic_updates=2"]
    rows = ("uda_d13", "adabn_d13", "seg_ct_stl", "seg_mri")
    done = []
    for step in make_plan(base, FLAGS / "rows", rows, []):
        settings = with_seed(step, 1, tmp_path).settings
        assert "loop" not in vars(settings) or settings.loop.batch == 5
        run = untraced(run_phase, settings)
        assert run.finished and run.folder == tmp_path / step.name
        done.append(step.name)
    assert done == ["source_mr", "adapt_d13", "adabn_d13", "finetune_ct"]


@pytest.mark.slow
def test_first_updates_at_the_papers_size(untraced):
    """256x256, full width, batch 5: one source step, then one update of critic and DAM each."""
    plan = make_plan(
        [f"--flagfile={FLAGS / 'paper.cfg'}"], FLAGS / "rows", ["seg_mri", "uda_d13"], []
    )
    source, adapt = (step.settings for step in plan)
    segmenter = build_segmenter(ModelConfig(PAPER_SIZE, width=source.network.width))
    generator = np.random.default_rng(0)
    shape = (source.loop.batch, PAPER_SIZE, PAPER_SIZE)
    images = tf.constant(generator.normal(size=(2, *shape, 3)), tf.float32)
    labels = tf.constant(generator.integers(0, 5, shape), tf.uint8)
    adam, rate = tf.keras.optimizers.Adam(), lambda number: source.schedule.learning_rate
    step = make_source_step(segmenter, adam, rate, source.loss, source.affine)
    metrics = untraced(step, tf.constant(0, tf.int64), {"images": images[0], "labels": labels})
    assert np.isfinite(float(metrics["loss"])) and segmenter.count_params() > 2e7
    config, depth = ModelConfig(PAPER_SIZE, width=adapt.network.width), adapt.dam.depth
    nets = Networks(config, segmenter, build_dam(config, depth, segmenter), depth)
    networks = make_networks(adapt.critic, adapt.adversarial, nets)
    rates = adapt.adversarial.critic_learning_rate, adapt.adversarial.dam_learning_rate
    joint = make_joint_update(networks, lambda number: rates, 1, adapt.affine, 0)
    before = [np.array(v) for v in networks.dam.trainable_variables]
    metrics = untraced(joint, tf.constant(0, tf.int64), {"source": images, "target": images + 1})
    assert all(np.isfinite(float(value)) for value in metrics.values())
    assert all((np.array(v) != b).any() for v, b in zip(networks.dam.trainable_variables, before))


def test_step_is_finished_when_its_weights_are_there(dataset, tmp_path):
    plan = make_plan([f"--prepared={dataset.folder}"], FLAGS / "rows", ["seg_mri"], [])
    step = with_seed(plan[0], 2, tmp_path)
    assert step.arguments[0] == "--phase=source" and not step.finished
    (tmp_path / "source_mr").mkdir()
    (tmp_path / "source_mr/weights.npz").touch()
    assert step.finished
