"""Which snapshots are kept, what is in them, and what a crash leaves."""

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.errors import DataError
from cmda_tf.runs.weights import find_snapshots, get_weights, snapshot_writer


@pytest.fixture
def dam():
    return tf.keras.Sequential([tf.keras.Input((2,)), tf.keras.layers.Dense(1, name="dam_dense")])


def _updates(folder):
    return [snapshot.update for snapshot in find_snapshots(folder)]


@pytest.mark.parametrize(("period", "total", "kept"), [(5, 12, [0, 5, 10, 12]), (2, 4, [0, 2, 4])])
def test_first_last_and_every_so_many_are_kept(tmp_path, dam, period, total, kept):
    keep = snapshot_writer(tmp_path, dam, period, total)
    for update in range(total + 1):
        keep(update, {})
    assert _updates(tmp_path) == kept
    names = [snapshot.path.stem for snapshot in find_snapshots(tmp_path)]
    assert names[:2] == ["joint_0000", f"joint_{period:04d}"]


def test_weights_and_metrics_come_back(tmp_path, dam):
    before = get_weights(dam)
    keep = snapshot_writer(tmp_path, dam, 1, 12000)
    keep(0, {})
    dam.get_layer("dam_dense").kernel.assign([[1.0], [2.0]])
    keep(12000, {"distance": tf.constant(0.5), "dam_loss": -2.0})
    first, last = find_snapshots(tmp_path)
    assert last.update == 12000  # the order is that of numbers
    weights, metrics = first.read()
    assert metrics == {} and weights.keys() == before.keys()
    np.testing.assert_array_equal(weights["dam_dense/kernel"], before["dam_dense/kernel"])
    weights, metrics = last.read()
    assert metrics == {"distance": 0.5, "dam_loss": -2.0}
    assert weights["dam_dense/kernel"].tolist() == [[1.0], [2.0]]
    assert weights["dam_dense/kernel"].dtype == np.float32


def test_an_update_done_again_replaces_its_snapshot(tmp_path, dam):
    keep = snapshot_writer(tmp_path, dam, 1, 3)
    for update in (0, 1, 2, 1, 2, 3):
        dam.get_layer("dam_dense").bias.assign([float(update)])
        keep(update, {})
    assert _updates(tmp_path) == [0, 1, 2, 3]
    assert [s.read()[0]["dam_dense/bias"][0] for s in find_snapshots(tmp_path)] == [0, 1, 2, 3]


def test_failed_write_leaves_no_snapshot(tmp_path, dam, monkeypatch):
    keep = snapshot_writer(tmp_path, dam, 1, 3)
    keep(0, {})

    def half(file, **arrays):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez", half)
    with pytest.raises(KeyboardInterrupt):
        keep(1, {})
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == ["joint_0000.npz"]


def test_missing_and_damaged_snapshots_are_named(tmp_path):
    with pytest.raises(
        DataError, match="snapshots: no snapshots; train this run anew to have them"
    ):
        find_snapshots(tmp_path)
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots/joint_0003.npz").write_bytes(b"damaged")
    (snapshot,) = find_snapshots(tmp_path)
    with pytest.raises(DataError, match=r"joint_0003\.npz: expected a weights file"):
        snapshot.read()
