"""The loop: what is drawn, logged and saved when, and what an interrupt leaves behind."""

import signal
import threading

import numpy as np
import pytest
import tensorflow as tf

from cmda_tf.errors import DataError
from cmda_tf.training.loop import Loop, held_back


class Sum:
    """The smallest trainer: each update adds its batch to a variable that starts at 0."""

    def __init__(self, folder):
        self.total = tf.Variable(0, dtype=tf.int64)
        self.drawn, self.images_logged = [], 0
        self.loop = Loop(folder, ("first", "second"), total=self.total)

    def batches(self, start, stop):
        self.drawn.append((start, stop))
        return tf.data.Dataset.range(start, stop).map(lambda n: {"images": n + 1})

    def update(self, number, batch):
        self.total.assign_add(batch["images"])
        return {"total": self.total + 0}

    def images(self):
        self.images_logged += 1
        return {"gray": tf.fill([1, 4, 4, 1], 0.5)}

    def run(self, counter, stop, update=None, log_every=2, checkpoint_every=2):
        update = tf.function(update or self.update)
        periods = (log_every, checkpoint_every, self.images)
        return self.loop.run(counter, stop, self.batches, update, *periods)


def _checkpoints(folder):
    return sorted(path.name for path in (folder / "checkpoints").glob("*.index"))


def test_two_stages_are_run_logged_and_kept(tmp_path):
    sum_of = Sum(tmp_path)
    assert sum_of.run("first", 5) == {"total": 15.0}  # 1 + 2 + 3 + 4 + 5
    assert sum_of.loop.done("first") == 5 and sum_of.loop.done("second") == 0
    assert sum_of.images_logged == 3  # after updates 2, 4 and, as the last, 5
    assert sum_of.run("second", 1) == {"total": 16.0}
    assert _checkpoints(tmp_path) == ["ckpt-3.index", "ckpt-4.index"]  # the last two
    again = Sum(tmp_path)
    assert (again.loop.done("first"), again.loop.done("second")) == (5, 1)
    assert int(again.total) == 16
    assert again.run("first", 5) == {} and again.drawn == []


def test_tensorboard_gets_scalars_and_images_at_their_updates(tmp_path):
    Sum(tmp_path).run("first", 5, log_every=3, checkpoint_every=4)
    (events,) = (tmp_path / "logs").iterdir()
    scalars, images = {}, []
    for record in tf.compat.v1.train.summary_iterator(str(events)):
        for value in record.summary.value:
            if value.metadata.plugin_data.plugin_name == "scalars":
                scalars[record.step] = (value.tag, float(tf.make_ndarray(value.tensor)))
            else:
                images.append((record.step, value.tag))
    assert scalars == {3: ("first/total", 6.0), 5: ("first/total", 15.0)}
    assert images == [(4, "first/gray"), (5, "first/gray")]


def test_what_comes_after_an_update_has_seen_all_that_a_checkpoint_says_is_done(tmp_path):
    seen = []

    def after(done, metrics):
        kept = tf.train.latest_checkpoint(str(tmp_path / "checkpoints"))
        seen.append((done, int(metrics["total"]), kept and int(kept.split("-")[-1])))

    sum_of = Sum(tmp_path)
    sum_of.loop.run("first", 4, sum_of.batches, sum_of.update, 10, 2, None, after)
    assert seen == [(1, 1, None), (2, 3, None), (3, 6, 1), (4, 10, 1)]  # checkpoints after 2, 4


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    """An update's metrics are those of the weights before it."""
    weights = tf.Variable([1.0, 1.0])

    def update(number, batch):
        before = tf.reduce_sum(weights)
        weights.assign(tf.where(number == 3, [1.0, float("nan")], weights))
        return {"loss": before}

    loop = Loop(tmp_path, ("first",), weights=weights)
    draw = Sum(tmp_path).batches
    with pytest.raises(DataError, match="first: update 4 has left numbers in weights that are not"):
        loop.run("first", 4, draw, update, 1, 2)
    again = Loop(tmp_path, ("first",), weights=weights)
    assert again.done("first") == 2 and np.all(np.isfinite(weights))


