"""The loop that all phases run: updates with progress, TensorBoard, checkpoints and resume."""

import contextlib
import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from cmda_tf.data.slices import SliceStack
from cmda_tf.errors import DataError
from cmda_tf.training.steps import Metrics

Images = Callable[[], dict[str, tf.Tensor]]  # to be shown, by name: `[N, H, W, 1]` in 0..1


class Loop:
    """Runs updates and keeps what decides the next one in checkpoints of the run's folder.

    `counters` names the run's stages; `state` is what a checkpoint holds besides their counters:
    models and optimizers. The last checkpoint, if there is one, is restored.
    """

    def __init__(self, folder: Path, counters: Iterable[str], **state: Any):
        self._counters = {name: tf.Variable(0, dtype=tf.int64) for name in counters}
        self._state = state
        self._writer = tf.summary.create_file_writer(str(folder / "logs"))
        checkpoint = tf.train.Checkpoint(**state, **self._counters)
        directory = str(folder / "checkpoints")
        self._manager = tf.train.CheckpointManager(checkpoint, directory, max_to_keep=2)
        if latest := self._manager.latest_checkpoint:
            try:
                checkpoint.restore(latest).assert_existing_objects_matched()
            except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
                reason = str(error).splitlines()[0]
                raise DataError(
                    f"{latest}: cannot be restored ({reason}); not resuming starts anew"
                ) from error

    def done(self, counter: str) -> int:
        """Updates of this stage that have been done."""
        return int(self._counters[counter].numpy())

    def run(
        self,
        counter: str,
        total: int,
        batches: Callable[[int, int], Iterable],
        update: Callable[[tf.Tensor, Any], Metrics],
        log_every: int,
        checkpoint_every: int,
        images: Images | None = None,
        after: Callable[[int, Metrics], None] | None = None,
    ) -> dict[str, float]:
        """Does updates number `done(counter)` to `total - 1`; returns the last metrics it read.

        Args:
          batches: (start, stop) to the batches of these update numbers.
          update: (number, batch) to metrics.
          log_every, checkpoint_every: updates between two entries in TensorBoard and between two
            checkpoints, with which `images` are shown; both come after the last update as well.
          after: called with (updates done, metrics) before the checkpoint that says so.

        Raises:
          DataError: a metric or the state is not finite; the last checkpoint is from before.
          KeyboardInterrupt: the user asked to stop; a checkpoint has been written.
        """
        start, metrics = self.done(counter), dict[str, float]()
        if start >= total:
            return metrics
        bar = tqdm(total=total, initial=start, desc=counter, unit="update", mininterval=1)
        with bar, held_back() as interrupted:
            for done, batch in enumerate(batches(start, total), start + 1):
                result = update(tf.constant(done - 1, tf.int64), batch)
                self._counters[counter].assign(done)
                bar.update()
                if done == total or done % log_every == 0:
                    metrics = self.log(counter, done, result)
                    bar.set_postfix({k: f"{v:.4g}" for k, v in metrics.items()})
                if after is not None:
                    after(done, result)
                stop = interrupted()
                if stop or done == total or done % checkpoint_every == 0:
                    self._check_finite(counter, done, result)
                    self._check_state(counter, done)
                    # Who stops waits for the checkpoint, not for pictures.
                    self.save(counter, done, None if stop else images)
                if stop:
                    break
        if interrupted():
            raise KeyboardInterrupt("the same command goes on from the last checkpoint")
        return metrics

    def log(self, counter: str, number: int, result: Metrics) -> dict[str, float]:
        """Writes the metrics of an update to TensorBoard and returns them as numbers."""
        metrics = self._check_finite(counter, number, result)
        with self._writer.as_default(step=number):
            for name, value in metrics.items():
                tf.summary.scalar(f"{counter}/{name}", value)
        return metrics

    @staticmethod
    def _check_finite(counter: str, number: int, result: Metrics) -> dict[str, float]:
        metrics = {name: float(value) for name, value in result.items()}
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise DataError(f"{counter}: {name} is {value} at update {number}; stopped")
        return metrics

    def _check_state(self, counter: str, number: int) -> None:
        """The metrics of an update are those of the weights before it: these may be worse."""
        for name, part in self._state.items():
            for variable in getattr(part, "variables", [part]):
                value = tf.convert_to_tensor(variable)
                if value.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(value))):
                    raise DataError(
                        f"{counter}: update {number} has left numbers in {name} that are not "
                        f"finite ({variable.name}); stopped"
                    )

    def save(self, counter: str, number: int, images: Images | None) -> None:
        """Writes a checkpoint and the images that show where the run stands."""
        self._manager.save()
        if images is not None:
            with self._writer.as_default(step=number):
                for name, value in images().items():
                    tf.summary.image(f"{counter}/{name}", value, max_outputs=4)
        self._writer.flush()


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Within it the first Ctrl-C interrupts nothing; a second one does, as outside.

    Left to itself Python interrupts wherever it happens to be: between an update and its count, so
    that a resumed run would do it twice, or inside TensorFlow, which then aborts the process.
    Held back are the signals that raise KeyboardInterrupt: SIGINT, and SIGTERM and SIGHUP under
    `cmda_tf.cli`; only in the main thread, which gets them. Yields whether one has come.
    """
    usual = signal.default_int_handler
    stops = (signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM))
    signals = [s for s in stops if signal.getsignal(s) is usual]
    if threading.current_thread() is not threading.main_thread():
        signals = []
    came = False

    def note(*_) -> None:
        nonlocal came
        came = True
        handle_by(usual)

    def handle_by(handler: Callable) -> None:
        for number in signals:
            signal.signal(number, handler)

    handle_by(note)
    try:
        yield lambda: came
    finally:
        handle_by(usual)


def previews(model: tf.keras.Model, stack: SliceStack, count: int = 4) -> Images:
    """A function that shows the model's present predictions on `count` fixed training slices,
    beside their images and, where there are labels, the truth."""
    chosen = stack.usable[np.linspace(0, len(stack.usable) - 1, 2 * count + 1).astype(int)[1::2]]
    images = stack.inputs(chosen)
    low, high = images.min(), images.max()

    def draw() -> dict[str, tf.Tensor]:
        maps = {"prediction": tf.argmax(model(images, training=False), axis=-1)[..., tf.newaxis]}
        if stack.labels is not None:
            maps["truth"] = stack.labels[chosen][..., np.newaxis]
        scale = float(stack.classes - 1)
        scaled = {name: tf.cast(value, tf.float32) / scale for name, value in maps.items()}
        return {"image": tf.cast((images[..., 1:2] - low) / (high - low), tf.float32), **scaled}

    return draw
