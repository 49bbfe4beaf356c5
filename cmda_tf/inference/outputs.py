"""What `cmda_tf.predict` writes: label maps, maps of probability and entropy, volumes, colours."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from cmda_tf.data.geometry import LIP_DIRECTION, Geometry
from cmda_tf.data.structures import Structures
from cmda_tf.files import replacing, write_text
from cmda_tf.inference.segmentation import Segmentation


def write_segmentation(
    segmentation: Segmentation, prefix: Path, probabilities: bool, entropy: bool
) -> Path:
    """Writes `PREFIX_label.nii.gz` and, where asked for, the other maps.

    Args:
      segmentation: what to write.
      prefix: folder and name of the image.
      probabilities: `PREFIX_probability_NAME.nii.gz` for each structure.
      entropy: `PREFIX_entropy.nii.gz`.

    Returns:
      The label map's path.
    """
    label = prefix.with_name(f"{prefix.name}_label.nii.gz")
    _write(segmentation.label, label)
    if probabilities:
        for item in segmentation.structures:
            name = "".join(c if c.isalnum() or c in "+-" else "_" for c in item.name)
            map_path = prefix.with_name(f"{prefix.name}_probability_{name}.nii.gz")
            _write(segmentation.probability(item.name), map_path)
    if entropy:
        _write(segmentation.entropy(), prefix.with_name(f"{prefix.name}_entropy.nii.gz"))
    return label


def write_volumes(path: Path, volumes: Mapping[str, Mapping[str, float]]) -> None:
    """Writes the volumes of each image's structures as CSV, in mm3."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["image", "structure", "volume_mm3"])
    for image, by_structure in volumes.items():
        writer.writerows([image, name, f"{mm3:.1f}"] for name, mm3 in by_structure.items())
    write_text(path, out.getvalue())


def write_colours(folder: Path, structures: Structures) -> None:
    """Writes the label codes' names and colours for 3D Slicer and ITK-SNAP.

    `labels.ctbl` is a colour table (Slicer: drag it in, choose it as the label map's colours),
    `labels.txt` a label description file (ITK-SNAP: Segmentation, Import Label Descriptions).
    """
    slicer, snap = ["# code name r g b a", "0 background 0 0 0 0"], ["# idx r g b a vis mesh name"]
    snap.append('0 0 0 0 0 0 0 "Clear Label"')
    for item in structures:
        rgb = [int(item.colour[n : n + 2], 16) for n in (1, 3, 5)]
        shown = " ".join(map(str, rgb))
        slicer.append(f"{item.codes[0]} {item.name.replace(' ', '_')} {shown} 255")
        snap.append(f'{item.codes[0]} {shown} 1 1 1 "{item.name}"')
    write_text(folder / "labels.ctbl", "\n".join(slicer) + "\n")
    write_text(folder / "labels.txt", "\n".join(snap) + "\n")


def write_overlay(path: Path, image: sitk.Image, segmentation: Segmentation) -> None:
    """Writes a PNG: coronal, axial and sagittal slices that show most, structures over them."""
    from cmda_tf.figures.overlay import draw_planes

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
    size = tuple(int(n) for n in np.floor((high - low) / spacing) + 1)
    return Geometry(size, (spacing,) * 3, tuple((axes @ low).tolist()), LIP_DIRECTION)


def _write(image: sitk.Image, path: Path) -> None:
    with replacing(path) as temporary:
        sitk.WriteImage(image, str(temporary), True)
