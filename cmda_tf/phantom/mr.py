"""MR appearance: a balanced steady-state free precession (bright-blood) scan at 1.5 T.

Signal: the bSSFP equation on resonance (Bernstein, King, Zhou, "Handbook of MRI Pulse Sequences",
14.1) with published relaxation times (Stanisz et al., MRM 2005; de Bazelaire et al., Radiology
2004; Messroghli et al. for myocardium; Wright et al. for blood). Arrays are [k, j, i].
"""

import itertools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from cmda_tf.phantom.anatomy import Scene
from cmda_tf.phantom.fields import smooth_field
from cmda_tf.phantom.painting import TISSUES, is_one_of
from cmda_tf.phantom.shapes import dot

# T1 [ms], T2 [ms], proton density relative to blood, share of the signal that is fat.
# Lung and cortical bone: their T2* of about 1 ms leaves little at the echo, hence the density.
PROPERTIES = {
    "air": (1000, 1, 0.0, 0),
    "lung": (1200, 40, 0.08, 0),
    "lung_vessel": (1500, 200, 0.85, 0),
    "fat": (290, 80, 0.9, 1.0),
    "skin": (800, 35, 0.6, 0.1),
    "muscle": (1000, 42, 0.85, 0),
    "cartilage": (1024, 35, 0.7, 0),
    "cortical_bone": (1000, 20, 0.05, 0),
    "marrow": (549, 50, 0.65, 0.5),
    "disc": (1000, 75, 0.8, 0),
    "cord": (900, 85, 0.85, 0),
    "liver": (586, 46, 0.75, 0.04),
    "stomach": (1000, 60, 0.8, 0),
    "vessel_wall": (1000, 45, 0.75, 0),
    "valve": (1000, 40, 0.6, 0),
    "myocardium": (1030, 50, 0.82, 0),
    "lv_blood": (1500, 250, 1.0, 0),
    "la_blood": (1500, 240, 1.0, 0),
    "aorta_blood": (1500, 250, 1.0, 0),
    "rv_blood": (1550, 185, 1.0, 0),
    "ra_blood": (1550, 180, 1.0, 0),
    "pa_blood": (1550, 190, 1.0, 0),
    "svc_blood": (1550, 175, 1.0, 0),
    "ivc_blood": (1550, 175, 1.0, 0),
}
# Beside the lung, off-resonance dephases pulmonary venous blood; fast flow that of the aorta.
_INFLOW = {"la_blood": (0.7, 1.0), "aorta_blood": (0.8, 1.05)}
_BLOOD = tuple(name for name in TISSUES if name.endswith("_blood"))


@dataclass(frozen=True)
class Protocol:
    """What differs from scan to scan."""

    flip_deg: float  # flip angle
    tr_ms: float  # repetition time; the echo is at half of it
    fat_left: float  # share of fat's signal that is left (1: no fat suppression)
    inflow: dict[str, float]  # factor of each blood compartment (fresh spins, off-resonance)
    swirl: float  # standard deviation of the flow-related variation within the blood
    coil_radius_mm: float  # of the surface coils' loops
    correction: float  # how far the coils' profile is corrected (0 not at all, 1 fully)
    snr: float  # blood's signal over the noise's standard deviation at the heart
    gain: float  # scanner units of blood's signal

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Protocol":
        """Draws a protocol."""
        suppressed = rng.random() < 0.6
        left = rng.uniform(0.25, 0.55)
        return cls(
            flip_deg=rng.uniform(55, 80),
            tr_ms=rng.uniform(3.2, 4.4),
            fat_left=left if suppressed else 1.0,
            inflow={name: rng.uniform(*_INFLOW.get(name, (0.85, 1.15))) for name in _BLOOD},
            swirl=rng.uniform(0.08, 0.18),
            coil_radius_mm=rng.uniform(55, 85),
            correction=rng.uniform(0.4, 0.9),
            snr=rng.uniform(9, 22),
            gain=float(np.exp(rng.uniform(np.log(150), np.log(1500)))),
        )


def bssfp_signal(
    t1_ms: float, t2_ms: float, density: float, flip_deg: float, tr_ms: float
) -> float:
    """Steady-state transverse magnetization of balanced SSFP, on resonance, echo at TR/2."""
    e1, e2 = np.exp(-tr_ms / t1_ms), np.exp(-tr_ms / t2_ms)
    flip = np.deg2rad(flip_deg)
    steady = np.sin(flip) * (1 - e1) / (1 - (e1 - e2) * np.cos(flip) - e1 * e2)
    return float(density * steady * np.sqrt(e2))


def tissue_signals(protocol: Protocol) -> np.ndarray:
    """Signal of each tissue id relative to blood at rest, float32 [tissues]."""
    timing = protocol.flip_deg, protocol.tr_ms
    rest = bssfp_signal(*PROPERTIES["lv_blood"][:3], *timing)
    signals = []
    for name in TISSUES:
        t1, t2, density, fat = PROPERTIES[name]
        kept = 1 - fat + fat * protocol.fat_left
        signal = bssfp_signal(t1, t2, density, *timing) * kept * protocol.inflow.get(name, 1.0)
        signals.append(signal / rest)
    return np.array(signals, np.float32)


def render(scene: Scene, protocol: Protocol, rng: np.random.Generator) -> np.ndarray:
    """The scan of a scene in scanner units, float32 [k, j, i]."""
    spacing_kji = scene.grid.spacing_mm[::-1]
    shape = scene.tissue.shape
    signal = tissue_signals(protocol)[scene.tissue]
    swirl = smooth_field(shape, spacing_kji, 9.0, rng) * np.float32(protocol.swirl)
    signal *= 1 + np.where(is_one_of(scene.tissue, _BLOOD), swirl, np.float32(0))
    signal *= 1 + 0.06 * smooth_field(shape, spacing_kji, 4.0, rng)  # texture of all tissues
    signal = gaussian_filter(signal, 0.45, output=np.float32)  # in voxels: the scan's own PSF
    coils = coil_profile(scene.points, protocol.coil_radius_mm, rng)
    image = rician(signal * coils, 1 / protocol.snr, rng)
    return image * coils ** np.float32(-protocol.correction) * np.float32(protocol.gain)


def coil_profile(points: np.ndarray, radius_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Root sum of squares of surface coils in front of and behind the chest.

    Each coil has the field of a loop on its axis, R^2 / (R^2 + d^2)^1.5, taken as isotropic. Points
    are [3, k, j, i] in mm from the middle of the mitral plane; the profile is float32 [k, j, i], 1
    at the heart (near the origin) on average.
    """
    loops = list(itertools.product((-70, 70), (-115, 130), (-60, 60)))
    places = np.array(loops) + rng.normal(0, 15, (len(loops), 3))
    total = _loops(points, places, radius_mm)
    return np.sqrt(total / _loops(np.zeros((3, 1), np.float32), places, radius_mm)[0])


def _loops(points: np.ndarray, places: np.ndarray, radius_mm: float) -> np.ndarray:
    """Sum of the squared fields of loops at `places`."""
    total = np.zeros(points.shape[1:], np.float32)
    for place in places.astype(np.float32):
        distance = [p - center for p, center in zip(points, place)]
        square = 1 + dot(distance, distance) / np.float32(radius_mm**2)
        total += 1 / (square * square * square)
    return total


def rician(signal: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Magnitude of a signal with complex Gaussian noise of standard deviation `sigma`."""
    noise = rng.standard_normal((2, *signal.shape), dtype=np.float32)
    noise *= np.float32(sigma)
    return np.hypot(signal + noise[0], noise[1])
