"""Size of the slices that settings will train on, known or assumed before the data is there."""

from pathlib import Path

from cmda_tf.old_settings import PhaseSettings
from cmda_tf.release2018.dataset import open_dataset
from cmda_tf.runs.naming import PHANTOM_SIZE

PAPER_SIZE = 256


def slice_size(settings: PhaseSettings) -> int:
    """Height and width: of the prepared data; of the phantom without; else the paper's."""
    if settings.prepared is None:
        return PHANTOM_SIZE
    if Path(settings.prepared).is_dir():
        return open_dataset(settings.prepared).size
    return PAPER_SIZE
