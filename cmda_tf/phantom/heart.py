"""The heart's parameters, its frame and its chambers.

Coordinates: LPS millimeters from the center of the mitral plane. The left ventricle's frame,
`FRAME`, has as rows the directions from base to apex (left, anterior, inferior), towards the
right ventricle, and towards the diaphragm. Dimensions are those of adults in published norms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from cmda_tf.phantom.shapes import Capsule, Ellipsoid, tube, unit

_LONG = unit([0.66, -0.56, -0.50])
_SEPTAL = unit(np.cross(np.cross(_LONG, [-0.7, -0.7, 0.0]), _LONG))
FRAME = np.stack([_LONG, _SEPTAL, np.cross(_LONG, _SEPTAL)])


@dataclass(frozen=True)
class Heart:
    """What differs from person to person; lengths in mm before scaling by `size`."""

    size: float
    tilt_deg: tuple[float, float, float]
    lv_length: float  # semi-axis of the cavity's ellipsoid
    lv_radius: float
    lv_base: float  # from the ellipsoid's center to the mitral plane
    wall: float
    la_radii: tuple[float, float, float]
    rv_radius: float
    ra_radius: float
    aorta_radius: float
    pa_radius: float
    arch_shift: float
    fat: float
    trabecula_waves: tuple[tuple[float, float, float], ...]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Heart":
        """Draws a person's heart."""
        waves = rng.normal(size=(5, 3))
        waves *= 2 * np.pi / (rng.uniform(5, 9, (5, 1)) * np.linalg.norm(waves, axis=1)[:, None])
        return cls(
            size=float(np.clip(rng.normal(1, 0.035), 0.94, 1.06)),
            tilt_deg=tuple(np.clip(rng.normal(0, (7, 6, 8)), -15, 15).tolist()),
            lv_length=rng.uniform(54, 60),
            lv_radius=rng.uniform(22.5, 25.5),
            lv_base=rng.uniform(26, 31),
            wall=rng.uniform(8.2, 10.2),
            la_radii=tuple(rng.uniform((28, 20, 25), (33, 23, 29)).tolist()),
            rv_radius=rng.uniform(23, 28),
            ra_radius=rng.uniform(21, 25),
            aorta_radius=rng.uniform(14, 17),
            pa_radius=rng.uniform(11.5, 14),
            arch_shift=rng.uniform(-6, 8),
            fat=rng.uniform(3, 8),
            trabecula_waves=tuple(map(tuple, waves.tolist())),
        )

    @property
    def rotation(self) -> np.ndarray:
        """The heart's rotation [3, 3] against the mean orientation."""
        return Rotation.from_euler("xyz", self.tilt_deg, degrees=True).as_matrix()

    def scaled(self, *points: ArrayLike) -> np.ndarray:
        """Points of the mean body, [N, 3], as this person's: they do not turn with the heart."""
        return self.size * np.asarray(points, float)

    def place(self, *points: ArrayLike) -> np.ndarray:
        """Points of the mean heart, [N, 3], as this person's."""
        return self.scaled(*points) @ self.rotation.T

    def at(self, long: float, septal: float, inferior: float) -> np.ndarray:
        """The point with these coordinates in the left ventricle's frame, [3]."""
        return self.place(np.array([long, septal, inferior]) @ FRAME)[0]

    @property
    def axes(self) -> np.ndarray:
        """The left ventricle's frame, turned with the heart, as rows [3, 3]."""
        return FRAME @ self.rotation.T

    def apical(self, long: float) -> tuple[np.ndarray, np.ndarray]:
        """A cut across the ventricle, `long` mm from the base, that keeps the apex's side."""
        return self.at(long, 0, 0), -self.axes[0]

    @property
    def basal(self) -> tuple[np.ndarray, np.ndarray]:
        """The mitral plane as a cut that keeps the atrium's and aorta's side."""
        return np.zeros(3), self.axes[0]

    def ellipsoid(self, center: ArrayLike, radii: ArrayLike, **form) -> Ellipsoid:
        """A solid around a point, with radii of the mean heart; `form` is of `Ellipsoid`."""
        return Ellipsoid(center, self.size * np.array(radii, float), **form)

    def tube(self, points, radii, margin_mm: float = 0.0) -> list[Capsule]:
        """A tube through points, with radii of the mean heart."""
        return tube(points, self.size * np.array(radii, float), margin_mm)


class Solids:
    """The named solids of one heart."""

    def __init__(self, h: Heart):
        r, w = h.lv_radius, h.wall
        self.lv = h.ellipsoid(h.at(h.lv_base, 0, 0), (h.lv_length, r, r * 1.02), axes=h.axes)
        outer = h.lv_length + 0.8 * w, r + w, r * 1.02 + w
        self.lv_outer = h.ellipsoid(h.at(h.lv_base, -0.5, 0), outer, axes=h.axes)
        right = 50, h.rv_radius, h.rv_radius * 1.45
        self.rv = h.ellipsoid(h.at(20, 31, 8), right, axes=h.axes, power=2.2)
        middle = h.place((-41, -6, -3))[0]
        self.ra = h.ellipsoid(middle, (h.ra_radius, 24, 30), axes=h.rotation.T, power=2.3)
        la_axes = Rotation.from_euler("z", -12, degrees=True).as_matrix() @ h.rotation.T
        self.la = h.ellipsoid(h.place((-11, 19, 9))[0], h.la_radii, axes=la_axes, power=2.4)
