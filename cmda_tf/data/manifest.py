"""The list of a prepared folder's subjects: `manifest.json`.

It is written last and at once, so the stores that it names are always complete.
"""

import dataclasses
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmda_tf.data.store import MAX_SIZE
from cmda_tf.data.structures import Structures
from cmda_tf.errors import DataError
from cmda_tf.files import read_json, write_json

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 2
DOMAIN_NAME = r"[a-z][a-z0-9_]*"


@dataclass(frozen=True)
class Entry:
    """One prepared subject.

    Attributes:
      id: such as "ct_train_1003".
      domain: such as "mr".
      split: "train" or "test". A test subject may lack a label: it is held out all the same.
      file: its store, a file name within the prepared folder.
      labelled: whether the store holds a label.
      raw_spacing_mm: voxel spacing of the raw file along its axes i, j, k.
      spacing_mm: isotropic spacing of the prepared grid.
      centred_on: "label" or "volume", whose centre is the prepared grid's.
      intensity_cut: raw intensity at which the histogram was cut.
      label_inside: share of the structures' volume inside the prepared grid, or None.
      sha256: checksums of the raw files, {"image": ..., "label": ... or None}.
      form: what the file is: "store", or in the authors' release "records" or "volume".
    """

    id: str
    domain: str
    split: str
    file: str
    labelled: bool
    raw_spacing_mm: tuple[float, float, float]
    spacing_mm: float
    centred_on: str
    intensity_cut: float
    label_inside: float | None
    sha256: dict[str, str | None]
    form: str = "store"


@dataclass(frozen=True)
class Manifest:
    """All subjects of a prepared folder.

    Attributes:
      folder: the prepared folder.
      size: voxels a side of every prepared volume.
      spacing_mm: its isotropic spacing.
      structures: what the class indices of its labels mean.
      entries: one for each subject, by domain, then by id.
    """

    folder: Path
    size: int
    spacing_mm: float
    structures: Structures
    entries: tuple[Entry, ...]

    @property
    def domains(self) -> tuple[str, ...]:
        """The domains that have subjects, in the order of the entries."""
        return tuple(dict.fromkeys(e.domain for e in self.entries))

    def select(self, domain: str, split: str) -> list[Entry]:
        """The subjects of one domain and split ("train" or "test")."""
        return [e for e in self.entries if (e.domain, e.split) == (domain, split)]

    def path(self, entry: Entry) -> Path:
        """The file of a subject's store."""
        return self.folder / entry.file


def write_manifest(manifest: Manifest) -> None:
    """Writes `manifest.json` into the manifest's folder."""
    values = {
        "format": MANIFEST_FORMAT,
        "size": manifest.size,
        "spacing_mm": manifest.spacing_mm,
        **manifest.structures.to_dict(),
        "entries": [_without_form(dataclasses.asdict(entry)) for entry in manifest.entries],
    }
    write_json(manifest.folder / MANIFEST_NAME, values)


def _without_form(values: dict[str, Any]) -> dict[str, Any]:
    """All that a manifest lists are stores."""
    del values["form"]
    return values


def read_manifest(prepared: str | Path) -> Manifest:
    """Reads the manifest of a prepared folder.

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
        return Manifest(Path(prepared), size, float(spacing_mm), structures, entries)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable manifest ({error}); python -m cmda_tf.prepare makes it again"
        ) from error


def _entry(values: dict[str, Any]) -> Entry:
    """An entry from its JSON values; its store must lie in the prepared folder itself."""
    entry = Entry(**{**values, "raw_spacing_mm": tuple(values["raw_spacing_mm"])})
    for name in (entry.file, entry.id):  # predictions are named by the latter
        if Path(name).name != name:
            raise ValueError(f"{name!r} is no plain file name")
    if not isinstance(entry.labelled, bool):
        raise ValueError(f"{entry.id}: labelled {entry.labelled!r}, not true or false")
    if not re.fullmatch(DOMAIN_NAME, entry.domain) or entry.split not in ("train", "test"):
        raise ValueError(f"{entry.id}: domain {entry.domain!r}, split {entry.split!r}")
    return entry
