"""How runs are called and which run starts from which: known before any is made."""

import dataclasses
from pathlib import Path
from typing import Any

from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import read_json
from cmda_tf.old_settings import AdaptSettings, PhaseSettings, SelfTrainSettings, SourceSettings

PHASES: dict[str, type[PhaseSettings]] = {
    "source": SourceSettings,
    "adapt": AdaptSettings,
    "adabn": AdaptSettings,
    "finetune": SourceSettings,
    "selftrain": SelfTrainSettings,
}

SETTINGS, WEIGHTS = "settings.json", "weights.npz"  # in a run's folder, first and last

# Settings that do not change what a run computes: they may differ when it is resumed.
FREE = {
    *("resume", "runs", "name", "title", "data", "phantom_seed", "prepared", "prepared_folder"),
    *("origin", "origin_folder"),  # the origin's weights decide, by their checksum
    *("log_every", "checkpoint_every", "joint_checkpoint_every"),
}

# The phantom as it is made and prepared where `--prepared` names no other data.
PHANTOM_SUBJECTS, PHANTOM_SIZE, PHANTOM_SPACING_MM = 20, 64, 3.5


def phantom_folders(settings: PhaseSettings) -> tuple[Path, Path]:
    """Where the phantom of these settings is kept: raw and prepared.

    The source's images are prepared centered on their labels, those of the target must not be:
    each source has prepared data of its own.
    """
    seed, source = settings.phantom_seed, settings.source
    name = f"phantom_seed{seed}" if seed else "phantom"
    prepared = f"{name}_prepared" if source == "mr" else f"{name}_prepared_from_{source}"
    return Path(settings.data) / name, Path(settings.data) / prepared


def read_record(folder: Path) -> dict[str, Any]:
    """What a run has written down, `settings.json`, once it can be relied on.

    Settings that came after the run have their defaults.

    Raises:
      DataError: it is missing or damaged.
    """
    path = folder / SETTINGS
    record = read_json(path)
    try:
        kind, inputs = PHASES[record["phase"]], record["inputs"]
        names = {field.name for field in dataclasses.fields(kind)}  # others were of older versions
        record["settings"] = kind.completed(record["settings"])
        kind.from_dict({k: v for k, v in record["settings"].items() if k in names})
        for name in ("modality", "prepared_folder"):
            if not isinstance(inputs[name], str):
                raise ValueError(f"{name}: expected str, found {inputs[name]!r:.80}")
    except (AttributeError, LookupError, TypeError, ValueError, UsageError) as error:
        raise DataError(f"{path}: not the settings of a run ({error})") from error
    return record


def run_name(phase: str, settings: PhaseSettings) -> str:
    """The default name of a run's folder, such as `source_mr` or `adapt_d13`."""
    if phase in ("source", "finetune"):
        return f"{phase}_{training_modality(phase, settings)}"
    return f"{phase}_d{settings.depth}"


def run_folder(phase: str, settings: PhaseSettings) -> Path:
    """The run's folder under `--runs`."""
    return Path(settings.runs) / (settings.name or run_name(phase, settings))


def origin_name(phase: str, settings: PhaseSettings) -> str | None:
    """The folder of the run that a phase starts from, under `--runs`; None if from nothing."""
    if phase == "source":
        return None
    usual = f"adapt_d{settings.depth}" if phase == "selftrain" else f"source_{settings.source}"
    return settings.origin or usual


def training_modality(phase: str, settings: Any) -> str:
    """The modality whose labels `--phase=source` or `finetune` uses."""
    return settings.modality or (settings.target if phase == "finetune" else settings.source)
