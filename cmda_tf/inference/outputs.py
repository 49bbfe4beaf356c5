"""What `cmda_tf.predict` writes: label maps, maps of probability and entropy, volumes, colors."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cmda_tf.data.structures import Structures
from cmda_tf.errors import DataError
from cmda_tf.files import replacing, write_text
from cmda_tf.inference.segmentation import Segmentation
from cmda_tf.tables import to_csv
from cmda_tf.volumes.geometry import LIP_DIRECTION, Geometry


def write_segmentation(
    segmentation: Segmentation, prefix: Path, probabilities: bool, entropy: bool, ending=".nii.gz"
) -> Path:
    """Writes `PREFIX_label.nii.gz`, whose path it returns, and where asked for the other maps.

    They are `PREFIX_probability_NAME.nii.gz` for each structure, and `PREFIX_entropy.nii.gz`. The
    prefix is folder and name of the image, the ending one of `cmda_tf.volumes.formats`. DataError
    for a file that cannot be written.
    """

    def write(image: sitk.Image, kind: str) -> Path:
        path = prefix.with_name(f"{prefix.name}_{kind}{ending}")
        with replacing(path) as temporary:
            try:
                sitk.WriteImage(image, str(temporary), True)
            except RuntimeError as error:
                reason = str(error).splitlines()[-1].removeprefix("ITK ERROR: ")
                raise DataError(f"{path}: cannot be written: {reason}") from error
        return path

    label = write(segmentation.label, "label")
    if probabilities:
        for name, called in _file_names(segmentation.structures).items():
            write(segmentation.probability(name), f"probability_{called}")
    if entropy:
        write(segmentation.entropy(), "entropy")
    return label


def _file_names(structures: Structures) -> dict[str, str]:
    """What each structure is called in names of files; no two alike."""
    # An ending such as _left_lung_3 belongs to one structure, whatever the others are called.
    names = {s: re.sub(r"[^\w+-]", "_", s.name) for s in structures}
    if len({name.lower() for name in names.values()}) < len(names):
        names = {s: f"{name}_{s.codes[0]}" for s, name in names.items()}
    return {s.name: name for s, name in names.items()}


def write_volumes(path: Path, volumes: Mapping[str, Mapping[str, float]]) -> None:
    """Writes the volumes of each image's structures as CSV, in mm3."""
    lines = [(i, name, f"{mm3:.1f}") for i, own in volumes.items() for name, mm3 in own.items()]
    write_text(path, to_csv(("image", "structure", "volume_mm3"), lines))


def write_colors(folder: Path, structures: Structures) -> None:
    """Writes the label codes' names and colors for 3D Slicer and ITK-SNAP.

    `labels.ctbl` is a color table (Slicer: drag it in, choose it as the label map's colors),
    `labels.txt` a label description file (ITK-SNAP: Segmentation, Import Label Descriptions).
    """
    slicer = ["# code name r g b a", "0 background 0 0 0 0"]
    snap = ["# idx r g b a vis mesh name", '0 0 0 0 0 0 0 "Clear Label"']
    for item in structures:
        rgb = " ".join(str(int(item.color[n : n + 2], 16)) for n in (1, 3, 5))
        words = item.name.replace('"', "'").split()  # one line, and one quoted word in it
        slicer.append(f"{item.codes[0]} {'_'.join(words)} {rgb} 255")
        snap.append(f'{item.codes[0]} {rgb} 1 1 1 "{" ".join(words)}"')
    write_text(folder / "labels.ctbl", "\n".join(slicer) + "\n")
    write_text(folder / "labels.txt", "\n".join(snap) + "\n")


def write_overlay(path: Path, image: sitk.Image, segmentation: Segmentation) -> None:
    """Writes a PNG: coronal, axial and sagittal slices that show most, structures over them."""
    from cmda_tf.visualization.segmentation import draw_planes

    grid = _upright(image)
    volume = sitk.GetArrayFromImage(grid.resample(image, sitk.sitkLinear, float("nan")))
    volume = np.nan_to_num(volume, nan=float(np.nanmin(volume)))
    classes = grid.resample(segmentation.classes, sitk.sitkNearestNeighbor, 0)
    figure = draw_planes(volume, sitk.GetArrayFromImage(classes), segmentation.structures)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def _upright(image: sitk.Image) -> Geometry:
    """An isotropic grid over the image's box, in the frame of prepared volumes (LIP)."""
    raw = Geometry.of(image)
    spacing = max(min(raw.spacing_mm), 1.0)
    axes = np.reshape(LIP_DIRECTION, (3, 3))
    local = raw.corners_mm @ axes  # along the new grid's axes
    low, high = local.min(axis=0), local.max(axis=0)
    i, j, k = (int(n) for n in np.floor((high - low) / spacing) + 1)
    return Geometry((i, j, k), (spacing,) * 3, tuple((axes @ low).tolist()), LIP_DIRECTION)
