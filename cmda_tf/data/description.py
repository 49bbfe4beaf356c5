"""A user's own data, described in a small JSON file.

    {
      "structures": [
        {"name": "liver", "codes": [6], "color": "#a0522d"},
        {"name": "kidneys", "codes": [2, 3], "color": "#ffd21f"}
      ],
      "background_codes": [0, 1],
      "modalities": {
        "mr": {"image": "MR/{id}.nii.gz", "label": "MR/{id}_label.nii.gz", "test": ["p7", "p9"]},
        "ct": {"image": "CT/{id}/DICOM/", "label": "CT/{id}/label.nrrd"}
      }
    }

Paths are relative to the raw folder; `{id}` stands for a subject's name (letters, digits, `_`, `-`
and `.`), `*`, at most three of them, for anything within one name; a path that ends in `/` is a
folder of DICOM slices. A path that fits both patterns is what the longer one says. An image without
label file is unlabeled. Without `test` the last fifth of a modality's labeled subjects is held out.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmda_tf.data.layout import RawSubject, raw_folder
from cmda_tf.data.prepared import MODALITY_NAME
from cmda_tf.data.structures import Structures
from cmda_tf.errors import MALFORMED, DataError
from cmda_tf.files import read_json

MAX_STARS = 3  # the time that a name takes which does not fit grows with its length to this power
_ID = r"[\w.-]+"
_MODALITY_KEYS = {"image", "label", "test"}
_KEYS = {"structures", "background_codes", "columns", "modalities"}


@dataclass(frozen=True)
class ModalityFiles:
    """Patterns of the paths of a modality's images and labels, and the subjects to hold out."""

    name: str
    image: str
    label: str | None = None
    test: tuple[str, ...] = ()

    def __post_init__(self):
        if not re.fullmatch(MODALITY_NAME, self.name):
            raise ValueError(f"modality {self.name!r}: expected small letters, digits and _")
        for kind, pattern in (("image", self.image), ("label", self.label)):
            if pattern is None:
                continue
            parts = str(pattern).removesuffix("/").split("/")
            if "{id}" not in str(pattern) or not {"", ".", ".."}.isdisjoint(parts):
                expected = f"a relative path with {{id}} as {kind}"
                raise ValueError(f"{self.name}: expected {expected}, not {pattern!r:.80}")
            if pattern.count("*") > MAX_STARS:
                raise ValueError(f"{self.name}: expected at most {MAX_STARS} * as {kind}")


@dataclass(frozen=True)
class DatasetDescription:
    """A description: what is labeled, and where each modality's files are."""

    structures: Structures
    modalities: tuple[ModalityFiles, ...]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DatasetDescription":
        """The description in JSON values; one of `MALFORMED` where they are none."""
        if unknown := sorted(set(values) - _KEYS):
            raise ValueError(f"unknown entry {unknown[0]!r}; known are {', '.join(sorted(_KEYS))}")
        modalities = []
        for name, entry in values["modalities"].items():
            if unknown := sorted(set(entry) - _MODALITY_KEYS):
                raise ValueError(f"modality {name}: unknown entry {unknown[0]!r}")
            if not isinstance(test := entry.get("test", []), list):
                wrong = f"{test!r:.80}"
                raise ValueError(f"modality {name}: expected a list of names as test, not {wrong}")
            names = tuple(map(str, test))
            modalities.append(ModalityFiles(name, entry["image"], entry.get("label"), names))
        if not modalities:
            raise ValueError("expected at least one modality")
        return cls(Structures.from_dict(values), tuple(modalities))


def read_description(path: str | Path) -> DatasetDescription:
    """Reads a description; DataError if the file is missing or none."""
    values = read_json(path)
    try:
        return DatasetDescription.from_dict(values)
    except MALFORMED as error:
        reason = f"no entry {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{path}: not a description of a data set ({reason})") from error


def find_described(raw: str | Path, description: DatasetDescription) -> list[RawSubject]:
    """All subjects of a described raw folder, by modality and name; see `subjects`."""
    raw = raw_folder(raw)
    names = sorted(walk(raw))
    return [s for modality in description.modalities for s in subjects(raw, modality, names)]


def held_out(description: DatasetDescription) -> tuple[str, ...]:
    """Ids of the subjects that the description holds out."""
    return tuple(_subject_id(d.name, name) for d in description.modalities for name in d.test)


def subjects(raw: Path, modality: ModalityFiles, names: Sequence[str]) -> list[RawSubject]:
    """The subjects of a modality among the relative paths of `walk`.

    DataError if no image or a subject to hold out is there, or two images or labels have one name.
    """
    images = _named(raw, modality, modality.image, modality.label, names)
    labels = _named(raw, modality, modality.label, modality.image, names) if modality.label else {}
    if not images:
        raise DataError(f"{raw}: no image of modality {modality.name}; expected {modality.image}")
    if missing := [name for name in modality.test if name not in images]:
        raise DataError(f"{raw}: subject {missing[0]!r} is to be held out, but is not there")
    name = modality.name
    return [RawSubject(_subject_id(name, id), name, images[id], labels.get(id)) for id in images]


def _named(
    raw: Path, modality: ModalityFiles, pattern: str, other: str | None, names: Sequence[str]
) -> dict[str, Path]:
    """The paths of a modality's images or labels by the subject's name."""
    # Of `{id}.nii.gz` and `{id}_label.nii.gz` the second also fits the first.
    longer = pattern_regex(other) if other and len(other) > len(pattern) else None
    regex, paths = pattern_regex(pattern), dict[str, Path]()
    for name in names:
        match = regex.fullmatch(name)
        if not match or (longer and longer.fullmatch(name)):
            continue
        if (id := match["id"]) in paths:
            first = paths[id].relative_to(raw).as_posix()
            raise DataError(f"{raw / name}: {first} is subject {id!r} of {modality.name} as well")
        paths[id] = raw / name
    return paths


def _subject_id(modality: str, name: str) -> str:
    """Unique among all modalities, and fit for a file name."""
    return f"{modality}_{name.replace('.', '-')}"


def pattern_regex(pattern: str) -> re.Pattern:
    """What paths of a pattern look like; each `{id}`, a match's group `id`, must be the same."""
    regex = re.escape(pattern).replace(r"\*", "[^/]*").replace(r"\{id\}", f"(?P<id>{_ID})", 1)
    return re.compile(regex.replace(r"\{id\}", "(?P=id)"), re.ASCII)


def walk(raw: Path) -> Iterator[str]:
    """Relative paths of all files, and of all folders with a `/` at their end; none hidden."""
    for folder, folders, files in os.walk(raw):
        folders[:] = sorted(f for f in folders if not f.startswith("."))
        here = Path(folder).relative_to(raw).as_posix()
        prefix = "" if here == "." else f"{here}/"
        yield from (f"{prefix}{name}/" for name in folders)
        yield from (f"{prefix}{name}" for name in files if not name.startswith("."))
