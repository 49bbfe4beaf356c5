"""Training and evaluation straight from a folder of published records."""

import numpy as np
import pytest
from builders.release import without_target_labels, write_release

from cmda_tf.datasets import open_data, open_dataset
from cmda_tf.errors import DataError
from cmda_tf.evaluation.evaluate import evaluate
from cmda_tf.evaluation.settings import EvaluateSettings
from cmda_tf.settings import leaves
from cmda_tf.training.adabn import adapt_statistics
from cmda_tf.training.adversarial import adapt
from cmda_tf.training.phases import AdabnPhase, AdaptPhase, SourcePhase
from cmda_tf.training.supervised import train_segmenter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("published") / "release")


@pytest.fixture(scope="module")
def settings(folder):
    common = {"width": 0.0625, "batch": 2, "log_every": 1, "prepared": str(folder)}
    common["runs"] = str(folder.parent / "runs")

    def make(cls, **changes):
        own = {name for name, _ in leaves(cls)}
        return cls.of(**{**{k: v for k, v in common.items() if k in own}, **changes})

    return make


SHORT = {"warmup_updates": 1, "joint_updates": 2, "critic_updates": 1, "snapshot_every": 1}


@pytest.fixture(scope="module")
def trained(settings, untraced):
    source = settings(SourcePhase, steps=2)
    dataset = open_data(source.data)
    untraced(train_segmenter, source, dataset)
    untraced(adapt_statistics, settings(AdabnPhase), dataset)
    return untraced(adapt, settings(AdaptPhase, **SHORT), dataset)


def test_runs_are_evaluated_on_the_test_volumes(trained, folder):
    report = evaluate(EvaluateSettings(runs=str(folder.parent / "runs")))
    titles = [row.title for row in report.rows.values()]
    assert titles == ["Seg-MRI", "noDA", "AdaBN d=13", "UDA d=13"]
    assert list(report.rows["adapt_d13"].subjects) == ["ct_1003"]
    # Its crops are its labels' work, which nothing in it says.
    assert trained.record.inputs.crop is None
    assert "the images of ct for training were cropped in an unknown way" in report.to_markdown()
    assert (folder.parent / "runs/figure3.png").is_file()


def test_the_targets_labels_decide_nothing(trained, folder, settings, untraced):
    expected = trained.weights()
    without_target_labels(folder)
    unlabeled = settings(AdaptPhase, **SHORT, name="unlabeled")
    actual = untraced(adapt, unlabeled, open_dataset(folder)).weights()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def test_a_damaged_record_is_named(trained, folder, settings, untraced):
    (folder / "mr_train_tfs/mr_train_slice0.tfrecords").write_bytes(b"\xff" * 64)
    with pytest.raises(DataError, match=r"mr_train_slice0\.tfrecords"):
        untraced(
            train_segmenter,
            settings(SourcePhase, steps=2, name="damaged"),
            open_dataset(folder),
        )
