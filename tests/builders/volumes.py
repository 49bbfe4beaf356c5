"""Small volumes of a made-up heart in any geometry, in the MM-WHS layout."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from cmda_tf.data.subjects import Subject
from cmda_tf.volumes.geometry import Geometry

# Ellipsoids (code, center and half axes in LPS millimeters from the heart's center), painted
# in this order: right ventricle, myocardium, LV blood, LA blood, aorta.
ELLIPSOIDS = (
    (600, (-22, -12, -8), (18, 16, 24)),
    (205, (10, -5, -10), (26, 25, 30)),
    (500, (10, -5, -8), (16, 15, 20)),
    (420, (0, 24, 16), (22, 15, 17)),
    (820, (-8, 2, 32), (11, 12, 18)),
)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
BRIGHTNESS = {0: 0, 600: 150, 205: 90, 500: 210, 420: 220, 820: 240}


def oblique(*angles_deg: float) -> tuple[float, ...]:
    """Direction cosines of a scan rotated about x, y and z."""
    return tuple(Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix().ravel().tolist())


def centered_geometry(size_ijk, spacing_mm, direction=AXIAL, center_mm=(0, 0, 0)):
    """A geometry whose middle is at `center_mm`."""
    half_mm = np.multiply(spacing_mm, np.subtract(size_ijk, 1)) / 2
    origin_mm = np.asarray(center_mm) - np.reshape(direction, (3, 3)) @ half_mm
    return Geometry(tuple(size_ijk), tuple(spacing_mm), tuple(origin_mm.tolist()), tuple(direction))


def points_mm(geometry: Geometry) -> np.ndarray:
    """Physical points of all voxels, [K, J, I, 3], by the definition of a direction matrix."""
    k, j, i = np.indices(geometry.shape_kji)
    steps_mm = np.stack([i, j, k], -1) * np.array(geometry.spacing_mm)
    return steps_mm @ np.reshape(geometry.direction, (3, 3)).T + np.array(geometry.origin_mm)


def heart_codes(geometry: Geometry, heart_mm=(0, 0, 0)) -> np.ndarray:
    """MM-WHS codes [K, J, I] of the made-up heart around `heart_mm`."""
    points = points_mm(geometry) - np.asarray(heart_mm)
    codes = np.zeros(geometry.shape_kji, np.int16)
    for code, center, axes in ELLIPSOIDS:
        codes[(((points - center) / axes) ** 2).sum(-1) < 1] = code
    return codes


def heart_image(geometry: Geometry, heart_mm=(0, 0, 0), seed=0) -> np.ndarray:
    """Noisy int16 intensities [K, J, I] of the made-up heart."""
    codes = heart_codes(geometry, heart_mm)
    image = np.random.default_rng(seed).normal(0, 10, codes.shape)
    for code, value in BRIGHTNESS.items():
        image[codes == code] += value
    return image.astype(np.int16)


def write(path: Path, geometry: Geometry, array_kji: np.ndarray) -> Path:
    """Writes a volume and returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(geometry.apply(array_kji), str(path))
    return path


def write_series(
    folder: Path, geometry: Geometry, array_kji: np.ndarray, uid="1.2.3", compress=False, **tags
) -> Path:
    """Writes a DICOM series, slice files named so that their order is not that of positions."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    writer.SetUseCompression(compress)
    writer.SetCompressor("JPEG")  # lossless; the default writer of JPEG 2000 dies of tiny images
    shape = array_kji.shape[::-1]
    volume = dataclasses.replace(geometry, size_ijk=shape).apply(array_kji)
    direction = np.reshape(geometry.direction, (3, 3))
    cosines = "\\".join(f"{x:.12g}" for x in (*direction[:, 0], *direction[:, 1]))
    for k in range(len(array_kji)):
        image = volume[:, :, k]
        position = volume.TransformIndexToPhysicalPoint((0, 0, k))
        values = {
            "0008|0060": "CT",
            "0020|000e": uid,
            "0020|0032": "\\".join(f"{x:.12g}" for x in position),
            "0020|0037": cosines,
            "0020|0013": str(k),
            "0008|0018": f"{uid}.{k + 1}",
            **{name.replace("_", "|"): value for name, value in tags.items()},
        }
        for name, value in values.items():
            image.SetMetaData(name, value)
        writer.SetFileName(str(folder / f"{(7 * k) % len(array_kji):03d}_{uid}.dcm"))
        writer.Execute(image)
    return folder


def write_subject(raw: Path, id: str, labeled=True, seed=None, heart_mm=(6, -4, 3)) -> None:
    """Writes one small oblique subject (24^3 voxels of about 6 mm) into a raw folder."""
    seed = sum(map(ord, id)) if seed is None else seed
    geometry = centered_geometry((24, 24, 24), (6.0, 6.5, 5.5), oblique(seed % 20, 5, -8))
    stem = raw / id.rsplit("_", 1)[0] / id
    write(stem.with_name(f"{id}_image.nii.gz"), geometry, heart_image(geometry, heart_mm, seed))
    if labeled:
        write(stem.with_name(f"{id}_label.nii.gz"), geometry, heart_codes(geometry, heart_mm))


def labels_to_raw(label_kji: np.ndarray, subject: Subject, structures=None) -> sitk.Image:
    """Class indices on the prepared grid, or their label codes, on the grid of the subject's file.

    Nearest neighbor; background wherever the prepared grid does not reach.
    """
    values = np.asarray(label_kji, np.uint8)
    if structures is not None:
        values = np.array(structures.written_codes, np.uint16)[values]
    return subject.raw.resample(subject.grid.apply(values), sitk.sitkNearestNeighbor, 0)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    """Dice of two masks, 0 to 1."""
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def ball(geometry: Geometry, center_mm, radius_mm: float) -> np.ndarray:
    """Mask of a ball, [K, J, I]."""
    return ((points_mm(geometry) - np.asarray(center_mm)) ** 2).sum(-1) < math.pow(radius_mm, 2)
