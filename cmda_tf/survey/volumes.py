"""Looks at every volume of a folder: grid, intensities, label codes; one in memory at a time.

Whether a volume is a label map is guessed: by its name (`label`, `seg`, `mask`, `gt`, ... as a
word of its path) and its values (a few whole numbers), or, under any other name, by its values
alone if it lies on the grid of an image.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cmda_tf.data.description import walk
from cmda_tf.data.structures import MAX_CODE
from cmda_tf.errors import DataError
from cmda_tf.volumes.formats import ENDINGS
from cmda_tf.volumes.geometry import Geometry
from cmda_tf.volumes.reading import CORNER_TOLERANCE_VOXEL, read_label, read_volume

SLICE_ENDING = ".dcm"

PERCENTILES = (0, 1, 50, 99, 100)
# Of larger volumes every n-th voxel decides the percentiles; extremes are always of all voxels.
MAX_SAMPLE = 2**24
# No more values than a label map has: of one with a label's name, and of one without.
MAX_NAMED, MAX_UNNAMED = 255, 32

LABEL_WORDS = {
    *("label", "labels", "labelstr", "labelsts", "lbl", "seg", "segs", "segmentation"),
    *("segmentations", "mask", "masks", "gt", "ground", "groundtruth", "truth", "annotation"),
    *("annotations", "roi"),
}
COLUMNS = (
    *("file", "kind", "size", "spacing_mm", "orientation"),
    *("minimum", "percentile_1", "median", "percentile_99", "maximum", "labels", "error"),
)


@dataclass(frozen=True)
class Volume:
    """What was found in one file.

    Attributes:
      name: path relative to the folder, with `/` at the end of a folder of DICOM slices.
      kind: "image", "label" or "unreadable".
      grid: where its voxels are, or None if unreadable.
      intensities: at `PERCENTILES`; empty if unreadable.
      codes: voxels of each label code; None unless all values are a few codes.
      error: why it cannot be read, else "".
    """

    name: str
    kind: str
    grid: Geometry | None = None
    intensities: tuple[float, ...] = ()
    codes: dict[int, int] | None = None
    error: str = ""

    @property
    def orientation(self) -> str:
        """Where i, j and k grow to, such as "LPS" (left, posterior, superior)."""
        if self.grid is None:
            return ""
        code = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines
        return code(self.grid.direction)

    def row(self) -> dict[str, str]:
        """The volume as text, by `COLUMNS`; lengths and intensities to four digits."""
        row = dict.fromkeys(COLUMNS, "") | {"file": self.name, "kind": self.kind}
        if self.grid is None:
            return row | {"error": self.error}
        row["size"] = "x".join(map(str, self.grid.size_ijk))
        row["spacing_mm"] = "x".join(f"{s:.4g}" for s in self.grid.spacing_mm)
        row["orientation"] = self.orientation
        if self.kind == "label" and self.codes is not None:
            return row | {"labels": " ".join(f"{c}:{n}" for c, n in self.codes.items())}
        return row | {c: f"{v:.4g}" for c, v in zip(COLUMNS[5:10], self.intensities)}


def find_volumes(raw: Path) -> list[str]:
    """Relative paths of what may be a volume: files by their endings, folders of DICOM slices."""
    names = sorted(walk(raw))
    slices = {n for n in names if n.endswith("/") and _holds_slices(raw / n)}
    return [n for n in names if n in slices or n.lower().endswith(ENDINGS)]


def survey(raw: Path, names: Iterable[str]) -> Iterator[Volume]:
    """Reads one volume of a folder after the other, by their names (`find_volumes`).

    Yields:
      What is there; `classify` decides about the kinds when all is known. Until then "label"
      is what has a label's name and values.
    """
    for name in names:
        named = not LABEL_WORDS.isdisjoint(words(name))
        try:
            yield _look(name, _read(raw / name, named), named)
        except (DataError, MemoryError, RuntimeError) as error:  # the latter are ITK's
            reason = (str(error).splitlines() or ["out of memory"])[-1]
            yield Volume(name, "unreadable", error=reason.removeprefix(f"{raw / name}: "))


def classify(volumes: Sequence[Volume]) -> list[Volume]:
    """The same volumes; what has a label's values and lies on an image's grid is a label too."""
    images = [v for v in volumes if v.kind == "image"]
    sure = [v for v in images if v.codes is None]
    unsure = [v for v in images if v.codes is not None]
    labels = {v.name for v in unsure if any(same_grid(v, image) for image in sure)}
    return [replace(v, kind="label") if v.name in labels else v for v in volumes]


def same_grid(a: Volume, b: Volume) -> bool:
    """Whether two readable volumes have the same voxels, as `volume.check_same_geometry` asks."""
    if a.grid is None or b.grid is None or a.grid.size_ijk != b.grid.size_ijk:
        return False
    apart_mm = np.linalg.norm(a.grid.corners_mm - b.grid.corners_mm, axis=1).max()
    return apart_mm <= CORNER_TOLERANCE_VOXEL * min(a.grid.spacing_mm)


def words(name: str) -> list[str]:
    """The words of a path in small letters: runs of letters or of digits, and T1 and T2."""
    return re.findall(r"t[12](?![a-z0-9])|[a-z]+|\d+", name.lower())


def to_csv(volumes: Sequence[Volume]) -> str:
    """The report as CSV; labels as `code:voxels`, all of them."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(volume.row() for volume in volumes)
    return text.getvalue()


def to_text(volumes: Sequence[Volume]) -> str:
    """The report as an aligned table, without the unreadable files."""
    lines: list[tuple[str, ...]]
    lines = [("file", "kind", "size", "spacing [mm]", "axes", "intensities or label:voxels")]
    for row in (v.row() for v in volumes if v.grid is not None):
        values = row["labels"].split() or [row[c] for c in COLUMNS[5:10]]
        more = [f"and {len(values) - 8} more"] if len(values) > 8 else []
        lines.append((*(row[c] for c in COLUMNS[:5]), "  ".join(values[:8] + more)))
    widths = [max(map(len, column)) for column in zip(*lines)]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(n, widths)).rstrip() for n in lines)


def _holds_slices(folder: Path) -> bool:
    """Whether a folder holds nothing but DICOM slices: `.dcm`, or no ending and DICOM's mark."""
    try:
        files = [p for p in sorted(folder.iterdir()) if not p.name.startswith(".")]
    except OSError:  # a folder that may not be read holds nothing for us
        return False
    if not files or any(p.is_dir() for p in files):
        return False
    # Slices are often called by their number or UID, whose dots begin no ending.
    bare = [p for p in files if p.suffix.lower() != SLICE_ENDING]
    if any(p.suffix and not p.suffix[1:].isdigit() for p in bare):
        return False
    return not bare or _is_dicom(bare[0])


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _read(path: Path, named: bool) -> sitk.Image:
    """The volume; an empty label map is one as well, though no image."""
    try:
        return read_volume(path)
    except DataError:
        if not named:
            raise
        return read_label(path)


def _look(name: str, image: sitk.Image, named: bool) -> Volume:
    """What a volume shows."""
    voxels = sitk.GetArrayViewFromImage(image)
    sample = voxels.reshape(-1)[:: -(-voxels.size // MAX_SAMPLE)]
    middle = np.percentile(sample, PERCENTILES[1:-1])
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
