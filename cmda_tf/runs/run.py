"""A run: one folder with settings, checkpoints, TensorBoard logs and the final weights.

runs/adapt_d13/
  settings.json    what was asked for, and by which versions
  checkpoints/     to resume from; the last one is kept when the run is done
  logs/            TensorBoard
  model.keras      the final model, for Keras of the generation that wrote it
  weights.npz      its weights by name, read by this package on any stack; written last
  snapshots/       of an adaptation: the DAM after some of the joint updates
  selection.json   which of them became the final model, and why (cmda_tf.model_selection)
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

import cmda_tf
from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import make_folder, read_json, replacing, write_json
from cmda_tf.models.blocks import ModelConfig
from cmda_tf.old_settings import PhaseSettings
from cmda_tf.runs.naming import FREE, SETTINGS, WEIGHTS, read_record, run_folder
from cmda_tf.runs.weights import load_weights, save_weights

MODEL, SNAPSHOTS, SELECTION = "model.keras", "snapshots", "selection.json"


@dataclass(frozen=True)
class Run:
    """A run's folder.

    Attributes:
      folder: where everything of the run is.
      record: the content of `settings.json`: phase, settings, model configuration, versions.
    """

    folder: Path
    record: dict[str, Any]

    @property
    def finished(self) -> bool:
        """Whether the final weights are there; they are written last."""
        return (self.folder / WEIGHTS).is_file()

    @property
    def config(self) -> ModelConfig:
        """Configuration of the run's networks."""
        return ModelConfig(**self.record["model"])

    @property
    def phase(self) -> str:
        """`source`, `finetune`, `adabn`, `adapt` or `selftrain`."""
        return self.record["phase"]

    def weights(self) -> dict[str, Any]:
        """The final weights by name."""
        return load_weights(self.folder / WEIGHTS)

    def finish(self, model: tf.keras.Model) -> None:
        """Writes the final model; the run counts as finished from here on."""
        with replacing(self.folder / MODEL) as temporary:
            model.save(temporary)
        save_weights(self.folder / WEIGHTS, model)


def start_run(
    phase: str, settings: PhaseSettings, config: ModelConfig, inputs: dict[str, Any]
) -> Run:
    """Makes the folder of a run, or opens it to be resumed.

    Args:
      phase: the phase's name.
      settings: of the phase.
      config: of the networks.
      inputs: JSON-ready facts that the result depends on (the prepared data, the source run).

    Raises:
      UsageError: the folder holds a run of other settings and `--resume` is on.
    """
    folder = make_folder(run_folder(phase, settings))
    record = {
        "phase": phase,
        "settings": settings.to_dict(),
        "model": vars(config),
        "inputs": inputs,
        "versions": {"cmda_tf": cmda_tf.__version__, "tensorflow": tf.__version__},
    }
    if settings.resume and (folder / SETTINGS).is_file():
        before = _earlier(folder, settings)
        _check_same(folder, before, record)
        if (folder / WEIGHTS).is_file():  # which no version since has changed
            record["versions"] = before.get("versions", record["versions"])
    else:
        _empty(folder)
    write_json(folder / SETTINGS, record)
    return Run(folder, record)


def _earlier(folder: Path, settings: PhaseSettings) -> dict[str, Any]:
    """The record of the run in this folder, to be compared with a new one.

    Raises:
      DataError: it is damaged.
    """
    record = read_json(folder / SETTINGS)
    try:
        parts = {part: {**record.get(part, {})} for part in ("settings", "model", "inputs")}
        return {**record, **parts, "settings": settings.completed(parts["settings"])}
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / SETTINGS}: not the settings of a run ({error}); --noresume replaces it"
        ) from error


def open_run(folder: str | Path) -> Run:
    """Opens an existing run.

    Raises:
      DataError: there is no run in this folder.
    """
    folder = Path(folder)
    run = Run(folder, read_record(folder))
    try:
        for name in ("width", "dropout", "precision", "seed"):
            if getattr(run.config, name) != run.record["settings"][name]:
                raise ValueError(f"{name}: the model has another one than the settings")
    except (LookupError, TypeError, ValueError) as error:
        raise DataError(f"{folder / SETTINGS}: not the settings of a run ({error})") from error
    return run


def finished_run(folder: Path, command: str) -> Run:
    """Opens a run that another one builds on.

    Raises:
      DataError: it is not there or not finished; the message says which command makes it.
    """
    if not (folder / WEIGHTS).is_file():
        raise DataError(f"{folder}: no finished run here; this makes it: {command}")
    return open_run(folder)


def _check_same(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Refuses to go on with a run under other settings, naming the first that differs."""
    before, after = _what_decides(old), _what_decides(new)
    # The phase first: two phases differ in many settings, and that is the reason.
    for name in ("phase", *sorted(before.keys() | after.keys())):
        if before.get(name) != after.get(name):
            raise UsageError(
                f"{folder} holds a run with {name}={before.get(name)!r}, now it is "
                f"{after.get(name)!r}; --noresume replaces it, --name=NAME starts another"
            )


def _what_decides(record: dict[str, Any]) -> dict[str, Any]:
    """What a run's result depends on, by name."""
    parts = ("settings", "model", "inputs")
    values = {k: v for part in parts for k, v in record.get(part, {}).items() if k not in FREE}
    return {"phase": record.get("phase"), **values}


def _empty(folder: Path) -> None:
    """Removes an earlier run's files, the mark of its being finished first."""
    (folder / WEIGHTS).unlink(missing_ok=True)
    for name in (MODEL, SETTINGS, SELECTION):
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoints", "logs", SNAPSHOTS):
        shutil.rmtree(folder / name, ignore_errors=True)
