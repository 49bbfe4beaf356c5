"""The authors' release as a data set that models train on.

Its validation records, by whose labels the authors' programs chose checkpoints, are left alone. It
tells no voxel spacing: the paper's 1 mm is taken, and surface distances rest on that. Its images
were cropped by their labels, but nothing in it says so: what they are centered on is unknown.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmda_tf.data.dataset import Dataset, Entry
from cmda_tf.data.slices import SliceStack, stack_triples
from cmda_tf.data.structures import HEART
from cmda_tf.data.subjects import Subject
from cmda_tf.errors import DataError
from cmda_tf.release2018.folder import find_records, read_test_volume, test_volume_size
from cmda_tf.volumes.geometry import LIP_DIRECTION, Geometry

SPACING_MM = 1.0


@dataclass(frozen=True)
class Release2018(Dataset):
    """A folder of records and test volumes. A training entry is a file of records."""

    def test_subject(self, entry: Entry) -> Subject:
        """A test subject, with its label."""
        arrays = read_test_volume(self.path(entry), self.structures.classes, self.size)
        image, label = (np.moveaxis(array, -1, 0) for array in arrays)
        grid = unplaced_grid((self.size,) * 3, self.spacing_mm)
        return Subject(entry.id, entry.modality, image, label, grid, grid)

    def checksum(self) -> str:
        """SHA-256 of names and sizes of its files."""
        files = [(entry.file, self.path(entry).stat().st_size) for entry in self.entries]
        return hashlib.sha256(json.dumps(files).encode()).hexdigest()

    def _stack(self, entries: list[Entry], with_labels: bool) -> SliceStack:
        from cmda_tf.release2018.records import read_records  # TensorFlow is needed from here on

        classes, paths = self.structures.classes, [self.path(entry) for entry in entries]
        return stack_triples(*read_records(paths, classes, self.size, with_labels), classes)


def open_release(folder: str | Path) -> Release2018:
    """Opens a folder of training records and test volumes; DataError if it holds neither."""
    folder, entries = Path(folder), []
    for modality, splits in find_records(folder).items():
        for split in ("train", "test"):
            for path in splits.get(split, ()):
                file = path.relative_to(folder).as_posix()
                id = path.stem if split == "test" else file
                entries.append(Entry(id, modality, split, file, labeled=True))
    if not entries:
        raise DataError(f"{folder}: holds validation records alone")
    first = folder / entries[0].file  # that all others agree is checked on reading
    if entries[0].split == "test":
        size = test_volume_size(first)
    else:
        from cmda_tf.release2018.records import first_size  # TensorFlow is needed from here on

        size = first_size(first)
    return Release2018(folder, size, SPACING_MM, HEART, tuple(entries))


def unplaced_grid(size_ijk: tuple[int, int, int], spacing_mm: float) -> Geometry:
    """The grid of a volume of whose place nothing is known: its first voxel lies at 0, 0, 0."""
    return Geometry(size_ijk, (spacing_mm,) * 3, (0.0, 0.0, 0.0), LIP_DIRECTION)
