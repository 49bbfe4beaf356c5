"""A finished run as a segmentation model: `cmda_tf.load_run(path).predict(image)`."""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import tensorflow as tf

from cmda_tf.data.preprocess import preprocess
from cmda_tf.errors import DataError, UsageError
from cmda_tf.inference.center import find_center_mm
from cmda_tf.inference.networks import ROLES, load_networks
from cmda_tf.inference.predictor import Predictor, classes, probabilities
from cmda_tf.inference.segmentation import Segmentation, to_segmentation
from cmda_tf.runs.record import SETTINGS
from cmda_tf.runs.run import Run, finished_run
from cmda_tf.volumes.geometry import Geometry, prepared_grid
from cmda_tf.volumes.reading import check_image, read_volume


class TrainedModel:
    """A finished run's networks, ready for images of either role (`source` or `target`).

    Raises:
      DataError: its weights are damaged or not of its networks.
      ValueError: it is of no grid that there can be.
    """

    def __init__(self, run: Run):
        self.run = run
        self.structures = run.record.inputs.structures
        # Of the grid that it sees, cubic and isotropic.
        self.size, self.spacing_mm = run.config.size, float(run.record.inputs.spacing_mm)
        prepared_grid((0.0, 0.0, 0.0), self.size, self.spacing_mm)  # refuses what is no grid
        self._networks = load_networks(run)
        self.networks = self._networks.paths()  # by role, images to logits

    def predict(
        self,
        image: sitk.Image | str | Path,
        role: str = "target",
        center: str | Sequence[float] = "image",
        keep_largest: bool = False,
        name: str | None = None,
    ) -> Segmentation:
        """Segments a volume, on its own grid.

        Args:
          image: 3-D scalar image, or a file of one.
          role: `target` for images that the run was adapted to, `source` for the others.
          center: of the cube that the model sees: `image` for the middle of the volume, `model`
            for where the model itself finds the structures, or a point (x, y, z) in mm, LPS.
          keep_largest: of each structure keep the largest connected component.
          name: what to call the image in messages; by default its file, or "image".

        Raises:
          UsageError: an unknown role or center.
          DataError: the image cannot be read, is no such image, or does not hold the center.
        """
        if role not in ROLES:
            raise UsageError(f"role: expected one of {', '.join(ROLES)}; found {role!r}")
        if isinstance(image, sitk.Image):
            name = name or "image"
            image = check_image(image, name)
        else:
            name, image = name or str(image), read_volume(image)
        center_mm = self._center_mm(image, role, center, name)
        grid, values = self.probabilities(image, role, center_mm, name)
        return to_segmentation(values, grid, Geometry.of(image), self.structures, keep_largest)

    def on_prepared(self, volume_kji: np.ndarray, role: str = "target") -> np.ndarray:
        """Classes, uint8, of a volume that is prepared already, such as a test subject's.

        Its normalized intensities [K, size, size] are on the grid that the model sees.
        """
        return Predictor(self.networks[role], classes).on_volume(volume_kji)

    def features(self, role: str, layer: int) -> tf.keras.Model:
        """See `cmda_tf.inference.networks.Networks.features`."""
        return self._networks.features(role, layer)

    def probabilities(
        self, image: sitk.Image, role: str, center_mm: Sequence[float] | None, name: str = "image"
    ) -> tuple[Geometry, np.ndarray]:
        """The grid seen around a point, by default the image's middle, and probabilities on it.

        They are `[K, J, I, classes]` float32.
        """
        subject = preprocess(
            name, role, image, size=self.size, spacing_mm=self.spacing_mm, center_mm=center_mm
        )
        return subject.grid, self._predictor(role).on_volume(subject.image)

    def _center_mm(
        self, image: sitk.Image, role: str, center: str | Sequence[float], name: str
    ) -> Sequence[float] | None:
        """The point that `center` means; None for the middle of the image."""
        if not isinstance(center, str):
            point = tuple(float(x) for x in center)
            if len(point) != 3 or not np.isfinite(point).all():
                raise UsageError(f"center: expected a point x, y, z in mm; found {center}")
            if not Geometry.of(image).holds(point):
                raise DataError(f"{name}: the center {point} mm (LPS) lies outside it")
            return point
        if center == "image":
            return None
        if center != "model":
            raise UsageError(f"center: expected image, model or x,y,z in mm; found {center!r}")
        look = functools.partial(self.probabilities, image, role, name=name)
        return find_center_mm(image, look, self.size * self.spacing_mm, name)

    @functools.cache  # noqa: B019 - a model lives as long as its networks
    def _predictor(self, role: str) -> Predictor:
        return Predictor(self.networks[role], probabilities)


def load_run(path: str | Path) -> TrainedModel:
    """A finished run, by its folder, as a model.

    DataError if there is none, a damaged one, or one of an older version.
    """
    run = finished_run(path)
    try:
        return TrainedModel(run)
    except (ValueError, UsageError) as error:
        raise DataError(f"{run.folder / SETTINGS}: not those of a model ({error})") from error
