"""The heart and the great vessels as coats of paint.

Coordinates: LPS millimeters from the center of the mitral plane. The left ventricle's frame
is `LONG` (base to apex: left, anterior, inferior), `SEPTAL` (towards the right ventricle) and
`INFERIOR` (towards the diaphragm). Dimensions are those of adults in published norms.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from cmda_tf.phantom import airways, tissues
from cmda_tf.phantom.canvas import Layer
from cmda_tf.phantom.shapes import Cut, Ellipsoid, Ridges, tube

LONG = np.array([0.66, -0.56, -0.50]) / np.linalg.norm([0.66, -0.56, -0.50])
SEPTAL = np.cross(np.cross(LONG, [-0.7, -0.7, 0.0]), LONG)
SEPTAL /= np.linalg.norm(SEPTAL)
INFERIOR = np.cross(LONG, SEPTAL)
FRAME = np.stack([LONG, SEPTAL, INFERIOR])

ORIGIN = np.zeros(3)


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

    def place(self, *points: tuple[float, float, float]) -> np.ndarray:
        """Points of the mean heart, [N, 3], as this person's."""
        return self.size * np.asarray(points, float) @ self.rotation.T

    def at(self, long: float, septal: float, inferior: float) -> np.ndarray:
        """The point with these coordinates in the left ventricle's frame, [3]."""
        return self.place(np.array([long, septal, inferior]) @ FRAME)[0]

    @property
    def axes(self) -> np.ndarray:
        """The left ventricle's frame, turned with the heart, as rows [3, 3]."""
        return FRAME @ self.rotation.T

    @property
    def below_base(self) -> tuple[np.ndarray, np.ndarray]:
        """The mitral plane as a cut that keeps the ventricle's side."""
        return ORIGIN, -self.axes[0]

    @property
    def above_base(self) -> tuple[np.ndarray, np.ndarray]:
        """The mitral plane as a cut that keeps the atrium's and aorta's side."""
        return ORIGIN, self.axes[0]


class Solids:
    """The named solids of one heart."""

    def __init__(self, h: Heart):
        s, w = h.size, h.wall
        center = h.at(h.lv_base, 0, 0)
        self.lv = Ellipsoid(
            center, s * np.array([h.lv_length, h.lv_radius, h.lv_radius * 1.02]), h.axes
        )
        outer = np.array([h.lv_length + 0.8 * w, h.lv_radius + w, h.lv_radius * 1.02 + w])
        self.lv_outer = Ellipsoid(h.at(h.lv_base, -0.5, 0), s * outer, h.axes)
        self.rv = Ellipsoid(
            h.at(20, 31, 8), s * np.array([50, h.rv_radius, h.rv_radius * 1.45]), h.axes, 2.2
        )
        self.ra = Ellipsoid(
            h.place((-41, -6, -3))[0], s * np.array([h.ra_radius, 24, 30]), h.rotation.T, 2.3
        )
        la_axes = Rotation.from_euler("z", -12, degrees=True).as_matrix() @ h.rotation.T
        self.la = Ellipsoid(h.place((-11, 19, 9))[0], s * np.array(h.la_radii), la_axes, 2.4)


def aorta_path(h: Heart) -> tuple[np.ndarray, np.ndarray]:
    """Centerline of the aorta from the left ventricle to the descending part.

    Returns:
      points [N, 3] in mm, and radii [N] in mm.
    """
    r, up = h.aorta_radius, h.arch_shift
    root = [(-0.5, -8.5, 1), (-7, -15, 11), (-15, -20, 26), (-21, -20, 44), (-20, -13, 62)]
    arch = [(-13, 1, 78 + up), (1, 23, 85 + up), (11, 44, 74 + up), (13, 55, 50)]
    down = [(13, 57, 15), (11, 57, -30), (6, 55, -75), (2, 53, -150)]
    near = h.place(*root)
    far = h.size * np.array(arch + down)
    radii = [r - 2, r + 1.5, r - 0.5, r, r - 0.3, r - 1, r - 2, r - 3, r - 3.5, r - 4, r - 4.2]
    return np.concatenate([near, far]), h.size * np.array([*radii, r - 4.5, r - 5])


def layers(h: Heart) -> list[Layer]:
    """Everything of the heart and great vessels, in painting order."""
    solids = Solids(h)
    return [
        *_fat(h, solids),
        *airways.layers(h.size),
        *_right_heart(h, solids),
        *_left_atrium(h, solids),
        *_left_ventricle(h, solids),
        *_aorta(h),
        *_coronaries(h),
    ]


