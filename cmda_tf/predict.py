"""`python -m cmda_tf.predict --model=runs/adapt_d13 --out=DIR IMAGE...`: segments images.

Each image gets a label map on its own grid, with the data set's own codes, and an overlay as PNG.
Maps are NIfTI where the image is, else NRRD, so that no digit of the grid is lost. All images share
`volumes.csv` (mm3) and color tables for 3D Slicer and ITK-SNAP. One image that cannot be read does
not keep the others from being done; the exit code is then 1.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from cmda_tf import cli
from cmda_tf.errors import DataError, UsageError
from cmda_tf.files import locked
from cmda_tf.settings import Settings, setting


@dataclass(frozen=True)
class PredictSettings(Settings):
    """The flags of `python -m cmda_tf.predict`."""

    model: str | None = setting(None, "Folder of a finished run, such as runs/adapt_d13.")
    role: str = setting(
        "target", "Images of the run's target or of its source.", choices=("target", "source")
    )
    out: str = setting("predictions", "Folder to write to.")
    center: str = setting(
        "image",
        "Center of the cube that the model sees: image (its middle), model (where the model "
        "finds the structures) or x,y,z in mm (LPS).",
    )
    keep_largest: bool = setting(False, "Of each structure keep the largest connected component.")
    probabilities: bool = setting(False, "Write a map of each structure's probability as well.")
    entropy: bool = setting(False, "Write a map of the predictions' entropy (uncertainty).")
    overlay: bool = setting(True, "Write a PNG of three planes.")


def main(images: list[str], settings: PredictSettings) -> None:
    """Segments the images one after another."""
    if settings.model is None:
        raise UsageError("model: expected the folder of a finished run, found none")
    out = Path(settings.out)
    names, center = _names(images, out), _center(settings.center)
    from cmda_tf.inference.outputs import write_colors, write_volumes
    from cmda_tf.inference.trained import load_run

    model = load_run(settings.model)
    volumes, failed = {}, []
    with locked(out):
        for name, path in names.items():
            try:
                volumes[name] = _predict(model, path, out / name, center, settings)
            except DataError as error:
                failed.append(path)
                print(f"error: {error}", file=sys.stderr)
        if volumes:
            write_colors(out, model.structures)
            write_volumes(out / "volumes.csv", volumes)
            print(f"written to {out}")
    if failed:
        raise DataError(f"{len(failed)} of {len(names)} images could not be segmented")


def _predict(model, path: str, prefix: Path, center, settings: PredictSettings) -> dict[str, float]:
    """Segments one image; returns its structures' volumes."""
    from cmda_tf.inference.outputs import write_overlay, write_segmentation
    from cmda_tf.volumes.formats import exact_ending
    from cmda_tf.volumes.reading import read_volume

    image = read_volume(path)
    segmentation = model.predict(image, settings.role, center, settings.keep_largest, name=path)
    maps = (settings.probabilities, settings.entropy, exact_ending(path))
    label = write_segmentation(segmentation, prefix, *maps)
    if settings.overlay:
        write_overlay(prefix.with_name(f"{prefix.name}_overlay.png"), image, segmentation)
    volumes = segmentation.volumes_mm3()
    in_ml = ", ".join(f"{name} {mm3 / 1000:.1f} ml" for name, mm3 in volumes.items())
    print(f"{path}: {label} ({in_ml})", flush=True)
    return volumes


def _names(images: list[str], out: Path) -> dict[str, str]:
    """What each image's files are called, to its path; none may lie in `out`."""
    from cmda_tf.volumes.formats import stem

    if not images:
        raise UsageError("expected at least one IMAGE, found none")
    names: dict[str, str] = {}
    for path in images:
        if out.resolve() in (Path(path).resolve(), Path(os.path.abspath(path)).parent.resolve()):
            raise UsageError(
                f"out: {path} lies in {out}, where its label may lie as well and would be "
                "replaced; expected another folder"
            )
        if (name := stem(path)) in names:
            raise UsageError(f"{path}: its output would replace that of {names[name]}")
        names[name] = path
    return names


def _center(value: str) -> str | tuple[float, ...]:
    """The value of --center."""
    if value in ("image", "model"):
        return value
    try:
        point = tuple(float(x) for x in value.split(","))
    except ValueError:
        point = ()
    if len(point) != 3:
        raise UsageError(f"center: expected image, model or x,y,z in mm; found {value!r}")
    return point


if __name__ == "__main__":
    cli.run(main, PredictSettings, arguments="IMAGE")
