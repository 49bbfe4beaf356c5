"""The loop that all phases run: updates with progress, TensorBoard, checkpoints and resume."""

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from tqdm import tqdm

from cmda_tf.errors import DataError
from cmda_tf.training.interrupts import held_back
from cmda_tf.training.steps import Metrics


class Loop:
    """Runs updates and keeps what decides the next one in checkpoints.

    Args:
      folder: the run's folder.
      **state: what a checkpoint holds besides the counters: models and optimizers.
    """

    def __init__(self, folder: Path, **state: Any):
        self._counters: dict[str, tf.Variable] = {}
        self._state = state
        self._folder = folder
        self._manager: Any = None  # of checkpoints, made by `restore`
        self._writer = tf.summary.create_file_writer(str(folder / "logs"))

    def restore(self, *counters: str) -> None:
        """Makes the counters of the run's stages and restores the last checkpoint, if any."""
        self._counters = {name: tf.Variable(0, dtype=tf.int64) for name in counters}
        checkpoint = tf.train.Checkpoint(**self._state, **self._counters)
        directory = str(self._folder / "checkpoints")
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
        images: Callable[[], dict[str, tf.Tensor]] | None = None,
        after: Callable[[int, Metrics], None] | None = None,
    ) -> dict[str, float]:
        """Does updates number `done(counter)` to `total - 1`; returns the last metrics it read.

        Args:
          counter: the stage, one of those given to `restore`; `total` is its number of updates.
          batches: (start, stop) to the batches of these update numbers.
          update: (number, batch) to metrics.
          log_every: updates between two entries in TensorBoard; one more is written at the end.
          checkpoint_every: as much for checkpoints; `images` are shown with each.
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
        """Writes metrics to TensorBoard and returns them as numbers.

        `run` calls it after update `number` of a stage, before the update's checkpoint.
        """
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

    def save(
        self, counter: str, number: int, images: Callable[[], dict[str, tf.Tensor]] | None
    ) -> None:
        """Writes a checkpoint and the images that show where the run stands."""
        self._manager.save()
        if images is not None:
            with self._writer.as_default(step=number):
                for name, value in images().items():
                    tf.summary.image(f"{counter}/{name}", value, max_outputs=4)
        self._writer.flush()