def _fat(h: Heart, solids: Solids) -> list[Layer]:
    """Epicardial and mediastinal fat, which the chambers are then painted into."""
    chambers = [solids.lv_outer.grown(h.fat * 0.6), solids.rv.grown(h.fat + 3)]
    chambers += [solids.ra.grown(h.fat * 0.8), solids.la.grown(h.fat * 0.5)]
    chambers += tube(*aorta_path(h), margin_mm=h.fat * 0.6)
    chambers += tube(*_pulmonary_trunk(h), margin_mm=h.fat + 1)
    column = Ellipsoid(
        h.size * np.array([-8.0, 2, 40]), h.size * np.array([24.0, 58, 110]), power=3
    )
    return [Layer(solid, "fat") for solid in [column, *chambers]]


def _vessel(path, label: int | None, tissue: str, wall_mm: float = 1.6) -> list[Layer]:
    """A wall and the blood within it."""
    return [Layer(c, "vessel_wall", 0) for c in tube(*path, margin_mm=wall_mm)] + [
        Layer(c, tissue, label) for c in tube(*path)
    ]


def _pulmonary_trunk(h: Heart) -> tuple[np.ndarray, np.ndarray]:
    """Centerline and radii from the pulmonary valve to the bifurcation."""
    r = h.pa_radius
    path = h.place((5, -41, 20), (11, -34, 34), (14, -19, 46), (10, -2, 53))
    return path, h.size * np.array([r, r + 1, r + 0.5, r - 0.5])


def _right_heart(h: Heart, solids: Solids) -> list[Layer]:
    """Caval veins, right atrium, right ventricle with its outflow tract, pulmonary artery."""
    s, r = h.size, h.pa_radius
    svc = s * np.array([(-40, 2, 10), (-38, 4, 40), (-36, 5, 75), (-33, 2, 130)]), s * 9.0
    ivc = s * np.array([(-36, 8, -20), (-34, 16, -45), (-30, 24, -80), (-26, 30, -140)]), s * 11.0
    right = h.place((10, -2, 53), (-10, 10, 50), (-32, 13, 49), (-56, 18, 42))
    left = h.place((10, -2, 53), (22, 14, 56), (36, 30, 56), (50, 40, 46))
    outflow = h.place((-8, -42, -12), (-3, -44, 4), (5, -41, 20)), s * np.array([20.0, 16, r])
    cut = [(h.at(-3, 0, 0), -h.axes[0])]
    ridges = Ridges(solids.rv, solids.rv.grown(-5), np.array(h.trabecula_waves), 0.12)
    return [
        *_vessel(svc, None, "svc_blood"),
        *_vessel(ivc, None, "ivc_blood"),
        Layer(solids.ra.grown(2), "vessel_wall"),
        *(Layer(c, "myocardium") for c in tube(*outflow, margin_mm=3)),
        Layer(Cut(solids.rv.grown(3.2), cut), "myocardium"),
        *_vessel((right, s * np.array([r - 2, r - 3, r - 4, 5])), tissues.PA, "pa_blood"),
        *_vessel((left, s * np.array([r - 2, r - 3, r - 4, 5])), tissues.PA, "pa_blood"),
        *_vessel(_pulmonary_trunk(h), tissues.PA, "pa_blood"),
        Layer(solids.ra, "ra_blood", tissues.RA),
        *(Layer(c, "rv_blood", tissues.RV) for c in tube(*outflow)),
        Layer(Cut(solids.rv, cut), "rv_blood", tissues.RV),
        Layer(Cut(ridges, cut), "myocardium"),
    ]


def _left_atrium(h: Heart, solids: Solids) -> list[Layer]:
    """Left atrium with its appendage and four pulmonary veins.

    The label follows a vein for some 10 mm beyond the chamber, as the field's labels do.
    """
    s, plane = h.size, [h.above_base]
    veins = []
    for side, z in ((-1, 19), (-1, 2), (1, 20), (1, 3)):
        start = h.place((-11 + 16 * side, 24, z * 0.8))[0]
        ostium = h.place((-11 + 36 * side, 31, z))[0]
        end = h.place((-11 + 62 * side, 40, z * 1.4 - 2))[0]
        veins += _vessel((np.stack([ostium, end]), s * np.array([5.6, 4.2])), 0, "la_blood")
        veins += _vessel(
            (np.stack([start, ostium]), s * np.array([9, 6.6])), tissues.LA, "la_blood"
        )
    appendage = h.place((12, 8, 20), (24, -6, 22), (30, -17, 17)), s * np.array([9.5, 7.5, 4.5])
    return [
        *veins,
        *_vessel(appendage, tissues.LA, "la_blood"),
        Layer(Cut(solids.la.grown(2), plane), "vessel_wall", 0),
        *(Layer(c, "la_blood", tissues.LA) for c in tube(*appendage)),
        Layer(Cut(solids.la, plane), "la_blood", tissues.LA),
    ]


