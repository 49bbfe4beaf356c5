"""What the phases share when they begin: the run and its record, the source run, seeds."""

import logging
from pathlib import Path

import tensorflow as tf

import cmda_tf
from cmda_tf.data.dataset import VOLUME, Dataset
from cmda_tf.errors import UsageError
from cmda_tf.models.settings import ModelConfig
from cmda_tf.runs.record import Inputs, RunRecord, crop_warning
from cmda_tf.runs.run import Run, finished_run, start_run
from cmda_tf.runs.weights import digest
from cmda_tf.training.phases import Phase, SourcePhase, SupervisedPhase
from cmda_tf.training.settings import ComputeSettings


def start(settings: Phase, dataset: Dataset, init_from: Run | None = None) -> Run:
    """Makes a phase's run on a data set, perhaps from another run, or opens it to go on, and seeds
    what draws from a global state. UsageError: the data does not suit the network, or the folder
    holds another run."""
    inputs = Inputs(
        modality=settings.modality,
        prepared_folder=str(dataset.folder),
        prepared_sha256=dataset.checksum(),
        spacing_mm=dataset.spacing_mm,
        structures=dataset.structures,
        crop=dataset.crop(settings.modality),
        init_from=None if init_from is None else str(init_from.folder),
        init_sha256=None if init_from is None else digest(init_from.weights()),
    )
    sizes = dataset.size, dataset.structures.classes
    model = ModelConfig.of(settings.network, *sizes, settings.compute.seed)
    versions = {"cmda_tf": cmda_tf.__version__, "tensorflow": tf.__version__}
    record = RunRecord(settings.name, settings.to_dict(), model, inputs, versions)
    if not isinstance(settings, SupervisedPhase) and inputs.crop != VOLUME:
        logging.warning("%s: %s", dataset.folder, crop_warning(inputs.modality, inputs.crop))
    run = start_run(settings.folder, record, settings, settings.run.resume)
    seed_everything(settings.compute)
    return run


def source_run(settings: Phase) -> Run:
    """The finished source run that a phase starts from, in the same folder of runs; UsageError if
    what is named has learned from other labels than the source's."""
    folder, source = Path(settings.run.runs) / str(settings.init_from), settings.data.source
    run = finished_run(folder, SourcePhase.name)
    modality = run.record.inputs.modality
    if run.phase != SourcePhase.name or modality != source:
        raise UsageError(
            f"init_from: expected a run of phase source on {source!r}; {folder} is of phase "
            f"{run.phase} on {modality!r}"
        )
    return run


def seed_everything(settings: ComputeSettings) -> None:
    """Seeds what still draws from a global state (dropout); asks for repeatable operations."""
    tf.keras.utils.set_random_seed(settings.seed)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
