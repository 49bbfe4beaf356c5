"""Which function carries out a phase of training."""

from typing import Any

from cmda_tf.datasets import open_data
from cmda_tf.files import locked
from cmda_tf.runs.run import Run
from cmda_tf.training.phases import Phase


def run_phase(settings: Phase) -> Run:
    """Runs a phase on the data that its settings name; gives the finished run."""
    # Imported here: TensorFlow takes seconds, and a wrong flag should be told at once.
    from cmda_tf.threads import limit_threads
    from cmda_tf.training.adabn import adapt_statistics
    from cmda_tf.training.adversarial import adapt
    from cmda_tf.training.self_training import selftrain
    from cmda_tf.training.supervised import train_segmenter

    functions: dict[str, Any] = dict.fromkeys(("source", "finetune"), train_segmenter)
    functions |= {"adabn": adapt_statistics, "adapt": adapt, "selftrain": selftrain}
    limit_threads(settings.compute.threads)
    dataset = open_data(settings.data)
    dataset.check_modality(settings.modality, "modality")
    with locked(settings.folder):
        return functions[settings.name](settings, dataset)
