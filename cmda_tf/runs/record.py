"""What a run writes down about itself, `settings.json`, typed; read and checked here alone."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cmda_tf.data.dataset import LABEL, VOLUME
from cmda_tf.data.structures import Structures
from cmda_tf.datasets import DataSettings
from cmda_tf.errors import MALFORMED, DataError
from cmda_tf.files import read_json
from cmda_tf.models.settings import DamSettings, ModelConfig, NetworkSettings
from cmda_tf.settings import Settings, SettingsType, check_types, setting

SETTINGS = "settings.json"  # in a run's folder, written first
SNAPSHOTS = "snapshots"  # a folder in it
RECORD_FORMAT = 2  # the first one had all settings in one flat dict
PHASE_NAMES = ("source", "finetune", "adabn", "adapt", "selftrain")


@dataclass(frozen=True)
class RunSettings(Settings):
    """Where a run lies, and what it is called."""

    key = "run"
    runs: str = setting("runs", "Folder that holds one folder per run.", free=True)
    name: str | None = setting(None, "The run's folder under --runs. Default: by phase.", free=True)
    title: str | None = setting(None, "The row's title in tables. Default: by phase.", free=True)
    resume: bool = setting(True, "Go on from the last checkpoint; else start anew.", free=True)


@dataclass(frozen=True)
class InitSettings(Settings):
    """Which run another one starts from."""

    key = "init"
    init_from: str | None = setting(
        None,
        "Run under --runs that this one starts from. Default: source_<source>, or the adaptation.",
        free=True,  # its weights decide, by their checksum
    )


@dataclass(frozen=True)
class Inputs:
    """What a run's result depends on besides its settings.

    An adaptation to images that are centered on labels has let these choose the field of view.
    """

    modality: str  # whose training images were learned from
    prepared_folder: str
    prepared_sha256: str  # of the content of the data
    spacing_mm: float
    structures: Structures
    crop: str | None  # what those images are centered on: "label", "volume" or, unknown, None
    init_from: str | None  # folder of the run that this one started from; None for from scratch
    init_sha256: str | None  # of its weights

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {**vars(self), "structures": self.structures.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Inputs":
        """Inverse of `to_dict`; for anything else errors as of `RunRecord.from_dict`."""
        inputs = cls(**{**values, "structures": Structures.from_dict(values["structures"])})
        check_types(cls, vars(inputs))
        if inputs.crop not in (LABEL, VOLUME, None):
            raise ValueError(f"crop: expected {LABEL}, {VOLUME} or null, found {inputs.crop!r:.80}")
        if not inputs.spacing_mm > 0:
            raise ValueError(f"spacing_mm: expected a length, found {inputs.spacing_mm}")
        return inputs

    def deciding(self) -> dict[str, Any]:
        """What must be equal for a run to be the same, wherever its inputs lie."""
        free = ("prepared_folder", "init_from")
        return {k: v for k, v in self.to_dict().items() if k not in free}


def crop_warning(modality: str, crop: str | None) -> str | None:
    """The sentence for logs and reports where labels have, or may have, cropped target images."""
    if crop == VOLUME:
        return None
    how = "by their labels" if crop == LABEL else "in an unknown way, perhaps by their labels"
    return (
        f"the images of {modality} for training were cropped {how}: target labels may have chosen "
        "the field of view of this adaptation"
    )


@dataclass(frozen=True)
class RunRecord:
    """A run's record: its phase (one of `PHASE_NAMES`), the phase's settings as JSON values by
    part, of which `part` gives one typed, the networks, inputs, and versions of the programs."""

    phase: str
    settings: Mapping[str, Mapping[str, Any]]
    model: ModelConfig
    inputs: Inputs
    versions: Mapping[str, str]

    def part(self, cls: type[SettingsType]) -> SettingsType:
        """A part of the settings, its defaults where there is none; UsageError for what is none.

        Settings that another version had, and this one does not know, are passed over.
        """
        known, values = {field.name for field in fields(cls)}, self.settings.get(cls.key, {})
        return cls.from_dict({name: value for name, value in values.items() if name in known})

    @property
    def source(self) -> str:
        """The modality with labels."""
        return self.part(DataSettings).source

    @property
    def target(self) -> str:
        """The modality without."""
        return self.part(DataSettings).target

    @property
    def depth(self) -> int | None:
        """Adaptation depth of the run's DAM; None for a run without one."""
        return self.part(DamSettings).depth if DamSettings.key in self.settings else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        parts = {"model": asdict(self.model), "inputs": self.inputs.to_dict()}
        return {"format": RECORD_FORMAT, **vars(self), **parts}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RunRecord":
        """Inverse of `to_dict`; any of `cmda_tf.errors.MALFORMED` for what is none."""
        if (actual := values.get("format")) != RECORD_FORMAT:
            again = f"this version reads {RECORD_FORMAT}: runs of 0.1 are to be trained again"
            raise ValueError(f"format {actual!r:.20}, {again}")
        if (phase := values["phase"]) not in PHASE_NAMES:
            legal = ", ".join(PHASE_NAMES)
            raise ValueError(f"phase: expected one of {legal}; found {phase!r:.80}")
        model, inputs = ModelConfig(**values["model"]), Inputs.from_dict(values["inputs"])
        settings = {name: dict(part) for name, part in values["settings"].items()}
        record = cls(phase, settings, model, inputs, dict(values["versions"]))
        record.part(RunSettings), record.part(DataSettings), record.depth
        stated = {**record.part(NetworkSettings).to_dict(), "seed": settings["compute"]["seed"]}
        for name, value in stated.items():
            if getattr(model, name) != value:
                raise ValueError(f"{name}: the model has another one than the settings")
        if (count := len(inputs.structures.members)) != model.classes - 1:
            raise ValueError(f"expected {model.classes - 1} structures, found {count}")
        return record


def read_record(folder: Path) -> RunRecord:
    """Reads a run's record; DataError if it is missing, damaged, or of another version."""
    values = read_json(folder / SETTINGS)
    try:
        return RunRecord.from_dict(values)
    except MALFORMED as error:
        raise DataError(f"{folder / SETTINGS}: not the settings of a run ({error})") from error
