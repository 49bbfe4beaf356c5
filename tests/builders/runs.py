"""Runs as they write themselves down, without any training."""

from pathlib import Path

from cmda_tf.data.structures import HEART
from cmda_tf.models.settings import ModelConfig
from cmda_tf.runs.record import Inputs, RunRecord
from cmda_tf.runs.run import Run, start_run


def write_run(settings, size=16, data="p", sha256="of the data", crop="volume"):
    """The run of a phase that has just begun, on data of which only this is known."""
    init = settings.init_from and str(Path(settings.run.runs) / settings.init_from)
    inputs = Inputs(
        settings.modality, data, sha256, 1.0, HEART, crop, init, init and "of its weights"
    )
    model = ModelConfig(size, seed=settings.compute.seed, **settings.network.to_dict())
    record = RunRecord(settings.name, settings.to_dict(), model, inputs, {"cmda_tf": "0"})
    run = start_run(settings.folder, record, settings, settings.run.resume)
    assert isinstance(run, Run)
    return run