def test_killed_run_goes_on_from_the_last_checkpoint(tmp_path):
    class Killed(Exception):
        pass

    def killing(number, batch):
        tf.py_function(check, [number], [])
        return sum_of.update(number, batch)

    def check(number):
        if number == 3:
            raise Killed

    sum_of = Sum(tmp_path)
    with pytest.raises(tf.errors.OpError, match="Killed"):
        sum_of.run("first", 6, killing)
    again = Sum(tmp_path)
    assert again.loop.done("first") == 2 and int(again.total) == 1 + 2
    assert again.run("first", 6) == {"total": 21.0}
    assert again.drawn == [(2, 6)]


@pytest.mark.parametrize("delay_s", [0.0, 0.2, 0.3, 0.4])
def test_update_under_way_when_ctrl_c_comes_is_counted_once(tmp_path, press_ctrl_c, delay_s):
    def slow(number, batch):
        turns = tf.while_loop(lambda i: i < 20_000, lambda i: [i + 1], [tf.constant(0)])
        with tf.control_dependencies(turns):
            return sum_of.update(number, batch)

    def batches(*numbers):
        threading.Timer(delay_s, press_ctrl_c).start()  # the loop has begun
        return Sum.batches(sum_of, *numbers)

    sum_of = Sum(tmp_path)
    sum_of.batches = batches
    with pytest.raises(KeyboardInterrupt):
        sum_of.run("first", 10_000, slow, log_every=10_000, checkpoint_every=10_000)
    again = Sum(tmp_path)
    done = again.loop.done("first")
    assert done > 0 and int(again.total) == done * (done + 1) // 2
    assert again.run("first", done + 2) == {"total": (done + 2) * (done + 3) / 2}
    assert again.drawn == [(done, done + 2)]


def test_ctrl_c_in_the_last_update_is_not_lost(tmp_path, press_ctrl_c):
    sum_of = Sum(tmp_path)
    sum_of.images = lambda: press_ctrl_c() or {}  # while the last checkpoint is written
    with pytest.raises(KeyboardInterrupt):
        sum_of.run("first", 1)
    assert Sum(tmp_path).loop.done("first") == 1


def test_second_ctrl_c_interrupts_at_once(press_ctrl_c):
    with held_back() as interrupted:
        assert not interrupted()
        press_ctrl_c()
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            press_ctrl_c()
    with pytest.raises(KeyboardInterrupt):  # as it was before
        press_ctrl_c()


def test_signals_that_do_not_interrupt_are_left_alone(press_ctrl_c):
    came = []
    signal.signal(signal.SIGINT, lambda *_: came.append(1))
    with held_back() as interrupted:
        press_ctrl_c()
    assert came == [1] and not interrupted()
    thread = threading.Thread(target=lambda: came.append(held_back().__enter__()()))
    thread.start()
    thread.join()
    assert came == [1, False]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_metric_that_is_not_finite_stops_and_keeps_the_last_checkpoint(tmp_path, bad):
    def diverging(number, batch):
        metrics = sum_of.update(number, batch)
        return {"loss": tf.where(number < 3, 0.0, bad), **metrics}

    sum_of = Sum(tmp_path)
    with pytest.raises(DataError, match=rf"^first: loss is {bad} at update 4; stopped$"):
        sum_of.run("first", 6, diverging)
    again = Sum(tmp_path)
    assert again.loop.done("first") == 2 and int(again.total) == 1 + 2


def test_damaged_checkpoint_is_named_with_the_way_out(tmp_path):
    Sum(tmp_path).run("first", 2)
    for path in (tmp_path / "checkpoints").glob("*.data*"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match=r"ckpt-1: cannot be restored .*; not resuming starts anew"):
        Sum(tmp_path)


def test_checkpoint_of_another_network_is_refused(tmp_path):
    Sum(tmp_path).run("first", 2)
    other = tf.Variable([0, 0], dtype=tf.int64)
    with pytest.raises(DataError, match="cannot be restored"):
        Loop(tmp_path, ("first", "second"), total=other)