def _left_ventricle(h: Heart, solids: Solids) -> list[Layer]:
    """Myocardium, cavity, and within the cavity papillary muscles, trabeculae and leaflets.

    Papillary muscles and trabeculae are muscle in the image but keep the cavity's label, as
    in the field's manual segmentations.
    """
    s, r, plane = h.size, h.lv_radius, [h.below_base]
    papillary = []
    for septal, inferior in ((-0.45, 0.62), (-0.50, -0.55)):
        foot, mid, tip = (
            h.at(along, septal * r * out, inferior * r * out)
            for along, out in ((62, 0.95), (47, 0.92), (32, 0.78))
        )
        papillary += tube([foot, mid, tip], s * np.array([5.0, 4.6, 3.0]))
    chordae = [
        (h.at(32, -0.4 * r, 0.48 * r), h.at(6, -0.25 * r, 0.2 * r)),
        (h.at(32, -0.4 * r, -0.43 * r), h.at(6, -0.25 * r, -0.2 * r)),
    ]
    leaflet = Ellipsoid(h.at(6, 0.12 * r, 0), s * np.array([9.0, 1.1, 13]), h.axes)
    shell = Ridges(solids.lv, solids.lv.grown(-4.5), np.array(h.trabecula_waves), 0.10)
    apical = Cut(shell, [(h.at(24, 0, 0), -h.axes[0])])
    return [
        Layer(Cut(solids.lv_outer, plane), "myocardium", tissues.LV_MYO),
        Layer(Cut(solids.lv, plane), "lv_blood", tissues.LV),
        Layer(apical, "myocardium", None, ("lv_blood",)),
        *(Layer(c, "myocardium", None, ("lv_blood",)) for c in papillary),
        *(Layer(c, "valve", None, ("lv_blood",)) for c in _cords(chordae, s)),
        Layer(leaflet, "valve", None, ("lv_blood",)),
    ]


def _cords(ends, size: float):
    return [capsule for pair in ends for capsule in tube(pair, size * 1.0, step_mm=40)]


def _aorta(h: Heart) -> list[Layer]:
    """Aorta; only its ascending part is labeled.

    That part begins at the valve, in the mitral plane, and ends at a plane across the vessel
    where the arch leaves the sagittal course upwards: the fifth point of the centerline.
    """
    points, radii = aorta_path(h)
    end = points[4], points[5] - points[3]
    keep = [h.above_base, (end[0], end[1] / np.linalg.norm(end[1]))]
    wall = tube(points, radii, margin_mm=1.6)
    walls = [Layer(Cut(c, [h.above_base]), "vessel_wall", 0) for c in wall]
    blood = [Layer(Cut(c, [h.above_base]), "aorta_blood", 0) for c in tube(points, radii)]
    near = [c for c in tube(points, radii) if c.start[2] < end[0][2] + 25 and c.start[1] < 25]
    ascending = [Layer(Cut(c, keep), "aorta_blood", tissues.AA) for c in near]
    valve = Ellipsoid(points[1], h.size * np.array([1.0, 13, 13]), _across(points[1] - points[0]))
    branches = [
        ((-15, -4, 78), (-22, -8, 105), (-26, -10, 140)),
        ((-4, 12, 84), (-2, 8, 110), (0, 6, 140)),
        ((4, 24, 84), (10, 24, 110), (14, 22, 140)),
    ]
    arteries = [
        layer
        for path, radius in zip(branches, (6.0, 4.0, 4.8))
        for layer in _vessel((h.size * np.array(path), h.size * radius), 0, "aorta_blood", 1.0)
    ]
    return [*arteries, *walls, *blood, *ascending, Layer(valve, "valve", None, ("aorta_blood",))]


def _across(direction: np.ndarray) -> np.ndarray:
    """Unit axes as rows, the first along `direction`."""
    first = direction / np.linalg.norm(direction)
    second = np.cross(first, [1.0, 0, 0])
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


def _coronaries(h: Heart) -> list[Layer]:
    """The three main coronary arteries, running in the epicardial fat."""
    r = h.lv_radius + h.wall + 2
    anterior = [h.at(a, 0.62 * r * f, -0.78 * r * f) for a, f in ((2, 1), (25, 1.03), (55, 0.95))]
    around = [h.at(-1, b * r, c * r) for b, c in ((0.45, -0.85), (-0.5, -0.8), (-0.95, 0.0))]
    right = h.place((-10, -36, 8), (-34, -36, -2), (-40, -30, -22), (-26, -14, -34))
    paths = ((anterior, (2, 1.6, 1.2)), (around, (1.8, 1.6, 1.2)), (right, (2, 1.9, 1.7, 1.4)))
    return [
        Layer(capsule, "aorta_blood", None, ("fat", "lung"))
        for path, radii in paths
        for capsule in tube(path, np.array(radii))
    ]
