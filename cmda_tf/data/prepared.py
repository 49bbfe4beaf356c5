"""Prepared data: a folder of subjects that `manifest.json` lists.

The manifest is written last and at once, so the stores that it names are always complete.
"""

import dataclasses
import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmda_tf.data.dataset import LABEL, VOLUME, Dataset, Entry
from cmda_tf.data.slices import SliceStack, stack_subjects
from cmda_tf.data.structures import Structures
from cmda_tf.data.subjects import MAX_SIZE, Subject, load_subject
from cmda_tf.errors import MALFORMED, DataError
from cmda_tf.files import read_json, write_json
from cmda_tf.settings import check_types

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = 3
MODALITY_NAME = r"[a-z][a-z0-9_]*"
# What format 2 called otherwise; what it said besides, the spacing of each entry, all share.
_RENAMED = {"domain": "modality", "labelled": "labeled", "centred_on": "centered_on"}
_RENAMED |= {"colour": "color"}


@dataclass(frozen=True)
class PreparedDataset(Dataset):
    """A folder of `cmda_tf.data.preparation.prepare`."""

    def subject(self, entry: Entry, with_label: bool = True) -> Subject:
        """A subject, with its label or without.

        DataError if its file is missing, damaged, or another subject's or another preparation's.
        """
        path = self.path(entry)
        subject = load_subject(path, with_label, self.structures.classes)
        actual = (subject.id, subject.modality, subject.grid.size_ijk)
        expected = (entry.id, entry.modality, (self.size,) * 3)
        if actual != expected:
            raise DataError(f"{path}: expected {expected}, as {MANIFEST_NAME} says, found {actual}")
        if with_label and entry.labeled and subject.label is None:
            raise DataError(f"{path}: expected a label, as {MANIFEST_NAME} says, found none")
        return subject

    test_subject = subject

    def checksum(self) -> str:
        """SHA-256 of the manifest, which has checksums of all raw files."""
        return hashlib.sha256((self.folder / MANIFEST_NAME).read_bytes()).hexdigest()

    def _stack(self, entries: list[Entry], with_labels: bool) -> SliceStack:
        subjects = [self.subject(entry, with_labels) for entry in entries]
        return stack_subjects(subjects, self.structures.classes, with_labels)


def write_manifest(dataset: PreparedDataset) -> None:
    """Writes `manifest.json` into the data set's folder."""
    values = {
        "format": MANIFEST_FORMAT,
        "size": dataset.size,
        "spacing_mm": dataset.spacing_mm,
        **dataset.structures.to_dict(),
        "entries": [dataclasses.asdict(entry) for entry in dataset.entries],
    }
    write_json(dataset.folder / MANIFEST_NAME, values)


def read_prepared(folder: str | Path) -> PreparedDataset:
    """Opens a folder by its manifest, of this format or the one before; DataError without one."""
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        raise DataError(f"{path}: no such file", made_by="prepare")
    values = read_json(path)
    try:
        if values["format"] == MANIFEST_FORMAT - 1:
            values = _renamed(values)
            for entry in values["entries"]:
                del entry["spacing_mm"]
        elif values["format"] != MANIFEST_FORMAT:
            raise ValueError(f"format {values['format']}, this version reads {MANIFEST_FORMAT}")
        entries = tuple(_entry(v) for v in values["entries"])
        size, spacing_mm = values["size"], values["spacing_mm"]
        if not (type(size) is int and 0 < size <= MAX_SIZE and 0 < spacing_mm < math.inf):
            raise ValueError(f"size {size!r:.20}, spacing {spacing_mm!r:.20}")
        structures = Structures.from_dict(values)
        return PreparedDataset(Path(folder), size, float(spacing_mm), structures, entries)
    except MALFORMED as error:
        raise DataError(f"{path}: not a readable manifest ({error})", made_by="prepare") from error


def _renamed(value: Any) -> Any:
    """JSON values of format 2 in the words of format 3."""
    if isinstance(value, dict):
        return {_RENAMED.get(name, name): _renamed(inner) for name, inner in value.items()}
    return [_renamed(inner) for inner in value] if isinstance(value, list) else value


def _entry(values: dict[str, Any]) -> Entry:
    """An entry from its JSON values; its store must lie in the prepared folder itself."""
    if (raw_mm := values["raw_spacing_mm"]) is not None:
        values = {**values, "raw_spacing_mm": tuple(raw_mm)}
    if missing := {field.name for field in dataclasses.fields(Entry)} - set(values):
        raise ValueError(f"an entry without {min(missing)}")
    entry = Entry(**values)
    check_types(Entry, vars(entry))
    for name in (entry.file, entry.id):  # predictions are named by the latter
        if Path(name).name != name:
            raise ValueError(f"{name!r} is no plain file name")
    if not re.fullmatch(MODALITY_NAME, entry.modality) or entry.split not in ("train", "test"):
        raise ValueError(f"{entry.id}: modality {entry.modality!r}, split {entry.split!r}")
    known = entry.centered_on in (LABEL, VOLUME)  # format 2 said "unknown" of a release
    return entry if known else dataclasses.replace(entry, centered_on=None)
