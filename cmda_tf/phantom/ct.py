"""CT appearance: coronary CT angiography in Hounsfield units.

Contrast agent is timed for the left heart; the right heart holds what is left of the bolus,
mixed with blood that carries none. Arrays are [k, j, i].
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from cmda_tf.phantom.anatomy import Scene
from cmda_tf.phantom.fields import smooth_field
from cmda_tf.phantom.painting import TISSUES, is_one_of

_RIGHT_HEART = ("rv_blood", "ra_blood", "svc_blood", "ivc_blood")


@dataclass(frozen=True)
class Protocol:
    """What differs from scan to scan: means of tissues and standard deviations, in HU."""

    hounsfield: dict[str, float]
    mixing: float  # of the variation that mixing causes in the right heart
    noise: float  # in the middle of the body
    blur_mm: float  # of the reconstruction's and the motion's blur, in mm

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Protocol":
        """Draws a protocol."""
        return cls(
            hounsfield=hounsfield(rng),
            mixing=rng.uniform(20, 60),
            noise=float(np.exp(rng.uniform(np.log(30), np.log(170)))),
            blur_mm=rng.uniform(0.5, 1.1),
        )


def hounsfield(rng: np.random.Generator) -> dict[str, float]:
    """Draws the mean HU of every tissue of one patient with contrast agent."""
    left, right, muscle = rng.uniform(300, 450), rng.uniform(80, 250), rng.uniform(50, 62)
    return {
        "air": -1000.0,
        "lung": rng.uniform(-880, -810),
        "lung_vessel": 0.5 * (left + right),
        "fat": rng.uniform(-105, -85),
        "skin": 20.0,
        "muscle": muscle,
        "cartilage": rng.uniform(90, 140),
        "cortical_bone": rng.uniform(600, 1000),
        "marrow": rng.uniform(150, 250),
        "disc": rng.uniform(80, 110),
        "cord": 35.0,
        "liver": rng.uniform(85, 115),
        "stomach": rng.uniform(20, 60),
        "vessel_wall": muscle + 10,
        "valve": muscle + 30,
        "myocardium": rng.uniform(90, 130),
        "lv_blood": left * rng.uniform(0.9, 1.0),
        "la_blood": left * rng.uniform(0.9, 1.02),
        "aorta_blood": left * rng.uniform(1.05, 1.2),
        "rv_blood": right,
        "ra_blood": right * rng.uniform(0.85, 1.2),
        "pa_blood": right * rng.uniform(0.95, 1.4),
        "svc_blood": right * rng.uniform(0.9, 2.2),
        "ivc_blood": rng.uniform(70, 120),
    }


def render(scene: Scene, protocol: Protocol, rng: np.random.Generator) -> np.ndarray:
    """The scan of a scene in HU, float32 [k, j, i], not below -1024."""
    spacing_kji = np.array(scene.grid.spacing_mm[::-1])
    shape = scene.tissue.shape
    image = np.array([protocol.hounsfield[name] for name in TISSUES], np.float32)[scene.tissue]
    mixing = smooth_field(shape, spacing_kji, 10.0, rng) * np.float32(protocol.mixing)
    image += np.where(is_one_of(scene.tissue, _RIGHT_HEART), mixing, np.float32(0))
    image += 8 * smooth_field(shape, spacing_kji, 5.0, rng)  # tissues are not uniform
    blur = np.hypot(protocol.blur_mm / spacing_kji, 0.4)  # 0.4 voxel: the voxel's own extent
    image = gaussian_filter(image, blur, output=np.float32)
    image += protocol.noise * correlated_noise(scene.points, rng)
    return np.maximum(image, -1024)


def correlated_noise(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of filtered back projection: short-ranged, strongest where rays are attenuated most.

    For positions [3, k, j, i] in mm, the body's middle near the origin: float32 [k, j, i], of unit
    standard deviation at the origin, less towards the body's surface.
    """
    white = rng.standard_normal(points.shape[1:], dtype=np.float32)
    noise = gaussian_filter(white, 0.6)
    noise -= 0.5 * gaussian_filter(noise, 1.5)  # the ramp filter takes low frequencies out
    noise /= noise.std()
    return noise * np.exp(-(points[0] ** 2 + points[1] ** 2) / np.float32(2 * 160**2))
