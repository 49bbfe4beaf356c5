"""The list of a prepared folder's subjects: `manifest.json`.

It is written last and at once, so the stores that it names are always complete.
"""

import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmda_tf.data.structures import Structures
from cmda_tf.data.subjects import MAX_SIZE
from cmda_tf.errors import DataError
from cmda_tf.files import read_json, write_json

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 2
MODALITY_NAME = r"[a-z][a-z0-9_]*"


@dataclass(frozen=True)
class Entry:
    """One prepared subject.

    Attributes:
      id: such as "ct_train_1003".
      modality: such as "mr".
      split: "train" or "test". A test subject may lack a label: it is held out all the same.
      file: its store, a file name within the prepared folder.
      labeled: whether the store holds a label.
      raw_spacing_mm: voxel spacing of the raw file along its axes i, j, k.
      spacing_mm: isotropic spacing of the prepared grid.
      centered_on: "label" or "volume", whose center is the prepared grid's.
      intensity_cut: raw intensity at which the histogram was cut.
      label_inside: share of the structures' volume inside the prepared grid, or None.
      sha256: checksums of the raw files, {"image": ..., "label": ... or None}.
      form: what the file is: "store", or in the authors' release "records" or "volume".
    """

    id: str
    modality: str
    split: str
    file: str
    labeled: bool
    raw_spacing_mm: tuple[float, float, float]
    spacing_mm: float
    centered_on: str
    intensity_cut: float
    label_inside: float | None
    sha256: dict[str, str | None]
    form: str = "store"


@dataclass(frozen=True)
class PreparedDataset:
    """All subjects of a prepared folder.

    Attributes:
      folder: the prepared folder.
      size: voxels per side of every prepared volume.
      spacing_mm: its isotropic spacing.
      structures: what the class indices of its labels mean.
      entries: one for each subject, by modality, then by id.
    """

    folder: Path
    size: int
    spacing_mm: float
    structures: Structures
    entries: tuple[Entry, ...]

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that have subjects, in the order of the entries."""
        return tuple(dict.fromkeys(e.modality for e in self.entries))

    def select(self, modality: str, split: str) -> list[Entry]:
        """The subjects of one modality and split ("train" or "test")."""
        return [e for e in self.entries if (e.modality, e.split) == (modality, split)]

    def path(self, entry: Entry) -> Path:
        """The file of a subject's store."""
        return self.folder / entry.file


def write_manifest(dataset: PreparedDataset) -> None:
    """Writes `manifest.json` into the dataset's folder."""
    values = {
        "format": MANIFEST_FORMAT,
        "size": dataset.size,
        "spacing_mm": dataset.spacing_mm,
        **dataset.structures.to_dict(),
        "entries": [_without_form(dataclasses.asdict(entry)) for entry in dataset.entries],
    }
    write_json(dataset.folder / MANIFEST_NAME, values)


def _without_form(values: dict[str, Any]) -> dict[str, Any]:
    """All that a dataset lists are stores."""
    del values["form"]
    return values


def read_prepared(prepared: str | Path) -> PreparedDataset:
    """Reads the dataset of a prepared folder.

    Raises:
      DataError: there is none (the message says which command makes it) or it is damaged.
    """
    path = Path(prepared) / MANIFEST_NAME
    if not path.is_file():
        raise DataError(
            f"{path}: no such file; python -m cmda_tf.prepare --raw=DIR --prepared={prepared} "
            "makes it"
        )
    values = read_json(path)
    try:
        if values["format"] != MANIFEST_FORMAT:
            raise ValueError(f"format {values['format']}, this version reads {MANIFEST_FORMAT}")
        entries = tuple(_entry(v) for v in values["entries"])
        size, spacing_mm = values["size"], values["spacing_mm"]
        if not (type(size) is int and 0 < size <= MAX_SIZE and 0 < spacing_mm < math.inf):
            raise ValueError(f"size {size!r:.20}, spacing {spacing_mm!r:.20}")
        structures = Structures.from_dict(values)
        return PreparedDataset(Path(prepared), size, float(spacing_mm), structures, entries)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable dataset ({error}); python -m cmda_tf.prepare makes it again"
        ) from error


def _entry(values: dict[str, Any]) -> Entry:
    """An entry from its JSON values; its store must lie in the prepared folder itself."""
    entry = Entry(**{**values, "raw_spacing_mm": tuple(values["raw_spacing_mm"])})
    for name in (entry.file, entry.id):  # predictions are named by the latter
        if Path(name).name != name:
            raise ValueError(f"{name!r} is no plain file name")
    if not isinstance(entry.labeled, bool):
        raise ValueError(f"{entry.id}: labeled {entry.labeled!r}, not true or false")
    if not re.fullmatch(MODALITY_NAME, entry.modality) or entry.split not in ("train", "test"):
        raise ValueError(f"{entry.id}: modality {entry.modality!r}, split {entry.split!r}")
    return entry
