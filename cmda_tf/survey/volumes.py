"""Looks at every volume of a folder: grid, intensities, label codes; one in memory at a time.

A label map has few values, whole numbers, and a word such as `label`, `seg` or `mask` in its path,
or lies on the grid of an image.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cmda_tf import tables
from cmda_tf.data.description import walk
from cmda_tf.data.structures import MAX_CODE
from cmda_tf.errors import DataError
from cmda_tf.volumes.formats import ENDINGS
from cmda_tf.volumes.geometry import Geometry
from cmda_tf.volumes.reading import read_label, read_volume

SLICE_ENDING = ".dcm"
# Of larger volumes every n-th voxel decides the percentiles; extremes are always of all voxels.
MAX_SAMPLE = 2**24
# No more values than a label map has: of one with a label's name, and of one without.
MAX_NAMED, MAX_UNNAMED = 255, 32

LABEL_WORDS = {
    *("label", "labels", "labelstr", "labelsts", "lbl", "seg", "segs", "segmentation"),
    *("segmentations", "mask", "masks", "gt", "ground", "groundtruth", "truth", "annotation"),
    *("annotations", "roi"),
}
INTENSITIES = ("minimum", "percentile_1", "median", "percentile_99", "maximum")
COLUMNS = ("file", "kind", "size", "spacing_mm", "orientation", *INTENSITIES, "labels", "error")


@dataclass(frozen=True)
class Volume:
    """What was found in one file."""

    name: str  # path relative to the folder, with `/` at the end of a folder of DICOM slices
    kind: str  # "image", "label" or "unreadable"
    grid: Geometry | None = None  # None if unreadable
    intensities: tuple[float, ...] = ()  # as `INTENSITIES`
    codes: dict[int, int] | None = None  # voxels of each label code, if all values are a few codes
    error: str = ""  # why it cannot be read

    @property
    def orientation(self) -> str:
        """Where i, j and k grow to, such as "LPS" (left, posterior, superior)."""
        name = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
        return name(self.grid.direction) if self.grid else ""

    @property
    def values(self) -> list[str]:
        """`code:voxels` of a label, else the intensities to four digits."""
        if self.kind == "label":
            return [f"{code}:{count}" for code, count in (self.codes or {}).items()]
        return [f"{v:.4g}" for v in self.intensities]

    def row(self) -> dict[str, str]:
        """The volume as text, by `COLUMNS`."""
        row = {"file": self.name, "kind": self.kind, "error": self.error}
        if self.grid is not None:
            row["size"] = "x".join(map(str, self.grid.size_ijk))
            row["spacing_mm"] = "x".join(f"{s:.4g}" for s in self.grid.spacing_mm)
            row["orientation"] = self.orientation
            if self.kind == "label":
                row["labels"] = " ".join(self.values)
            else:
                row |= zip(INTENSITIES, self.values)
        return row


def find_volumes(raw: Path) -> list[str]:
    """Relative paths of what may be a volume: files by their endings, folders of DICOM slices."""
    names = sorted(walk(raw))
    slices = {n for n in names if n.endswith("/") and _holds_slices(raw / n)}
    return [n for n in names if n in slices or n.lower().endswith(ENDINGS)]


def survey(raw: Path, names: Iterable[str]) -> Iterator[Volume]:
    """Reads one volume of a folder after the other, by their names (`find_volumes`).

    "label" is what has a label's name and values; `classify` looks again when all is known.
    """
    for name in names:
        try:
            yield _look(raw, name)
        except (DataError, MemoryError, RuntimeError) as error:  # the latter are ITK's
            reason = (str(error).splitlines() or ["out of memory"])[-1]
            yield Volume(name, "unreadable", error=reason.removeprefix(f"{raw / name}: "))


def classify(volumes: Sequence[Volume]) -> list[Volume]:
    """The same volumes; what has a label's values and lies on an image's grid is a label too."""
    sure = [v for v in volumes if v.kind == "image" and v.codes is None]
    unsure = [v for v in volumes if v.kind == "image" and v.codes is not None]
    labels = {v.name for v in unsure if any(same_grid(v, image) for image in sure)}
    return [replace(v, kind="label") if v.name in labels else v for v in volumes]


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes can be read and have the same voxels; see `Geometry.mismatch`."""
    return a.grid is not None and b.grid is not None and not a.grid.mismatch(b.grid)


def words(name: str) -> list[str]:
    """The words of a path in small letters: runs of letters or of digits, and T1 and T2."""
    return re.findall(r"t[12](?![a-z0-9])|[a-z]+|\d+", name.lower())


def to_csv(volumes: Sequence[Volume]) -> str:
    """The report as CSV, with all label codes."""
    rows = [volume.row() for volume in volumes]
    return tables.to_csv(COLUMNS, [[row.get(c, "") for c in COLUMNS] for row in rows])


def to_text(volumes: Sequence[Volume]) -> str:
    """The report as an aligned table, without the unreadable files."""
    lines = [["file", "kind", "size", "spacing [mm]", "axes", "intensities or label:voxels"]]
    for volume in (v for v in volumes if v.grid is not None):
        values, row = volume.values, volume.row()
        more = [f"and {len(values) - 8} more"] if len(values) > 8 else []
        lines.append([*(row[c] for c in COLUMNS[:5]), "  ".join(values[:8] + more)])
    return tables.to_text(lines)


def _holds_slices(folder: Path) -> bool:
    """Whether a folder holds nothing but DICOM slices: `.dcm`, or no ending and DICOM's mark."""
    try:
        files = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
        # Slices are often called by their number or UID, whose dots begin no ending.
        bare = [p for p in files if p.suffix.lower() != SLICE_ENDING]
        others = [p for p in bare if p.suffix and not p.suffix[1:].isdigit()]
        if not files or others or any(p.is_dir() for p in files):
            return False
        if not bare:
            return True
        with bare[0].open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:  # what may not be read holds nothing for us
        return False


def _look(raw: Path, name: str) -> Volume:
    """What a volume shows."""
    named = not LABEL_WORDS.isdisjoint(words(name))
    try:
        image = read_volume(raw / name)
    except DataError:
        if not named:
            raise
        image = read_label(raw / name)  # an empty label map is one as well, though no image
    voxels = sitk.GetArrayViewFromImage(image)
    sample = voxels.reshape(-1)[:: -(-voxels.size // MAX_SAMPLE)]
    middle = np.percentile(sample, (1, 50, 99))
    intensities = tuple(map(float, (voxels.min(), *middle, voxels.max())))
    codes = _count_codes(voxels, MAX_NAMED if named else MAX_UNNAMED)
    kind = "label" if named and codes is not None else "image"
    return Volume(name, kind, Geometry.of(image), intensities, codes)


def _count_codes(voxels: np.ndarray, limit: int) -> dict[int, int] | None:
    """Voxels of each value, plane by plane; None where they are no label codes, or too many."""
    total: Counter[int] = Counter()
    for plane in voxels:
        if plane.min() < 0 or plane.max() > MAX_CODE or (plane != np.rint(plane)).any():
            return None
        counts = np.bincount(plane.astype(np.uint16).reshape(-1))
        total.update({int(code): int(counts[code]) for code in np.flatnonzero(counts)})
        if len(total) > limit:
            return None
    return dict(sorted(total.items()))
