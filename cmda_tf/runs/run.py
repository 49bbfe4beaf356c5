"""A run: one folder with settings, checkpoints, TensorBoard logs and the final weights.

runs/adapt_d13/
  settings.json    what was asked for, and by which versions (`cmda_tf.runs.record`)
  checkpoints/     to resume from; the last one is kept when the run is done
  logs/            TensorBoard
  model.keras      the final model, for Keras of the generation that wrote it
  weights.npz      its weights by name, read by this package on any stack; written last
  snapshots/       of an adaptation: the DAM after some of the joint updates
  selection.json   which of them became the final model, and why (cmda_tf.model_selection)
"""

import dataclasses
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import make_folder, replacing, write_json
from cmda_tf.models.settings import ModelConfig
from cmda_tf.runs.record import SETTINGS, SNAPSHOTS, RunRecord, read_record
from cmda_tf.settings import Settings, SettingsType

if TYPE_CHECKING:  # who only looks at runs need not wait for it
    import tensorflow as tf

WEIGHTS, MODEL, SELECTION = "weights.npz", "model.keras", "selection.json"


@dataclass(frozen=True)
class Run:
    """A run's folder, and the content of its `settings.json`."""

    folder: Path
    record: RunRecord

    @property
    def finished(self) -> bool:
        """Whether the final weights are there; they are written last."""
        return is_finished(self.folder)

    @property
    def config(self) -> ModelConfig:
        """Configuration of the run's networks."""
        return self.record.model

    @property
    def phase(self) -> str:
        """One of `cmda_tf.runs.record.PHASE_NAMES`."""
        return self.record.phase

    def part(self, cls: type[SettingsType]) -> SettingsType:
        """`RunRecord.part` of what was read from disk; DataError, naming its file, if damaged."""
        try:
            return self.record.part(cls)
        except UsageError as error:
            raise _no_settings(self.folder, error) from error

    def weights(self) -> dict[str, Any]:
        """The final weights by name."""
        from cmda_tf.runs.weights import load_weights

        return load_weights(self.folder / WEIGHTS)

    def finish(self, model: "tf.keras.Model") -> "Run":
        """Writes the final model; the run, which is given back, counts as finished from here on."""
        from cmda_tf.runs.weights import save_weights

        with replacing(self.folder / MODEL) as temporary:
            model.save(temporary)
        save_weights(self.folder / WEIGHTS, model)
        return self


def is_finished(folder: Path) -> bool:
    """Whether a folder holds a finished run."""
    return (folder / WEIGHTS).is_file()


def start_run(folder: Path, record: RunRecord, settings: Settings, resume: bool) -> Run:
    """Makes the folder of a run, or opens it to be resumed; else what is there is replaced.

    `record` is what is asked for now; of its settings, those of a phase, `settings` tells which
    decide the run's result. To be resumed the folder must not hold a run of other settings
    (UsageError), or what is no run (DataError).
    """
    make_folder(folder)
    if resume and (folder / SETTINGS).is_file():
        try:
            _check_same(folder, before := read_record(folder), record, settings)
        except DataError as error:
            raise DataError(f"{error}; not resuming replaces it") from error
        if is_finished(folder):  # which no version since has changed
            record = dataclasses.replace(record, versions=before.versions)
    else:
        _empty(folder)
    write_json(folder / SETTINGS, record.to_dict())
    return Run(folder, record)


def open_run(folder: str | Path) -> Run:
    """Opens an existing run; DataError if there is none in this folder."""
    return Run(Path(folder), read_record(Path(folder)))


def finished_run(folder: str | Path, phase: str = "source") -> Run:
    """Opens a run that something else builds on; DataError if it is not there or not finished,
    which tells that this phase would make it."""
    if not is_finished(Path(folder)):
        raise DataError(f"{folder}: no finished run here", made_by=phase)
    return open_run(folder)


def find_runs(runs: Path) -> Iterator[Run]:
    """The finished runs of a folder, by name."""
    folders = (path.parent for path in sorted(runs.glob(f"*/{SETTINGS}")))
    return (open_run(folder) for folder in folders if is_finished(folder))


def _check_same(folder: Path, old: RunRecord, new: RunRecord, settings: Settings) -> None:
    """Refuses to go on with a run under other settings, naming the first that differs."""

    def deciding(record: RunRecord) -> dict[str, Any]:
        values: dict[str, Any] = {"phase": record.phase}
        if old.phase == new.phase:  # two phases differ in many settings
            values |= type(settings).from_dict(record.settings).deciding()
            values |= vars(record.model) | record.inputs.deciding()
        return values

    try:
        before, now = deciding(old), deciding(new)
    except UsageError as error:
        raise _no_settings(folder, error) from error
    for name in sorted(before | now):
        if before.get(name) != now.get(name):
            raise UsageError(
                f"resume: {folder} holds a run with {name}={before.get(name)!r}, now it is "
                f"{now.get(name)!r}; not resuming replaces it, another name starts another"
            )


def _no_settings(folder: Path, error: UsageError) -> DataError:
    """The error of a record, a setting of which is none."""
    return DataError(f"{folder / SETTINGS}: not the settings of a run ({error})")


def _empty(folder: Path) -> None:
    """Removes an earlier run's files, the mark of its being finished first."""
    for name in (WEIGHTS, MODEL, SETTINGS, SELECTION):
        (folder / name).unlink(missing_ok=True)
    for name in ("checkpoints", "logs", SNAPSHOTS):
        shutil.rmtree(folder / name, ignore_errors=True)
