"""Does a source step wait for its input? Measured with the TensorFlow profiler.

    python benchmarks/input_pipeline.py --prepared=data/phantom_prepared

Profiles training steps, keeps the trace under `--out` (to be opened with TensorBoard's profile
plugin) and prints the median time of a step and of the wait for its batch.
"""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from cmda_tf import cli
from cmda_tf.settings import Settings, setting
from cmda_tf.training.phases import SourcePhase


@dataclass(frozen=True)
class BenchmarkSettings(Settings):
    """How long to measure."""

    profiled_steps: int = setting(30, "Steps under the profiler.", minimum=5)
    out: str = setting("build/profile", "Folder of the profiler's trace.")


def main(benchmark: BenchmarkSettings, settings: SourcePhase) -> None:
    """Profiles and prints."""
    import tensorflow as tf

    from cmda_tf.data.batches import batches
    from cmda_tf.datasets import open_data
    from cmda_tf.models.segmenter import build_segmenter
    from cmda_tf.models.settings import ModelConfig
    from cmda_tf.training.steps import make_source_step, staircase

    dataset, seed = open_data(settings.data), settings.compute.seed
    classes, rate = dataset.structures.classes, settings.schedule.learning_rate
    segmenter = build_segmenter(ModelConfig.of(settings.network, dataset.size, classes, seed))
    step = make_source_step(
        segmenter,
        tf.keras.optimizers.Adam(rate),
        lambda number: staircase(rate, 1.0, 1, number),
        settings.loss,
        settings.affine,
        settings.intensity,
        seed,
        settings.loop.jit_compile,
    )
    stack = dataset.slices(settings.data.source, "train", with_labels=True)
    total = benchmark.profiled_steps + 5
    waits, steps = [], []
    iterator = iter(batches(stack, settings.loop.batch, 0, 0, total, balanced=True))
    for number in range(total):
        if number == 5:  # tracing and warming up are over
            tf.profiler.experimental.start(benchmark.out)
        started = time.perf_counter()
        batch = next(iterator)
        arrived = time.perf_counter()
        step(tf.constant(number, tf.int64), batch)["loss"].numpy()
        if number >= 5:
            waits.append(arrived - started)
            steps.append(time.perf_counter() - arrived)
    tf.profiler.experimental.stop()
    wait, work = statistics.median(waits), statistics.median(steps)
    print(f"step {1e3 * work:.1f} ms, waiting for input {1e3 * wait:.2f} ms ({wait / work:.2%})")
    print(f"trace: {max(Path(benchmark.out).rglob('*.xplane.pb'))}")


if __name__ == "__main__":
    cli.run(main, BenchmarkSettings, SourcePhase)
